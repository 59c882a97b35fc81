"""Reads: which acts need a signature, whether one is missing, and the signatures that were given.

A signature stands in the audit event of the act that it signs and nowhere else, so that it cannot be taken off one act
and put on another: the event's hash covers both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.db.models import CharField, F, Max, Model, OuterRef, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Cast, Concat

from common.errors import UserError
from modelzoo.signatures.models import SignatureRules
from records.audit.services import Actor
from records.models import AuditEvent, canonical

Row = TypeVar("Row", bound=Model)


class Act(StrEnum):
    """What a category may require a signature for; each is a field of `SignatureRules`."""

    REVIEW = "review"
    THRESHOLD = "threshold"
    APPROVAL = "approval"
    PROMOTION = "promotion"
    ROLLBACK = "rollback"


class Meaning(StrEnum):
    """What a signature says of who signs (21 CFR 11.50)."""

    REVIEWED = "reviewed"
    APPROVED = "approved"
    RESPONSIBLE = "responsible"


USUAL_MEANING = {
    Act.REVIEW: Meaning.REVIEWED,
    Act.THRESHOLD: Meaning.RESPONSIBLE,
    Act.APPROVAL: Meaning.APPROVED,
    Act.PROMOTION: Meaning.APPROVED,
    Act.ROLLBACK: Meaning.RESPONSIBLE,
}
_WORDS = {
    Act.REVIEW: "A review",
    Act.THRESHOLD: "A threshold",
    Act.APPROVAL: "An approval, or its withdrawal,",
    Act.PROMOTION: "A promotion",
    Act.ROLLBACK: "A rollback",
}


class SignatureRequired(UserError):
    """The act needs a signature, and none was given."""

    code = "signature_required"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class SignatureRefused(UserError):
    """Who signs could not be verified, or cannot sign."""

    code = "signature_refused"
    status = HTTPStatus.FORBIDDEN


@dataclass(frozen=True)
class Signature:
    """That a person has just signed: made by `services.sign` alone, once the password was verified.

    Attributes:
        printed_name: the full name, as it was then.
        signed_at: with its time zone.
    """

    user_id: int
    username: str
    printed_name: str
    meaning: str
    signed_at: datetime


@dataclass(frozen=True)
class SignedAct:
    """A signature as it is shown, and the audit event that holds it.

    Attributes:
        sha256: of what was signed: of the rest of the event's `after`.
    """

    printed_name: str
    username: str
    meaning: str
    signed_at: datetime
    sha256: str
    event: int
    event_hash: str

    @property
    def sentence(self) -> str:
        """For documents, without the time, which each writes in its own way."""
        return f"signed electronically by {self.printed_name} ({self.username}) as {self.meaning}"


# ---------------------------------------------------------------- rules
def newest_rules(category_id: int) -> SignatureRules | None:
    """The row in force; None where nobody set rules."""
    rows = SignatureRules.objects.select_related("author")
    return rows.filter(category_id=category_id).order_by("-id").first()


def acts_to_sign(category_id: int) -> frozenset[Act]:
    """What needs a signature in a category."""
    rules = newest_rules(category_id)
    return frozenset(act for act in Act if rules and getattr(rules, act))


def acts_to_sign_anywhere() -> frozenset[Act]:
    """What needs a signature in some category."""
    newest = SignatureRules.objects.order_by().values("category").annotate(newest=Max("pk")).values("newest")
    rows = list(SignatureRules.objects.filter(pk__in=newest))
    return frozenset(act for act in Act if any(getattr(row, act) for row in rows))


def check_signature(act: Act, category_ids: Iterable[int], *, signature: Signature | None, actor: Actor) -> None:
    """Raises `SignatureRequired` where one of the categories requires a signature for the act, and there is none."""
    if signature is not None:
        if actor is None or signature.user_id != actor.pk:
            raise SignatureRefused("The signature is of somebody else than who acts. Nothing was changed.")
        return
    if any(act in acts_to_sign(category_id) for category_id in sorted(set(category_ids))):
        raise SignatureRequired(
            f"{_WORDS[act]} needs an electronic signature in this category: your password again, and its meaning "
            f"({', '.join(Meaning)}). Nothing was changed. Sign on the page, or send `signature` to the API; the "
            "administration and the command line cannot sign.",
            act=str(act),
        )


def obstacle_to_sign(user: User) -> str:
    """Why this person can sign nothing; empty where they can."""
    if not user.has_usable_password():
        return "Your account has no password here, so it cannot sign. Ask an administrator to set one."
    if not user.get_full_name():
        return "Your account has no full name, which a signature shows. Ask an administrator to enter it."
    return ""


# ---------------------------------------------------------------- signatures
def with_signature(after: dict[str, Any], signature: Signature | None) -> dict[str, Any]:
    """`after` of the audit event of an act, with the signature of it and the hash of what was signed."""
    if signature is None:
        return after
    facts = {name: value for name, value in asdict(signature).items() if name != "user_id"}
    sha256 = hashlib.sha256(canonical(after).encode()).hexdigest()
    return after | {"signature": facts | {"signed_at": signature.signed_at.isoformat(), "sha256": sha256}}


def signed_rows(rows: QuerySet[Row], *, kind: str, of: str = "pk", key: tuple[str, str] | None = None) -> QuerySet[Row]:
    """Rows whose acts may be signed, ready for `signature_of`, in the same query.

    Args:
        kind: of the audit events of the acts.
        of: the field that is the `object_id` of the event.
        key: a whole number in `after` and the field that it equals, where several rows have events of one object.
    """
    events = AuditEvent.objects.filter(
        kind=kind, object_id=Cast(OuterRef(of), CharField()), after__contains='"signature":{'
    )
    if key:
        name, field = key
        number = Concat(Value(f'"{name}":'), Cast(OuterRef(field), CharField()), Value(","))
        events = events.filter(after__contains=number)
    # One column, so that one look-up finds all.
    text = Concat(
        Cast("sequence", CharField()), Value(" "), F("hash"), Value(" "), F("after"), output_field=TextField()
    )
    found = events.order_by("sequence").annotate(text=text).values("text")[:1]
    annotated: QuerySet[Any] = rows.annotate(signed_event=Subquery(found))
    return annotated


def signature_of(row: Any) -> SignedAct | None:
    """The signature of a row of `signed_rows`; None where the act was not signed."""
    if not row.signed_event:
        return None
    sequence, event_hash, after = row.signed_event.split(" ", 2)
    facts = json.loads(after).get("signature")
    if not isinstance(facts, dict):  # the words stand in a comment
        return None
    return SignedAct(
        printed_name=facts["printed_name"],
        username=facts["username"],
        meaning=facts["meaning"],
        signed_at=datetime.fromisoformat(facts["signed_at"]),
        sha256=facts["sha256"],
        event=int(sequence),
        event_hash=event_hash,
    )
