"""Thresholds as pages: what a value would have done is shown, and applied with a reason, by those who may."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from inspection.history.filters import Filters
from modelzoo.models import ModelVersion, Threshold
from modelzoo.selectors import threshold_in_force
from modelzoo.services import ensure_category, set_threshold
from records.models import AuditEvent
from tests import scores
from tests.scores import Part
from tests.versions import serve
from tuning.what_if import pages
from tuning.what_if.pages import PreviewQuery
from tuning.what_if.selectors import what_if

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
PARTS = [
    *(Part(1.0 + index / 10, "good" if index % 3 else None) for index in range(30)),
    Part(4.5, "defective", "scratch"),
    Part(5.5, "good"),
    Part(6.0, "defective", "scratch"),
    Part(7.0, "defective", "dent"),
    Part(8.0),
    Part(None),
]


@pytest.fixture
def judged(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> ModelVersion:
    """Thirty-six records of the last days at the threshold 5, revision 2."""
    monkeypatch.setattr(scores, "BEGAN", timezone.now() - timedelta(days=2))
    set_threshold(version=version, value=5.0, method="manual", reason="five", actor=None)
    scores.stored(version, PARTS)
    return version


def address(version: ModelVersion) -> str:
    return reverse("threshold", args=[version.pk])


def text(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response.status_code
    return re.sub(r"\s+", " ", response.content.decode())


def decide(client: Client, version: ModelVersion, **given: Any) -> Any:
    return client.post(address(version), {"instead_of": 2, "reason": "lot 4711 escaped", **given})


# ---------------------------------------------------------------- the list
def test_an_empty_system_says_where_thresholds_come_from(signed_in: Client) -> None:
    assert "The first model version that is trained" in text(signed_in.get("/thresholds/"))


def test_the_list_tells_of_each_category_what_is_in_force(signed_in: Client, judged: ModelVersion) -> None:
    ensure_category(name="bare")
    page = text(signed_in.get("/thresholds/"))
    assert "not in production" in page
    assert "No model version yet" in page
    serve(judged)
    page = text(signed_in.get("/thresholds/"))
    assert "not in production" not in page
    assert f'href="{address(judged)}"' in page
    assert "5.00" in page
    assert "five" in page


def test_the_list_asks_as_often_for_many_categories(signed_in: Client, judged: ModelVersion) -> None:
    with CaptureQueriesContext(
        connection,
    ) as few:
        signed_in.get("/thresholds/")
    for name in ("a", "b", "c"):
        ensure_category(name=name)
    serve(judged)
    with CaptureQueriesContext(connection) as many:
        signed_in.get("/thresholds/")
    assert len(many) <= len(few) + 1
    assert len(many) <= 10


# ---------------------------------------------------------------- looking
def test_a_value_is_shown_beside_the_one_in_force(signed_in: Client, judged: ModelVersion) -> None:
    page = text(signed_in.get(address(judged), {"threshold": "5.8"}))
    assert "At 5.80 instead of 5.00" in page
    assert "1 part</a> that revision 2 judges as a defect would be good" in page
    assert "36 inspections of the last 30 days" in page
    assert "Reviews are not a random sample" in page
    assert "1 part was not comparable" in page
    assert "was DEFECT" in page
    assert "scratch" in page
    assert "Apply 5.80 as revision 3" in page
    linked = re.search(r'href="(/inspections/[^"]*score_min[^"]*)"', page)
    assert linked
    assert text(signed_in.get(linked[1].replace("&amp;", "&"))).count("5.50") >= 1


def test_no_threshold_is_written_with_digits_that_mean_nothing(signed_in: Client, judged: ModelVersion) -> None:
    set_threshold(version=judged, value=16.764999389648438, method="manual", reason="finer", actor=None)
    page = text(signed_in.get(address(judged)))
    shown = re.sub(r'href="[^"]*"|name="value" value="[^"]*"', "", page)
    assert "16.764999" not in shown
    assert 'value="16.76"' in shown
    # What the page shows is what is in force, though nobody typed all its digits.
    same = text(signed_in.get(address(judged), {"threshold": "16.76"}))
    assert "At 16.76, active" in same
    assert "preview 16.76" not in same
    other = text(signed_in.get(address(judged), {"threshold": "15"}))
    assert "preview 15.00</text>" in other
    assert "active 16.76</text>" in other


def tiles_of(version: ModelVersion, threshold: float) -> dict[str, str]:
    tiles = pages.preview(version, PreviewQuery(threshold), whole=False)["tiles"]
    return {tile["words"]: tile["now"] for tile in tiles}


def test_headline_figures_of_too_few_reviews_say_what_they_need(signed_in: Client, judged: ModelVersion) -> None:
    shown = tiles_of(judged, 5.8)
    assert shown["Escape rate"] == "needs at least 10 parts reviewed as DEFECT (3 now)"
    assert shown["F1"] == shown["Escape rate"]
    assert shown["Escapes a day"] == "not known"
    needs = "needs at least 4 reviews of parts with the model verdict DEFECT (3 now)"
    assert shown["False-reject rate"] == needs
    assert shown["False rejects a day"] == "not known"
    assert float(shown["Rejects a day"]) > 0, "that is counted, not estimated"
    assert "parts reviewed as DEFECT (3 now)" in text(signed_in.get(address(judged)))
    scores.stored(judged, [Part(6.0 + index, "defective") for index in range(10)])
    shown = tiles_of(judged, 5.8)
    assert shown["Escape rate"].endswith(" %")
    assert shown["False-reject rate"] == "0.0 %"
    assert "not known" not in shown.values()


def test_what_a_threshold_would_reject_is_not_taken_for_what_was_rejected(
    signed_in: Client, judged: ModelVersion
) -> None:
    set_threshold(version=judged, value=4.4, method="manual", reason="lower", actor=None)
    page = text(signed_in.get(address(judged)))
    assert "At 4.40, active" in page
    assert "All these parts judged at 4.40, whatever their threshold was." in page
    [tile] = [
        row for row in pages.preview(judged, PreviewQuery(), whole=False)["tiles"] if row["words"] == "Rejects a day"
    ]
    a_day = pages.preview(judged, PreviewQuery(), whole=False)["found"]["period"]["days"]
    assert tile["now"] == f"{5 / a_day:.1f}".removesuffix(".0")
    assert tile["beside"] == f"{4 / a_day:.1f}".removesuffix(".0") + " as recorded"
    assert tile["beside"] in page


def test_one_reviewed_good_verdict_tells_no_escape_rate(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would stand for all parts that were called good."""
    monkeypatch.setattr(scores, "BEGAN", timezone.now() - timedelta(days=2))
    set_threshold(version=version, value=5.0, method="manual", reason="five", actor=None)
    good = [Part(1.0, "defective"), *(Part(1.0 + index / 20) for index in range(1, 20))]
    scores.stored(version, [*good, *(Part(6.0 + index, "defective") for index in range(12))])
    shown = tiles_of(version, 5.0)
    assert shown["Escape rate"] == "needs at least 10 reviews of parts with the model verdict GOOD (1 now)"
    assert shown["False-reject rate"] == "needs at least 10 parts reviewed as GOOD (0 now)"
    assert shown["False rejects a day"] == "not known", "not zero"


