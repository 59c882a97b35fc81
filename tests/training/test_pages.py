"""Pages of data sets and training: what is shown to whom, what is said of mistakes, and what it costs."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from inspection.benchmarks.synthetic import generate
from inspection.models import Inspection
from inspection.reviews.services import record_reviews
from modelzoo.detectors.registry import ALGORITHMS, TRAINABLE
from modelzoo.models import ModelVersion
from modelzoo.selectors import threshold_in_force
from tests import parts
from tests.versions import another
from training.datasets.imports import import_path
from training.models import Dataset, TrainingRun
from training.runs import services
from training.runs.estimates import remaining_time
from training.runs.forms import BASIC, RunForm
from training.runs.options import complete_options, threshold_rule

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: Any) -> str:
    return unescape(response.content.decode())


def words(response: Any) -> str:
    """What stands on the page, without tags and line ends."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text(response)))


@pytest.fixture
def dataset(db: None, tmp_path: Path) -> Dataset:
    root = parts.write_dataset(tmp_path / "disc", train=6, good=2, bad=2)
    (root / "train" / "good" / "notes.txt").write_text("no image")
    return import_path(root, actor=None)[0].dataset


def request_run(dataset: Dataset, user: User | None = None, algorithm: str = "padim") -> TrainingRun:
    return services.request_run(
        dataset=dataset,
        algorithm=algorithm,
        options=complete_options(algorithm=algorithm, values={}, seed=3),
        calibration=threshold_rule(false_reject_rate=0.02),
        seed=3,
        actor=user,
    )


def posted(**changed: Any) -> dict[str, Any]:
    """The form as a browser sends it when nothing was touched."""
    form = RunForm(None, [], None, None)
    sent: dict[str, Any] = {"algorithm": "padim"}
    for each in (form, *form.options.values()):
        for field in each:
            value = field.value()
            if value is True:
                sent[field.html_name] = "on"
            elif value is not False and value is not None:
                sent.setdefault(field.html_name, value)
    return sent | changed


# ---------------------------------------------------------------- data sets
def test_a_data_set_shows_its_make_up_its_warnings_and_its_images(signed_in: Client, dataset: Dataset) -> None:
    response = signed_in.get(f"/datasets/{dataset.pk}/")
    assert "notes.txt" in text(response)
    assert "Training images 6 good" in words(response)
    assert text(response).count("/thumbnail") == 10
    assert text(response).count("/outline") == 2
    scratched = signed_in.get(f"/datasets/{dataset.pk}/?kind=scratch&masks=beside")
    assert text(scratched).count("/thumbnail") == 2
    assert "/outline" not in text(scratched)
    assert text(scratched).count("/mask") == 4
    pages = signed_in.get(f"/datasets/{dataset.pk}/?split=train&limit=4")
    assert text(pages).count("/thumbnail") == 4
    following = re.search(r'href="(\?[^"]*cursor[^"]*)"', text(pages))
    assert following
    assert text(signed_in.get(f"/datasets/{dataset.pk}/{following[1]}")).count("/thumbnail") == 2
    assert "No image matches these filters" in text(signed_in.get(f"/datasets/{dataset.pk}/?kind=dent%00"))
    assert signed_in.get(f"/datasets/{dataset.pk}/?cursor=nonsense").status_code == 400
    assert signed_in.get("/datasets/99999999999999999999/").status_code == 404


def test_thumbnails_and_outlines_are_pictures_that_never_change(signed_in: Client, dataset: Dataset) -> None:
    image = dataset.images.filter(mask__isnull=False)[0]
    small = signed_in.get(f"/datasets/images/{image.pk}/thumbnail")
    assert small["Content-Type"] == "image/jpeg"
    assert "immutable" in small["Cache-Control"]
    line = signed_in.get(f"/datasets/images/{image.pk}/outline")
    assert line.content.startswith(b"\x89PNG")
    assert signed_in.get(line.request["PATH_INFO"], headers={"If-None-Match": line["ETag"]}).status_code == 304
    good = dataset.images.filter(mask__isnull=True)[0]
    assert signed_in.get(f"/datasets/images/{good.pk}/outline").status_code == 404


