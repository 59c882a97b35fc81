"""What the API takes and gives of electronic signatures."""

from __future__ import annotations

from rest_framework import serializers

from modelzoo.signatures.selectors import Meaning

_MEANINGS = [(meaning.value, meaning.value) for meaning in Meaning]


class SignatureInput(serializers.Serializer):
    """The password of who acts (with a token: of its user), and what the signature means."""

    username = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=150,
        help_text="in a browser's session needed for the first signature",
    )
    password = serializers.CharField(max_length=4096, trim_whitespace=False, style={"input_type": "password"})
    meaning = serializers.ChoiceField(choices=_MEANINGS)


def signature_field() -> SignatureInput:
    return SignatureInput(
        required=False,
        allow_null=True,
        default=None,
        help_text="where the category requires one for this act (signature-rules)",
    )


class SignatureOutput(serializers.Serializer):
    printed_name = serializers.CharField()
    username = serializers.CharField()
    meaning = serializers.ChoiceField(choices=_MEANINGS)
    signed_at = serializers.DateTimeField()
    signed_sha256 = serializers.CharField(help_text="of what was signed: the audit event's `after` without this")
    audit_event = serializers.IntegerField(help_text="that holds the act and the signature")
    audit_event_hash = serializers.CharField()


def _act(text: str, *, required: bool) -> serializers.BooleanField:
    return serializers.BooleanField(required=required, help_text=text)


class SignatureRulesInput(serializers.Serializer):
    """Which acts need a signature; what is not sent is as it was."""

    review = _act("and undoing one is refused", required=False)
    threshold = _act("", required=False)
    approval = _act("giving and withdrawing one", required=False)
    promotion = _act("and any other loading of a version that is not in production", required=False)
    rollback = _act("", required=False)
    reason = serializers.CharField(max_length=500, help_text="why; kept with the change")


class SignatureRulesOutput(serializers.Serializer):
    category = serializers.CharField()
    review = serializers.BooleanField()
    threshold = serializers.BooleanField()
    approval = serializers.BooleanField()
    promotion = serializers.BooleanField()
    rollback = serializers.BooleanField()
    reason = serializers.CharField(allow_blank=True)
    author = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True, help_text="null: nobody set rules")
