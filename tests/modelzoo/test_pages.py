"""Models as pages: versions with their figures, one version, two of them, and what may be done with them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from common.errors import Conflict
from common.numbers import score_text
from inspection.models import Inspection
from modelzoo.models import Deployment, InputCheckSettings, ModelVersion
from modelzoo.services import archive_version, set_threshold
from tests import scores
from tests.scores import Part
from tests.versions import another, serve
from training.models import Dataset, Evaluation
from tuning.models import Rescored, RescoringRun
from tuning.rescoring.services import request_rescoring

pytestmark = pytest.mark.django_db
METRICS: dict[str, Any] = {
    "n": 40,
    "threshold": 5.0,
    "image": {
        "auroc": 0.9812,
        "aupr": 0.97,
        "f1": 0.925,
        "recall": 0.95,
        "precision": 0.9,
        "false_reject_rate": 0.0625,
        "intervals": {"auroc": [0.95, 0.999], "recall": [0.75, 0.99]},
    },
    "pixel": None,
    "per_defect": {"scratch": {"n": 20, "recall": 0.95, "recall_interval": [0.75, 0.99]}},
    "histogram": {"edges": [0.0, 5.0, 10.0], "good": [18, 2], "defective": [1, 19]},
    "shortcut_audit": {"warning": True, "worst": "brightness"},
}


@pytest.fixture
def measured(version: ModelVersion) -> ModelVersion:
    version.metrics = METRICS
    version.save(update_fields=["metrics"])
    return version


@pytest.fixture
def second(measured: ModelVersion) -> ModelVersion:
    return another(measured)


def page_of(version: ModelVersion) -> str:
    return reverse("model", args=[version.pk])


def beside(one: ModelVersion, other: ModelVersion) -> str:
    return f"/models/compare/?a={one.pk}&b={other.pk}"


def text(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response.status_code
    return re.sub(r"\s+", " ", response.content.decode())


# ---------------------------------------------------------------- the list
def test_an_empty_system_says_how_models_come_about(signed_in: Client) -> None:
    assert "No model yet" in text(signed_in.get("/models/"))


def test_the_list_tells_how_well_each_version_does(signed_in: Client, measured: ModelVersion, second: Any) -> None:
    serve(measured)
    page = text(signed_in.get("/models/"))
    assert "0.981" in page
    assert "0.950&ndash;0.999" in page.replace("\u2013", "&ndash;")
    assert "6.2 %" in page
    assert "not measured" in page
    assert "Production" in page
    only = text(signed_in.get("/models/", {"stage": "candidate", "category": "disc"}))
    assert page_of(second) in only
    assert page_of(measured) not in only
    assert "No version matches these filters" in text(signed_in.get("/models/", {"stage": "archived"}))


@pytest.mark.parametrize("query", [{"category": "nothing"}, {"stage": "x"}, {"cursor": "x"}, {"limit": "0"}])
def test_what_is_not_there_is_404(signed_in: Client, measured: ModelVersion, query: dict[str, str]) -> None:
    assert signed_in.get("/models/", query).status_code == 404


def test_the_list_asks_as_often_for_many_versions(signed_in: Client, measured: ModelVersion) -> None:
    with CaptureQueriesContext(connection) as few:
        signed_in.get("/models/")
    for _ in range(3):
        another(measured)
    with CaptureQueriesContext(connection) as many:
        signed_in.get("/models/")
    assert len(many) == len(few) <= 9


# ---------------------------------------------------------------- one version
def test_a_version_says_where_it_comes_from_and_how_well_it_does(
    signed_in: Client, measured: ModelVersion, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(15):
        page = text(signed_in.get(page_of(measured)))
    assert measured.artifact_sha256 in page
    assert measured.dataset_snapshot in page
    assert measured.backbone_sha256 in page
    assert "0.950\N{EN DASH}0.999" in page
    assert "19/20" in page
    assert "The model may have learned it instead" in page
    assert "Never in production: it has not judged an image" in page
    assert f"evaluated at {measured.metrics['threshold']:.2f}" in page
    assert reverse("threshold", args=[measured.pk]) in page
    assert f'href="/inspections/?model_version={measured.pk}">Records</a>' in page


def test_a_version_names_the_threshold_in_force_beside_that_of_its_figures(
    signed_in: Client, measured: ModelVersion
) -> None:
    set_threshold(version=measured, value=METRICS["threshold"], method="manual", reason="as measured", actor=None)
    page = text(signed_in.get(page_of(measured)))
    assert "measured at" not in page
    assert "active 5.00" not in page
    set_threshold(version=measured, value=7.5, method="manual", reason="fewer", actor=None)
    page = text(signed_in.get(page_of(measured)))
    shown = re.sub(r"<[^>]*>", "", page)
    assert "Active threshold: 7.50, revision 3." in shown
    assert "measured at 5.00, the threshold when evaluated" in shown
    assert shown.index("Active threshold: 7.50") < shown.index("AUROC, whole images"), "before the figures"
    assert "active 7.50" in page, "in the chart"
    assert "evaluated at 5.00" in page


def test_a_version_without_an_evaluation_says_so(signed_in: Client, version: ModelVersion) -> None:
    assert "Not evaluated" in text(signed_in.get(page_of(version)))


@pytest.mark.parametrize("number", [4711, 10**30])
def test_a_version_that_is_not_there_is_404(signed_in: Client, number: int) -> None:
    assert signed_in.get(f"/models/{number}/").status_code == 404
    for act in ("promote", "archive", "roll-back"):
        assert signed_in.post(f"/models/{number}/{act}", {"reason": "x"}).status_code == 404


def test_promoting_and_rolling_back(
    signed_in: Client, measured: ModelVersion, second: ModelVersion, worker: None
) -> None:
    page = text(signed_in.post(f"{page_of(measured)}promote", {"reason": "the first"}, follow=True))
    assert "is in production, on cpu" in page
    assert "No other version of disc was in production before" in page
    page = text(signed_in.post(f"{page_of(second)}promote", {"reason": "better"}, follow=True))
    assert "Roll back to v1" in page
    assert 'href="/?category=disc">Go to the line</a>' in page
    page = text(signed_in.post(f"{page_of(second)}roll-back", {"reason": "worse after all"}, follow=True))
    measured.refresh_from_db()
    assert measured.stage == "production"
    assert "worse after all" in page
    assert "No other version of" not in page, "v2 did"
    assert "The other versions of disc were rolled back" in page


def test_archiving(signed_in: Client, measured: ModelVersion) -> None:
    page = text(signed_in.post(f"{page_of(measured)}archive", {"reason": "too many rejects"}, follow=True))
    assert "was archived" in page
    assert "Promote to production" in page
    with pytest.raises(Conflict):
        archive_version(version=measured, reason="again", actor=None)


def test_refusals_are_sentences_and_keep_the_reason(
    signed_in: Client, measured: ModelVersion, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "needs a reason" in text(signed_in.post(f"{page_of(measured)}promote", {"reason": " "}), 400)
    assert "at most 500" in text(signed_in.post(f"{page_of(measured)}archive", {"reason": "x" * 501}), 400)
    assert "No model is loaded" in text(signed_in.post(f"{page_of(measured)}roll-back", {"reason": "why not"}), 409)
    settings.LOAD_TIMEOUT = 0.01
    page = text(signed_in.post(f"{page_of(measured)}promote", {"reason": "because of lot 5"}), 503)
    assert "was not loaded within" in page
    assert "because of lot 5" in page
    serve(measured)
    assert "already in production" in text(signed_in.post(f"{page_of(measured)}promote", {"reason": "again"}), 409)


@pytest.mark.parametrize("name", ["operator", "auditor"])
def test_who_may_not_deploy_sees_everything_but_no_form(
    request: pytest.FixtureRequest, measured: ModelVersion, second: ModelVersion, name: str
) -> None:
    client = Client()
    client.force_login(request.getfixturevalue(name))
    page = text(client.get(page_of(measured)))
    assert "0.981" in page
    assert "Reason" not in page
    assert "Start" not in text(client.get(beside(measured, second)))
    for act in ("promote", "archive", "roll-back"):
        assert client.post(f"{page_of(measured)}{act}", {"reason": "x"}).status_code == 403
    assert client.post(beside(measured, second), {"scorer": second.pk, "days": 7, "reason": "x"}).status_code == 403
    assert not Deployment.objects.exists()
    assert not RescoringRun.objects.exists()


# ---------------------------------------------------------------- two versions
@pytest.mark.parametrize("query", ["", "?a=1&b=1", "?a=x&b=2", f"?a={10**30}&b=1", "?version=1"])
def test_two_are_needed_to_compare(signed_in: Client, measured: ModelVersion, query: str) -> None:
    page = text(signed_in.get(f"/models/compare/{query}", follow=True))
    assert "Select two different versions" in page


def test_ticked_versions_are_put_into_the_address(signed_in: Client, measured: ModelVersion, second: Any) -> None:
    response = signed_in.get("/models/compare/", {"version": [measured.pk, second.pk]})
    assert response["Location"] == beside(measured, second)


def test_two_versions_side_by_side(signed_in: Client, measured: ModelVersion, second: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=second.pk).update(
        metrics=METRICS | {"image": METRICS["image"] | {"auroc": 0.9911}},
        dataset_snapshot="1" * 64,
    )
    data = Dataset.objects.create(name="disc", category=measured.category, snapshot="2" * 64, source="here")
    for version in (measured, second):
        Evaluation.objects.create(
            model_version=version, dataset=data, threshold=version.thresholds.get(revision=1), metrics=METRICS
        )
    page = text(signed_in.get(beside(measured, second)))
    assert "0.981" in page
    assert "0.991" in page
    assert "training seed" not in page
    assert page.count('<th scope="row">seed</th>') == 1
    assert "different test images" in page
    assert "Both on the test images of disc" in page
    assert "were re-scored yet" in page


def test_what_two_versions_were_made_with_counts_and_not_what_was_asked(
    signed_in: Client, measured: ModelVersion, second: ModelVersion
) -> None:
    for version, backbone, align in ((measured, "auto", "auto"), (second, "efficientnet_lite0", "pose")):
        version.backbone = "efficientnet_lite0"
        version.config = {"backbone": backbone, "align": align, "n_features": 100 + version.pk}
        version.preprocessing = {"align": {"chosen": "pose", "because": "they turn"}}
        version.save(update_fields=["backbone", "config", "preprocessing"])
    page = text(signed_in.get(beside(measured, second)))
    made = page[page.index("Settings that differ") :]
    assert "n features" in made
    assert '<th scope="row">backbone</th>' not in made
    assert '<th scope="row">align</th>' not in made


@pytest.fixture
def judged(measured: ModelVersion, second: ModelVersion) -> list[Inspection]:
    top = measured.thresholds.get(revision=1).value
    return scores.stored(measured, [Part(top / 2), Part(top * 2), Part(top * 3)])


def test_the_same_images_are_scored_again(
    signed_in: Client, user: User, measured: ModelVersion, second: ModelVersion, judged: list[Inspection]
) -> None:
    given = {"scorer": second.pk, "days": 3650, "reason": "is it better?"}
    page = text(signed_in.post(beside(measured, second), given, follow=True))
    run = RescoringRun.objects.get()
    assert (run.model_version, run.total, run.requested_by) == (second, 3, user)
    assert run.filters["model_version"] == measured.pk
    assert "re-scored 0 of 3: is it better?" in page
    assert "<progress" in page
    assert 'hx-trigger="every 2s" hx-select="#rescored"' in page, "it moves without a reload"
    RescoringRun.objects.update(status="finished", finished_at=timezone.now())
    assert "every 2s" not in text(signed_in.get(beside(measured, second)))


def test_what_is_offered_first_is_possible(signed_in: Client, measured: ModelVersion, second: ModelVersion) -> None:
    nothing = text(signed_in.get(beside(measured, second)))
    assert "neither version has judged an image yet" in nothing
    assert 'name="scorer"' not in nothing
    top = second.thresholds.get(revision=1).value
    scores.stored(second, [Part(top / 2)])
    for address in (beside(measured, second), beside(second, measured)):
        page = text(signed_in.get(address))
        [checked] = re.findall(r'<input type="radio"[^>]*checked[^>]*>', page)
        assert f'value="{measured.pk}"' in checked, "the one that has records to score"
        assert "disabled" not in checked
        assert len(re.findall(r'<input type="radio"[^>]*disabled[^>]*>', page)) == 1
        [days] = re.findall(r'name="days"[^>]*value="(\d+)"', page)
        given = {"scorer": str(measured.pk), "days": days, "reason": "look"}
        assert "Re-scoring of" in text(signed_in.post(address, given, follow=True))


def test_what_both_say_about_the_same_images(
    signed_in: Client, measured: ModelVersion, second: ModelVersion, judged: list[Inspection]
) -> None:
    from inspection.history.filters import Filters

    run = request_rescoring(version=second, filters=Filters(model_version=measured.pk), reason="look", actor=None)
    value = run.threshold.value
    for record, score in zip(judged, (value / 2, value * 2, value / 2), strict=True):
        outcome = "defective" if score > value else "good"
        Rescored.objects.create(run=run, inspection=record, outcome=outcome, score=score)
    RescoringRun.objects.filter(pk=run.pk).update(done=3, changed=1)
    with CaptureQueriesContext(connection) as queries:
        page = text(signed_in.get(beside(measured, second)))
    assert len(queries) <= 14
    assert "v2 disagrees with v1 on 1 of 3 images" in page
    assert reverse("inspection", args=[judged[2].pk]) in page
    assert reverse("inspection", args=[judged[1].pk]) not in page
    swapped = text(signed_in.get(beside(second, measured)))
    assert "v2 disagrees with v1 on 1 of 3 images" in swapped


def test_what_both_say_names_the_thresholds_that_they_said_it_at(
    signed_in: Client, measured: ModelVersion, second: ModelVersion, judged: list[Inspection]
) -> None:
    from inspection.history.filters import Filters

    run = request_rescoring(version=second, filters=Filters(model_version=measured.pk), reason="look", actor=None)
    value = run.threshold.value
    for record, score in zip(judged, (value / 2, value * 2, value / 2), strict=True):
        outcome = "defective" if score > value else "good"
        Rescored.objects.create(run=run, inspection=record, outcome=outcome, score=score)
    RescoringRun.objects.filter(pk=run.pk).update(done=3, changed=1)
    recorded, rescored = score_text(judged[0].threshold_value), score_text(value)
    page = text(signed_in.get(beside(measured, second)))
    assert f"v1 as recorded, at the thresholds of that time ({recorded}); v2 at {rescored}." in page
    assert f"Verdicts of v1 as recorded, at {recorded} (rows) and of v2 at {rescored} (columns)" in page
    assert "The active thresholds are different" not in page
    top = judged[0].threshold_value
    set_threshold(version=measured, value=top * 2.5, method="manual", reason="fewer", actor=None)
    page = text(signed_in.get(beside(measured, second)))
    assert f"({recorded}); v2 at {rescored}." in page, "what was recorded stays"
    now = f"The active thresholds are different: {score_text(top * 2.5)} for v1, {rescored} for v2."
    assert f"{now} With these, they disagree on 2 of 3 images." in page


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"reason": ""}, "needs a reason"),
        ({"days": "0"}, "1 to 3650 days"),
        ({"scorer": "0"}, "Choose one of the two"),
        ({"scorer": "x"}, "Choose one of the two"),
        ({"reason": "a\0b"}, "A reason has at most"),
    ],
)
def test_a_rescoring_that_cannot_be_is_said(
    signed_in: Client, measured: ModelVersion, second: ModelVersion, given: dict[str, str], said: str
) -> None:
    form = {"scorer": str(second.pk), "days": "7", "reason": "look"} | given
    assert said in text(signed_in.post(beside(measured, second), form), 400)
    assert not RescoringRun.objects.exists()


def test_nothing_judged_is_nothing_to_score(signed_in: Client, measured: ModelVersion, second: ModelVersion) -> None:
    form = {"scorer": second.pk, "days": 7, "reason": "look"}
    assert "nothing to re-score" in text(signed_in.post(beside(measured, second), form), 400)


# ---------------------------------------------------------------- what is checked of pictures
def test_what_is_checked_of_pictures_is_set_on_a_page(signed_in: Client, version: ModelVersion, operator: User) -> None:
    path = reverse("input-checks", args=["disc"])
    assert path in text(signed_in.get(page_of(version)))
    assert f'href="{path}"' in text(signed_in.get("/models/"))
    assert "with a warning the image is judged anyway" in text(signed_in.get(path))
    assert "These are the defaults" in text(signed_in.get(path))
    given = {"size": "off", "aspect": "warn", "colour": "refuse", "likeness": "refuse", "reason": "two cameras"}
    given |= {"size_factor": "4", "aspect_percent": "7.5", "likeness_factor": "1"}
    assert "two cameras" in text(signed_in.post(path, given, follow=True))
    found = InputCheckSettings.objects.get()
    assert (found.size, found.aspect, found.aspect_percent) == ("off", "warn", 7.5)
    for wrong in ({"aspect_percent": "much"}, {"size": "x"}, {"reason": ""}, {"size_factor": "-1"}):
        page = text(signed_in.post(path, given | wrong), 400)
        assert "Nothing was changed" in page
    assert signed_in.get(reverse("input-checks", args=["nothing"])).status_code == 404
    other = Client()
    other.force_login(operator)
    assert "Save" not in text(other.get(path))
    assert other.post(path, given).status_code == 403
    assert InputCheckSettings.objects.count() == 1
