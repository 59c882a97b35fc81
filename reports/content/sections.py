"""A report in words: sections of facts and tables, made from its document. Page, PDF and CSV file show these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone

from common.numbers import DASH, millimetres, percent, percent_range, score_text
from inspection.judging.documents import VERDICT_WORDS
from monitoring.models import Alarm

Value = str | int | float | None


@dataclass(frozen=True)
class Cell:
    """What a table shows, and what a CSV file has for it: all digits."""

    text: str
    value: Value = None
    link: str = ""
    interval: tuple[float, float] | None = None

    @property
    def is_number(self) -> bool:
        return isinstance(self.value, int | float)

    @property
    def exact(self) -> Value:
        return self.text if self.value is None else self.value


@dataclass(frozen=True)
class Heading:
    text: str
    is_number: bool


@dataclass(frozen=True)
class Section:
    """One part of a report.

    Attributes:
        facts: single figures by their names.
        rows: of a table; the first cell of each says what it is about.
        empty: instead of a table without rows.
        notes: what has to be known to read it right.
    """

    name: str
    title: str
    facts: list[tuple[str, Cell]] = field(default_factory=list)
    columns: tuple[str, ...] = ()
    rows: list[list[Cell]] = field(default_factory=list)
    empty: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def headings(self) -> list[Heading]:
        """Columns stand as their cells do."""
        return [
            Heading(name, place > 0 and any(row[place].is_number for row in self.rows))
            for place, name in enumerate(self.columns)
        ]


def sections_of(document: dict[str, Any]) -> list[Section]:
    """All sections, in the order in which they stand."""
    return [
        _counts(document),
        *_parts(document.get("parts")),
        _stations(document),
        _defects(document["defects"]),
        _worst(document["worst"]),
        _changes(document["changes"]),
        _drift(document["alarms"]),
        _reference(document["reference_parts"]),
        _unproven(document["reference_parts"]),
        _doubts(document["reference_parts"]),
        _random_audit(document["random_audit"]),
        _reviews(document["reviews"]),
        _models(document),
        _origins(document),
        _replay(document["replay"]),
        audit_section(document["audit"]),
    ]


# ---------------------------------------------------------------- words
def moment_text(iso: str | None) -> str:
    """In the system's time zone, to the second where it has one that counts."""
    if iso is None:
        return ""
    at = timezone.localtime(datetime.fromisoformat(iso))
    return f"{at:%Y-%m-%d %H:%M:%S}" if at.second or at.microsecond else f"{at:%Y-%m-%d %H:%M}"


def window_text(document: dict[str, Any]) -> str:
    """From when to when, and that it is not over yet."""
    words = f"{moment_text(document['since'])} to {moment_text(document['until'])} ({document['time_zone']})"
    if document["kind"] == "lot":
        return f"first to last record {words}"
    return words if document["is_over"] else f"{words}, so far: the window is not over"


def rate_text(rate: dict[str, Any]) -> str:
    """ "3.1 % (2.0-4.6 %)": with the exact interval."""
    return (
        "none" if rate["value"] is None else f"{percent(rate['value'])} ({percent_range([rate['low'], rate['high']])})"
    )


def _number(value: int) -> Cell:
    return Cell(f"{value:,}", value)


def _rate(rate: dict[str, Any]) -> Cell:
    if rate["value"] is None:
        return Cell(rate_text(rate), "")
    return Cell(rate_text(rate), rate["value"], interval=(rate["low"], rate["high"]))


def _moment(iso: str | None) -> Cell:
    return Cell(moment_text(iso), iso or "")


def _place(text: str) -> Cell:
    return Cell(text or DASH, text)


def _cut(part: dict[str, Any], what: str) -> list[str]:
    shown = len(part["rows"])
    return [f"The first {shown} of {part['total']:,} {what} are shown."] if part["total"] > shown else []


# ---------------------------------------------------------------- counts
def _counts(document: dict[str, Any]) -> Section:
    counts = document["counts"]
    judged = counts["good"] + counts["defective"]
    facts = [
        ("Inspected", _number(counts["records"])),
        ("Judged", _number(judged)),
        ("Good", _number(counts["good"])),
        ("Defective", _number(counts["defective"])),
        ("Not comparable", _number(counts["not_comparable"])),
        ("Failed, without a record", _number(counts["failed"])),
        ("Defect rate", _rate(counts["defect_rate"])),
        ("Defective after reviews", _number(counts["stands_defective"])),
        ("Defect rate after reviews", _rate(counts["stands_defect_rate"])),
        ("Reference parts, not counted", _number(counts["reference_inspections"])),
        *((words, _number(counts[name])) for name, words in _SIZE_COUNTS.items() if counts.get(name)),
    ]
    failures = [[Cell(row["code"]), _number(row["count"])] for row in counts["failures"]]
    return Section(
        "counts",
        "Counts",
        facts,
        columns=("Why images failed", "Images") if failures else (),
        rows=failures,
        notes=["Rates are of the judged parts, with exact 95 % intervals (Clopper and Pearson)."],
    )


