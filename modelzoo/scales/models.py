"""The scale of the pictures of a station. Append-only: the highest revision of a category and station is in force."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_noop as _

from modelzoo.scales.measurement import MAX_VARIATION_PERCENT, Scale


class ScaleCalibration(models.Model):
    """How many millimetres a pixel stands for, in pictures of one size of one category at one station.

    A revision that withdraws has no scale: nothing is in force then, as when a camera was moved.
    """

    class Method(models.TextChoices):
        KNOWN_LENGTH = "known_length", _("Known length")
        CHECKERBOARD = "checkerboard", _("Checkerboard")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    category = models.ForeignKey("modelzoo.Category", on_delete=models.PROTECT, related_name="calibrations")
    station = models.CharField(max_length=100, blank=True, help_text="empty: images that name no station")
    revision = models.PositiveIntegerField()
    method = models.CharField(max_length=16, choices=Method.choices)
    mm_per_px = models.FloatField(null=True, blank=True, help_text="empty where it is withdrawn")
    uncertainty_percent = models.FloatField(null=True, blank=True, help_text="standard uncertainty of a length")
    variation_percent = models.FloatField(
        null=True, blank=True, help_text="by how much the scale differs over the board; empty where it was not measured"
    )
    picture = models.ForeignKey("records.Asset", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    width = models.PositiveIntegerField(null=True, blank=True, help_text="of the pictures that it is valid for")
    height = models.PositiveIntegerField(null=True, blank=True)
    parameters = models.JSONField(default=dict, blank=True, help_text="what was measured, and what came of it")
    reason = models.CharField(max_length=500)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            # also serves "the calibrations in force of this category"
            models.UniqueConstraint(
                fields=["category", "station", "revision"], name="calibration_revision_is_unique_at_station"
            ),
            models.CheckConstraint(condition=Q(revision__gte=1), name="calibration_revision_from_one"),
            models.CheckConstraint(
                condition=Q(method__in=["known_length", "checkerboard", "withdrawn"]),
                name="calibration_method_is_known",
            ),
            models.CheckConstraint(
                condition=Q(
                    method="withdrawn",
                    mm_per_px__isnull=True,
                    uncertainty_percent__isnull=True,
                    picture__isnull=True,
                    width__isnull=True,
                    height__isnull=True,
                )
                | (
                    ~Q(method="withdrawn")
                    & Q(
                        mm_per_px__isnull=False,
                        mm_per_px__gt=0,
                        mm_per_px__lte=1e6,
                        uncertainty_percent__isnull=False,
                        uncertainty_percent__gte=0,
                        uncertainty_percent__lte=1000,
                        picture__isnull=False,
                        width__isnull=False,
                        width__gt=0,
                        height__isnull=False,
                        height__gt=0,
                    )
                ),
                name="calibration_has_its_scale_and_picture",
            ),
            models.CheckConstraint(
                condition=Q(variation_percent__isnull=True)
                | (Q(method="checkerboard") & Q(variation_percent__gte=0, variation_percent__lte=1000)),
                name="calibration_variation_is_that_of_a_board",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="calibration_has_a_reason"),
        ]

    def __str__(self) -> str:
        scale = "withdrawn" if self.mm_per_px is None else f"{self.mm_per_px:.5g} mm per pixel"
        return f"{self.category.name} at {self.station or 'no station'}: {scale} (revision {self.revision})"

    @property
    def scale(self) -> float:
        """Millimetres per pixel, of a calibration that was in force when a record was judged."""
        assert self.mm_per_px is not None, "a trigger of the database: no record names a withdrawn calibration"
        return self.mm_per_px

    def is_valid_for(self, width: int, height: int) -> bool:
        """Whether a picture of this size may be measured with it: another size is another camera, or other pixels."""
        return self.mm_per_px is not None and (self.width, self.height) == (width, height)

    @property
    def is_uneven(self) -> bool:
        """Whether the scale differs over the picture by more than is allowed without a warning: a tilt, or the lens."""
        return self.variation_percent is not None and self.variation_percent > MAX_VARIATION_PERCENT

    @property
    def warnings(self) -> list[str]:
        """What a person has to know who relies on it."""
        if not self.is_uneven:
            return []
        return [
            f"The scale differs by {self.variation_percent:.1f} % over the board, more than "
            f"{MAX_VARIATION_PERCENT:g} %: the camera looks at an angle, or its lens distorts. Sizes depend on where a "
            "defect lies. Align the camera, or correct the pictures before they are sent, then calibrate again."
        ]


def scale_columns(scale: Scale) -> dict[str, float | None]:
    """A measured scale as the columns of its revision."""
    return {
        "mm_per_px": scale.mm_per_px,
        "uncertainty_percent": scale.uncertainty_percent,
        "variation_percent": scale.variation_percent,
    }