def test_reviewed_inspections_become_a_data_set(signed_in: Client, user: User) -> None:
    generate(count=30, seed=5, tell=lambda _: None)
    records = list(Inspection.objects.filter(standing__isnull=True, outcome="good")[:4])
    record_reviews(inspections=records, verdict="good", actor=user)
    category = records[0].category.name
    form = signed_in.get("/datasets/from-reviews/")
    assert "Test images, %" in text(form)
    assert "Inspected until" in text(form), "the day itself is included"
    asked = {"name": "taught", "category": category, "test_share": "20", "include_confirmed_good": "on"}
    wrong = signed_in.post("/datasets/from-reviews/", asked | {"test_share": "120", "since": "soon"})
    assert wrong.status_code == 422
    assert text(wrong).count('class="error"') == 2
    nothing = signed_in.post("/datasets/from-reviews/", asked | {"until": "2001-01-01"})
    assert nothing.status_code == 409
    assert "No data set was created" in text(nothing)
    counted = signed_in.post("/datasets/from-reviews/", asked | {"name": "", "act": "count"}, headers=HTMX)
    assert re.search(r"\d+ images? : \d+ for training, \d+ good and \d+ with defects for testing", words(counted))
    assert "Nothing is saved yet" in words(counted)
    day = f"{timezone.localtime(records[0].created_at):%Y-%m-%d}"
    of_day = asked | {"name": "", "act": "count", "since": day, "until": day}
    assert re.search(r"[1-9]\d* images? :", words(signed_in.post("/datasets/from-reviews/", of_day, headers=HTMX)))
    assert not Dataset.objects.exists()
    assert "Enter a whole number" not in words(counted)
    odd = signed_in.post("/datasets/from-reviews/", asked | {"test_share": "x", "act": "count"}, headers=HTMX)
    assert "Enter a number" in words(odd)
    made = signed_in.post("/datasets/from-reviews/", asked)
    total = int(re.search(r"(\d+) images? :", words(counted))[1])  # type: ignore[index]
    assert Dataset.objects.get(name="taught").images.count() == total, "as it was counted"
    assert made["Location"] == f"/datasets/{Dataset.objects.get(name='taught').pk}/"


# ---------------------------------------------------------------- how long it takes
def test_the_time_left_goes_by_earlier_runs_first_and_then_by_its_own_pace(
    dataset: Dataset, version: ModelVersion
) -> None:
    def finished(seconds: float) -> None:
        run = request_run(dataset)
        begin = timezone.now() - timedelta(days=1)
        TrainingRun.objects.filter(pk=run.pk).update(
            status="succeeded",
            model_version=another(version),
            started_at=begin,
            finished_at=begin + timedelta(seconds=seconds),
        )

    run = request_run(dataset)
    assert remaining_time(run) is None, "nothing is known yet"
    for seconds in (100, 120, 4000):
        finished(seconds)
    assert seconds_left(run) == 120, "the median of earlier runs"
    run.options = run.options | {"image_size": 2 * run.options["image_size"]}
    assert seconds_left(run) == 480, "four times the pixels"
    run = TrainingRun.objects.get(pk=run.pk)
    run.status, run.started_at, run.progress = "running", timezone.now() - timedelta(seconds=20), 0.01
    assert seconds_left(run) == 100, "its own pace is noise yet"
    run.started_at, run.progress = timezone.now() - timedelta(seconds=100), 0.5
    assert seconds_left(run) == 60, "half by its own pace (100 s), half by earlier runs (20 s)"
    run.progress, run.started_at = 0.01, timezone.now() - timedelta(seconds=999)
    assert remaining_time(run) is None, "slower than all before: not known"
    assert remaining_time(request_run(dataset, algorithm="patchcore")) is None, "of another algorithm nothing is known"


def seconds_left(run: TrainingRun) -> int:
    left = remaining_time(run)
    assert left is not None
    return round(left.total_seconds())


