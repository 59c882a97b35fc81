"""Electronic signatures in templates: the fields to sign with, and what was signed."""

from __future__ import annotations

from typing import Any

from django import template

from modelzoo.signatures.requests import is_first_of_session
from modelzoo.signatures.selectors import (
    USUAL_MEANING,
    Act,
    Meaning,
    SignedAct,
    acts_to_sign,
    acts_to_sign_anywhere,
    obstacle_to_sign,
    signature_of,
)

register = template.Library()


@register.inclusion_tag("partials/signature.html", takes_context=True)
def signature(context: Any, category_id: int | None, *acts: str, prefix: str = "signature") -> dict[str, Any]:
    """The fields to sign with, inside the form of an act, where the category requires it for one of the acts.

    `category_id`: None where a form is about records of several. `prefix`: with which the ids of the fields begin.
    """
    to_sign = acts_to_sign_anywhere() if category_id is None else acts_to_sign(category_id)
    required = [Act(act) for act in acts if act in to_sign]
    if not required:
        return {"acts": ""}
    user = context["request"].user
    return {
        "acts": " ".join(required),
        "prefix": prefix,
        "user": user,
        "obstacle": obstacle_to_sign(user),
        "needs_username": is_first_of_session(context["request"]),
        "meanings": list(Meaning),
        "usual": USUAL_MEANING[required[0]],
    }


@register.filter
def signed(row: Any) -> SignedAct | None:
    """The signature of a row; None where nobody signed, or the row was read without."""
    return signature_of(row) if hasattr(row, "signed_event") else None
