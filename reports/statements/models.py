"""Statements of inspection that were issued."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from edge.models import PassageCounter
from reports.statements.scope import Basis


class IssuedStatement(models.Model):
    """What somebody stated about the parts that passed. Append-only; the files are kept as they were."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    basis = models.CharField(max_length=8, choices=Basis.choices)
    station = models.CharField(max_length=100, blank=True)
    counter = models.ForeignKey(
        PassageCounter, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    first = models.CharField(max_length=100, help_text="serial number, value of the counter, or moment")
    last = models.CharField(max_length=100)
    exceptions = models.PositiveIntegerField(help_text="how many it names")
    document = models.TextField(help_text="the statement as JSON")
    pdf = models.BinaryField()
    issued_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            # the list of issued statements, newest first
            models.Index(fields=["-created_at", "-id"], name="statements_newest_first"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(basis="serials", counter__isnull=True) | Q(basis="counter", counter__isnull=False),
                name="statement_by_a_counter_names_it",
            ),
            models.CheckConstraint(condition=~Q(document=""), name="issued_statement_says_something"),
        ]

    # Long, and wanted by the statement's own page and files alone.
    FILES = ("document", "pdf")

    def __str__(self) -> str:
        return f"statement {self.pk}"

    @property
    def title(self) -> str:
        place = f"station {self.station}" if self.station else "no station"
        return f"Statement of inspection: {place}, {self.first} to {self.last}"

    def file(self, form: str) -> bytes:
        """One of its files; the same bytes for ever."""
        return bytes(self.pdf) if form == "pdf" else self.document.encode()
