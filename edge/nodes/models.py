"""Edge nodes, their records that are here, and the states of their audit chains that are anchored in the one here."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from inspection.models import Inspection

MAX_NAME = 60


class EdgeNode(models.Model):
    """A small PC at the line that judges by itself and forwards its records. Never deleted, only disabled.

    Its token is one of its account, which has no role: it may hand over records of its station, and nothing else.
    """

    name = models.CharField(max_length=MAX_NAME)
    station = models.CharField(max_length=100, blank=True, help_text="whose records it may forward; empty: any")
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="edge_node")
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    # How it is, as it says itself and as it was last met; nothing of this is evidence.
    last_contact_at = models.DateTimeField(null=True, blank=True)
    waiting = models.PositiveIntegerField(null=True, blank=True, help_text="records that it has still to forward")
    oldest_waiting_at = models.DateTimeField(null=True, blank=True)
    refusal_code = models.CharField(max_length=64, blank=True, help_text="of what was last not taken")
    refusal = models.CharField(max_length=500, blank=True)
    refused_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["name"], name="edge_node_name_is_unique"),
            models.CheckConstraint(condition=~Q(name=""), name="edge_node_has_a_name"),
        ]

    def __str__(self) -> str:
        return self.name


class ForwardedRecord(models.Model):
    """A record of a node that is a record here. Append-only.

    `row` and `event` are the very texts that the node's chain vouches for: whoever has them can check the hashes again
    without the node.
    """

    node = models.ForeignKey(EdgeNode, on_delete=models.PROTECT, related_name="records", db_index=False)
    record_id = models.UUIDField(help_text="of the record on the node")
    inspection = models.OneToOneField(Inspection, on_delete=models.PROTECT, related_name="forwarded")
    sequence = models.PositiveBigIntegerField(help_text="of the event that reports it in the node's audit chain")
    row_sha256 = models.CharField(max_length=64, help_text="hash of the node's row, which its event names")
    event_sha256 = models.CharField(max_length=64, help_text="hash of that event")
    row = models.TextField(help_text="the node's row as it was hashed")
    event = models.TextField(help_text="the event as it was hashed: a JSON array")
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["node", "sequence"]
        constraints = [
            # exactly once; also serves "the record of this id"
            models.UniqueConstraint(fields=["node", "record_id"], name="a_node_record_is_taken_once"),
            # also serves "the records of this node in the order of its chain"
            models.UniqueConstraint(fields=["node", "sequence"], name="an_event_of_a_node_reports_one_record"),
            models.CheckConstraint(condition=Q(sequence__gte=1), name="node_event_from_one"),
        ]

    def __str__(self) -> str:
        return f"record {self.record_id} of {self.node_id}"


class NodeAnchor(models.Model):
    """What a node's audit chain was at one event, as this centre's chain says it. Append-only.

    `hashes`: of all its events from `first` to `sequence`, each checked against its content when it came.
    """

    node = models.ForeignKey(EdgeNode, on_delete=models.PROTECT, related_name="anchors", db_index=False)
    first = models.PositiveBigIntegerField(help_text="the first event since the anchor before it")
    sequence = models.PositiveBigIntegerField(help_text="the event that it stands at")
    head = models.CharField(max_length=64, help_text="hash of that event")
    hashes = models.TextField(help_text="of the events from `first` on, a line each")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["node", "sequence"]
        constraints = [
            # also serves "the last anchor of this node"
            models.UniqueConstraint(fields=["node", "sequence"], name="a_node_is_anchored_once_at_an_event"),
            models.UniqueConstraint(fields=["node", "first"], name="anchors_of_a_node_do_not_fork"),
            models.CheckConstraint(condition=Q(first__gte=1, first__lte=F("sequence")), name="anchor_covers_events"),
            models.CheckConstraint(condition=Q(head__regex=r"^[0-9a-f]{64}$"), name="anchor_head_is_hex"),
        ]

    def __str__(self) -> str:
        return f"anchor of {self.node_id} at event {self.sequence}"
