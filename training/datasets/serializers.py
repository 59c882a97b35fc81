"""Shapes of what the API of data sets takes and gives."""

from __future__ import annotations

from rest_framework import serializers

from common.api.schema import page_output
from modelzoo.api.serializers import choice_filter, filter_field
from training.models import DatasetImage


# ---------------------------------------------------------------- data sets
class DatasetListInput(serializers.Serializer):
    category = filter_field()
    name = filter_field()


class DatasetUploadInput(serializers.Serializer):
    archive = serializers.FileField(help_text=".zip, .tar, .tar.gz or .tar.xz in MVTec layout")
    name = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=100, help_text="default: that of the category's folder"
    )
    good = serializers.ListField(
        child=serializers.CharField(max_length=100),
        required=False,
        default=list,
        max_length=100,
        help_text="folders of good parts whose names leave it open; the field may be sent several times",
    )
    defect = serializers.ListField(
        child=serializers.CharField(max_length=100),
        required=False,
        default=list,
        max_length=100,
        help_text="folders of defective parts, likewise",
    )


class DatasetOutput(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    category = serializers.CharField()
    snapshot = serializers.CharField(help_text="hash over every image, split, label and mask")
    source = serializers.CharField()  # type: ignore[assignment]  # DRF takes fields out of the class
    train_images = serializers.IntegerField()
    test_images = serializers.IntegerField()
    defective_images = serializers.IntegerField()
    masks = serializers.IntegerField()
    skipped_count = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField(allow_null=True)


DatasetPageOutput = page_output(DatasetOutput)


class SkippedOutput(serializers.Serializer):
    path = serializers.CharField()
    reason = serializers.CharField()


class FullDatasetOutput(DatasetOutput):
    skipped = SkippedOutput(many=True, help_text="files that are not part of it, at most 200")
    warnings = serializers.ListField(child=serializers.CharField())


class ImportedDatasetOutput(FullDatasetOutput):
    created = serializers.BooleanField(help_text="false: the same content had been imported before")


class ImageListInput(serializers.Serializer):
    split = choice_filter(DatasetImage.Split.choices)
    is_defective = serializers.BooleanField(required=False, allow_null=True, default=None)
    defect_type = filter_field()


class DatasetImageOutput(serializers.Serializer):
    id = serializers.IntegerField()
    path = serializers.CharField()
    split = serializers.ChoiceField(choices=DatasetImage.Split.choices)
    is_defective = serializers.BooleanField()
    defect_type = serializers.CharField(help_text="good, or the name of the defect")
    sha256 = serializers.CharField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    discarded = serializers.BooleanField(help_text="true: retention removed the file")
    image_url = serializers.CharField()
    mask_url = serializers.CharField(allow_null=True)


DatasetImagePageOutput = page_output(DatasetImageOutput)
