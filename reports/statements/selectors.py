"""Reads: issued statements of inspection."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet

from common.errors import NotFound
from records.models import AuditEvent
from reports.models import IssuedStatement
from reports.statements.audited_rows import ISSUED

ORDER = ("-created_at", "-id")


def statements() -> QuerySet[IssuedStatement]:
    """Newest first, without their files."""
    return IssuedStatement.objects.select_related("issued_by").order_by(*ORDER).defer(*IssuedStatement.FILES)


def find_statement(statement_id: uuid.UUID) -> IssuedStatement:
    """With its files. Raises `NotFound`."""
    found = statements().defer(None).filter(pk=statement_id).first()
    if found is None:
        raise NotFound(f"There is no issued statement {statement_id}.", code="statement_not_found")
    return found


def event_of(statement: IssuedStatement) -> AuditEvent:
    """The event that vouches for it."""
    return AuditEvent.objects.get(kind=ISSUED, object_type=statement._meta.label_lower, object_id=str(statement.pk))
