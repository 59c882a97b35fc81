"""The audit chain, its checkpoints, and verifications of all of it."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_noop as _

from jobs.models import LeasedJob, sweep_index
from records.audit.chain.hashes import HASHED_WITH_KEY, hash_of


class AuditEvent(models.Model):
    """One act that changed state. Each event carries the hash of the one before: an edit, removal or insertion shows.

    `before` and `after` are kept as the very text that was hashed, so that no database's idea of a number or of the
    order of keys can break the chain.
    """

    sequence = models.PositiveBigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    actor_name = models.CharField(max_length=150)
    kind = models.CharField(max_length=64)
    object_type = models.CharField(max_length=64)
    object_id = models.CharField(max_length=64)
    before = models.TextField()
    after = models.TextField()
    source = models.CharField(max_length=16)
    request_id = models.CharField(max_length=64)
    address = models.CharField(max_length=64)
    previous_hash = models.CharField(max_length=64)
    # Null in events of before authentication began: a column that may be empty is added without rewriting the log.
    attests = models.TextField(null=True, help_text="JSON: hashes of rows as they are now, by model and key")  # noqa: DJ001
    key_id = models.CharField(max_length=16, null=True, help_text="of the key of the authenticator")  # noqa: DJ001
    authenticator = models.CharField(max_length=64, null=True, help_text="HMAC-SHA256 over the hash")  # noqa: DJ001
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ["-sequence"]
        indexes = [
            # "everything that happened to this object", on object pages
            models.Index(fields=["object_type", "object_id", "sequence"], name="audit_by_object"),
            # "everything of this kind" and "everything this person did", filters of the audit page
            models.Index(fields=["kind", "sequence"], name="audit_by_kind"),
            models.Index(fields=["actor_name", "sequence"], name="audit_by_actor"),
            # "everything that came in this way", where it is a rare one, and "everything that this request did"
            models.Index(fields=["source", "sequence"], name="audit_by_source"),
            models.Index(fields=["request_id", "sequence"], name="audit_by_request"),
            # "everything from then until then", newest first
            models.Index(fields=["at", "sequence"], name="audit_by_time"),
        ]
        constraints = [
            # Two events with one predecessor would be a fork.
            models.UniqueConstraint(fields=["previous_hash"], name="audit_chain_does_not_fork"),
            models.CheckConstraint(condition=Q(sequence__gte=1), name="audit_sequence_from_one"),
        ]

    def __str__(self) -> str:
        return f"#{self.sequence} {self.kind} {self.object_type} {self.object_id}"

    def computed_hash(self) -> str:
        """SHA-256 over everything the event says, in a fixed order and spelling."""
        fields = {name: getattr(self, name) for name in HASHED_WITH_KEY}
        fields["at"] = self.at.isoformat(timespec="microseconds")
        return hash_of(list(fields.values()))


class AuditCheckpoint(models.Model):
    """What the chain was at one event, signed. Append-only, and worth most where a copy of it is kept elsewhere.

    The event it names is the one that reports it, so that what it covers includes itself.
    """

    sequence = models.PositiveBigIntegerField(primary_key=True)
    head = models.CharField(max_length=64, help_text="hash of that event")
    events = models.PositiveBigIntegerField(help_text="how many there were, the one named included")
    at = models.DateTimeField()
    key_id = models.CharField(max_length=16, help_text="of the key that signed it")
    signature = models.CharField(max_length=88, help_text="Ed25519, base64")
    authenticated_from = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="the first event that must carry an authenticator"
    )

    class Meta:
        ordering = ["-sequence"]
        constraints = [
            models.CheckConstraint(condition=Q(sequence__gte=1), name="checkpoint_sequence_from_one"),
            models.CheckConstraint(condition=Q(head__regex=r"^[0-9a-f]{64}$"), name="checkpoint_head_is_hex"),
            models.CheckConstraint(condition=Q(events=models.F("sequence")), name="checkpoint_counts_every_event"),
        ]

    def __str__(self) -> str:
        return f"checkpoint at event {self.sequence}"


class AuditVerification(LeasedJob):
    """One verification of the whole log: the chain, its checkpoints, and every row that an event vouches for.

    The row is the truth: a worker claims it and renews a lease while it reads; one that was left behind is begun anew.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Running")
        FINISHED = "finished", _("Finished")
        FAILED = "failed", _("Failed")

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    total = models.PositiveBigIntegerField(help_text="events to read: all of them, and again those of records")
    done = models.PositiveBigIntegerField(default=0)
    events = models.PositiveBigIntegerField(default=0, help_text="verified events")
    checkpoints = models.PositiveIntegerField(default=0, help_text="that agree")
    records = models.PositiveBigIntegerField(null=True, blank=True, help_text="rows that agree with their events")
    head = models.CharField(max_length=64, blank=True, help_text="hash of the last verified event")
    broken_at = models.PositiveBigIntegerField(null=True, blank=True, help_text="the first event that does not fit")
    fault = models.TextField(blank=True, help_text="what was found; empty where nothing was")
    notices = models.TextField(blank=True, help_text="what is no fault: a clock set back, keys that are not here")
    error = models.TextField(blank=True, help_text="why nothing could be verified")

    class Meta:
        ordering = ["-id"]
        indexes = [
            sweep_index("open_verification_by_lease"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "finished", "failed"]),
                name="verification_status_is_known",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["finished", "failed"]) | Q(finished_at__isnull=False),
                name="verification_that_ended_has_an_end",
            ),
            models.CheckConstraint(condition=~Q(status="failed") | ~Q(error=""), name="failed_verification_says_why"),
        ]

    def __str__(self) -> str:
        return f"verification {self.pk}"

    @property
    def progress(self) -> float:
        """Share of the work that is done, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 1.0


def canonical(value: Any) -> str:
    """The text of a JSON value that is hashed and kept: sorted keys, no blanks, no NaN."""
    return json.dumps(
        value, cls=DjangoJSONEncoder, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