# Of size rules, where there is something to say; reports that were issued before them have no such counts.
_SIZE_COUNTS = {
    "good_by_size_rule": "Good by the size rule, with a score above the threshold",
    "without_scale": "Size rule not applied: not calibrated",
}
_VERDICTS = ("Inspected", "Good", "Defective", "Not comparable", "Defect rate", "Defective after reviews")


def _verdict_cells(row: dict[str, Any]) -> list[Cell]:
    names = ("records", "good", "defective", "not_comparable")
    return [*(_number(row[name]) for name in names), _rate(row["defect_rate"]), _number(row["stands_defective"])]


def _parts(parts: dict[str, Any] | None) -> list[Section]:
    """Where there are any; reports that were issued before there could be say nothing of them."""
    if not parts or not parts["parts"]:
        return []
    columns = ("Layout", "Parts", "Good", "Defective", "Not comparable", "Defect rate", "Defective after reviews")
    rows = [[Cell(row["layout"]), *_part_cells(row)] for row in parts["by_layout"]["rows"]]
    facts = list(zip(columns[1:], _part_cells(parts), strict=True))
    return [
        Section(
            "parts",
            "Parts of several views",
            facts,
            columns=columns,
            rows=rows,
            notes=[
                *_cut(parts["by_layout"], "layouts"),
                "Each part counts once: defective if any view is, else not comparable if any view is that, refused or "
                "missing, else good. All other counts are of images.",
            ],
        )
    ]


def _part_cells(row: dict[str, Any]) -> list[Cell]:
    names = ("parts", "good", "defective", "not_comparable")
    return [*(_number(row[name]) for name in names), _rate(row["defect_rate"]), _number(row["stands_defective"])]


def _stations(document: dict[str, Any]) -> Section:
    part = document["by_station"]
    rows = [
        [Cell(", station ".join(text for text in (row["category"], row["station"]) if text)), *_verdict_cells(row)]
        for row in part["rows"]
    ]
    return Section(
        "stations",
        "Categories and stations",
        columns=("Category, station", *_VERDICTS),
        rows=rows,
        empty="Nothing was inspected.",
        notes=_cut(part, "stations"),
    )


def _models(document: dict[str, Any]) -> Section:
    part = document["by_model"]
    rows = [
        [
            Cell(row["model"], link=reverse("model", args=[row["model_version"]])),
            Cell(f"{score_text(row['value'])} (revision {row['revision']})", row["value"]),
            *_verdict_cells(row),
        ]
        for row in part["rows"]
    ]
    return Section(
        "models",
        "Judged by",
        columns=("Model", "Threshold", *_VERDICTS),
        rows=rows,
        empty="Nothing was inspected.",
        notes=_cut(part, "thresholds"),
    )


def _origins(document: dict[str, Any]) -> Section:
    words = {"single": "One by one", "batch": "In batches"}
    rows = [[Cell(words[row["origin"]]), *_verdict_cells(row)] for row in document["by_origin"]]
    return Section("origins", "How the images came", columns=("Images", *_VERDICTS), rows=rows)


def _defects(defects: dict[str, Any]) -> Section:
    facts = [
        ("Reviewed as defective", _number(defects["reviewed"])),
        ("Judged defective and not reviewed", _number(defects["unreviewed"])),
        ("Judged defective and reviewed as good", _number(defects["overruled"])),
    ]
    rows = [
        [
            Cell(row["defect_type"] or "without a type", row["defect_type"]),
            _number(row["count"]),
            Cell(percent(row["share"]), row["share"]),
            Cell(percent(row["cumulative_share"]), row["cumulative_share"]),
        ]
        for row in defects["rows"]
    ]
    return Section(
        "defects",
        "Defect types",
        facts,
        columns=("Type", "Parts", "Share", "Cumulative"),
        rows=rows,
        empty="No part was reviewed as defective: only reviews name a type.",
        notes=[
            *_cut(defects, "types"),
            "Types are those of reviews that stand. What nobody reviewed has no type and is in none of these shares.",
        ],
    )


def _worst(worst: list[dict[str, Any]]) -> Section:
    rows = [
        [
            Cell(
                " ".join(text for text in (row["serial_number"], row["filename"]) if text),
                link=reverse("inspection", args=[row["inspection_id"]]),
            ),
            _place(row["lot"]),
            _place(row["station"]),
            _moment(row["created_at"]),
            Cell(score_text(row["score"], row["threshold"]), row["score"]),
            Cell(score_text(row["threshold"], row["score"]), row["threshold"]),
            Cell(f"{row['score_by_threshold']:.2f}", row["score_by_threshold"]),
            Cell(VERDICT_WORDS[row["outcome"]], row["outcome"]),
            _size(row),
            Cell(_review_text(row), row["review"] or ""),
        ]
        for row in worst
    ]
    names = "Part", "Lot", "Station", "Inspected", "Score", "Threshold", "Score ÷ threshold", "Model", "Largest region"
    columns = (*names, "Review")
    return Section("worst", "Worst images", columns=columns, rows=rows, empty="No image has a score.")


