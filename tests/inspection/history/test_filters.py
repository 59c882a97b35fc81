"""Filters mean what they say, in every combination; pages and exports show each record once."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import openpyxl
import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.http import QueryDict
from django.test import RequestFactory

from common.api.pagination import Page, read_page
from common.errors import UserError
from common.rights import Forbidden
from inspection.benchmarks.synthetic import generate
from inspection.history import exports, filter_values, selectors
from inspection.history import filters as history
from inspection.history.exports import COLUMNS, export_inspections
from inspection.history.filter_values import SEARCHED
from inspection.history.filters import Filters, parse_filters
from inspection.models import Inspection, InspectionRequest, Standing
from records.audit.selectors import verify_chain
from records.models import AuditEvent
from tests.triggers import without_triggers

pytestmark = pytest.mark.django_db


@pytest.fixture
def records(db: None) -> list[Inspection]:
    """A small synthetic history, newest first."""
    generate(count=400, seed=7, tell=lambda _: None)
    found = Inspection.objects.select_related(
        "category", "threshold", "operator", "asset", "request", "standing__reviewer"
    )
    return sorted(found, key=lambda record: (record.created_at, record.pk), reverse=True)


def chosen(records: list[Inspection], query: dict[str, str]) -> list[uuid.UUID]:
    """What a person would pick by hand."""

    def meant(record: Inspection, name: str, value: str) -> bool:
        standing: Standing | None = getattr(record, "standing", None)
        told: dict[str, Any] = {
            "since": lambda: record.created_at >= datetime.fromisoformat(value),
            "until": lambda: record.created_at < datetime.fromisoformat(value),
            "category": lambda: record.category.name == value,
            "outcome": lambda: record.outcome == value,
            "score_min": lambda: record.score is not None and record.score >= float(value),
            "score_max": lambda: record.score is not None and record.score <= float(value),
            "model_version": lambda: record.model_version_id == int(value),
            "threshold": lambda: record.threshold_id == int(value),
            "threshold_revision": lambda: record.threshold.revision == int(value),
            "station": lambda: record.station == value,
            "lot": lambda: record.lot == value,
            "part_number": lambda: record.part_number == value,
            "source": lambda: record.source == value,
            "operator": lambda: record.operator is not None and record.operator.get_username() == value,
            "serial_number": lambda: record.serial_number == value,
            "serial": lambda: record.serial_number.startswith(value),
            "search": lambda: any(getattr(record, field).startswith(value) for field in SEARCHED),
            "batch": lambda: str(record.request.batch_id) == value,
            "image_sha256": lambda: record.asset.sha256 == value,
            "reviewed": lambda: (standing is not None) == (value == "yes"),
            "overruled": lambda: standing is not None and standing.overruled == (value == "yes"),
            "contested": lambda: standing is not None and standing.contested == (value == "yes"),
            "review_verdict": lambda: standing is not None and standing.verdict == value,
            "reviewer": lambda: standing is not None and standing.reviewer.get_username() == value,
        }
        return bool(told[name]())

    return [record.pk for record in records if all(meant(record, name, value) for name, value in query.items())]


def queries(records: list[Inspection]) -> list[dict[str, str]]:
    """Each filter alone with values of some records and one that nothing has, and many together."""
    one, other = records[len(records) // 2], records[-1]
    reviewed = next(record for record in records if hasattr(record, "standing"))
    rng = random.Random(1)
    alone = [
        {"since": one.created_at.isoformat()},
        {"until": one.created_at.isoformat()},
        {"category": one.category.name},
        *({"outcome": outcome} for outcome in Inspection.Outcome.values),
        {"score_min": repr(one.score or 1.0)},
        {"score_max": repr(one.score or 1.0)},
        {"score_max": "-1"},
        {"model_version": str(one.model_version_id)},
        {"threshold": str(other.threshold_id)},
        {"threshold_revision": "2"},
        {"station": one.station},
        {"station": "nowhere"},
        {"lot": other.lot},
        {"part_number": one.part_number},
        *({"source": source} for source in ("api", "watcher", "web")),
        {"operator": one.operator.get_username() if one.operator else ""},
        {"serial_number": one.serial_number},
        {"serial": one.serial_number[:-1]},
        {"serial": "sn"},
        {"search": one.serial_number},
        {"search": other.filename[:-5]},
        {"search": other.lot},
        {"search": one.part_number[:2]},
        {"search": "SN"},
        {"search": "%"},
        {"serial": "%"},
        {"batch": str(uuid.uuid4())},
        {"image_sha256": one.asset.sha256},
        {"image_sha256": "f" * 64},
        *({name: word} for name in ("reviewed", "overruled", "contested") for word in ("yes", "no")),
        *({"review_verdict": verdict} for verdict in ("good", "defective")),
        {"reviewer": reviewed.standing.reviewer.get_username()},
    ]
    together = [one | two for one, two in itertools.combinations(alone, 2)]
    return (
        alone
        + rng.sample(together, 120)
        + [{k: v for one in rng.sample(alone, 4) for k, v in one.items()} for _ in range(40)]
    )


def test_every_combination_of_filters_means_what_it_says(records: list[Inspection]) -> None:
    matched = 0
    for query in queries(records):
        filters = parse_filters(query)
        found = [row.pk for row in selectors.matching_keys(filters)]
        assert found == chosen(records, query), query
        assert Filters.from_dict(json.loads(json.dumps(filters.as_dict()))) == filters
        matched += bool(found)
    assert matched > 60


def test_a_search_that_finds_many_means_the_same(records: list[Inspection], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter_values, "_MAX_SEARCH_IDS", 3)
    for text in ("SN", records[0].lot, "east-1-", "none"):
        filters = parse_filters({"search": text})
        assert [row.pk for row in selectors.matching_keys(filters)] == chosen(records, {"search": text})
    assert filters.search is not None
    assert filters.search.ids == ()


def test_the_orders_list_each_record_once_page_by_page(records: list[Inspection]) -> None:
    by = {
        "newest": lambda record: (record.created_at, record.pk),
        "score_high": lambda record: (record.score, record.pk),
        "margin_high": lambda record: (record.score - record.threshold_value, record.pk),
    }
    mirrored = {"newest": "oldest", "score_high": "score_low", "margin_high": "margin_low"}
    for query in ({}, {"category": records[0].category.name}, {"reviewed": "yes"}):
        filters, meant = parse_filters(query), chosen(records, query)
        for downwards, key in by.items():
            listed = [record for record in records if record.pk in meant]
            listed = [record for record in listed if downwards == "newest" or record.score is not None]
            expected = [record.pk for record in sorted(listed, key=key, reverse=True)]
            assert walked(filters, downwards) == expected, (query, downwards)
            assert walked(filters, mirrored[downwards]) == expected[::-1], (query, downwards)


def walked(filters: Filters, order: str) -> list[uuid.UUID]:
    """All pages of 37, by their `next`."""
    found: list[uuid.UUID] = []
    address: str | None = f"/?limit=37&order={order}"
    while address:
        keys, ordering = selectors.in_order(filters, order)
        page = read_page(keys, RequestFactory().get(address), ordering=ordering)
        found += [row.pk for row in page.rows]
        address = page.next
    return found


def test_several_outcomes(records: list[Inspection]) -> None:
    filters = parse_filters(QueryDict("outcome=good&outcome=not_comparable"))
    assert filters.as_dict() == {"outcome": ["good", "not_comparable"]}
    assert {row.pk for row in filters.apply(Inspection.objects.all())} == {
        record.pk for record in records if record.outcome != "defective"
    }


def test_a_serial_number_begins_with_capitals_as_given(records: list[Inspection]) -> None:
    assert selectors.matching_keys(parse_filters({"serial": "SN"})).count() == len(records)
    assert not selectors.matching_keys(parse_filters({"serial": "sn"})).exists()
    assert not selectors.matching_keys(parse_filters({"serial": "_N"})).exists()


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("2026-03-01", "2026-03-31", ("2026-03-01T00:00:00+00:00", "2026-04-01T00:00:00+00:00")),
        ("2026-03-01T08:00:00+01:00", "", ("2026-03-01T07:00:00+00:00", None)),
        ("2026-03-01T08:00:00 01:00", "", ("2026-03-01T07:00:00+00:00", None)),
        ("", "2026-03-01T08:00:00", (None, "2026-03-01T08:00:00+00:00")),
        ("2026-03-01 08:00", "2026-03-01T08:00Z", ("2026-03-01T08:00:00+00:00", "2026-03-01T08:00:00+00:00")),
    ],
)
def test_days_and_moments(db: None, since: str, until: str, expected: tuple[str | None, str | None]) -> None:
    found = parse_filters({"since": since, "until": until}).as_dict()
    assert (found.get("since"), found.get("until")) == expected


REFUSED: list[tuple[str, Any]] = [
    ("colour", "red"),
    ("since", "yesterday"),
    ("since", "2026-02-30"),
    ("since", "0001-01-01T00:00:00+14:00"),
    ("until", "9999-12-31"),
    ("until", "1" * 5000),
    ("category", "no-such"),
    ("outcome", "fine"),
    ("score_min", "NaN"),
    ("score_min", "inf"),
    ("score_max", "1e400"),
    ("score_max", "much"),
    ("model_version", "0"),
    ("model_version", "-1"),
    ("model_version", "9" * 19),
    ("model_version", "9" * 5000),
    ("model_version", "\u0661"),
    ("threshold", "1.5"),
    ("threshold", True),
    ("threshold_revision", 2**31),
    ("lot", "a\0"),
    ("lot", "\ud800"),
    ("lot", "x" * 101),
    ("lot", {"a": 1}),
    ("lot", [["a"]]),
    ("lot", ["a", "b"]),
    ("source", "x" * 17),
    ("operator", "nobody"),
    ("reviewer", "nobody"),
    ("batch", "1"),
    ("image_sha256", "F" * 64),
    ("reviewed", "maybe"),
    ("overruled", 2),
    ("review_verdict", "not_comparable"),
]


@pytest.mark.parametrize(
    ("name", "value"), REFUSED, ids=[f"{name}-{number}" for number, (name, _) in enumerate(REFUSED)]
)
def test_what_is_no_filter_is_told(db: None, name: str, value: Any) -> None:
    with pytest.raises(UserError) as raised:
        parse_filters({name: value})
    assert raised.value.code == "invalid_filter"
    assert raised.value.status == 400
    assert raised.value.extra["parameter"] == name


def test_what_is_empty_asks_for_nothing(db: None) -> None:
    asked = parse_filters(QueryDict("since=&lot=&outcome=&score_min=&reviewed=&batch=&operator="))
    assert (asked, asked.as_dict()) == (Filters(), {})


# ---------------------------------------------------------------- pages
def pages(url: str, filters: Filters, follow: str = "next") -> list[list[uuid.UUID]]:
    found = []
    while url:
        page = read_page(selectors.matching_keys(filters), RequestFactory().get(url), ordering=filters.ordering)
        found.append([row.pk for row in page.rows])
        url = getattr(page, follow) or ""
    return found


@pytest.mark.parametrize("query", [{}, {"reviewed": "yes"}, {"outcome": "good"}])
def test_many_records_of_one_moment_are_paged_once_each(
    records: list[Inspection], query: dict[str, str], without_time: None
) -> None:
    filters = parse_filters(query)
    expected = [row.pk for row in selectors.matching_keys(filters)]
    assert len(expected) > 10
    forwards = pages("/api/inspections?limit=7", filters)
    assert list(itertools.chain(*forwards)) == expected
    assert {len(page) for page in forwards[:-1]} == {7}


@pytest.fixture
def without_time(records: list[Inspection]) -> None:
    """All records of one moment, written behind the triggers' back."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with without_triggers("inspection_inspection"):
        Inspection.objects.update(created_at=moment)
    Standing.objects.update(inspected_at=moment)


