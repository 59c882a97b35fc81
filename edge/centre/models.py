"""What a node keeps of its centre's word."""

from __future__ import annotations

from django.db import models


class CentreReceipt(models.Model):
    """The centre's signed word that this chain stood here. Whoever rewrites the chain later cannot sign another one."""

    sequence = models.PositiveBigIntegerField(primary_key=True)
    head = models.CharField(max_length=64)
    node = models.CharField(max_length=60, help_text="the name by which the centre knows this node")
    at = models.CharField(max_length=40, help_text="as it was signed")
    centre_event = models.PositiveBigIntegerField(help_text="event of the centre's chain that says so")
    key_id = models.CharField(max_length=16)
    signature = models.CharField(max_length=88, help_text="Ed25519, base64")

    class Meta:
        ordering = ["sequence"]

    def __str__(self) -> str:
        return f"receipt at event {self.sequence}"