def test_htmx_gets_the_figures_and_what_would_be_applied(signed_in: Client, judged: ModelVersion) -> None:
    response = signed_in.get(address(judged), {"threshold": "5.8"}, headers=HTMX)
    page = text(response)
    assert "<h1>" not in page
    assert page.strip().startswith('<div id="figures"')
    assert 'id="applied" hx-swap-oob="true"' in page
    assert "HX-Request" in response["Vary"]
    wrong = text(signed_in.get(address(judged), {"threshold": "much"}, headers=HTMX))
    assert "not a valid score" in wrong


def test_without_inspections_the_held_out_images_are_shown(signed_in: Client, version: ModelVersion) -> None:
    page = text(signed_in.get(address(version)))
    assert "This version has not judged an image" in page
    assert "good images held out of training" in page


def test_suggestions_lead_to_their_figures(signed_in: Client, judged: ModelVersion) -> None:
    page = text(signed_in.get(address(judged), {"cost_false_reject": "1", "cost_escape": "50"}))
    assert "tuned on reviewed parts" in page
    assert "Lowest cost" in page
    assert "Cost a day" in page
    method = re.search(r'href="([^"]*method=best_f1[^"]*)"', page)
    assert method
    assert "cost_escape=50" in method[1]
    assert 'aria-current="true"' in text(signed_in.get(method[1].replace("&amp;", "&")))


