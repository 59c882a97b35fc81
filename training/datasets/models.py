"""Data set snapshots and their images."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.db.models import Q

from common.names import validate_short_name
from modelzoo.models import Category
from records.models import Asset


class Dataset(models.Model):
    """An immutable snapshot of a folder, whatever its layout. A changed folder becomes another snapshot."""

    name = models.CharField(max_length=100, db_index=True, validators=[validate_short_name])
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="datasets")
    snapshot = models.CharField(max_length=64)  # hash over every image, split, label and mask
    source = models.CharField(max_length=500)
    report = models.JSONField(default=dict, help_text="what was skipped at the import, and why")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["name", "snapshot"], name="dataset_snapshot_is_unique"),
            models.CheckConstraint(condition=Q(snapshot__regex=r"^[0-9a-f]{64}$"), name="dataset_snapshot_is_hex"),
        ]

    def __str__(self) -> str:
        return f"{self.name}@{self.snapshot[:8]}"

    @property
    def duplicates_left_out(self) -> int:
        """Images that its import kept out of the test: they are training images too, or called good and defective."""
        count: int = self.report.get("preview", {}).get("duplicates", {}).get("left_out_count", 0)
        return count

    @property
    def source_name(self) -> str:
        """Of a folder its name: where it stood matters to whoever put it there."""
        return Path(self.source).name if self.source.startswith("/") else self.source


class DatasetImage(models.Model):
    """One image of a snapshot, with what is known about it."""

    class Split(models.TextChoices):
        TRAIN = "train"
        TEST = "test"

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="images", db_index=False)
    path = models.CharField(max_length=300)
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="dataset_images")
    split = models.CharField(max_length=8, choices=Split.choices)
    is_defective = models.BooleanField()
    defect_type = models.CharField(max_length=100)
    mask = models.ForeignKey(Asset, null=True, blank=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["dataset", "path"]
        constraints = [
            # also serves "the images of this data set, by path"
            models.UniqueConstraint(fields=["dataset", "path"], name="dataset_path_is_unique"),
            models.CheckConstraint(condition=Q(split__in=["train", "test"]), name="dataset_split_is_known"),
            models.CheckConstraint(
                condition=~Q(split="train") | Q(is_defective=False), name="training_images_are_good"
            ),
            models.CheckConstraint(
                condition=Q(mask__isnull=True) | Q(is_defective=True), name="only_defects_have_masks"
            ),
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def filename(self) -> str:
        """The path without its folders, which say split and kind."""
        return self.path.rpartition("/")[2]
