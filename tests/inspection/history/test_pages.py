"""The history's page: what is shown of which filter, to whom, with and without htmx, and what it costs."""

from __future__ import annotations

import csv
import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from common.numbers import score_text
from inspection.benchmarks.synthetic import generate
from inspection.history import figures, pages
from inspection.history import views as page
from inspection.history.exports import FORMS
from inspection.history.services import MAX_VIEWS
from inspection.models import Inspection, InspectionRequest, Review, SavedView
from modelzoo.detectors.preprocessing.input_rules import InputRules
from modelzoo.models import Deployment, ModelVersion
from modelzoo.services import set_input_checks, set_threshold
from records.models import AuditEvent
from tests import parts, scores
from tests.conftest import person
from tests.inspection.judging.test_services import sent
from tests.scores import Part
from tests.versions import another, serve

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def records(db: None) -> list[Inspection]:
    """A small synthetic history, newest first."""
    generate(count=60, seed=5, tell=lambda _: None)
    return list(Inspection.objects.select_related("standing").order_by("-created_at", "-id"))


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: Any) -> str:
    return unescape(response.content.decode())


def shown(response: Any) -> list[str]:
    return re.findall(r'id="r-([0-9a-f-]{36})"', text(response))


def ids(records: list[Inspection]) -> list[str]:
    return [str(record.pk) for record in records]


def link(response: Any, words: str) -> str:
    """The address of the link whose text begins so."""
    for address, content in re.findall(r'<a\s[^>]*?href="([^"]*)"[^>]*>(.*?)</a>', text(response), re.S):
        if re.sub(r"<[^>]*>", "", content).strip().startswith(words):
            return str(address)
    raise AssertionError(f"no link {words}")


# ---------------------------------------------------------------- what is shown
def test_every_form_of_export_has_a_link() -> None:
    assert {said["format"] for said, _ in page._EXPORTS} == FORMS.keys()


def test_pages_lead_on_and_back_and_show_each_record_once(signed_in: Client, records: list[Inspection]) -> None:
    first = signed_in.get("/inspections/")
    assert shown(first) == ids(records[:50])
    second = signed_in.get(link(first, "Older"))
    assert shown(second) == ids(records[50:])
    assert "End of list" in text(second)
    assert shown(signed_in.get(link(second, "Newer"))) == ids(records[:50])


def test_filters_narrow_what_is_shown_and_lead_along_with_every_link(
    signed_in: Client, records: list[Inspection]
) -> None:
    chosen = [record for record in records if record.outcome == "good" and record.station == "east-1"]
    response = signed_in.get("/inspections/?outcome=good&station=east-1")
    assert shown(response) == ids(chosen)
    assert f"/inspections/{chosen[0].pk}/?outcome=good&station=east-1" in text(response)
    assert link(response, "Station: east-1") == "/inspections/?outcome=good"
    assert link(response, "Good") == "/inspections/?station=east-1"
    assert link(response, "Defect") == "/inspections/?outcome=good&outcome=defective&station=east-1"
    assert link(response, "Remove all filters") == "/inspections/"
    assert link(response, "CSV") == "/api/inspections/export?format=csv&outcome=good&station=east-1"
    assert signed_in.get(link(response, "CSV")).status_code == 200
    assert "dialect=excel-de" in link(response, "CSV with semicolons and decimal commas")
    assert signed_in.get(link(response, "CSV with semicolons and decimal commas")).status_code == 200


def test_a_serial_number_is_found_by_how_it_begins(signed_in: Client, records: list[Inspection]) -> None:
    assert shown(signed_in.get("/inspections/", {"serial": records[7].serial_number})) == ids([records[7]])
    assert len(shown(signed_in.get("/inspections/", {"serial": "SN00000001"}))) == 10


def test_a_search_finds_by_all_that_a_part_is_called(signed_in: Client, records: list[Inspection]) -> None:
    one = records[7]
    assert shown(signed_in.get("/inspections/", {"search": one.serial_number})) == ids([one])
    assert shown(signed_in.get("/inspections/", {"search": one.filename})) == ids([one])
    for text_of_many in (one.lot, one.part_number):
        response = signed_in.get("/inspections/", {"search": text_of_many, "limit": "500"})
        meant = [record for record in records if text_of_many in (record.lot, record.part_number)]
        assert shown(response) == ids(meant)
        assert link(response, f"File, serial, lot or part begins with: {text_of_many}").startswith("/inspections/")


