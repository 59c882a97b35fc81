"""Reads: whether the files that are marked as discarded are those that the audit log names."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

from records.models import Asset, AuditEvent
from retention.selectors import DISCARDED

_CHUNK = 500
_RECEIVED_AGAIN = "asset.received_again"


def check_discarded() -> Iterator[tuple[int, list[str]]]:
    """The last event about a file says whether it is there: `retention.discarded`, or `asset.received_again`."""
    with closing(sqlite3.connect("")) as last:  # a temporary file that SQLite removes
        last.execute("CREATE TABLE gone (sha256 PRIMARY KEY, is_gone) WITHOUT ROWID")
        seen = _take_in(last, 0)
        marked = Asset.objects.filter(discarded_at__isnull=False).order_by("pk").only("sha256")
        for asset in marked.iterator(chunk_size=_CHUNK):
            if not _is_gone(last, asset.sha256):
                seen = _take_in(last, seen)  # meanwhile
            ok = _is_gone(last, asset.sha256) or Asset.objects.filter(pk=asset.pk, discarded_at__isnull=True).exists()
            yield 1, [] if ok else [f"the file {asset.sha256[:12]} is marked as discarded, and no event says so"]
        for (sha256,) in last.execute("SELECT sha256 FROM gone WHERE is_gone").fetchall():
            if Asset.objects.filter(sha256=sha256, discarded_at__isnull=True).exists():
                _take_in(last, seen)
                if _is_gone(last, sha256):
                    yield 0, [f"the file {sha256[:12]} was discarded, and its mark was taken away"]
                    return


def _is_gone(last: sqlite3.Connection, sha256: str) -> bool:
    row = last.execute("SELECT is_gone FROM gone WHERE sha256 = ?", (sha256,)).fetchone()
    return bool(row and row[0])


def _take_in(last: sqlite3.Connection, seen: int) -> int:
    """The events after that one; the last of them."""
    events = AuditEvent.objects.filter(kind__in=(DISCARDED, _RECEIVED_AGAIN), sequence__gt=seen).order_by("sequence")
    for sequence, kind, after in events.values_list("sequence", "kind", "after").iterator(chunk_size=_CHUNK):
        told = json.loads(after)
        files = [line["sha256"] for line in told["files"]] if kind == DISCARDED else [told["sha256"]]
        last.executemany("INSERT OR REPLACE INTO gone VALUES (?, ?)", [(one, kind == DISCARDED) for one in files])
        seen = sequence
    return seen
