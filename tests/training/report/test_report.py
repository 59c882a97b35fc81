"""The report: what it says follows from the figures, and it is one file that stands alone."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from PIL import Image

from common.errors import UserError
from common.numbers import percent
from modelzoo.detectors.base import Detector
from modelzoo.detectors.errors import NotComparable
from modelzoo.models import ModelVersion
from tests import parts
from training.models import DatasetImage, Evaluation
from training.report import file, words
from training.report.pictures import choose


class Page(HTMLParser):
    """Text without markup, and every address that the page would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "poster")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


# ---------------------------------------------------------------- the command
@pytest.fixture
def evaluated(version: ModelVersion, dataset_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls the command on four good and four defective parts; one of each cannot be compared."""
    call_command("import_dataset", str(dataset_folder), json=True, stdout=io.StringIO())
    prepare, turned_away = Detector.prepare, []

    def picky(self: Detector, image: Image.Image, rules: Any = None) -> Any:
        if bytes(image.tobytes()) in turned_away:
            raise NotComparable("no_part_found", "There is no part in this picture.")
        return prepare(self, image, rules)

    for name in ("good/001.png", "scratch/002.png"):
        turned_away.append(Image.open(dataset_folder / "test" / name).convert("RGB").tobytes())
    monkeypatch.setattr(Detector, "prepare", picky)

    def call(*words: str, **options: Any) -> str:
        out = io.StringIO()
        call_command("evaluate", *words, stdout=out, stderr=io.StringIO(), **options)
        return out.getvalue()

    return call


@pytest.mark.django_db
def test_a_report_is_one_file_that_says_what_the_figures_say(evaluated: Any, tmp_path: Path) -> None:
    target = tmp_path / "screw report.html"
    target.write_text("an older one")
    figures = json.loads(evaluated("--report", str(target), json=True))
    assert figures["report"] == str(target)
    assert figures["not_comparable"] == {"good": 1, "defective": 1, "reasons": {"no_part_found": 2}}
    assert Evaluation.objects.get().metrics["image"] == figures["image"]
    assert [path.name for path in tmp_path.glob("*report*")] == ["screw report.html"]
    assert stat.S_IMODE(target.stat().st_mode) & 0o400

    shown = Page(target.read_text())
    assert not [address for address in shown.loads if not address.startswith("data:image/")]
    assert not {"script", "link", "iframe"} & set(shown.tags)
    style = target.read_text().split("<body")[0]
    assert "@import" not in style
    assert "url(" not in style
    counts = figures["image"]["confusion"]
    assert (counts["tp"] + counts["fn"], counts["fp"] + counts["tn"]) == (4, 4)
    assert f"Detects {counts['tp']} of 4 defects" in shown.text
    assert f"rejects {counts['fp']} of 4 good parts" in shown.text
    assert "1 good parts and 1 defects are not comparable (no_part_found 2)" in shown.text
    assert f"scratch {counts['tp']} of 4 {percent(figures['per_defect']['scratch']['recall'])}" in shown.text
    version = ModelVersion.objects.get()
    for identity in (version.artifact_sha256, version.backbone_sha256, figures["dataset_snapshot"]):
        assert identity in shown.text
    assert "It may have changed since: the model's page shows the active one." in shown.text
    # Two charts of images, two of pixels, one histogram.
    assert shown.tags.count("figure") == 5


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rule", "origin"),
    [
        ({"percentile": 90.0}, "Percentile 90 of the scores of 12 held-out good images."),
        (
            {"false_reject_rate": 0.25},
            "Split-conformal, from 12 held-out good images: on average it rejects at most 25 %",
        ),
    ],
)
def test_a_report_says_what_a_later_threshold_was_taken_from(
    evaluated: Any, tmp_path: Path, rule: dict[str, float], origin: str
) -> None:
    call_command("calibrate", **rule, stdout=io.StringIO())
    target = tmp_path / "report.html"
    evaluated("--report", str(target))
    assert origin in Page(target.read_text()).text


@pytest.mark.django_db
def test_pictures_are_few_small_and_readable(evaluated: Any, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    evaluated("--report", str(target))
    images = [
        Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r"base64,([^\"]+)", target.read_text())
    ]
    # Three good and three defective parts with a map each (no kind has a middle that is not among the lowest), and
    # two that could not be compared, without.
    assert len(images) == 14
    assert all(max(image.size) <= 320 for image in images)
    assert {image.format for image in images} == {"JPEG", "PNG"}


@pytest.mark.django_db
def test_without_a_report_nothing_is_written_and_the_terminal_says_the_same(evaluated: Any, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    text = evaluated()
    assert sorted(tmp_path.iterdir()) == before
    assert "not comparable, counted as rejected: 1 good, 1 defects (no_part_found 2)" in text
    assert re.search(r"shortcut audit(: WARNING)?\n +\w+", text)
    assert re.search("image.auroc +\\d\\.\\d+  \\(\\d\\.\\d+\N{EN DASH}\\d\\.\\d+\\)", text)


@pytest.mark.django_db
def test_images_that_were_kept_out_of_the_test_are_counted_everywhere(
    evaluated: Any, dataset_folder: Path, tmp_path: Path
) -> None:
    target, sentence = tmp_path / "report.html", "1 image that is the same as a training image"
    assert sentence not in evaluated(report=str(target))
    (dataset_folder / "test/good/again.png").write_bytes((dataset_folder / "train/good/003.png").read_bytes())
    (dataset_folder / "test/good/new.png").write_bytes(parts.png(4711))
    call_command("import_dataset", str(dataset_folder), json=True, stdout=io.StringIO())
    figures = json.loads(evaluated(json=True))
    assert (figures["n"], figures["duplicates_left_out"]) == (9, 1)
    assert Evaluation.objects.latest("pk").metrics["duplicates_left_out"] == 1
    assert sentence in evaluated(report=str(target))
    assert sentence in Page(target.read_text()).text


@pytest.mark.django_db
def test_when_nothing_can_be_compared_everything_is_rejected(
    evaluated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Detector, image: Image.Image, rules: Any = None) -> Any:
        raise NotComparable("no_part_found", "There is no part in this picture.")

    monkeypatch.setattr(Detector, "prepare", refuse)
    target = tmp_path / "report.html"
    figures = json.loads(evaluated("--report", str(target), json=True))
    assert figures["image"]["confusion"] == {"tp": 4, "fp": 4, "tn": 0, "fn": 0}
    assert figures["image"]["auroc"] == 0.5
    assert figures["pixel"] is figures["histogram"] is figures["image"]["optimal_threshold"] is None
    assert figures["shortcut_audit"]["prepared"] is None
    assert "rejects 4 of 4 good parts" in Page(target.read_text()).text


@pytest.mark.django_db
def test_a_place_that_cannot_hold_a_report_is_refused_before_the_work(evaluated: Any, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"is a folder\. Name a file"):
        evaluated("--report", str(tmp_path))
    with pytest.raises(CommandError, match=r"There is no folder .*missing\. Create it"):
        evaluated("--report", str(tmp_path / "missing" / "report.html"))
    assert not Evaluation.objects.exists()


def test_a_report_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    target.write_text("the old one")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"No space left on device\. The evaluation itself is kept"):
        file.write(target, "the new one")
    assert target.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [target]


# ---------------------------------------------------------------- words
def section(auroc: float, detector: float, *, matched: float | None = 0.9, side: str = "higher") -> dict[str, Any]:
    reason = "" if matched else "too few good parts and defects are alike in it"
    return {
        "statistics": {"mean": {"auroc": auroc, "defective_are": side}},
        "worst": "mean",
        "worst_auroc": auroc,
        "detector_auroc": detector,
        "warning": auroc >= detector - 0.02,
        "matched": {"auroc": matched, "reason": reason, "n_good": 30, "n_defective": 50},
    }


def said(raw: dict[str, Any] | None, prepared: dict[str, Any] | None) -> str:
    sections = {"raw": raw, "prepared": prepared}
    worst = max((name for name in sections if sections[name]), key=lambda name: sections[name]["worst_auroc"])  # type: ignore[index]
    warning = any(part and part["warning"] for part in sections.values())
    return " ".join(words.shortcut_sentences({**sections, "worst_input": worst, "warning": warning}))


def test_a_lamp_that_the_model_could_not_see_is_told_apart_from_one_that_it_could() -> None:
    unseen = said(section(1.0, 0.97, matched=None), section(0.8, 0.97, matched=0.96))
    assert "mean grey level of the files alone separates good parts from defects" in unseen
    assert "The model's input does not carry it" in unseen
    assert "cannot be judged on parts alike in the mean grey level of the files: there are too few" in unseen
    assert (
        "alike in the mean grey level of the model's input (30 good, 50 defects) the detector has AUROC 0.960" in unseen
    )
    assert "may use it instead" not in unseen
    seen = said(section(1.0, 0.97, matched=None), section(0.99, 0.97))
    assert "The model may use it instead" in seen
    assert "does not carry it" not in seen
    none = said(section(0.7, 0.97, side="lower"), section(0.6, 0.97))
    assert none.startswith("No shortcut found")
    assert "AUROC 0.700 (lower on defects) against the detector's 0.970" in none
    assert words.shortcut_sentences(None)[0].startswith("No shortcut audit")


@pytest.mark.parametrize(
    ("method", "parameters", "expected"),
    [
        (
            "percentile",
            {"percentile": 90.0, "scores": "held-out good images", "n": 320},
            "Percentile 90 of the scores of 320",
        ),
        (
            "conformal",
            {"false_reject_rate": 0.1, "scores": "held-out good images", "n": 64},
            "at most 10 % of new good parts",
        ),
        ("percentile", {"percentile": None, "scores": "held-out good images", "n": 320}, "percentile: percentile None"),
        ("conformal", {"false_reject_rate": "0.1", "scores": "x", "n": 64}, "conformal: false reject rate 0.1"),
        ("best_f1", {"n": 12}, "best_f1: n 12. Chosen with labelled parts"),
        ("manual", {}, "Set by hand"),
    ],
)
def test_where_a_threshold_comes_from(method: str, parameters: dict[str, Any], expected: str) -> None:
    assert expected in words.threshold_origin(method, parameters)


# ---------------------------------------------------------------- pictures
def test_the_weakest_images_are_chosen_and_none_twice() -> None:
    def image(name: str, kind: str) -> DatasetImage:
        return DatasetImage(pk=hash((name, kind)), path=f"{kind}/{name}", is_defective=kind != "good", defect_type=kind)

    scored: list[tuple[DatasetImage, float | None]] = [(image(str(index), "good"), float(index)) for index in range(9)]
    scored += [(image(str(index), "scratch"), 10.0 + index) for index in range(9)]
    scored += [(image(str(index), "dent"), 30.0 + index) for index in range(3)]
    scored += [(image(str(index), "good"), None) for index in range(20, 26)]
    groups = {group.title.split()[0]: [image.path for image in group.images] for group in choose(scored)}
    assert groups == {
        "Good": ["good/8", "good/7", "good/6", "good/5"],
        "Defects": ["scratch/0", "scratch/1", "scratch/2", "scratch/3"],
        "Typical": ["scratch/4", "dent/1"],
        "Not": ["good/20", "good/21", "good/22", "good/23"],
    }
    assert choose([]) == []


def test_a_report_can_leave_the_pictures_out(evaluated: Any, tmp_path: Path) -> None:
    evaluated("--report", str(tmp_path / "whole.html"))
    evaluated("--report", str(tmp_path / "confidential.html"), "--without-pictures")
    whole, confidential = ((tmp_path / f"{name}.html").read_text() for name in ("whole", "confidential"))
    assert "data:image/" in whole
    assert "Errors and near errors" in whole
    assert "data:image/" not in confidential
    assert "Errors and near errors" not in confidential
    with pytest.raises(CommandError, match="--report"):
        evaluated("--without-pictures")
