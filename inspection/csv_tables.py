"""CSV that opens right in a spreadsheet by a double click, whatever language it is set to.

Excel takes a file without a byte order mark for the code page of the machine ("PrÃ¼fstand"), and separates columns and
decimals as the language of the machine does: with semicolons and commas in most of Europe and South America.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from common.errors import UserError

_BYTE_ORDER_MARK = "\ufeff"
# As a spreadsheet reads it, blanks before it do not count.
_FORMULA = re.compile(r"\s*[=+\-@\t\r]")


@dataclass(frozen=True)
class Dialect:
    """How a table is written. `description` is for people."""

    delimiter: str
    decimal: str
    begins_with: str
    description: str
    # Moments as a spreadsheet knows them, in UTC and without a zone: with one they stay text there.
    dates: bool = False


DIALECTS = {
    "excel": Dialect(",", ".", _BYTE_ORDER_MARK, "commas and decimal points, as Excel in English expects", dates=True),
    "excel-de": Dialect(
        ";", ",", _BYTE_ORDER_MARK, "semicolons and decimal commas, as Excel in German, French, ...", dates=True
    ),
    "plain": Dialect(",", ".", "", "commas and decimal points, without a byte order mark, for programs"),
}
DEFAULT_DIALECT = "excel"


def find_dialect(name: str, *, form: str = "csv") -> Dialect:
    """The dialect of that name; the default one for none. Raises `UserError`, also for a form that has no dialects."""
    if name and form != "csv":
        raise UserError(f"dialect is for format=csv only, not for {form[:20]}.", code="invalid")
    if name and name not in DIALECTS:
        raise UserError(f"dialect must be one of {', '.join(DIALECTS)}.", code="invalid")
    return DIALECTS[name or DEFAULT_DIALECT]


class CsvTable:
    """Writes rows into memory, from which they are taken piece by piece."""

    def __init__(self, dialect: Dialect, columns: Iterable[str]) -> None:
        self._dialect = dialect
        self._text = io.StringIO()
        self._text.write(dialect.begins_with)
        self._writer = csv.writer(self._text, delimiter=dialect.delimiter)
        self._writer.writerow(columns)

    def write(self, row: Iterable[Any]) -> None:
        self._writer.writerow([self._cell(value) for value in row])

    def __len__(self) -> int:
        """Characters that wait to be taken."""
        return self._text.tell()

    def take(self) -> str:
        """What was written since the last time."""
        written = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return written

    def _cell(self, value: Any) -> Any:
        if isinstance(value, float):
            return repr(value).replace(".", self._dialect.decimal)
        return harmless(value)


def harmless(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula, and run, gets an apostrophe before it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
