"""`benchmark accuracy`, `benchmark calibration` and `calibrate`, on made-up parts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from modelzoo.detectors.backbones.weights import Weights
from modelzoo.models import ModelVersion, Threshold
from tests import parts
from tests.mvtec_site.test_commands import fails, run
from training.benchmarks import accuracy, few_images
from training.benchmarks.peers import accuracy as peer_accuracy
from training.datasets.selectors import images_of
from training.models import Dataset, TrainingRun

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("lease_renewed_at_the_end")]

SMALL = "image_size=64,n_features=12"


@pytest.mark.sqlite_is_enough
def test_accuracy_writes_a_table_with_spread_weights_and_what_speaks_against_it(
    dataset_folder: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.md"
    rows = run(
        "benchmark",
        "accuracy",
        datasets=[str(dataset_folder)],
        detectors=[f"padim:{SMALL}", f"padim:{SMALL},align=none,illumination=none"],
        backbone="efficientnet_lite0",
        seeds=2,
        markdown=table,
    )["rows"]
    assert [row["detector"].count("align=none") for row in rows] == [0, 1]
    for row in rows:
        assert [once["seed"] for once in row["runs"]] == [0, 1]
        values = [once["figures"]["image AUROC"] for once in row["runs"]]
        spread = row["figures"]["image AUROC"]
        assert (spread["least"], spread["most"]) == (min(values), max(values))
        assert row["runs"][0]["shortcut_audit"]["raw"]["worst"]
        assert row["trivial_f1"] == pytest.approx(2 / 3, abs=0.2)
        assert len(row["backbone"]["sha256"]) == 64
    summary, lines = (part.splitlines() for part in table.read_text().split("\n\n"))
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert rows[0]["backbone"]["sha256"][:8] in lines[2]
    # One data set: its line, the mean and the worst have the same figures.
    assert [line.split(" | ")[1] for line in summary[2:]] == [summary[2].split(" | ")[1]] * 3
    assert f"{rows[0]['figures']['image AUROC']['median']:.3f}" in summary[2]
    assert json.loads(table.with_suffix(".json").read_text()) == rows
    assert not ModelVersion.objects.exists()
    assert not TrainingRun.objects.exists()


PEER_STAND_IN = """
import numpy as np
from training.benchmarks.protocol import serve
seeds = []
def fit(files, seed):
    seeds.append(seed)
    return {"seconds": 1.0}
def score(files, maps):
    values = np.random.default_rng(seeds[-1]).normal(size=len(files))
    for number, value in enumerate(values):
        np.save(f"{maps}/{number}.npy", np.full((32, 32), value, np.float32))
    return {"scores": values.tolist()}
serve(lambda: ({"name": "stand-in"}, {"fit": fit, "score": score}))
"""


@pytest.mark.sqlite_is_enough
def test_accuracy_beside_a_peer_has_the_same_figures_of_its_scores(
    dataset_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in speaks for the peer, which is not installed here."""
    weights = Weights("resnet18", Path("weights"), "a test", 64 * "0")
    monkeypatch.setattr(peer_accuracy, "resolve_weights", lambda name: weights)
    monkeypatch.setattr(peer_accuracy, "_command", lambda python, *of: [python, "-c", PEER_STAND_IN])
    options = {"seeds": 2, "detectors": [], "peer_python": sys.executable}
    rows = run("benchmark", "accuracy", datasets=[str(dataset_folder)], **options)["rows"]
    defective = [image.is_defective for image in images_of(Dataset.objects.get(), "test")]
    scores = [np.random.default_rng(seed).normal(size=len(defective)) for seed in range(2)]
    for row in rows:
        figures = [once["figures"] for once in row["runs"]]
        assert [one["image AUROC"] for one in figures] == pytest.approx(
            [roc_auc_score(defective, values) for values in scores]
        )
        # Maps that are flat rank pixels as images, and a threshold is nothing that the peer was asked for.
        assert all(0 <= one["AUPRO"] <= 1 for one in figures)
        assert {one["false rejects"] for one in figures} == {None}
        assert row["backbone"] == weights.info()
    assert "stand-in" in accuracy.as_markdown(rows)


