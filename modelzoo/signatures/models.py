"""Which acts of a category need an electronic signature. Append-only: the newest row is in force."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class SignatureRules(models.Model):
    """The acts that nobody may do in a category without a signature. A category without a row asks for none."""

    category = models.ForeignKey("modelzoo.Category", on_delete=models.PROTECT, related_name="signature_rules")
    review = models.BooleanField(default=False)
    threshold = models.BooleanField(default=False)
    approval = models.BooleanField(default=False, help_text="giving one and withdrawing one")
    promotion = models.BooleanField(default=False, help_text="and any other loading of a version not in production")
    rollback = models.BooleanField(default=False)
    reason = models.CharField(max_length=500)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "signature rules"
        indexes = [
            # "the rules in force of this category" (selectors.newest_rules)
            models.Index(fields=["category", "-id"], name="signature_rules_newest"),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="signature_rules_have_a_reason"),
        ]

    def __str__(self) -> str:
        return f"signature rules of {self.category.name} since {self.created_at:%Y-%m-%d}"