def test_columns_sort_and_records_lead_on_in_that_order(signed_in: Client, records: list[Inspection]) -> None:
    scored = sorted(
        (record for record in records if record.score is not None),
        key=lambda record: (record.score, record.pk),
        reverse=True,
    )
    first = signed_in.get("/inspections/")
    assert 'aria-sort="descending"' in text(first)
    response = signed_in.get(link(first, "Score"))
    assert shown(response) == ids(scored[:50])
    upwards = signed_in.get(link(response, "Score"))
    assert shown(upwards) == ids(scored[::-1][:50])
    opened_page = signed_in.get(f"/inspections/{scored[1].pk}/?order=score_high")
    assert f"/inspections/{scored[2].pk}/?order=score_high" in text(opened_page).partition('rel="next"')[2][:200]
    assert f"/inspections/{scored[0].pk}/?order=score_high" in text(opened_page).partition('rel="prev"')[2][:200]
    by_margin = shown(signed_in.get("/inspections/?order=margin_low&view=sheet"))
    assert by_margin[0] == str(min(scored, key=lambda record: record.margin or 0.0).pk)
    assert signed_in.get("/inspections/?order=colour").status_code == 400


def test_a_period_is_until_now(signed_in: Client, records: list[Inspection]) -> None:
    newest = shown(signed_in.get("/inspections/?period=24h"))
    assert newest == ids(records[: len(newest)])
    assert 0 < len(newest) < 50
    response = signed_in.get("/inspections/?since=2020-01-01")
    assert link(response, "7 days") == "/inspections/?period=7d"


def test_an_address_without_what_a_form_left_empty(signed_in: Client, records: list[Inspection]) -> None:
    response = signed_in.get("/inspections/?period=&outcome=good&lot=&view=")
    assert response.status_code == 302
    assert response["Location"] == "/inspections/?outcome=good"


def test_what_a_link_asked_for_stays_in_the_form(signed_in: Client, records: list[Inspection]) -> None:
    response = signed_in.get("/inspections/", {"serial_number": records[0].serial_number})
    assert f'name="serial_number" value="{records[0].serial_number}"' in re.sub(r"\s+", " ", text(response))


def test_a_model_is_named_in_its_chip(signed_in: Client, records: list[Inspection]) -> None:
    version = ModelVersion.objects.order_by("-id").select_related("category")[0]
    assert f"Model: {version}" in text(signed_in.get(f"/inspections/?model_version={version.pk}"))


def test_a_threshold_is_named_in_its_chip_and_not_numbered(signed_in: Client, records: list[Inspection]) -> None:
    """Its id is no revision."""
    threshold = records[0].threshold
    version = threshold.model_version
    said = f"{score_text(threshold.value)} (revision {threshold.revision} of {version.category.name} v{version.number})"
    assert f"Threshold: {said}" in text(signed_in.get(f"/inspections/?threshold={threshold.pk}"))


@pytest.mark.parametrize("view", ["", "sheet"])
def test_people_and_models_stand_beside_each_other(signed_in: Client, records: list[Inspection], view: str) -> None:
    record = next(record for record in records if not hasattr(record, "standing") and record.outcome == "good")
    signed_in.post("/inspections/", {"inspection": [str(record.pk)], "verdict": "defective", "defect_type": "burr"})
    answer = text(signed_in.get("/inspections/", {"serial": record.serial_number, "view": view} if view else {}))
    assert "burr" in answer
    assert 'class="human defective"' in answer
    # What stands leads; the model's word is beside it and never a badge of its own.
    row = answer.partition(f'id="r-{record.pk}"')[2].partition('id="r-')[0]
    assert "model: GOOD" in row
    assert 'class="badge good' not in row
    assert "olga" in row