# ---------------------------------------------------------------- the form
def test_basic_options_are_options() -> None:
    known = {name for algorithm in TRAINABLE.values() for name in algorithm.config.names()}
    assert known >= BASIC


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_untouched_the_form_starts_a_run_with_the_usual_options(
    signed_in: Client, dataset: Dataset, algorithm: str
) -> None:
    response = signed_in.post("/training/new/", posted(dataset=dataset.pk, algorithm=algorithm))
    run = TrainingRun.objects.get()
    assert response["Location"] == f"/training/{run.pk}/"
    usual = complete_options(algorithm=algorithm, values={}, seed=0)
    assert {name: run.options[name] for name in usual} == usual
    assert run.calibration == threshold_rule()
    assert run.seed == 0


def test_what_is_wrong_stands_at_its_field(signed_in: Client, dataset: Dataset) -> None:
    def answer(**changed: Any) -> str:
        response = signed_in.post("/training/new/", posted(dataset=dataset.pk) | changed)
        assert 400 <= response.status_code < 500
        return text(response)

    def at(field: str, answer: str) -> str:
        found = re.search(rf'id="id_{field}_error">([^<]*)', answer)
        assert found, field
        return found[1]

    assert "less than or equal to 1792" in at("padim-n_features", answer(**{"padim-n_features": "99999"}))
    assert "Write one number, or 2 whole numbers" in at("padim-image_size", answer(**{"padim-image_size": "a lot"}))
    odd = {"algorithm": "patchcore", "patchcore-neighbourhood": "4"}
    assert "It must be odd" in at("patchcore-neighbourhood", answer(**odd))
    assert "spaces between, or native." in at("padim-image_size", answer(**{"padim-image_size": "own"}))
    assert "The most is 8192" in at("padim-image_size", answer(**{"padim-image_size": "9000 256"}))
    assert "More than 4.2 million pixels" in at("padim-image_size", answer(**{"padim-image_size": "4000 4000"}))
    assert "must be less than" in at("padim-tile_overlap", answer(**{"padim-tile": "64"}))
    assert at("percentile", answer(percentile=""))
    assert at("seed", answer(seed="nan"))
    assert at("dataset", answer(dataset="9999"))
    assert not TrainingRun.objects.exists()


def test_the_rule_that_was_not_chosen_cannot_be_wrong(signed_in: Client, dataset: Dataset) -> None:
    sent = posted(dataset=dataset.pk, method="conformal", percentile="no", false_reject_rate="2")
    assert signed_in.post("/training/new/", sent).status_code == 302
    assert TrainingRun.objects.get().calibration == threshold_rule(false_reject_rate=0.02)


def test_once_more_with_the_same_settings(signed_in: Client, dataset: Dataset) -> None:
    run = request_run(dataset)
    run.options["n_features"] = 42
    run.save()
    answer = re.sub(r"\s+", " ", text(signed_in.get(f"/training/new/?like={run.pk}")))
    assert 'name="padim-n_features" value="42"' in answer
    assert 'name="seed" value="3"' in answer
    assert signed_in.get("/training/new/?like=999").status_code == 404
    chosen = re.sub(r"\s+", " ", text(signed_in.get(f"/training/new/?dataset={dataset.pk}")))
    assert f'value="{dataset.pk}" selected' in chosen


# ---------------------------------------------------------------- runs
def test_a_run_that_waits_for_another_says_so(signed_in: Client, dataset: Dataset) -> None:
    first, second = request_run(dataset), request_run(dataset)
    page = words(signed_in.get(f"/training/{second.pk}/"))
    assert "the service is down" in page, "nothing runs: it would have begun"
    assert services.claim_run(run_id=first.pk, worker="north")
    page = words(signed_in.get(f"/training/{second.pk}/"))
    assert f"run {first.pk} goes first" in page
    assert "the service is down" not in page
    TrainingRun.objects.filter(pk=first.pk).update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    assert "the service is down" in words(signed_in.get(f"/training/{second.pk}/")), "nobody works on the first"


