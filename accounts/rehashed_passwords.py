"""At a sign-in Django hashes a password anew when its way of hashing became stronger: an event attests the hash."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.signals import post_save

from records.audit.services import audit


def watch_rehashed_passwords() -> None:
    post_save.connect(_attest, sender=User, dispatch_uid="rehashed passwords")


def _attest(*, instance: User, update_fields: frozenset[str] | None, **_: Any) -> None:
    # Where a person set another password it stands in `_password` until it is saved, and the service writes the event.
    if update_fields == {"password"} and getattr(instance, "_password", None) is None:
        with transaction.atomic():
            audit(kind="user.password_rehashed", subject=instance, actor=None)