def _size(row: dict[str, Any]) -> Cell:
    """Of the largest region, in mm2 where the station was calibrated; empty in reports issued before sizes."""
    pixels, area = row.get("largest_region_px"), row.get("largest_region_mm2")
    if pixels is None:
        return Cell("", "")
    grade = f", {row['severity']}" if row["severity"] else ""
    return Cell(f"{pixels:,} px{grade}" if area is None else f"{millimetres(area)} mm²{grade}", pixels)


def _review_text(row: dict[str, Any]) -> str:
    if row["review"] is None:
        return "not reviewed"
    words = VERDICT_WORDS[row["review"]]
    return f"{words}, {row['defect_type']}" if row["defect_type"] else words


# ---------------------------------------------------------------- what happened
def _changes(part: dict[str, Any]) -> Section:
    rows = [
        [
            _moment(row["at"]),
            *(Cell(row[name]) for name in ("what", "category", "sentence", "by", "reason")),
        ]
        for row in part["rows"]
    ]
    return Section(
        "changes",
        "Changes of models and thresholds",
        columns=("At", "What", "Category", "Change", "By", "Reason"),
        rows=rows,
        empty="Nothing was changed.",
        notes=_cut(part, "changes"),
    )


def _drift(part: dict[str, Any]) -> Section:
    rows = []
    for row in part["rows"]:
        words = ", ".join(
            text for text in (row["category"], f"station {row['station']}" if row["station"] else "") if text
        )
        resolved = "unresolved"
        if row["resolved_at"]:
            by = f" by {row['resolved_by']}" if row["resolved_by"] else ""
            resolved = f"resolved {moment_text(row['resolved_at'])}{by}: {row['cause']}"
        rows.append(
            [
                Cell(
                    f"{row['alarm_id']}: {Alarm.Kind(row['kind']).label}", link=reverse("alarm", args=[row["alarm_id"]])
                ),
                Cell(words),
                Cell(row["sentence"]),
                Cell(", ".join(row["charts"]) or DASH, ", ".join(row["charts"])),
                Cell(
                    f"{moment_text(row['opened_at'])}{', before this window' if row['was_open_before'] else ''}",
                    row["opened_at"],
                ),
                Cell(resolved),
            ]
        )
    return Section(
        "alarms",
        "Drift and alarms",
        columns=("Alarm", "Where", "What", "Charts out of limits", "Opened", "At the end of the window"),
        rows=rows,
        empty="No alarm was open: no chart out of limits, no reference part failed.",
        notes=_cut(part, "alarms"),
    )


def _reference(parts: dict[str, Any]) -> Section:
    checks = parts["checks"]
    facts = [("Inspections", _number(parts["inspections"])), ("Failed", _number(parts["failed"]))]
    rows = [
        [
            Cell(row["serial_number"]),
            Cell(row["category"]),
            _place(row["station"]),
            Cell(VERDICT_WORDS[row["expected"]], row["expected"]),
            *(_number(row[name]) for name in ("inspections", "passed", "failed")),
        ]
        for row in checks["rows"]
    ]
    return Section(
        "reference_parts",
        "Reference parts",
        facts,
        columns=("Part", "Category", "Station", "Expected", "Inspections", "Passed", "Failed"),
        rows=rows,
        empty="No reference part was inspected.",
        notes=_cut(checks, "parts"),
    )


def _unproven(parts: dict[str, Any]) -> Section:
    rows = [
        [
            Cell(row["category"]),
            _place(row["station"]),
            _moment(row["since"]),
            _moment(row["until"]),
            Cell("then proven" if row["was_proven"] else "not proven"),
            _number(row["records"]),
        ]
        for row in parts["unproven"]["rows"]
    ]
    return Section(
        "unproven",
        "Inspected at unproven stations",
        [("Parts", _number(parts["unproven_records"]))],
        columns=("Category", "Station", "From", "To", "At the end", "Parts"),
        rows=rows,
        empty="No part was inspected before the reference parts of its shift had passed, or there are none.",
        notes=_cut(parts["unproven"], "times"),
    )