@pytest.mark.parametrize(
    "given",
    [
        {"threshold": "nan"},
        {"threshold": "1e999"},
        {"threshold": "x\0y"},
        {"days": "0"},
        {"days": "9" * 30},
        {"percentile": "200"},
        {"cost_escape": "3"},
    ],
)
def test_what_cannot_be_read_is_said(signed_in: Client, judged: ModelVersion, given: dict[str, str]) -> None:
    page = text(signed_in.get(address(judged), given), 400)
    assert 'id="wrong"' in page
    assert "active" in page


def test_empty_fields_leave_the_address(signed_in: Client, judged: ModelVersion) -> None:
    response = signed_in.get(address(judged), {"threshold": "4", "cost_escape": "", "percentile": ""})
    assert response.status_code == 302
    assert response["Location"] == f"{address(judged)}?threshold=4"


def test_a_version_that_is_not_there_is_404(signed_in: Client, judged: ModelVersion) -> None:
    for number in (judged.pk + 1, 10**30):
        assert signed_in.get(f"/thresholds/{number}/").status_code == 404


def test_queries_do_not_grow_and_the_slider_asks_less(
    signed_in: Client, judged: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CaptureQueriesContext(connection) as page:
        signed_in.get(address(judged), {"threshold": "5.8"})
    with CaptureQueriesContext(connection) as slider:
        signed_in.get(address(judged), {"threshold": "5.8"}, headers=HTMX)
    scores.stored(judged, PARTS * 3)
    with CaptureQueriesContext(connection) as later:
        signed_in.get(address(judged), {"threshold": "5.8"})
    assert len(later) == len(page) <= 23
    assert len(slider) <= 16


def test_only_the_newest_inspections_are_looked_at(judged: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_INSPECTIONS", 5)
    shown = pages.preview(judged, PreviewQuery(), whole=True)
    assert shown["found"]["total"] == 5
    assert shown["volume"].startswith("The newest 5 inspections")


# ---------------------------------------------------------------- deciding
def test_a_value_is_applied_with_its_reason_and_its_figures(
    signed_in: Client, user: User, judged: ModelVersion
) -> None:
    response = signed_in.post(
        address(judged) + "?days=7",
        {"instead_of": 2, "value": "5.8", "reason": " lot 4711 escaped ", "method": "cost"},
        follow=True,
    )
    assert "Revision 3 is active: 5.8" in text(response)
    made = threshold_in_force(judged.pk)
    assert (made.revision, made.value, made.reason, made.author) == (3, 5.8, "lot 4711 escaped", user)
    assert made.method == "manual"
    assert made.evidence["inspections"] == 36
    assert made.evidence["fewer_defective"] == 1
    assert made.evidence["confusion_of_reviewed"]["fp"] == 0
    assert AuditEvent.objects.filter(kind="threshold.set").count() == 3
    assert "fewer defective" in text(signed_in.get(address(judged)))


def test_a_suggestion_from_few_reviews_says_so(signed_in: Client, judged: ModelVersion) -> None:
    found = what_if(Filters(), presets=True)["asked"]["reviewed"]["confusion"]
    defective = found["tp"] + found["fn"]
    assert defective < pages.MIN_REVIEWED
    presets = {row["method"]: row for row in pages.preview(judged, PreviewQuery(), whole=True)["presets"]}
    lack = f"needs at least {pages.MIN_REVIEWED} parts reviewed as DEFECT ({defective} now)"
    assert presets["best_f1"]["caution"] == f"not reliable: it {lack}"
    assert presets["percentile"]["caution"] == ""
    assert text(signed_in.get(address(judged))).count(f"not reliable: it {lack}") == 1


def test_a_suggestion_keeps_its_method_as_long_as_it_is_its_value(signed_in: Client, judged: ModelVersion) -> None:
    presets = pages.preview(judged, PreviewQuery(), whole=True)["presets"]
    best = next(row for row in presets if row["method"] == "best_f1")
    assert decide(signed_in, judged, value=best["exact"], method="best_f1").status_code == 302
    made = threshold_in_force(judged.pk)
    assert (made.method, made.value, made.parameters["n"]) == ("best_f1", best["value"], 24)


def test_undo_is_a_new_revision_with_the_value_before(signed_in: Client, judged: ModelVersion) -> None:
    first = judged.thresholds.get(revision=1)
    page = text(signed_in.get(address(judged)))
    assert "Undo revision 2" in page
    assert decide(signed_in, judged, undo="yes").status_code == 302
    made = threshold_in_force(judged.pk)
    assert (made.revision, made.value, made.method) == (3, first.value, first.method)
    assert made.evidence == {"undoes_revision": 2, "repeats_revision": 1}


@pytest.mark.parametrize("parameters", [{}, {"false_reject_rate": None}, {"false_reject_rate": [1]}])
@pytest.mark.parametrize("method", ["percentile", "conformal"])
def test_a_revision_with_odd_parameters_is_shown_by_its_method_alone(
    signed_in: Client, judged: ModelVersion, method: str, parameters: dict[str, Any]
) -> None:
    given = parameters | ({"percentile": None} if parameters and method == "percentile" else {})
    made = set_threshold(version=judged, value=6.0, method=method, parameters=given, reason="odd", actor=None)
    assert pages.method_text(made) == made.get_method_display()
    assert "odd" in text(signed_in.get(address(judged)))


def test_the_first_revision_has_nothing_before_it(signed_in: Client, version: ModelVersion) -> None:
    assert "Undo revision" not in text(signed_in.get(address(version)))
    page = text(decide(signed_in, version, undo="yes", instead_of=1), 409)
    assert "none to return to" in page


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({"value": "6", "reason": "  "}, 400, "needs a reason"),
        ({"value": "6", "reason": "x" * 501}, 400, "The threshold was not changed"),
        ({"value": "6", "reason": "a\0b"}, 400, "The threshold was not changed"),
        ({"value": "inf"}, 400, "The threshold was not changed"),
        ({}, 400, "Enter the value to apply"),
        ({"value": "6", "instead_of": "1" * 30}, 400, "The threshold was not changed"),
        ({"value": "6", "instead_of": "1"}, 409, "Revision 2 (5) was set since"),
    ],
)
def test_refusals_are_sentences_and_keep_what_was_typed(
    signed_in: Client, judged: ModelVersion, given: dict[str, str], status: int, said: str
) -> None:
    page = text(decide(signed_in, judged, **given), status)
    assert "Not applied" in page
    assert said in page
    assert given.get("reason", "lot 4711 escaped").strip()[:400].replace("\0", "") in page.replace("\0", "")
    assert judged.thresholds.count() == 2


@pytest.mark.parametrize("name", ["operator", "auditor"])
def test_who_may_not_tune_sees_everything_but_no_form(
    request: pytest.FixtureRequest, judged: ModelVersion, name: str
) -> None:
    client = Client()
    client.force_login(request.getfixturevalue(name))
    page = text(client.get(address(judged), {"threshold": "5.8"}))
    assert "At 5.80 instead of 5.00" in page
    assert 'for="reason"' not in page
    assert "Undo revision" not in page
    assert "applied" not in text(client.get(address(judged), {"threshold": "5.8"}, headers=HTMX))
    assert decide(client, judged, value="6").status_code == 403
    assert Threshold.objects.count() == 2


def test_strangers_sign_in_first(judged: ModelVersion) -> None:
    for path in ("/thresholds/", address(judged)):
        assert Client().get(path)["Location"].startswith("/login/")