def test_a_contact_sheet_stays_one(signed_in: Client, records: list[Inspection]) -> None:
    response = signed_in.get("/inspections/?view=sheet")
    assert shown(response) == ids(records[:50])
    assert "<table" not in text(response).partition("records-form")[2]
    assert f"/inspections/{records[0].pk}/?view=sheet" in text(response)
    assert link(response, "Defect") == "/inspections/?outcome=defective&view=sheet"
    assert "view=sheet" in link(response, "Older")
    older = signed_in.get(link(response, "Older"))
    assert link(older, "Table") == link(response, "Older").replace("view=sheet&", "")  # the place is kept


# ---------------------------------------------------------------- states
def test_an_empty_system_says_what_will_stand_here(signed_in: Client, auditor: User) -> None:
    answer = text(signed_in.get("/inspections/"))
    assert "No inspection yet" in answer
    assert "Inspect an image" in answer
    assert "Inspect an image" not in text(client_of(auditor).get("/inspections/"))


def test_nothing_matches_and_how_to_find_more(signed_in: Client, records: list[Inspection]) -> None:
    response = signed_in.get("/inspections/?outcome=good&lot=none-such")
    assert response.status_code == 200
    assert "No record matches" in text(response)
    assert link(response, "Lot: none-such") == "/inspections/?outcome=good"
    assert link(response, "Show all records") == "/inspections/"
    assert "matches all these filters" in text(response)
    assert "The search is case-sensitive." in text(response)
    alone = text(signed_in.get("/inspections/?search=none-such"))
    assert "matches all these filters" not in alone
    assert "The search is case-sensitive." in alone


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("since=never", "since", "Must be a day"),
        ("score_min=much", "score_min", "Must be a finite number."),
        ("category=none", "category", "Is not a category: none."),
        ("operator=nobody", "operator", "Is not a user: nobody."),
        ("model_version=999", "model_version", "999 is unknown."),
        ("period=ever", "period", "Must be today, 24h, 7d or 30d."),
        ("period=7d&since=2026-01-01", "period", "And since are both given"),
        ("lot=a%00b", "lot", "Must not contain NUL"),
        ("search=" + "x" * 101, "search", "Must have at most 100 characters."),
    ],
)
def test_what_is_wrong_stands_at_its_field(
    signed_in: Client, records: list[Inspection], query: str, field: str, words: str
) -> None:
    response = signed_in.get(f"/inspections/?{query}")
    assert response.status_code == 400
    error = re.search(rf'id="id_{field}_error"[^>]*>\s*([^<]*)<', text(response))
    assert error
    assert error[1].startswith(words)
    assert 'aria-invalid="true"' in text(response)
    assert "A filter is not valid" in text(response)
    assert shown(response) == []


def test_several_wrong_values_are_all_told(signed_in: Client, records: list[Inspection]) -> None:
    answer = text(signed_in.get("/inspections/?since=never&score_max=NaN&outcome=fine&batch=1&colour=red"))
    assert answer.count('class="error"') == 3
    assert "batch must be a UUID" in answer
    assert "colour is not a filter" in answer


@pytest.mark.parametrize("query", ["cursor=abc", "cursor=%00", "limit=0", "limit=many"])
def test_a_place_that_is_none(signed_in: Client, records: list[Inspection], query: str) -> None:
    response = signed_in.get(f"/inspections/?{query}&outcome=good")
    assert response.status_code == 400
    assert link(response, "Back to the newest") == "/inspections/?outcome=good"


# ---------------------------------------------------------------- htmx
def test_more_is_appended(signed_in: Client, records: list[Inspection]) -> None:
    first = signed_in.get("/inspections/")
    more = signed_in.get(link(first, "Older"), headers=HTMX)
    assert shown(more) == ids(records[50:])
    assert "<html" not in text(more)
    assert "HX-Request" in more["Vary"]  # a browser keeps the part and the page apart
    assert "End of list" in text(more)
    assert 'hx-swap-oob="true"' in text(more)