def _doubts(parts: dict[str, Any]) -> Section:
    rows = [
        [
            Cell(row["serial_number"]),
            Cell(row["category"]),
            _place(row["station"]),
            Cell(moment_text(row["since"]) or "it had never passed there", row["since"] or ""),
            Cell(moment_text(row["until"]) or "not passed since", row["until"] or ""),
        ]
        for row in parts["doubts"]["rows"]
    ]
    return Section(
        "doubts",
        "In doubt after a failed reference part",
        columns=("Failed part", "Category", "Station", "Last passed", "Passed again"),
        rows=rows,
        empty="No station was in doubt.",
        notes=_cut(parts["doubts"], "times"),
    )


# ---------------------------------------------------------------- proof
def _random_audit(audit: dict[str, Any]) -> Section:
    facts = [
        ("Shifts", _number(audit["shifts"])),
        ("Passed parts drawn", _number(audit["drawn"])),
        ("Defective", _number(audit["defective"])),
        ("Good", _number(audit["good"])),
        ("Doubtful", _number(audit["doubtful"])),
        ("Not reviewed yet", _number(audit["open"])),
        ("Escape rate", _escape_rate(audit)),
    ]
    of = (
        "of this lot, in whichever shift" if audit["of"] == "lot" else "of the audited shifts that ended in this window"
    )
    return Section(
        "random_audit",
        "Random audit",
        facts,
        notes=[
            f"Passed parts {of}. Those without a clear decision count as good in the lower bound and as defective in "
            "the upper one."
        ],
    )


def _escape_rate(audit: dict[str, Any]) -> Cell:
    """Before anybody has decided, there is an interval without a rate."""
    rate, interval = audit["escape_rate"], audit["exact_interval"]
    if interval is None:
        return Cell("not known", "")
    text = f"{percent(rate)} (exact 95 % interval {percent_range(interval)})"
    return Cell(text, "" if rate is None else rate, interval=(interval[0], interval[1]))


def _reviews(reviews: dict[str, Any]) -> Section:
    facts = [
        ("Reviewed records", _number(reviews["records"])),
        ("Of", _number(reviews["of"])),
        ("Reviews", _number(reviews["reviews"])),
        ("Verdicts overruled", _number(reviews["overruled"])),
        ("Contested", _number(reviews["contested"])),
    ]
    rows = [[Cell(row["reviewer"]), _number(row["records"]), _number(row["overruled"])] for row in reviews["by_person"]]
    return Section(
        "reviews",
        "Reviews",
        facts,
        columns=("Reviewer", "Records", "Overruled"),
        rows=rows,
        empty="No record was reviewed.",
        notes=["Of the records of this report, whenever they were reviewed until it was made."],
    )


def _replay(replay: dict[str, Any]) -> Section:
    last = "never"
    if replay["last_at"]:
        words = "every verdict as recorded" if replay["last_is_proof"] else "not all as recorded"
        last = f"{moment_text(replay['last_at'])}, {words}"
    return Section(
        "replay",
        "Replay of stored verdicts",
        [
            ("Runs", _number(replay["runs"])),
            ("Recomputed", _number(replay["records"])),
            ("As recorded", _number(replay["equal"])),
            ("Different", _number(replay["differing"])),
            ("Not recomputed", _number(replay["not_recomputed"])),
            ("Last one by the end of the window", Cell(last)),
        ],
        notes=["Of records of all categories and times, drawn at random."],
    )


def _checkpoint(audit: dict[str, Any]) -> str:
    if audit["checkpoint"] is None:
        return "none yet"
    return f"at event {audit['checkpoint']:,}, {audit['checkpoint_doubt'] or 'genuine'}"


def audit_section(audit: dict[str, Any]) -> Section:
    verified = "never"
    if audit["verified_at"]:
        found = audit["fault"] or "no fault"
        verified = f"{moment_text(audit['verified_at'])}, {audit['verified_events']:,} events: {found}"
    return Section(
        "audit",
        "Audit log",
        [
            ("Last event when this was made", _number(audit["sequence"])),
            ("Its hash", Cell(audit["head"])),
            ("Last checkpoint", Cell(_checkpoint(audit))),
            ("Verified as a whole", Cell(verified)),
        ],
    )


Figure = tuple[str, int, str, str, Value]


def figures_of(sections: Iterable[Section]) -> Iterator[Figure]:
    """Every number and word of a report by itself: section, number of the row (0: none), what it is about, name,
    value."""
    for section in sections:
        for name, cell in section.facts:
            yield from _figures(section.title, 0, "", name, cell)
        for number, row in enumerate(section.rows, 1):
            for column, cell in zip(section.columns[1:], row[1:], strict=True):
                yield from _figures(section.title, number, row[0].text, column, cell)


def _figures(title: str, number: int, about: str, name: str, cell: Cell) -> Iterator[Figure]:
    yield title, number, about, name, cell.exact
    if cell.interval:
        for bound, value in zip(("lower", "upper"), cell.interval, strict=True):
            yield title, number, about, f"{name}, {bound} bound", value
