from __future__ import annotations

from rest_framework import serializers

from retention.models import MAX_DAYS, MAX_KEEP_EVERY, RetentionRun

FILE_KINDS = ("image", "map", "orphan", "leftover")


def _days(help_text: str) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=MAX_DAYS, allow_null=True, default=None, help_text=help_text)


class RetentionPolicyInput(serializers.Serializer):
    category = serializers.CharField(max_length=100)
    good_after_days = _days("then images of good parts are deleted; null: never")
    good_keep_every = serializers.IntegerField(
        min_value=0, max_value=MAX_KEEP_EVERY, default=0, help_text="of these, keep 1 in N; 0: none"
    )
    maps_after_days = _days("then maps of good parts are deleted; null: with their images")
    defective_after_days = _days("the same for all other images; null: never")
    keep_reviewed = serializers.BooleanField(default=True, help_text="keep reviewed images")
    reason = serializers.CharField(max_length=500)


class RetentionPolicyOutput(serializers.Serializer):
    id = serializers.IntegerField()
    category = serializers.CharField()
    revision = serializers.IntegerField()
    good_after_days = serializers.IntegerField(allow_null=True)
    good_keep_every = serializers.IntegerField()
    maps_after_days = serializers.IntegerField(allow_null=True)
    defective_after_days = serializers.IntegerField(allow_null=True)
    keep_reviewed = serializers.BooleanField()
    reason = serializers.CharField()
    author = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()


class RetentionPolicyQuery(serializers.Serializer):
    """An empty value asks for nothing."""

    category = serializers.CharField(max_length=100, allow_blank=True, default="")
    in_force = serializers.BooleanField(default=False, help_text="only the highest revision of each category")


class RetentionRunInput(serializers.Serializer):
    category = serializers.CharField(max_length=100, allow_null=True, default=None, help_text="null: orphaned files")
    dry_run = serializers.BooleanField(default=True, help_text="preview: count, delete nothing")


class RetentionExampleOutput(serializers.Serializer):
    what = serializers.ChoiceField(choices=FILE_KINDS)
    name = serializers.CharField(help_text="sha256 of a file, or the path of a leftover")
    size_bytes = serializers.IntegerField()


class RetentionRunOutput(serializers.Serializer):
    id = serializers.IntegerField()
    category = serializers.CharField(allow_null=True, help_text="null: orphaned files")
    policy = serializers.IntegerField(allow_null=True)
    policy_revision = serializers.IntegerField(allow_null=True)
    orphan_days = serializers.IntegerField(allow_null=True)
    dry_run = serializers.BooleanField()
    status = serializers.ChoiceField(choices=RetentionRun.Status.choices)
    images = serializers.IntegerField()
    maps = serializers.IntegerField()
    orphans = serializers.IntegerField(help_text="images that no record refers to")
    leftovers = serializers.IntegerField(help_text="files and folders that no row refers to")
    size_bytes = serializers.IntegerField()
    oldest = serializers.DateTimeField(allow_null=True)
    examples = RetentionExampleOutput(many=True)
    first_sha256 = serializers.CharField(allow_blank=True)
    last_sha256 = serializers.CharField(allow_blank=True)
    code = serializers.CharField(allow_blank=True, help_text="why it failed")
    detail = serializers.CharField(allow_blank=True)
    requested_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class RetentionRunQuery(serializers.Serializer):
    """An empty value asks for nothing."""

    category = serializers.CharField(max_length=100, allow_blank=True, default="")
    dry_run = serializers.BooleanField(required=False, allow_null=True, default=None)
    sha256 = serializers.RegexField(
        r"^(|[0-9a-f]{64})$", allow_blank=True, default="", help_text="the runs that removed the file with this hash"
    )