def test_a_run_tells_how_far_it_is_and_appends_its_log(signed_in: Client, dataset: Dataset, user: User) -> None:
    run = request_run(dataset, user, "autoencoder")
    assert "Waiting for the training service" in words(signed_in.get(f"/training/{run.pk}/"))
    claim = services.claim_run(run_id=run.pk, worker="north")
    assert claim
    history = [{"epoch": epoch, "train_loss": 1 / epoch, "held_out_loss": 2 / epoch} for epoch in (1, 2)]
    services.renew(claim=claim, progress=0.4, message="epoch 3 of 5", history=history, lines="one\n")
    page = signed_in.get(f"/training/{run.pk}/")
    assert "40 %" in words(page)
    assert "epoch 3 of 5" in words(page)
    assert "Loss over 2 epochs" in text(page)
    assert f'hx-get="/training/{run.pk}/live?offset=4"' in text(page)
    services.renew(claim=claim, progress=0.5, message="epoch 4 of 5", lines="<two>\n")
    live = signed_in.get(f"/training/{run.pk}/live?offset=4", headers=HTMX)
    assert '<div hx-swap-oob="beforeend:#log">&lt;two&gt;\n</div>' in live.content.decode()
    assert f'hx-get="/training/{run.pk}/live?offset=10"' in text(live)
    table = signed_in.get("/training/", headers=HTMX)
    assert 'hx-trigger="every 4s"' in text(table)
    assert "<h1>" not in text(table)
    stopped = signed_in.post(f"/training/{run.pk}/cancel", follow=True)
    assert "stops at its next step" in text(stopped)
    assert services.renew(claim=claim, progress=0.6, message="") is True
    services.end_run(run_id=run.pk, status="cancelled", claim=claim)
    assert signed_in.get(f"/training/{run.pk}/live", headers=HTMX)["HX-Refresh"] == "true"
    over = signed_in.get(f"/training/{run.pk}/")
    assert f'href="/training/new/?like={run.pk}"' in text(over)
    assert "hx-trigger" not in text(over)
    assert "has already cancelled" in text(signed_in.post(f"/training/{run.pk}/cancel", follow=True))


@pytest.mark.parametrize(
    ("code", "advice"), [("worker_died", "too little memory"), ("internal_error", "send the log"), ("x", "train again")]
)
def test_a_failure_says_what_to_do(signed_in: Client, dataset: Dataset, code: str, advice: str) -> None:
    run = request_run(dataset)
    services.end_run(run_id=run.pk, status="failed", code=code, error="The lamp was off.")
    answer = words(signed_in.get(f"/training/{run.pk}/"))
    assert "The lamp was off." in answer
    assert advice in answer
    assert "failed" in words(signed_in.get("/training/?status=failed"))
    assert "No run matches these filters" in text(signed_in.get("/training/?status=succeeded"))


def test_empty_pages_say_where_to_begin(signed_in: Client, auditor: User) -> None:
    assert "Import a data set" in text(signed_in.get("/training/"))
    assert "Import a data set" in text(signed_in.get("/training/new/"))
    assert "No data set yet" in text(signed_in.get("/datasets/"))
    assert "Import a data set" not in text(client_of(auditor).get("/training/"))


# ---------------------------------------------------------------- reports
def finished(dataset: Dataset, version: ModelVersion, metrics: dict[str, Any]) -> TrainingRun:
    run = request_run(dataset)
    TrainingRun.objects.filter(pk=run.pk).update(status="succeeded", model_version=version, progress=1)
    services.record_evaluation(
        version=version, dataset=dataset, threshold=threshold_in_force(version.pk), metrics=metrics, actor=None
    )
    return run


def test_a_report_shows_curves_pictures_and_the_audit(
    signed_in: Client, dataset: Dataset, version: ModelVersion, django_assert_max_num_queries: Any
) -> None:
    from modelzoo.detectors import artifacts
    from training.report.pictures import picture_groups
    from training.runs.execution.evaluation import evaluate_images

    scored: list[Any] = []
    threshold = threshold_in_force(version.pk).value
    metrics = evaluate_images(
        artifacts.load(version.artifact_path),
        list(dataset.images.filter(split="test").select_related("asset", "mask")),
        threshold,
        progress=lambda share, sentence: None,
        each=lambda image, score: scored.append((image, score)),
    )
    metrics["pictures"] = picture_groups(scored)
    run = finished(dataset, version, metrics)
    page = signed_in.get(f"/training/{run.pk}/")
    assert f'href="/training/{run.pk}/report/"' in text(page)
    with django_assert_max_num_queries(14):
        report = signed_in.get(f"/training/{run.pk}/report/")
    answer = text(report)
    assert "ROC, images" in answer
    assert "Good parts with the highest scores" in answer
    assert answer.count("/thumbnail") >= 4
    assert "Shortcut audit" in answer
    assert "style=" not in answer
    assert "<script>" not in answer
    evaluation = version.evaluations.get()
    assert "scratch" in text(signed_in.get(f"/training/evaluations/{evaluation.pk}/"))