def test_figures_are_asked_for_apart_and_a_page_of_their_own(signed_in: Client, records: list[Inspection]) -> None:
    address = "/inspections/figures?outcome=good&view=sheet"
    assert f'hx-get="{address}"' in text(signed_in.get("/inspections/?outcome=good&view=sheet"))
    part, whole = signed_in.get(address, headers=HTMX), signed_in.get(address)
    assert "<html" not in text(part)
    assert "History statistics" in text(whole)
    assert link(whole, "Back to the records") == "/inspections/?outcome=good&view=sheet"
    good = sum(record.outcome == "good" for record in records)
    for response in (part, whole):
        assert re.search(rf'href="/inspections/\?outcome=good&view=sheet">\s*{good}\s*<', text(response))
    assert signed_in.get("/inspections/figures?since=never").status_code == 400
    assert signed_in.get("/inspections/figures?lot=none", headers=HTMX).status_code == 200


# ---------------------------------------------------------------- what is said of many
def unreviewed(records: list[Inspection]) -> list[Inspection]:
    return [record for record in records if not hasattr(record, "standing")]


def test_a_form_reviews_all_that_were_ticked(signed_in: Client, records: list[Inspection]) -> None:
    chosen = unreviewed(records)[:3]
    said = {"inspection": ids(chosen), "verdict": "defective", "defect_type": "burr", "comment": "by hand"}
    response = signed_in.post("/inspections/?outcome=good&view=sheet", said)
    assert response.status_code == 302
    assert response["Location"] == "/inspections/?outcome=good&view=sheet"
    assert "3 records reviewed as DEFECT." in text(signed_in.get(response["Location"]))
    reviews = Review.objects.filter(inspection__in=chosen)
    assert {(review.verdict, review.defect_type, review.comment) for review in reviews} == {
        ("defective", "burr", "by hand")
    }
    assert len(reviews) == 3


def test_htmx_gets_the_rows_as_they_are_now(signed_in: Client, records: list[Inspection]) -> None:
    [record] = unreviewed(records)[:1]
    response = signed_in.post("/inspections/", {"inspection": [str(record.pk)], "verdict": "good"}, headers=HTMX)
    assert response.status_code == 200
    review = Review.objects.get(inspection=record)
    name = record.serial_number or record.path_or_name
    toast = {"text": f"{name} reviewed as GOOD.", "undo": [review.pk]}
    assert json.loads(response["HX-Trigger"]) == {"toast": toast, "reviewed": {}}
    assert shown(response) == [str(record.pk)]
    assert 'class="human good"' in text(response)


def test_undo_takes_all_of_one_act_back_and_rows_can_be_asked_for(signed_in: Client, records: list[Inspection]) -> None:
    chosen = unreviewed(records)[:3]
    signed_in.post("/inspections/", {"inspection": ids(chosen), "verdict": "good"}, headers=HTMX)
    reviews = [str(pk) for pk in Review.objects.filter(inspection__in=chosen).values_list("pk", flat=True)]
    response = signed_in.post("/inspections/undo", {"review": reviews}, headers=HTMX)
    assert response.status_code == 204
    told = json.loads(response["HX-Trigger"])
    assert told["toast"]["text"] == "3 reviews undone."
    assert sorted(told["undone"]["inspections"]) == sorted(ids(chosen))
    assert len(unreviewed(list(Inspection.objects.filter(pk__in=ids(chosen))))) == 3
    rows = signed_in.get("/inspections/rows", {"inspection": ids(chosen), "view": "sheet"})
    assert sorted(shown(rows)) == sorted(ids(chosen))
    assert 'class="human' not in text(rows)
    assert signed_in.get("/inspections/rows", {"inspection": "no-id"}).status_code == 404


