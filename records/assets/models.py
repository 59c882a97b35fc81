"""Assets: bytes stored once, named by their content."""

from __future__ import annotations

from http import HTTPStatus

from django.conf import settings
from django.db import models
from django.db.models import Q

from common.errors import UserError


def asset_name(sha256: str, extension: str) -> str:
    """Path of an asset in the storage; two levels of folders keep each below a few thousand names."""
    return f"assets/{sha256[:2]}/{sha256[2:4]}/{sha256}.{extension}"


class Discarded(UserError):
    """The file is gone, by the rules of retention; the record of it is not."""

    code = "image_discarded"
    status = HTTPStatus.GONE


class Asset(models.Model):
    """One stored file: an image as it was sent, a mask, an anomaly map. Never changed after it was written."""

    sha256 = models.CharField(max_length=64, unique=True)
    size_bytes = models.PositiveBigIntegerField()
    content_type = models.CharField(max_length=64)
    width = models.PositiveIntegerField()  # after EXIF orientation
    height = models.PositiveIntegerField()
    file = models.FileField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    discarded_at = models.DateTimeField(
        null=True, blank=True, help_text="when retention removed the file; the row and its hash stay"
    )
    # Name and bytes that just came in for an asset that is there already; see records.assets.services.save_asset_row.
    pending_restore: tuple[str, bytes] | None = None

    class Meta:
        indexes = [
            # retention walks over all files that are still there, in order; in years most rows have none
            models.Index(fields=["id"], condition=Q(discarded_at__isnull=True), name="assets_with_a_file"),
            # retention: discarded, but a crash came before the file was deleted (its name is emptied when it is gone)
            models.Index(
                fields=["id"], condition=Q(discarded_at__isnull=False) & ~Q(file=""), name="assets_to_be_deleted"
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(sha256__regex=r"^[0-9a-f]{64}$"), name="asset_sha256_is_hex"),
            models.CheckConstraint(condition=Q(size_bytes__gt=0), name="asset_is_not_empty"),
            models.CheckConstraint(condition=Q(width__gt=0, height__gt=0), name="asset_has_pixels"),
        ]

    def __str__(self) -> str:
        return f"{self.sha256[:12]} ({self.width} x {self.height})"

    @property
    def image_format(self) -> str:
        """One of `formats.FORMATS`, as its content said when it came in, whatever it was called."""
        return self.content_type.removeprefix("image/").upper()

    def check_not_discarded(self) -> None:
        """Raises `Discarded` where retention removed the file."""
        if self.discarded_at is not None:
            raise Discarded(
                f"The file {self.sha256[:12]} was deleted by retention on {self.discarded_at:%Y-%m-%d %H:%M} UTC. "
                "Its record and its hash are kept. If you still have the file, you can send it again.",
                sha256=self.sha256,
                discarded_at=self.discarded_at.isoformat(),
            )

    def read(self) -> bytes:
        """The bytes. Raises `Discarded` where retention removed the file."""
        self.check_not_discarded()
        with self.file.storage.open(str(self.file.name)) as stored:
            return bytes(stored.read())


class RefusedImages(models.Model):
    """Refused images of one sender that no audit event reports yet: repeats are counted here and summed up there."""

    sender = models.CharField(max_length=40, unique=True, help_text="id of the user, or what sent it without one")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+")
    reported_since = models.DateTimeField(help_text="when the period began in which single ones were reported")
    reported = models.PositiveIntegerField(default=0, help_text="with an event of their own in that period")
    count = models.PositiveIntegerField(default=0, help_text="refused since then, in no event yet")
    size_bytes = models.PositiveBigIntegerField(default=0)
    reasons = models.JSONField(default=dict, help_text="how many of them by code")
    examples = models.JSONField(default=list, help_text="the first of their file names")
    first_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "refused images"
        constraints = [
            models.CheckConstraint(
                condition=Q(count=0, first_at=None, last_at=None)
                | Q(count__gt=0, first_at__isnull=False, last_at__isnull=False),
                name="refused_images_have_a_period",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.count} of {self.sender}"
