"""Injected drifts: how soon charts notice them, and how often they are wrong.

Every test image is judged as it is and under each disturbance, by the product's own scoring with the newest version of
its category. Lines are then drawn from these numbers, with replacement: a reference, an undisturbed stretch, the drift.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from common.benchmarks import Tell
from common.errors import UserError
from inspection.models import Inspection
from modelzoo.loading import scoring
from modelzoo.models import ModelVersion
from modelzoo.selectors import input_rules, threshold_in_force
from monitoring.drift.charts import REFERENCE, Chart, Observation, observed
from records.assets.images import as_rgb, open_pixels
from records.assets.selectors import upload_limits
from training.datasets.selectors import images_of
from training.models import Dataset, DatasetImage
from training.runs.execution.disturbances import blur, brightness, noise, rotation

WITHIN, LATER = 50, 200
_BEFORE = 100  # undisturbed parts between reference and drift
_UNDISTURBED = 5_000
_DEFECT_SHARE = 0.02
_UNCHANGED = "undisturbed"

Change = Callable[[Image.Image, int], Image.Image]


@dataclass(frozen=True)
class Drift:
    """`name` is for programs, `label` for people. `artefacts`: charts that the injection itself moves, not counted."""

    name: str
    label: str
    change: Change
    artefacts: tuple[str, ...] = ()


def _material(texture: np.ndarray, strength: float = 0.12) -> Change:
    """The surface gets the grain of another real material, float32 [h,w] of mean 0 and deviation 1."""

    def change(image: Image.Image, seed: int) -> Image.Image:
        pixels = np.asarray(image, dtype=np.float32)
        grain = cv2.resize(texture, image.size, interpolation=cv2.INTER_LINEAR)
        if seed % 2:
            grain = grain[::-1]
        return Image.fromarray(np.clip(pixels * (1 + strength * grain[..., None]) + 0.5, 0, 255).astype(np.uint8))

    return change


def _texture_of(image: DatasetImage) -> np.ndarray:
    pixels = as_rgb(open_pixels(image.asset.read(), upload_limits()))
    grey = np.asarray(pixels.convert("L"), dtype=np.float32)
    grain = grey - cv2.GaussianBlur(grey, (0, 0), max(grey.shape) / 16)
    return np.clip((grain - grain.mean()) / max(float(grain.std()), 1e-6), -3, 3)


def drifts(other: DatasetImage) -> list[Drift]:
    """What is injected; the new material has the grain of another data set's image."""
    return [
        Drift("lamp", "lamp 10 % dimmer", brightness(0.9)),
        Drift("defocus", "camera out of focus (Gaussian, 1.5 pixels)", blur(1.5)),
        # One seed: the fixture turns all parts the same way. Resampling a picture softens it, which no fixture does.
        Drift("turned", "part turned by 3 degrees", lambda image, seed: rotation(3.0)(image, 1), ("focus", "noise")),
        Drift("noise", "noise, 5 grey levels", noise(5.0)),
        Drift("material", "new material (grain of another one, 12 %)", _material(_texture_of(other))),
    ]


Numbers = dict[bool, list[Observation]]  # of the good images and of the defective ones