@pytest.mark.parametrize(
    ("named", "words"),
    [([], "0 reviews were named"), (["x"], "named by its number"), (["999999999999"], "There is no review")],
)
def test_an_undo_of_nothing_says_so(signed_in: Client, named: list[str], words: str) -> None:
    response = signed_in.post("/inspections/undo", {"review": named}, headers=HTMX)
    told = json.loads(response["HX-Trigger"])["toast"]
    assert words in told["text"]
    assert told["undo"] == []
    plain = signed_in.post("/inspections/undo", {"review": named, "next": "https://example.org/"})
    assert plain["Location"] == "/inspections/"
    assert words in text(signed_in.get(plain["Location"]))


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"verdict": "perhaps"}, 400, "good or defective"),
        ({"verdict": "good", "defect_type": "burr"}, 400, "Only a defect has a defect type"),
        ({"inspection": []}, 400, "0 records were chosen"),
        ({"inspection": ["no-id"]}, 400, "must be the id of a record"),
        ({"inspection": ["00000000-0000-4000-8000-000000000000"]}, 404, "There is no record"),
    ],
)
def test_nothing_is_reviewed_where_one_thing_is_wrong(
    signed_in: Client, records: list[Inspection], change: dict[str, Any], status: int, words: str
) -> None:
    before = Review.objects.count()
    said = {"inspection": ids(records[:2]), "verdict": "defective", "comment": "kept"} | change
    if change.get("inspection"):
        said["inspection"] = [*ids(records[:2]), *change["inspection"]]
    response = signed_in.post("/inspections/?outcome=good", said)
    assert response.status_code == status
    assert "No review was saved" in text(response)
    assert words in text(response)
    assert 'value="kept"' in text(response)
    good = [str(record.pk) for record in records[:2] if record.outcome == "good"]
    assert len(re.findall(r"checked\s*>", text(response))) >= len(good) * bool(said["inspection"])
    part = signed_in.post("/inspections/?outcome=good", said, headers=HTMX)
    assert part.status_code == 200
    assert words in text(part)
    assert Review.objects.count() == before


# ---------------------------------------------------------------- who may what
def test_who_may_only_read_is_offered_only_that(auditor: User, operator: User, records: list[Inspection]) -> None:
    reads = client_of(auditor)
    answer = text(reads.get("/inspections/"))
    assert 'name="inspection"' not in answer
    assert "Export all records" in answer
    refused = reads.post("/inspections/", {"inspection": ids(records[:1]), "verdict": "good"})
    assert refused.status_code == 403
    answer = text(client_of(operator).get("/inspections/"))
    assert 'name="inspection"' in answer
    assert "Export all records" not in answer


@pytest.mark.parametrize("address", ["/inspections/", "/inspections/figures"])
def test_nobody_else_sees_anything(db: None, records: list[Inspection], address: str) -> None:
    assert Client().get(address).status_code == 302
    assert client_of(person("nora")).get(address).status_code == 403


# ---------------------------------------------------------------- saved views
def test_a_view_is_kept_found_and_forgotten(signed_in: Client, user: User, records: list[Inspection]) -> None:
    query = "period=7d&outcome=defective&view=sheet"
    response = signed_in.post("/inspections/views?view=sheet&outcome=defective&period=7d", {"name": " My  week "})
    assert response.status_code == 302
    assert response["Location"] == f"/inspections/?{query}"
    view = SavedView.objects.get()
    assert (view.owner, view.name, view.query) == (user, "My week", query)
    listed = signed_in.get(f"/inspections/?{query}")
    assert link(listed, "My week") == f"/inspections/?{query}"
    response = signed_in.post(f"/inspections/views/{view.pk}/delete?outcome=good")
    assert response["Location"] == "/inspections/?outcome=good"
    assert not SavedView.objects.exists()
    kinds = [event.kind for event in AuditEvent.objects.filter(kind__startswith="view.").order_by("sequence")]
    assert kinds == ["view.saved", "view.deleted"]
    assert json.loads(AuditEvent.objects.get(kind="view.saved").after)["query"] == query


@pytest.mark.parametrize(
    ("name", "query", "status", "words"),
    [
        ("", "outcome=good", 400, "1 to 60 characters"),
        ("x" * 61, "outcome=good", 400, "1 to 60 characters"),
        ("a\0b", "outcome=good", 400, "invalid character"),
        ("taken", "outcome=good", 409, "already"),
        ("new", "", 400, "nothing to save"),
        ("new", "since=never", 400, "since must be a day"),
    ],
)
def test_what_cannot_be_kept(signed_in: Client, user: User, name: str, query: str, status: int, words: str) -> None:
    SavedView.objects.create(owner=user, name="taken", query="outcome=good")
    response = signed_in.post(f"/inspections/views?{query}", {"name": name})
    assert response.status_code == status
    assert words in text(response)
    assert SavedView.objects.count() == 1


