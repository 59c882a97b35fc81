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
    archive = serializers.FileField(help_text=".zip, .tar, .tar.gz or .tar.xz of images")
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
    layout = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=100,
        help_text="by which rules the folders are read; default: those that they are recognised by",
    )
    keep_duplicates = serializers.BooleanField(
        required=False,
        default=False,
        help_text="import test images, too, that are training images or called both good and defective",
    )
    dry_run = serializers.BooleanField(
        required=False, default=False, help_text="say what would be imported, and keep nothing"
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


class DuplicateImageOutput(serializers.Serializer):
    path = serializers.CharField()
    split = serializers.ChoiceField(choices=DatasetImage.Split.choices)
    defect_type = serializers.CharField()
    left_out = serializers.BooleanField(help_text="true: it is not imported")


class DuplicateGroupOutput(serializers.Serializer):
    is_identical = serializers.BooleanField(help_text="byte for byte; false: nearly identical")
    count = serializers.IntegerField()
    images = DuplicateImageOutput(many=True, help_text="at most 50")


class DuplicatesOutput(serializers.Serializer):
    group_count = serializers.IntegerField(help_text="how many pictures are there more than once")
    image_count = serializers.IntegerField(help_text="images in these groups")
    left_out_count = serializers.IntegerField(help_text="test images that are not imported because of them")
    groups = DuplicateGroupOutput(many=True, help_text="at most 50")


class LayoutOutput(serializers.Serializer):
    name = serializers.CharField()
    sentence = serializers.CharField()


class PreviewImagesOutput(serializers.Serializer):
    split = serializers.ChoiceField(choices=DatasetImage.Split.choices)
    defect_type = serializers.CharField(help_text="good, or the name of the defect")
    is_defective = serializers.BooleanField()
    count = serializers.IntegerField()
    masks = serializers.IntegerField()


class LeftOutOutput(serializers.Serializer):
    code = serializers.CharField()
    reason = serializers.CharField(help_text="of the first of these files")
    count = serializers.IntegerField()
    examples = serializers.ListField(child=serializers.CharField())


class PreviewOutput(serializers.Serializer):
    """What one data set would be."""

    name = serializers.CharField()
    snapshot = serializers.CharField(help_text="that the data set would have")
    layout = LayoutOutput()
    images = PreviewImagesOutput(many=True)
    masks = serializers.IntegerField()
    left_out = LeftOutOutput(many=True)
    left_out_count = serializers.IntegerField()
    duplicates = DuplicatesOutput()
    warnings = serializers.ListField(child=serializers.CharField())


class FullDatasetOutput(DatasetOutput):
    layout = LayoutOutput(allow_null=True, help_text="how it was read; null: it was made otherwise")
    skipped = SkippedOutput(many=True, help_text="files that are not part of it, at most 200")
    duplicates = DuplicatesOutput(allow_null=True, help_text="null: nobody looked for them")
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