@pytest.mark.parametrize(("inside", "said"), [(1, True), (2, False)])
def test_a_report_says_first_where_maps_are_highest_beside_the_marked_defects(
    signed_in: Client, dataset: Dataset, version: ModelVersion, inside: int, said: bool
) -> None:
    """Both forms of it; half of the marked images is not less than half."""
    from modelzoo.detectors import artifacts
    from training.report import file
    from training.runs.execution.evaluation import evaluate_images

    metrics = evaluate_images(
        artifacts.load(version.artifact_path),
        list(dataset.images.filter(split="test").select_related("asset", "mask")),
        threshold_in_force(version.pk).value,
        progress=lambda share, sentence: None,
    )
    metrics["pixel"] |= {"images_with_mask": 4, "peak_in_defect": inside / 4}
    run = finished(dataset, version, metrics)
    evaluation = version.evaluations.get()
    as_file = file.render(
        version=version, dataset=dataset, threshold=evaluation.threshold, evaluation=evaluation, pictures=[]
    )
    for html in (text(signed_in.get(f"/training/{run.pk}/report/")), as_file):
        trust = html[html.index("Reliability of these metrics") :]
        sentence = f"inside the marked defect in {inside} of 4 images of defects with a mask, which is less than half"
        assert (sentence in trust) is said
        assert not said or trust.index(sentence) < trust.index("Shortcuts")


def test_an_evaluation_of_bare_figures_shows_these(signed_in: Client, dataset: Dataset, version: ModelVersion) -> None:
    run = finished(dataset, version, {"image": {"auroc": 0.875, "f1": None}})
    assert "image auroc 0.875" in words(signed_in.get(f"/training/{run.pk}/report/"))
    ModelVersion.objects.filter(pk=version.pk).update(metrics={"image": {"auroc": 0.87654}})
    assert "0.877" in words(signed_in.get("/training/"))
    assert signed_in.get(f"/training/{request_run(dataset).pk}/report/").status_code == 404
    assert signed_in.get("/training/evaluations/99/").status_code == 404


# ---------------------------------------------------------------- who, and what it costs
def test_who_reads_sees_and_who_trains_does(
    dataset: Dataset, operator: User, auditor: User, administrator: User
) -> None:
    run = request_run(dataset)
    for reader in (operator, auditor):
        client = client_of(reader)
        for address in ("/training/", "/datasets/", f"/datasets/{dataset.pk}/", f"/training/{run.pk}/"):
            answer = client.get(address)
            assert answer.status_code == 200, address
            assert "/training/new/" not in text(answer)
        assert "Cancel the run" not in text(client.get(f"/training/{run.pk}/"))
        assert 'name="archive"' not in text(client.get("/datasets/"))
        for address in ("/training/new/", "/datasets/from-reviews/"):
            assert client.get(address).status_code == 403
        for address in ("/datasets/", "/training/new/", f"/training/{run.pk}/cancel"):
            assert client.post(address).status_code == 403
    assert Client().get("/training/").status_code == 302


def test_no_page_asks_more_of_the_database_for_more_rows(
    signed_in: Client, dataset: Dataset, user: User, django_assert_max_num_queries: Any
) -> None:
    for _ in range(8):
        run = request_run(dataset, user)
    for address in ("/training/", "/training/new/", "/datasets/", f"/datasets/{dataset.pk}/", f"/training/{run.pk}/"):
        signed_in.get(address)
        with django_assert_max_num_queries(12):
            assert signed_in.get(address).status_code == 200