def test_a_person_has_so_many_views_and_sees_no_others(signed_in: Client, user: User, operator: User) -> None:
    SavedView.objects.bulk_create(
        SavedView(owner=user, name=str(number), query="outcome=good") for number in range(MAX_VIEWS)
    )
    assert signed_in.post("/inspections/views?outcome=good", {"name": "one more"}).status_code == 409
    foreign = SavedView.objects.first()
    assert foreign
    other = client_of(operator)
    assert f"views/{foreign.pk}/delete" not in text(other.get("/inspections/"))
    assert other.post(f"/inspections/views/{foreign.pk}/delete").status_code == 404
    assert SavedView.objects.count() == MAX_VIEWS
    assert other.post("/inspections/views?outcome=good", {"name": "1"}).status_code == 302


def test_rates_leave_out_what_is_not_comparable_and_say_of_what_they_are(
    version: ModelVersion, signed_in: Client
) -> None:
    seen = [Part(0.1), Part(0.2), Part(1e6), Part(None), Part(0.1, "good"), Part(0.2, "defective")]
    scores.stored(version, seen)
    tiles = signed_in.get("/inspections/figures", headers=HTMX).context["tiles"]
    shares = {tile["what"]: (tile["count"], tile.get("share")) for tile in tiles}
    assert shares == {
        "Records": (6, None),
        "Good, by the model": (4, "80.0 % of 5 judged"),
        "Defect, by the model": (1, "20.0 % of 5 judged"),
        "Not comparable": (1, "16.7 %"),
        "Reviewed": (2, "33.3 %"),
        "Overruled": (1, "50.0 % of 2 reviewed"),
    }


def test_counts_and_filters_by_the_model_say_so_and_the_review_column_names_the_person(
    version: ModelVersion, signed_in: Client
) -> None:
    overruled, confirmed = scores.stored(version, [Part(0.1, "defective"), Part(0.2, "good")])
    page = text(signed_in.get("/inspections/?outcome=good"))
    assert 'aria-label="Model\'s verdict"' in page
    assert "Model's verdict: Good" in page
    figures = text(signed_in.get("/inspections/figures", headers=HTMX))
    assert "Good, by the model" in figures
    assert "Defect, by the model" in figures
    for record, words in ((overruled, "overruled by rita"), (confirmed, "good rita")):
        row = page[page.index(f'id="r-{record.pk}"') :].partition("</tr>")[0]
        column = re.search(r'<td class="review-cell">(.*?)</td>', row, re.S)
        assert column
        assert words in " ".join(re.sub(r"<[^>]*>", " ", column[1]).split()).lower()


# ---------------------------------------------------------------- figures
def test_figures_are_those_of_the_records(records: list[Inspection]) -> None:
    filters, wrong = pages.read_filters(QueryDict(""))
    assert wrong == {}
    found = figures.figures_of(filters)
    assert (found.total, found.more) == (60, False)
    assert found.outcomes.total() == 60
    assert found.outcomes["good"] == sum(record.outcome == "good" for record in records)
    assert found.reviewed == sum(hasattr(record, "standing") for record in records)
    assert found.scores
    assert found.times
    assert sum(int(count) for row in found.times.rows for count in row[2:]) == 60
    scored = sum(record.score is not None for record in records)
    assert sum(int(count) for row in found.scores.rows for count in row[2:]) == scored
    [mark] = found.scores.marks
    assert mark.label == "threshold"
    assert found.scores.has_lanes  # as every distribution of scores
    assert found.rates
    assert sum(int(row[2].split()[0]) for row in found.rates.rows) == found.outcomes["defective"]
    judged = found.outcomes["defective"] + found.outcomes["good"]
    assert sum(int(row[2].split()[2]) for row in found.rates.rows) == judged