def test_pages_lead_back(records: list[Inspection]) -> None:
    filters = Filters()

    def page(address: str | None) -> Page:
        return read_page(
            selectors.matching_keys(filters), RequestFactory().get(address or ""), ordering=filters.ordering
        )

    first = page("/api/inspections?limit=9")
    third = page(page(first.next).next)
    back = page(page(third.previous).previous)
    assert [row.pk for row in back.rows] == [row.pk for row in first.rows]
    assert (first.previous, back.previous) == (None, None)
    assert page(back.next).rows == page(first.next).rows


def test_a_record_that_comes_meanwhile_moves_no_page(records: list[Inspection]) -> None:
    filters = Filters()
    first = read_page(selectors.matching_keys(filters), RequestFactory().get("/?limit=5"), ordering=filters.ordering)
    generate(count=3, seed=9, tell=lambda _: None)
    second = read_page(
        selectors.matching_keys(filters), RequestFactory().get(first.next or ""), ordering=filters.ordering
    )
    assert [row.pk for row in second.rows] == [record.pk for record in records[5:10]]


# ---------------------------------------------------------------- exports
def exported(filters: Filters, form: str, actor: User | None = None) -> bytes:
    return b"".join(export_inspections(filters=filters, form=form, actor=actor).content)


def test_the_same_records_in_every_form(records: list[Inspection], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "_CHUNK", 37)
    expected = [str(record.pk) for record in records]
    lines = list(csv.DictReader(io.StringIO(exported(Filters(), "csv").decode("utf-8-sig"))))
    assert [line["inspection_id"] for line in lines] == expected
    documents = [json.loads(line) for line in exported(Filters(), "jsonl").splitlines()]
    assert [document["inspection_id"] for document in documents] == expected
    sheet = openpyxl.load_workbook(io.BytesIO(exported(Filters(), "xlsx")), read_only=True).worksheets[0]
    names, *rows = sheet.iter_rows(values_only=True)
    assert list(names) == list(lines[0]) == list(documents[0]) == list(COLUMNS)
    assert [row[0] for row in rows] == expected
    for record, line, document, row in zip(records, lines, documents, rows, strict=True):
        standing: Standing | None = getattr(record, "standing", None)
        assert document["score"] == record.score
        assert line["score"] == ("" if record.score is None else repr(record.score))
        assert row[list(COLUMNS).index("score")] == pytest.approx(record.score)
        assert document["created_at"] == record.created_at.isoformat()
        assert line["created_at"] == f"{record.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}", "a date in Excel"
        assert document["standing_verdict"] == line["standing_verdict"] == record.standing_verdict
        assert row[list(COLUMNS).index("standing_verdict")] == record.standing_verdict
        assert document["category"] == record.category.name
        assert document["threshold_revision"] == record.threshold.revision
        assert document["image_sha256"] == record.asset.sha256
        assert document["overruled"] == (standing and standing.overruled)
        assert line["overruled"] == ("" if standing is None else "yes" if standing.overruled else "no")
        assert document["reviewer"] == (standing and standing.reviewer.get_username())
        assert document["reviews"] == (standing and standing.reviews)
        assert document["review_comment"] == (standing and standing.last_review.comment)
        assert document["threshold_reason"] == record.threshold.reason
        at = row[list(COLUMNS).index("created_at")]  # a date that Excel can sort and filter, in UTC
        assert isinstance(at, datetime)
        assert abs(at.replace(tzinfo=UTC) - record.created_at) < timedelta(seconds=1)
    book = openpyxl.load_workbook(io.BytesIO(exported(Filters(), "xlsx")))
    assert book.worksheets[0].auto_filter.ref.startswith("A1:")
    assert book.worksheets[0].column_dimensions["A"].width > 30


