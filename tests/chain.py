"""The audit chain in tests whose people were made without the services that report them."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from records.audit.services import attest_rows


def attest_people() -> None:
    """The event that the application would have written about the users that fixtures made."""
    people = list(User.objects.order_by("pk"))
    if people:
        with transaction.atomic():
            attest_rows(rows=people)