def measure(options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """Figures of every data set that was named, or of all that have a model."""
    rows = []
    for dataset in _datasets(options["datasets"]):
        version = ModelVersion.objects.filter(category=dataset.category).order_by("-pk").first()
        if version is None:
            raise UserError(f"{dataset.name} has no model yet. Nothing was measured. Train one: manage.py train.")
        rows.append(_figures(dataset, version, options, tell))
    return {
        "reference": REFERENCE,
        "within": WITHIN,
        "later": LATER,
        "lines": options["lines"],
        "undisturbed_lines": options["undisturbed_lines"],
        "undisturbed": _UNDISTURBED,
        "defect_share": _DEFECT_SHARE,
        "datasets": rows,
        "worst": _worst(rows),
    }


def _datasets(names: Sequence[str] | None) -> list[Dataset]:
    rows = Dataset.objects.select_related("category").order_by("pk")
    if names:
        rows = rows.filter(name__in=names)
        missing = set(names) - {row.name for row in rows}
        if missing:
            raise UserError(f"There is no data set {', '.join(sorted(missing))}. Nothing was measured.")
    else:
        rows = rows.filter(category__versions__isnull=False).distinct()
    return list(rows)


def _figures(dataset: Dataset, version: ModelVersion, options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    images = images_of(dataset, DatasetImage.Split.TEST)
    other = DatasetImage.objects.exclude(dataset__category=dataset.category).filter(is_defective=False)
    injected = drifts(other.select_related("asset").order_by("dataset_id", "pk")[0])
    model = scoring.with_rules(scoring.load_model(version), input_rules(version.category_id))
    threshold = threshold_in_force(version.pk)
    numbers: dict[str, Numbers] = {}
    for name, change in [(_UNCHANGED, None), *((drift.name, drift.change) for drift in injected)]:
        tell(f"{dataset.name}: {len(images)} images, {name}")
        numbers[name] = {True: [], False: []}
        for image, observation in _observations(images, model, threshold.value, change):
            numbers[name][image.is_defective].append(observation)
    tell(f"{dataset.name}: lines")
    false_alarms = [
        _false_alarms(numbers[_UNCHANGED], np.random.default_rng([1, index]))
        for index in range(options["undisturbed_lines"])
    ]
    rows = []
    for drift in injected:
        lines = [
            _delay(numbers[_UNCHANGED], numbers[drift.name], drift.artefacts, np.random.default_rng([2, index]))
            for index in range(options["lines"])
        ]
        noticed = [delay for delay, _ in lines if delay is not None]
        delays = [delay for delay in noticed if delay <= WITHIN]
        statistic, shift = _largest_shift(numbers[_UNCHANGED][False], numbers[drift.name][False])
        charts = [name for _, names in lines for name in names]
        rows.append(
            {
                "drift": drift.name,
                "label": drift.label,
                "flagged": len(delays) / len(lines),
                "flagged_later": len(noticed) / len(lines),
                "largest_shift": {"statistic": statistic, "standard_deviations": shift},
                "median_delay": float(np.median(delays)) if delays else None,
                "longest_delay": max(delays, default=None),
                "first_charts": {name: charts.count(name) for name in sorted(set(charts), key=charts.count)[::-1][:3]},
            }
        )
    return {
        "dataset": dataset.name,
        "version": str(version),
        "pose_aligned": version.preprocessing.get("align", {}).get("chosen") == "pose",
        "good_images": len(numbers[_UNCHANGED][False]),
        "defective_images": len(numbers[_UNCHANGED][True]),
        "false_alarms_mean": float(np.mean(false_alarms)),
        "false_alarms_worst_line": max(false_alarms),
        "drifts": rows,
    }


def _observations(
    images: Sequence[DatasetImage], model: scoring.LoadedModel, threshold: float, change: Change | None
) -> Iterator[tuple[DatasetImage, Observation]]:
    for image in images:
        pixels = open_pixels(image.asset.read(), upload_limits())
        if change:
            pixels = change(as_rgb(pixels, model.detector.window), int(image.asset.sha256[:8], 16))
        [result] = scoring.score(model, [pixels])
        if isinstance(result, scoring.IncomparableImage):
            yield image, Observation(1, 1, Inspection.Outcome.NOT_COMPARABLE, None, result.statistics)
        else:
            outcome = Inspection.Outcome.of(result.score, threshold)
            yield image, Observation(1, 1, outcome, result.score, result.statistics)


def _drawn(numbers: Numbers, count: int, generator: np.random.Generator) -> Iterator[Observation]:
    for is_defective in generator.random(count) < _DEFECT_SHARE:
        kind = numbers[bool(is_defective)] or numbers[False]
        yield kind[generator.integers(len(kind))]


def _false_alarms(numbers: Numbers, generator: np.random.Generator) -> int:
    charts: dict[str, Chart] = {}
    alarms = 0
    for observation in _drawn(numbers, REFERENCE + _UNDISTURBED, generator):
        signals = list(observed(charts, observation))
        alarms += bool(signals)
        for chart in signals:
            chart.reset()
    return alarms


def _delay(
    before: Numbers, after: Numbers, artefacts: Sequence[str], generator: np.random.Generator
) -> tuple[int | None, list[str]]:
    """Parts of the drift until a chart noticed, None beyond `LATER`; and which ones did."""
    charts: dict[str, Chart] = {}
    for observation in _drawn(before, REFERENCE + _BEFORE, generator):
        for chart in observed(charts, observation):
            chart.reset()
    for delay, observation in enumerate(_drawn(after, LATER, generator), start=1):
        if signals := [chart.kind for chart in observed(charts, observation) if chart.kind not in artefacts]:
            return delay, signals
    return None, []


def _largest_shift(before: Sequence[Observation], after: Sequence[Observation]) -> tuple[str, float]:
    """The statistic whose mean moved most among good parts, and by how many of their standard deviations."""
    shifts = {}
    for name in before[0].statistics:
        was = [one.statistics[name] for one in before if name in one.statistics]
        now = [one.statistics[name] for one in after if name in one.statistics]
        if now and np.ptp(was) > 0:
            shifts[name] = round(float((np.mean(now) - np.mean(was)) / np.std(was)), 2)
    largest = max(shifts, key=lambda name: abs(shifts[name]))
    return largest, shifts[largest]


def _worst(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of each drift the data set on which it was flagged least, and the most false alarms."""
    worst: dict[str, Any] = {"drifts": {}}
    for row in rows:
        for drift in row["drifts"]:
            before = worst["drifts"].get(drift["drift"])
            if before is None or drift["flagged"] < before["flagged"]:
                worst["drifts"][drift["drift"]] = {"dataset": row["dataset"], "flagged": drift["flagged"]}
    if rows:
        most = max(rows, key=lambda row: float(row["false_alarms_mean"]))
        worst["false_alarms"] = {"dataset": most["dataset"], "mean": most["false_alarms_mean"]}
        worst["false_alarms_worst_line"] = max(row["false_alarms_worst_line"] for row in rows)
    return worst


def as_text(document: Mapping[str, Any]) -> str:
    """A table in Markdown: share of lines flagged and median delay of each drift."""
    rows = document["datasets"]
    if not rows:
        return "No data set has a model. Nothing was measured."
    names = [drift["label"] for drift in rows[0]["drifts"]]
    lines = ["| data set | " + " | ".join([*names, "false alarms in 5,000"]) + " |"]
    lines.append("|---|" + "---|" * (len(names) + 1))
    for row in rows:
        cells = []
        for drift in row["drifts"]:
            delay = "-" if drift["median_delay"] is None else f"{drift['median_delay']:.0f}"
            cells.append(f"{100 * drift['flagged']:.0f} % ({delay})")
        cells.append(f"{row['false_alarms_mean']:.2f} (at most {row['false_alarms_worst_line']})")
        lines.append(f"| {row['dataset']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
