"""Writes: which acts need a signature, and signing, by the password of who is signed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from accounts.sign_in import confirm_password
from common.rights import Right, require
from modelzoo.models import Category, SignatureRules
from modelzoo.services import actor_id, lock_category, required_reason
from modelzoo.signatures.selectors import (
    Act,
    Meaning,
    Signature,
    SignatureRefused,
    SignatureRequired,
    acts_to_sign,
    obstacle_to_sign,
)
from records.audit.services import Actor, audit

REFUSED = "signature.refused"


@dataclass(frozen=True)
class Credentials:
    """What somebody signs with.

    Attributes:
        username: both components are asked for by the first signature of a session; empty in later ones.
        needs_username: it is that first one.
    """

    password: str
    meaning: str
    username: str = ""
    needs_username: bool = False


def sign(*, user: User, act: Act, about: tuple[str, str], credentials: Credentials) -> Signature:
    """Verify who signs. `about`: type and id of what is signed, for the audit log.

    Tries count as those to sign in; a wrong one is audited. Not in the transaction of the act, which does not happen
    where this raises `SignatureRequired` for something missing, `SignatureRefused`, or `LockedOut`.
    """
    if credentials.meaning not in set(Meaning):
        raise SignatureRequired(
            f"The meaning of a signature is one of {', '.join(Meaning)}. Nothing was changed. Choose one."
        )
    details = {"act": str(act), "meaning": credentials.meaning, "object_type": about[0], "object_id": about[1]}
    obstacle = obstacle_to_sign(user)
    if obstacle:
        _report_refusal(user, details | {"cause": obstacle})
        raise SignatureRefused(f"{obstacle} Nothing was changed.")
    if credentials.needs_username and not credentials.username:
        raise SignatureRequired(
            "The first signature of a session needs your user name and your password. Nothing was changed. Enter both."
        )
    if credentials.username and credentials.username != user.get_username():
        _report_refusal(user, details | {"cause": "another user name"})
        raise SignatureRefused(
            f"You are signed in as {user.get_username()}, and can sign as nobody else. Nothing was changed. Enter your "
            "own user name, or sign in as the person who signs."
        )
    if not confirm_password(user=user, password=credentials.password, failure=(REFUSED, details)):
        raise SignatureRefused("The password is wrong, so nothing was signed and nothing was changed. Enter it again.")
    return Signature(
        user_id=user.pk,
        username=user.get_username(),
        printed_name=user.get_full_name(),
        meaning=credentials.meaning,
        signed_at=timezone.localtime(),
    )


@transaction.atomic
def _report_refusal(user: User, after: dict[str, Any]) -> None:
    audit(kind=REFUSED, subject=user, actor=user, after=after, changes_subject=False)


@transaction.atomic
def set_signature_rules(*, category: Category, acts: frozenset[Act], reason: str, actor: Actor) -> SignatureRules:
    """Say which acts need a signature in a category, from now on. Raises `Forbidden`, and `UserError` for no reason."""
    require(actor, Right.ADMINISTER)
    reason = required_reason(reason, "A change of the signature rules")
    lock_category(category.pk)
    before = acts_to_sign(category.pk)
    row = SignatureRules.objects.create(
        category=category, reason=reason[:500], author_id=actor_id(actor), **{act: act in acts for act in Act}
    )
    audit(
        kind="signature_rules.set",
        subject=category,
        actor=actor,
        before={act: act in before for act in Act},
        after={act: act in acts for act in Act} | {"category": category.name, "reason": row.reason},
        attests=[row],
        changes_subject=False,
    )
    return row