@pytest.mark.sqlite_is_enough
def test_accuracy_says_that_a_peer_does_not_run(dataset_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = Weights("resnet18", Path("weights"), "a test", 64 * "0")
    monkeypatch.setattr(peer_accuracy, "resolve_weights", lambda name: weights)
    options = {"datasets": [str(dataset_folder)], "detectors": []}
    fails("benchmark", "accuracy", **options, peer_python="/nowhere/python", match="The peer does not run")
    fails("benchmark", "accuracy", **options, match="names none")


@pytest.mark.sqlite_is_enough
def test_all_is_every_data_set_whose_figures_can_be_told(dataset_folder: Path, tmp_path: Path) -> None:
    fails("benchmark", "accuracy", "--all", detectors=[f"padim:{SMALL}"], match="No imported data set")
    run("import_dataset", str(dataset_folder), name="part")
    only_good = tmp_path / "only-good"
    only_good.mkdir()
    for index in range(4):
        (only_good / f"{index}.png").write_bytes(parts.png(100 + index))
    run("import_dataset", str(only_good))
    rows = run("benchmark", "accuracy", "--all", detectors=[f"padim:{SMALL}"], backbone="efficientnet_lite0", seeds=1)
    assert [row["dataset"] for row in rows["rows"]] == ["part"]


@pytest.mark.parametrize(
    ("detector", "said"),
    [("nothing", "nothing"), ("padim:floor", "name=value"), ("padim:wings=2", "wings"), ("padim:floor=-1", "floor")],
)
def test_accuracy_refuses_what_is_no_detector(dataset_folder: Path, detector: str, said: str) -> None:
    fails("benchmark", "accuracy", datasets=[str(dataset_folder)], detectors=[detector], match=said)


@pytest.mark.sqlite_is_enough
def test_few_images_are_drawn_nested_and_stand_beside_what_a_threshold_can_promise(dataset_folder: Path) -> None:
    document = run(
        "benchmark",
        "few-images",
        datasets=[str(dataset_folder)],
        detectors=[f"padim:{SMALL}"],
        backbone="efficientnet_lite0",
        sizes=[5, 8, 50],
        draws=2,
        test_images=3,
    )
    [row] = document["rows"]
    assert (row["n_training"], row["n_test"]) == (12, 6)
    assert set(row["auroc"]) == {"5", "8", "all"}
    assert [len(row["auroc"][size]["each"]) for size in ("5", "8", "all")] == [2, 2, 1]
    for of in row["auroc"].values():
        assert of["mean"] == pytest.approx(sum(of["each"]) / len(of["each"]))
    promise = document["thresholds"]["5"]
    assert promise["promised_rate"] == pytest.approx(1 / 6)
    assert promise["expected_rate"] == pytest.approx((5 * 0.1 + 0.9) / 6)
    assert promise["rate_interval"][0] < promise["expected_rate"] < promise["rate_interval"][1]
    lines = few_images.as_text(document).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "| - |" in lines[2]
    assert "| 16.7 % | 11.1 % | 2.0 % |" in lines[3]


def test_few_images_refuses_numbers_that_cannot_be(dataset_folder: Path) -> None:
    fails("benchmark", "few-images", datasets=[str(dataset_folder)], sizes=[1], match="--sizes must be at least 2")


@pytest.mark.sqlite_is_enough
def test_calibration_compares_three_thresholds_on_unseen_parts(tmp_path: Path) -> None:
    folder = parts.write_dataset(tmp_path / "many", train=30)
    document = run(
        "benchmark",
        "calibration",
        dataset=str(folder),
        detector=f"padim:{SMALL}",
        backbone="efficientnet_lite0",
        splits=2,
        false_reject_rate=0.2,
        precisions=["fp32", "auto"],
    )
    assert (document["n_training"], document["n_unseen"]) == (21, 9)
    fp32, auto = document["precisions"]
    assert fp32["taken"] == {"fp32": 2}
    assert sum(auto["taken"].values()) == 2
    rates = fp32["false_reject_rate"]
    assert set(rates) == {"conformal", "percentile", "in_sample"}
    for row in rates.values():
        assert len(row["each"]) == 2
        assert row["mean"] == pytest.approx(sum(row["each"]) / 2)
    # In-sample scores are smaller than those of new parts, so their percentile rejects more.
    assert rates["in_sample"]["mean"] >= rates["conformal"]["mean"]


def test_calibration_needs_enough_parts(dataset_folder: Path) -> None:
    fails("benchmark", "calibration", dataset=str(dataset_folder), match="at least 29")


def test_calibrate_appends_a_revision_by_each_rule(version: ModelVersion, dataset_folder: Path) -> None:
    held_out = sorted(version.held_out_scores)
    percentile = run("calibrate", percentile=100.0)
    assert percentile["threshold"] == held_out[-1]
    conformal = run("calibrate", false_reject_rate=0.25, reason="less scrap")
    # The k-th smallest of n, k = ceil((n + 1) * 0.75).
    assert conformal["threshold"] == held_out[-(-(len(held_out) + 1) * 3 // 4) - 1]
    best = run("calibrate", best_f1=True, dataset=str(dataset_folder))
    costly = run("calibrate", cost=[1.0, 50.0], prevalence=0.01, dataset=str(dataset_folder))
    assert costly["parameters"]["cost_escape"] == 50.0
    kept = list(version.thresholds.order_by("revision").values_list("method", "value", "reason"))[1:]
    assert [method for method, _, _ in kept] == ["percentile", "conformal", "best_f1", "cost"]
    assert [value for _, value, _ in kept] == [row["threshold"] for row in (percentile, conformal, best, costly)]
    assert kept[1][2] == "less scrap"
    assert best["before"] == conformal["threshold"]


def test_a_dry_run_keeps_nothing(version: ModelVersion) -> None:
    answer = run("calibrate", percentile=50.0, dry_run=True)
    assert "revision" not in answer
    assert Threshold.objects.filter(model_version=version).count() == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"false_reject_rate": 0.001}, "active threshold does not change"),
        ({"percentile": 101.0}, "percentile"),
        ({"percentile": 90.0, "prevalence": 0.1}, "prevalence"),
        ({"best_f1": True, "dataset": "nowhere"}, "no data set"),
        ({"model_version": "77", "percentile": 90.0}, "77"),
    ],
)
def test_calibrate_says_what_is_wrong(version: ModelVersion, options: dict[str, object], said: str) -> None:
    fails("calibrate", match=said, **options)
    assert Threshold.objects.count() == 1
