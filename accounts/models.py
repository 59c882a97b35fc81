"""API tokens, temporary passwords, and the tries to sign in that failed. People are Django's own users."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


def digest_of(secret: str) -> str:
    """What is stored of a token. Tokens are 256 random bits, so a plain hash cannot be searched."""
    return hashlib.sha256(secret.encode()).hexdigest()


def scopes_text(scopes: Iterable[str]) -> str:
    """Scopes as they are kept: each once, in alphabetical order."""
    return " ".join(sorted({str(scope) for scope in scopes}))


class ApiToken(models.Model):
    """A named key of one user for programs. The key itself is shown once and never kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=12, editable=False)  # first characters, to recognise it in a list
    scopes = models.CharField(max_length=40, help_text="what it is for: inspect, manage, read, with a blank between")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    issued_through = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        editable=False,
        related_name="issued",
        help_text="the token that issued this one, whose limit of requests it shares and with which it ends",
    )

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "name"], condition=Q(revoked_at__isnull=True), name="token_name_is_unique_while_valid"
            ),
            models.CheckConstraint(
                condition=Q(scopes__regex=r"^(inspect( manage)?( read)?|manage( read)?|read)$"),
                name="token_scopes_are_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}...)"

    @property
    def scope_list(self) -> list[str]:
        return self.scopes.split()

    @property
    def is_valid(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())


class TemporaryPassword(models.Model):
    """The password of this user was handed over by an administrator: whoever signs in with it chooses another one."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="temporary_password", primary_key=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"temporary password since {self.created_at:%Y-%m-%d}"


class ExternalIdentity(models.Model):
    """Who a user is at a provider of sign-ins: known by issuer and subject, never by a name or an address."""

    class Kind(models.TextChoices):
        OIDC = "oidc", "OpenID Connect"
        LDAP = "ldap", "LDAP"

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="external_identity", primary_key=True
    )
    kind = models.CharField(max_length=8, choices=Kind)
    issuer = models.CharField(max_length=200)
    subject = models.CharField(max_length=255)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "external identities"
        constraints = [
            models.UniqueConstraint(fields=["kind", "issuer", "subject"], name="a_person_at_a_provider_is_one_user"),
            models.CheckConstraint(condition=Q(kind__in=["oidc", "ldap"]), name="external_identity_kind_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"


class FailedSignIns(models.Model):
    """Tries to sign in by one user name, or from one address, that did not succeed; forgotten when they are old.

    Kept by the name that was typed, whether a user has it or not: what is refused tells nobody who exists.
    """

    class Kind(models.TextChoices):
        USER = "user", "user name"
        ADDRESS = "address", "address"

    kind = models.CharField(max_length=8, choices=Kind)
    name = models.CharField(max_length=150)
    failures = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0, help_text="tries during the lock-out that no event reports yet")
    since = models.DateTimeField()
    locked_until = models.DateTimeField(null=True, blank=True)
    reported_at = models.DateTimeField(null=True, blank=True, help_text="when the lock-out was last told in the audit")
    forget_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "failed sign-ins"
        indexes = [
            # "what is old", removed whenever a try fails
            models.Index(fields=["forget_at"], name="failed_sign_ins_by_age"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["kind", "name"], name="failed_sign_ins_are_counted_once"),
            models.CheckConstraint(condition=Q(kind__in=["user", "address"]), name="failed_sign_ins_kind_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.failures} from {self.kind} {self.name}"
