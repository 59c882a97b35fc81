"""Writes: issuing a statement of inspection. It is made first, without holding anything, and written in one step."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import override

from common.errors import UserError
from common.rights import Right, require
from modelzoo.services import actor_id
from records.audit.services import Actor, audit
from records.models import canonical
from reports.models import IssuedStatement
from reports.statements.audited_rows import ISSUED, expected_statement
from reports.statements.documents import statement_document
from reports.statements.pdf import statement_pdf
from reports.statements.scope import StatementScope


def issue_statement(*, scope: StatementScope, actor: Actor) -> IssuedStatement:
    """Freeze a statement as it is now.

    Raises `Forbidden`, and `UserError` where nothing is known to have passed, or not all exceptions can be named: what
    would be left out would look inspected.
    """
    require(actor, Right.EXPORT)
    now = timezone.now()
    with override("en"):  # a document is the same whoever asks for it
        document = statement_document(scope, now=now, actor=actor)
        if not document["is_complete"]:
            raise UserError(
                f"There are {document['exceptions']['total']:,} exceptions, and not all of them can be named. Nothing "
                "was issued. Choose fewer parts.",
                code="too_many_exceptions",
            )
        data = statement_pdf(document)
    with transaction.atomic():
        statement = IssuedStatement.objects.create(
            basis=scope.basis,
            station=scope.station,
            counter=scope.counter,
            first=scope.first,
            last=scope.last,
            exceptions=document["exceptions"]["total"],
            document=canonical(document),
            pdf=data,
            issued_by_id=actor_id(actor),
            created_at=now,
        )
        audit(kind=ISSUED, subject=statement, actor=actor, after=expected_statement(statement))
    return statement
