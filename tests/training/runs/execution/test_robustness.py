"""`evaluate --robustness`: the table in figures, report, page and API, on made-up parts."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from PIL import Image

from modelzoo.detectors.base import BatchScores, Detector
from modelzoo.detectors.errors import NotComparable
from modelzoo.models import ModelVersion, Threshold
from tests import parts
from training.datasets.selectors import images_of, latest_dataset
from training.models import Evaluation
from training.runs.execution.robustness import BRIGHTNESS_STEPS, measure_robustness

pytestmark = pytest.mark.django_db


def imported(folder: Path) -> None:
    call_command("import_dataset", str(folder), json=True, stdout=io.StringIO())


def evaluate(*words: str, **options: Any) -> str:
    out = io.StringIO()
    call_command("evaluate", *words, stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


class MeanGrey:
    """Scores an image by how far its mean grey level lies from that of a good part, in per cent of it."""

    def __init__(self) -> None:
        self.darkest = 0.65
        self.usual = float(np.mean([np.asarray(parts.part(seed)[0]).mean() for seed in range(1000, 1004)]))

    def prepare(self, image: Image.Image, rules: Any = None) -> Any:
        if np.asarray(image).mean() < self.darkest * self.usual:
            raise NotComparable("no_part_found", "It is too dark.")
        return Detector.prepare(self.real, image)

    real: Detector
    window = None

    def score(self, images: Any) -> BatchScores:
        means = images.float().mean((1, 2, 3)).numpy()
        scores = 100 * np.abs(means / self.usual - 1)
        return BatchScores(scores, np.broadcast_to(scores[:, None, None], (len(scores), 8, 8)).astype(np.float32))


def test_figures_are_those_of_a_detector_whose_scores_are_known(
    version: ModelVersion, dataset_folder: Path, trained_detector: Detector
) -> None:
    imported(dataset_folder)
    good = [image for image in images_of(latest_dataset("disc"), "test") if not image.is_defective]
    known = MeanGrey()
    known.real = trained_detector
    threshold = Threshold(value=25.0, method="percentile", parameters={"percentile": 90})
    figures = measure_robustness(known, good, threshold, [0.0, 4.0], progress=lambda done, sentence: None)
    assert (figures["images"], figures["n"], figures["spread"]) == ("test images", 4, 2.0)
    assert (figures["expected_rate"], figures["expected_rate_is"]) == (pytest.approx(0.1), "requested")
    rows = {row["name"]: row for row in figures["disturbances"]}
    # 20 % of the mean in units of 2, from nearly 0.
    assert rows["darker"]["change_median"] == pytest.approx(10, abs=0.5)
    assert rows["darker"]["rejected"] == rows["noise"]["rejected"] == 0
    assert abs(rows["blur"]["change_median"]) < 0.5
    # 30 % is above the threshold of 25, 20 % is not; from 35 % on dark images are not comparable.
    assert (figures["lamp"]["darker"], figures["lamp"]["brighter"]) == (0.2, 0.2)
    assert figures["lamp"]["rejected_share"]["darker"]["0.3"] == 1.0
    assert "0.4" not in figures["lamp"]["rejected_share"]["darker"]
    assert figures["sentence"].startswith("The lamp may become 20 % darker and 20 % brighter before more than 20 %")
    again = measure_robustness(known, good, threshold, [0.0, 4.0], progress=lambda done, sentence: None)
    assert again == figures


def test_what_becomes_not_comparable_is_counted_as_rejected(
    version: ModelVersion, dataset_folder: Path, trained_detector: Detector
) -> None:
    imported(dataset_folder)
    good = [image for image in images_of(latest_dataset("disc"), "test") if not image.is_defective]
    known = MeanGrey()
    known.real = trained_detector
    threshold = Threshold(value=99.0, method="manual")
    figures = measure_robustness(known, good, threshold, [0.0, 4.0, 99.0], progress=lambda done, sentence: None)
    # One of three held-out scores is as high, the part itself counted too.
    assert (figures["expected_rate"], figures["expected_rate_is"]) == (0.5, "held-out")
    assert figures["lamp"]["max_rejected_share"] == 1.0
    assert figures["lamp"]["rejected_share"]["darker"]["0.4"] == 1.0
    assert figures["lamp"]["rejected_share"]["darker"]["0.3"] == 0.0
    assert figures["baseline"]["reasons"] == {}
    known.darkest = 0.9
    figures = measure_robustness(known, good, threshold, [0.0, 4.0, 99.0], progress=lambda done, sentence: None)
    row = figures["disturbances"][0]
    assert (row["title"], row["rejected"], row["not_comparable"]) == ("20 % darker", 4, 4)
    assert row["reasons"] == {"no_part_found": 4}
    assert row["change_median"] is None


def test_the_command_says_and_keeps_it_and_the_report_page_and_api_show_it(
    version: ModelVersion, dataset_folder: Path, tmp_path: Path, signed_in: Client
) -> None:
    imported(dataset_folder)
    page, api = f"/models/{version.pk}/", f"/api/model-versions/{version.pk}/metrics"
    assert "evaluate --robustness" in signed_in.get(page).content.decode()
    assert signed_in.get(api).json()["robustness"] is None

    call_command("calibrate", percentile=90.0, stdout=io.StringIO())
    target, seen = tmp_path / "report.html", []
    figures = json.loads(evaluate("--robustness", "--report", str(target), json=True))["robustness"]
    evaluation = Evaluation.objects.get()
    assert evaluation.metrics["robustness"] == figures
    assert figures["n"] == 4
    assert set(figures["lamp"]["rejected_share"]) == {"darker", "brighter"}
    assert figures["lamp"]["darker"] in (0, *BRIGHTNESS_STEPS)
    assert signed_in.get(api).json()["robustness"] == figures
    for address in (page, f"/training/evaluations/{evaluation.pk}/"):
        seen.append(signed_in.get(address).content.decode())
    for html in (*seen, target.read_text()):
        text = " ".join(html.split())
        assert figures["sentence"] in text
        assert "On 4 good test images" in text
        for row in figures["disturbances"]:
            assert row["title"] in text
    evaluate()  # an evaluation without it does not hide it
    assert signed_in.get(api).json()["robustness"] == figures


def test_without_test_images_it_is_measured_on_training_images_and_says_so(
    version: ModelVersion, tmp_path: Path, signed_in: Client
) -> None:
    imported(parts.write_dataset(tmp_path / "disc", train=5, good=0, bad=0))
    with pytest.raises(CommandError, match="has no test images"):
        evaluate()
    target = tmp_path / "report.html"
    text = evaluate("--robustness", "--report", str(target))
    assert "robustness, on 5 good training images" in text
    assert "Rotation by 3 degrees" in text
    evaluation = Evaluation.objects.get()
    assert evaluation.metrics["robustness"]["images"] == "training images"
    for html in (target.read_text(), signed_in.get(f"/training/evaluations/{evaluation.pk}/").content.decode()):
        assert "only the robustness was measured" in html
        assert "The model was trained on these images" in html
