"""Approvals of model versions, and the promotion gates of a category. Both append-only: the newest row is in force."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


def _share_or_null(field: str) -> Q:
    return Q(**{f"{field}__isnull": True}) | Q(**{f"{field}__gte": 0, f"{field}__lte": 1})


class Approval(models.Model):
    """Somebody's word that a version may judge parts, or that it may not any more."""

    model_version = models.ForeignKey("modelzoo.ModelVersion", on_delete=models.PROTECT, related_name="approvals")
    approved = models.BooleanField(help_text="false: the approval before it is withdrawn")
    reason = models.CharField(max_length=500)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            # "the decision in force of this version" (selectors.approval_in_force)
            models.Index(fields=["model_version", "-id"], name="approval_newest_of_version"),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="approval_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.model_version}: {'approved' if self.approved else 'approval withdrawn'}"


class PromotionGates(models.Model):
    """What a version must show before it may go into production. A category without a row has no gates."""

    category = models.ForeignKey("modelzoo.Category", on_delete=models.PROTECT, related_name="promotion_gates")
    dataset_name = models.CharField(
        max_length=100,
        blank=True,
        help_text="the reference set: recall and false-reject rate are those of its test images",
    )
    min_recall = models.FloatField(null=True, blank=True, help_text="share of the defects that must be detected")
    max_false_reject_rate = models.FloatField(
        null=True, blank=True, help_text="share of the good parts that may be rejected"
    )
    min_lamp_tolerance = models.FloatField(
        null=True, blank=True, help_text="share by which the lamp may become darker and brighter (robustness)"
    )
    max_error_increase = models.FloatField(
        null=True,
        blank=True,
        help_text="by how much the share of wrong verdicts may be above production's, on the same images",
    )
    refuse_shortcut_warning = models.BooleanField(default=False)
    verify_artifact = models.BooleanField(default=False, help_text="read every byte of the artifact and compare hashes")
    min_challenger_images = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="live images to be scored beside production, with every disagreement looked at",
    )
    reason = models.CharField(max_length=500)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "promotion gates"
        indexes = [
            # "the gates in force of this category" (selectors.gates_in_force)
            models.Index(fields=["category", "-id"], name="gates_newest_of_category"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=_share_or_null("min_recall")
                & _share_or_null("max_false_reject_rate")
                & _share_or_null("min_lamp_tolerance")
                & _share_or_null("max_error_increase"),
                name="promotion_gate_is_a_share",
            ),
            models.CheckConstraint(
                condition=Q(min_recall__isnull=True, max_false_reject_rate__isnull=True) | ~Q(dataset_name=""),
                name="promotion_gate_of_figures_has_its_reference_set",
            ),
            models.CheckConstraint(
                condition=Q(min_challenger_images__isnull=True) | Q(min_challenger_images__gte=1),
                name="promotion_gate_asks_for_an_image",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="promotion_gates_have_a_reason"),
        ]

    def __str__(self) -> str:
        return f"promotion gates of {self.category.name} since {self.created_at:%Y-%m-%d}"
