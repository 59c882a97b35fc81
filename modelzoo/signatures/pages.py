"""Reads: what pages show of signatures and of the rules about them."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.utils.translation import gettext_noop as _

from common.rights import Right, roles_with
from modelzoo.signatures.selectors import Act, obstacle_to_sign

ACTS: dict[Act, tuple[str, str]] = {
    Act.REVIEW: (
        _("Reviews"),
        _("Confirming or overruling a verdict, blind reviews too. A signed review cannot be undone."),
    ),
    Act.THRESHOLD: (_("Thresholds"), _("Setting the threshold of a version, or taking a revision back.")),
    Act.APPROVAL: (_("Approvals"), _("Approving a version, or withdrawing an approval.")),
    Act.PROMOTION: (_("Promotions"), _("Putting a version in production that is not there yet.")),
    Act.ROLLBACK: (_("Rollbacks"), _("Putting the version back that was in production before.")),
}
_MAX_NAMED = 20


def people_who_cannot_sign() -> list[str]:
    """The users who may do what can be signed, and have no full name or no password here."""
    may_sign = User.objects.filter(is_active=True, groups__name__in=roles_with(Right.REVIEW)).distinct()
    return [user.get_username() for user in may_sign.order_by("username") if obstacle_to_sign(user)][:_MAX_NAMED]