def test_an_export_takes_the_filters_and_is_told_before_it_begins(records: list[Inspection], user: User) -> None:
    filters = parse_filters({"outcome": "defective", "since": records[-50].created_at.isoformat()})
    export = export_inspections(filters=filters, form="csv", actor=user)
    event = AuditEvent.objects.latest("sequence")
    assert (event.kind, event.actor_name) == ("inspections.exported", "olga")
    assert json.loads(event.after) == {
        "format": "csv",
        "filters": filters.as_dict(),
        "records": selectors.matching_keys(filters).count(),
        "dialect": "excel",
    }
    lines = b"".join(export.content).splitlines()
    assert len(lines) == 1 + selectors.matching_keys(filters).count() > 1
    assert export.filename.startswith("inspections-")
    assert export.filename.endswith(".csv")


def test_nothing_is_a_table_too(db: None) -> None:
    assert exported(Filters(), "csv").decode("utf-8-sig").strip() == ",".join(COLUMNS)
    assert exported(Filters(), "jsonl") == b""
    book = openpyxl.load_workbook(io.BytesIO(exported(Filters(), "xlsx")))
    assert [cell.value for cell in book.worksheets[0][1]] == list(COLUMNS)


def test_more_records_than_a_sheet_holds_go_on_the_next(
    records: list[Inspection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_SHEET_ROWS", 151)
    book = openpyxl.load_workbook(io.BytesIO(exported(Filters(), "xlsx")))
    assert [sheet.max_row for sheet in book.worksheets] == [151, 151, 101]
    assert book.sheetnames == ["Inspections", "Inspections 2", "Inspections 3"]
    assert all(sheet["A1"].value == "inspection_id" for sheet in book.worksheets)


@pytest.mark.sqlite_is_enough
@pytest.mark.parametrize(
    ("dialect", "begins", "delimiter", "decimal"),
    [
        ("", codecs.BOM_UTF8, ",", "."),
        ("excel", codecs.BOM_UTF8, ",", "."),
        ("excel-de", codecs.BOM_UTF8, ";", ","),
        ("plain", b"", ",", "."),
    ],
)
def test_a_table_opens_right_in_a_spreadsheet(
    records: list[Inspection], dialect: str, begins: bytes, delimiter: str, decimal: str
) -> None:
    record = next(record for record in records if record.score)
    with without_triggers("inspection_inspection"):
        Inspection.objects.filter(pk=record.pk).update(station="Prüfstand; 1,5", lot="-1;=2")
    filters = parse_filters({"serial_number": record.serial_number, "station": "Prüfstand; 1,5"})
    export = export_inspections(filters=filters, form="csv", actor=None, dialect=dialect)
    assert export.filename.endswith(f"-{dialect}.csv" if dialect else ".csv"), "files of two dialects have two names"
    written = b"".join(export.content)
    assert written.startswith(begins + b"inspection_id")
    [line] = csv.DictReader(io.StringIO(written.decode("utf-8-sig"), newline=""), delimiter=delimiter)
    assert (line["station"], line["lot"]) == ("Prüfstand; 1,5", "'-1;=2")
    assert line["score"] == repr(record.score).replace(".", decimal)


@pytest.mark.parametrize(("form", "dialect"), [("csv", "excel-xx"), ("xlsx", "excel-de"), ("jsonl", "plain")])
def test_a_dialect_that_there_is_not(db: None, form: str, dialect: str) -> None:
    events = AuditEvent.objects.count()
    with pytest.raises(UserError, match="dialect"):
        export_inspections(filters=Filters(), form=form, actor=None, dialect=dialect)
    assert AuditEvent.objects.count() == events


@pytest.mark.sqlite_is_enough
@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", " =1", "\r=1", "\n@x"])
def test_a_spreadsheet_runs_nothing(records: list[Inspection], text: str) -> None:
    with without_triggers("inspection_inspection"):
        Inspection.objects.filter(pk=records[0].pk).update(lot=text)
    filters = parse_filters({"serial_number": records[0].serial_number})
    [line] = csv.DictReader(io.StringIO(exported(filters, "csv").decode("utf-8-sig"), newline=""))
    assert line["lot"] == f"'{text}"
    cell = (
        openpyxl.load_workbook(io.BytesIO(exported(filters, "xlsx")))
        .worksheets[0]
        .cell(2, list(COLUMNS).index("lot") + 1)
    )
    assert cell.data_type == "s"
    assert json.loads(exported(filters, "jsonl"))["lot"] == text


def test_an_export_needs_the_right(operator: User, user: User) -> None:
    with pytest.raises(Forbidden):
        export_inspections(filters=Filters(), form="csv", actor=operator)
    with pytest.raises(UserError, match="format"):
        export_inspections(filters=Filters(), form="pdf", actor=user)
    assert not AuditEvent.objects.filter(kind="inspections.exported").exists()


# ---------------------------------------------------------------- what is made up
def test_a_synthetic_history_is_valid(records: list[Inspection]) -> None:
    report = verify_chain()
    assert report.broken_at is None
    assert AuditEvent.objects.filter(kind="inspection.recorded").count() == len(records)
    assert not InspectionRequest.objects.exclude(status="done").exists()
    assert not Inspection.objects.exclude(category=F("model_version__category")).exists()
    assert Standing.objects.count() > 5
    assert min(record.created_at for record in records) < max(record.created_at for record in records) - timedelta(
        days=5
    )


def test_filters_as_words_keep_every_word() -> None:
    given = history.split_arguments(["outcome=good", "outcome=defective", "lot=a=b"])
    assert given == {"outcome": ["good", "defective"], "lot": ["a=b"]}
    assert history.parse_filters(given).outcome == ("defective", "good")
    with pytest.raises(UserError, match="more than once"):
        history.parse_filters(history.split_arguments(["lot=A", "lot=B"]))
    with pytest.raises(UserError, match="NAME=VALUE"):
        history.split_arguments(["lot"])
