"""Shapes of the API's input and output."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from common.api.schema import page_output
from common.rights import Right, Role, Scope

RIGHTS = list(Right)
SCOPES = list(Scope)


class TokenOfMeOutput(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.ChoiceField(SCOPES))
    expires_at = serializers.DateTimeField(allow_null=True)


class MeOutput(serializers.Serializer):
    username = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField(), help_text=f"of {', '.join(Role)}")
    is_superuser = serializers.BooleanField()
    rights = serializers.ListField(
        child=serializers.ChoiceField(RIGHTS), help_text="what may be done with this session or token"
    )
    token = TokenOfMeOutput(allow_null=True, help_text="the token that was shown; null in a browser session")


class TokenOutput(serializers.Serializer):
    id = serializers.IntegerField()
    user = serializers.CharField()
    name = serializers.CharField()
    hint = serializers.CharField(help_text="the key's first characters")
    scopes = serializers.ListField(child=serializers.ChoiceField(SCOPES))
    valid = serializers.BooleanField(help_text="neither revoked nor expired")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="to the minute")


class IssuedTokenOutput(TokenOutput):
    key = serializers.CharField(help_text="shown here and never again")


TokenPageOutput = page_output(TokenOutput)


class TokenListInput(serializers.Serializer):
    user = serializers.CharField(
        default="", allow_blank=True, max_length=150, help_text="for admins: tokens of this user, or of everybody (*)"
    )


class IssueTokenInput(serializers.Serializer):
    name = serializers.CharField(max_length=100, help_text="what the token is for; one valid token of a name")
    scopes = serializers.ListField(
        child=serializers.ChoiceField(SCOPES), min_length=1, max_length=len(SCOPES), help_text="what it may do"
    )
    expires_in_days = serializers.IntegerField(min_value=1, max_value=36500, required=False, allow_null=True)
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="instead of expires_in_days; without both it never expires"
    )
    user = serializers.CharField(
        default="", allow_blank=True, max_length=150, help_text="for admins: whose token it will be"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        days, end = attrs.pop("expires_in_days", None), attrs.get("expires_at")
        if days and end:
            raise serializers.ValidationError({"expires_at": "Give expires_in_days or expires_at, not both."})
        return attrs | {"expires_at": timezone.now() + timedelta(days=days) if days else end}