def test_marks_say_of_which_part_a_version_came_into_force(
    version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = timezone.now() - timedelta(hours=10)
    monkeypatch.setattr(scores, "BEGAN", begin)
    ring = another(version, category="ring")
    for judge in (version, ring):
        scores.stored(judge, [Part(1.0)] * 20)
    served = [serve(judge) for judge in (version, ring, version)]
    for hours, deployment in enumerate(served, start=1):
        deployment.refresh_from_db()
        at = begin + timedelta(hours=hours)
        ended = at + timedelta(seconds=5) if deployment.ended_at else None
        Deployment.objects.filter(pk=deployment.pk).update(activated_at=at, ended_at=ended)
    set_threshold(version=ring, value=9.0, method="manual", reason="more", actor=None)
    found = figures.figures_of(pages.read_filters(QueryDict(""))[0])
    assert found.rates
    assert [mark.label for mark in found.rates.marks] == [
        "disc v1 active",
        f"ring v{ring.number} active",
        "disc v1 active",
        f"ring v{ring.number} threshold rev. 2",
    ], "also that of five seconds"


def test_marks_of_one_place_are_one_that_names_all_of_it(
    signed_in: Client, version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = timezone.now() - timedelta(hours=10)
    monkeypatch.setattr(scores, "BEGAN", begin)
    second = another(version)
    for judge in (version, second):
        scores.stored(judge, [Part(1.0)] * 20)
    served = [serve(judge) for judge in (version, second, version)]
    for at, deployment in zip((3600, 7200, 7217), served, strict=True):  # the second one for 17 seconds
        Deployment.objects.filter(pk=deployment.pk).update(activated_at=begin + timedelta(seconds=at))
    for value in (9.0, 9.5):
        set_threshold(version=version, value=value, method="manual", reason="more", actor=None)
    found = figures.figures_of(pages.read_filters(QueryDict(""))[0])
    assert found.rates
    expected = ["disc v1 active", f"disc v{second.number}, v1 active", "disc v1 threshold rev. 2, 3"]
    assert [mark.label for mark in found.rates.marks] == expected
    assert expected[1] in text(signed_in.get("/inspections/figures"))


def test_scores_of_one_threshold_are_not_divided(records: list[Inspection]) -> None:
    record = next(record for record in records if record.score is not None)
    found = figures.figures_of(pages.read_filters(QueryDict(f"threshold={record.threshold_id}"))[0])
    assert found.scores
    assert found.scores.marks[0].label == f"threshold {score_text(record.threshold_value)}"


def test_no_more_are_counted_than_can_be_at_once(
    signed_in: Client, records: list[Inspection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MAX_COUNTED", 20)
    found = figures.figures_of(pages.read_filters(QueryDict(""))[0])
    assert (found.total, found.more) == (20, True)
    answer = re.sub(r"\s+", " ", text(signed_in.get("/inspections/figures")))
    assert "more than</small> 20" in answer
    assert "newest 20 records" in answer


def test_figures_of_a_single_moment_and_of_what_has_no_score(records: list[Inspection]) -> None:
    serial = records[0].serial_number
    found = figures.figures_of(pages.read_filters(QueryDict(f"serial={serial}"))[0])
    assert found.total == 1
    assert found.times
    nothing = figures.figures_of(pages.read_filters(QueryDict("lot=none"))[0])
    assert (nothing.total, nothing.scores, nothing.times) == (0, None, None)


# ---------------------------------------------------------------- what it costs
def test_a_page_costs_the_same_however_long_it_is(
    signed_in: Client, records: list[Inspection], django_assert_num_queries: Any
) -> None:
    # who it is and what they may (3); keys, records; suggestions, categories, versions, people; views, defect types;
    # signatures that reviews need (1)
    for query in ("?limit=2", "?limit=60", "?limit=60&view=sheet"):
        with django_assert_num_queries(3 + 2 + 4 + 2 + 1):
            assert signed_in.get(f"/inspections/{query}").status_code == 200
    # the figures: the records, the thresholds of their scores; deployments and thresholds of that time
    with django_assert_num_queries(3 + 4):
        assert signed_in.get("/inspections/figures").status_code == 200


def test_pictures_of_one_name_are_told_apart_by_their_path(signed_in: Client, records: list[Inspection]) -> None:
    record = records[0]
    InspectionRequest.objects.filter(pk=record.request_id).update(path="b/part1.jpeg")
    page = reverse("inspection", args=[record.pk])
    for address in (reverse("history"), reverse("history") + "?view=sheet", page):
        assert "b/part1.jpeg" in text(signed_in.get(address)), address
    assert signed_in.get(reverse("api-inspection", args=[record.pk])).json()["path"] == "b/part1.jpeg"
    exported = signed_in.get("/api/inspections/export?format=jsonl").getvalue().decode().splitlines()
    assert [json.loads(line)["path"] for line in exported if "part1.jpeg" in line] == ["b/part1.jpeg"]


def test_what_was_judged_with_a_warning_says_so_in_lists_and_exports(
    signed_in: Client, version: ModelVersion, user: User
) -> None:
    rules = InputRules(aspect="warn", likeness="off")
    set_input_checks(category=version.category, rules=rules, reason="line scan", actor=user)
    plain, warned = sent(version, parts.part(7)[0]), sent(version, parts.part(7)[0].resize((768, 96)))
    [finding] = Inspection.objects.get(pk=warned.pk).input_findings or []
    for address in (reverse("history"), reverse("history") + "?view=sheet", reverse("line")):
        page = text(signed_in.get(address))
        assert page.count('class="tag warned"') == 1, address
    assert finding["explanation"] in page
    lines = signed_in.get("/api/inspections/export?format=csv&dialect=plain").getvalue().decode().splitlines()
    said = {line["inspection_id"]: line["warnings"] for line in csv.DictReader(lines)}
    assert said == {str(plain.pk): "", str(warned.pk): f"{finding['code']}: {finding['explanation']}"}


# ---------------------------------------------------------------- said of a list
def test_an_order_by_score_says_what_it_leaves_out(signed_in: Client, records: list[Inspection]) -> None:
    by_time = re.sub(r"\s+", " ", text(signed_in.get("/inspections/?limit=60")))
    assert "Inspections, newest first" in by_time
    assert "are counted, but not listed" not in by_time
    response = signed_in.get("/inspections/?order=score_high&limit=60")
    by_score = re.sub(r"\s+", " ", text(response))
    assert "Inspections, highest score first" in by_score
    assert "newest first" not in by_score
    assert "are counted, but not listed" in by_score
    assert "End of list (parts with a score)" in by_score
    assert link(response, "Not comparable parts") == "/inspections/?outcome=not_comparable"
    assert len(shown(response)) == sum(record.score is not None for record in records)


@pytest.mark.parametrize("view", ["", "&view=sheet"])
def test_what_was_found_by_its_file_name_shows_it(signed_in: Client, records: list[Inspection], view: str) -> None:
    record = next(record for record in records if record.serial_number)
    assert f'<span class="sub">{record.path_or_name}</span>' not in text(signed_in.get("/inspections/?limit=60"))
    found = text(signed_in.get(f"/inspections/?search={record.filename}{view}"))
    assert f'<span class="sub">{record.path_or_name}</span>' in found


def test_an_export_that_is_clicked_on_a_page_came_by_the_page(signed_in: Client, records: list[Inspection]) -> None:
    def source(**headers: str) -> str:
        assert signed_in.get("/api/inspections/export?format=jsonl", headers=headers).status_code == 200
        return AuditEvent.objects.filter(kind="inspections.exported").latest("sequence").source

    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert source(accept=browser) == "web"
    assert source(accept="*/*") == source() == "api"


@pytest.mark.parametrize("path", ["/api/inspections/67358c99", "/inspections/67358c99/", "/inspections/SN-1/"])
def test_what_is_no_record_id_is_said_to_be_none(signed_in: Client, path: str) -> None:
    answer = signed_in.get(path)
    assert answer.status_code == 404
    said = answer.json()["detail"] if path.startswith("/api/") else text(answer)
    assert f"{path.strip('/').rpartition('/')[2]} is not a record id. An id has 32 hexadecimal digits" in said
    unknown = "/inspections/67358c99-9052-4e0b-92b8-98400b36614c/"
    assert "is not a record id" not in text(signed_in.get(unknown))
