"""The JSON shape of a statement of inspection: what passed, what became of it, and what is not known."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from edge.gaps.comparison import Comparison, Some
from edge.gaps.selectors import Checked
from edge.gaps.serials import Ranges
from edge.passages.counting import SILENCE
from modelzoo.models import Threshold
from records.audit.services import Actor
from reports.content.documents import audit_document
from reports.content.selectors import versions_named
from reports.statements.scope import Basis, StatementScope

FORMAT = "inspection-statement-1"
KINDS = ("missing", "not_comparable", "unreported", "reset", "not_covered")


def statement_document(scope: StatementScope, *, now: datetime, actor: Actor = None) -> dict[str, Any]:
    """The statement as it is at this moment; `actor` issues it, or asks for it."""
    checked = scope.check()
    exceptions = _exceptions(checked)
    left_out = _left_out(checked)
    parts = sum(row["count"] or 0 for row in exceptions)
    document: dict[str, Any] = {
        "format": FORMAT,
        "title": scope.title,
        "basis": str(scope.basis),
        "station": scope.station,
        "first": scope.first,
        "last": scope.last,
        "counter_id": scope.counter.pk if scope.counter else None,
        "source": scope.counter.source if scope.counter else f"entered by {_name(actor)}",
        "since": _iso(scope.window.since if scope.window else None),
        "until": _iso(scope.window.until if scope.window else None),
        "by_time": checked.by_time,
        "delay_ms": _ms(scope.delay) if checked.by_time else None,
        "tolerance_ms": _ms(scope.tolerance) if checked.by_time else None,
        "made_at": now.isoformat(),
        "made_by": _name(actor),
        "time_zone": settings.TIME_ZONE,
        "is_complete": left_out == 0,
        "counts": _counts(checked),
        "exceptions": {"total": len(exceptions) + left_out, "parts": parts, "rows": exceptions},
        "repeated": _ranges(checked.comparison.repeated),
        **_remarks(checked.comparison),
        "first_record_at": _iso(checked.comparison.first_record_at),
        "last_record_at": _iso(checked.comparison.last_record_at),
        "models": _models(checked.comparison),
        "audit": audit_document(),
    }
    return document | {"statement": _sentence(document), "reservations": _reservations(document)}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _ms(span: timedelta) -> int:
    return round(span / timedelta(milliseconds=1))


def _name(actor: Actor) -> str:
    return actor.get_username() if actor is not None and actor.pk is not None else "the system"


# ---------------------------------------------------------------- what it says
def _sentence(document: dict[str, Any]) -> str:
    """The statement itself. What is not known is never said to be inspected."""
    between = f"between {document['first']} and {document['last']}"
    place = f"at station {document['station']}" if document["station"] else "at the line"
    if document["basis"] == Basis.SERIALS:
        # Nobody counted what passed: the statement is of those serial numbers, and of nothing else.
        begin = f"Of the serial numbers {between}, as they were entered, none passed uninspected {place}"
    else:
        begin = f"Nothing passed uninspected {place} {between}"
    total = document["exceptions"]["total"]
    return f"{begin}, except what is named under Exceptions ({total:,})." if total else f"{begin}."


def _reservations(document: dict[str, Any]) -> list[str]:
    """What has to be known to read it right."""
    said = []
    if document["basis"] == Basis.SERIALS:
        said.append(
            "Which parts passed was not counted by the line: the sequence of serial numbers was entered by a person. "
            "Parts with other serial numbers, or with none, are not covered."
        )
    else:
        said.append(
            f"Which parts passed is known from {document['source']}. What passed while it did not count is not known; "
            f"times of more than {SILENCE.seconds} s in which it was not heard are named as not covered."
        )
    if document["by_time"]:
        said.append(
            "Passages had no serial numbers and were compared with the records by their times "
            f"({document['delay_ms']} ms later, give or take {document['tolerance_ms']} ms): at least as many parts as "
            "named have no record, and which ones they are is known to that time only."
        )
    if document["counts"]["repeated"]:
        said.append(
            "Parts with more than one record count as inspected; they are named, since a second record under a serial "
            "number may be of another part."
        )
    if not document["is_complete"]:
        said.append("There are more exceptions than can be named: this is no statement that can be issued.")
    audit = document["audit"]
    if audit["checkpoint_doubt"] or audit["fault"]:
        said.append(
            "The audit log is in doubt: " + (audit["fault"] or f"the last checkpoint: {audit['checkpoint_doubt']}")
        )
    return said


def _counts(checked: Checked) -> dict[str, Any]:
    found, doubts = checked.comparison, checked.doubts
    return {
        "passed": found.total,
        "inspected": found.inspected,
        "good": found.good,
        "defective": found.defective,
        "repeated": found.repeated.count,
        "not_comparable": found.not_comparable.count,
        "missing": found.missing.count,
        "unreported": doubts.unreported_count if doubts else 0,
        "resets": len(doubts.resets) if doubts else 0,
        "times_not_covered": len(doubts.silences) if doubts else 0,
    }


def _left_out(checked: Checked) -> int:
    found = checked.comparison
    dropped = found.missing.dropped + found.not_comparable.dropped + found.repeated.dropped
    return dropped + (checked.doubts.dropped if checked.doubts else 0)


def _exceptions(checked: Checked) -> list[dict[str, Any]]:
    found, doubts = checked.comparison, checked.doubts
    rows = [_exception("missing", *row) for row in found.missing.rows]
    rows += [_exception("not_comparable", *row) for row in found.not_comparable.rows]
    if doubts is None:
        return rows
    rows += [
        _exception("unreported", str(row.first), str(row.last), row.count, row.after, row.before)
        for row in doubts.unreported
    ]
    rows += [
        _exception("reset", str(row.last_value), str(row.next_value), None, row.after, row.before)
        for row in doubts.resets
    ]
    rows += [_exception("not_covered", "", "", None, row.since, row.until) for row in doubts.silences]
    return rows


def _exception(
    kind: str,
    first: str,
    last: str,
    count: int | None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> dict[str, Any]:
    return {"kind": kind, "first": first, "last": last, "count": count, "since": _iso(since), "until": _iso(until)}


def _ranges(ranges: Ranges) -> dict[str, Any]:
    rows = [{"first": first, "last": last, "count": count} for first, last, count in ranges.rows]
    return {"total": len(rows) + ranges.dropped, "rows": rows}


def _remarks(found: Comparison) -> dict[str, Any]:
    return {
        "ended_without_verdict": _some(found.ended_without_verdict),
        "judged_elsewhere": _some(found.judged_elsewhere),
        "judged_otherwise": _some(found.judged_otherwise),
        "still_open": _some(found.still_open),
        "outside": _some(found.outside),
    }


def _some(some: Some) -> dict[str, Any]:
    rows = [
        {"serial_number": row.serial_number, "at": row.at.isoformat(), "what": row.what, "id": row.record}
        for row in some.rows
    ]
    return {"total": some.count, "rows": rows}


def _models(found: Comparison) -> list[dict[str, Any]]:
    versions = versions_named(version for version, _ in found.models)
    thresholds = Threshold.objects.in_bulk({threshold for _, threshold in found.models})
    return [
        {
            "model_version": version,
            "model": str(versions[version]),
            "threshold": threshold,
            "revision": thresholds[threshold].revision,
            "value": thresholds[threshold].value,
            "records": records,
        }
        for (version, threshold), records in sorted(found.models.items())
    ]
