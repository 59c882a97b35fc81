"""Reads: what the audit event of an issued statement must say, for `verify_audit --records`."""

from __future__ import annotations

import hashlib
from typing import Any

from records.audit.chain.audited_rows import AuditedRows
from reports.models import IssuedStatement

ISSUED = "statement.issued"


def expected_statement(statement: IssuedStatement) -> dict[str, Any]:
    """`after` of the event. The hashes are of the files as the row holds them: one changed byte shows."""
    return {
        "basis": statement.basis,
        "station": statement.station,
        "counter": statement.counter_id,
        "first": statement.first,
        "last": statement.last,
        "exceptions": statement.exceptions,
        **{f"{form}_sha256": hashlib.sha256(statement.file(form)).hexdigest() for form in ("json", "pdf")},
    }


STATEMENTS = AuditedRows(
    kind=ISSUED,
    object_type=IssuedStatement._meta.label_lower,
    rows=lambda: IssuedStatement.objects.all(),
    expected_after=expected_statement,
)
