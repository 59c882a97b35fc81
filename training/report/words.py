"""Figures as sentences: what the report and the terminal say about how far they can be trusted."""

from __future__ import annotations

from typing import Any

from common.numbers import metric

_STATISTICS = {
    "mean": "mean grey level",
    "standard_deviation": "spread of the grey levels",
    "median": "median grey level",
    "dark_level": "darkest grey level",
    "bright_level": "brightest grey level",
    "focus": "focus",
    "noise": "noise",
    "corners": "grey level of the corners",
    "saturation": "colour saturation",
    "file_size": "file size",
    "area": "image size",
}
_PLACES = {"raw": "the files", "prepared": "the model's input"}


def statistic(name: str) -> str:
    """A statistic of the shortcut audit in words."""
    return _STATISTICS.get(name, name)


def duplicates_sentence(left_out: int) -> str:
    """How many images the import kept out of the test; empty where there were none."""
    if not left_out:
        return ""
    one = left_out == 1
    images = "1 image that is" if one else f"{left_out} images that are"
    verb = "is" if one else "are"
    return f"{images} the same as a training image, or good and defective in one, {verb} not in this test."


def threshold_origin(method: str, parameters: dict[str, Any]) -> str:
    """How a threshold came about, from its method, its parameters and what it was taken from."""
    number = parameters.get("percentile" if method == "percentile" else "false_reject_rate")
    if isinstance(number, int | float) and {"scores", "n"} <= set(parameters):
        if method == "percentile":
            return f"Percentile {number:g} of the scores of {parameters['n']} {parameters['scores']}."
        if method == "conformal":
            return (
                f"Split-conformal, from {parameters['n']} {parameters['scores']}: on average it rejects at most "
                f"{100 * number:g} % of new good parts."
            )
    details = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in parameters.items())
    text = "Set by hand" if method == "manual" else method
    text += f": {details}." if details else "."
    if method in ("best_f1", "cost"):
        text += " Chosen with labelled parts: if these images were among them, the metrics are too good."
    return text


def shortcut_sentences(audit: dict[str, Any] | None) -> list[str]:
    """What the shortcut audit found, the verdict first."""
    if audit is None:
        return ["No shortcut audit: it needs images of good parts and of defects."]
    raw, prepared = audit["raw"], audit["prepared"]
    sentences: list[str] = []
    if not audit["warning"]:
        place = audit["worst_input"]
        sentences.append(
            f"No shortcut found: the trivial statistic that separates best is the {_worst(place, audit[place])}, "
            f"{_auroc_comparison(audit[place])}."
        )
    for place, section in (("prepared", prepared), ("raw", raw)):
        if section and section["warning"]:
            sentences.append(
                f"The {_worst(place, section)} alone separates good parts from defects (nearly) as well as the "
                f"detector: {_auroc_comparison(section)}."
            )
    if prepared and prepared["warning"]:
        sentences.append("The model may use it instead of the defects. Do not quote the metrics without this sentence.")
    elif audit["warning"] and prepared:
        sentences.append(
            "The model's input does not carry it: there the trivial statistic that separates best is the "
            f"{statistic(prepared['worst'])}, {_auroc_comparison(prepared)}."
        )
    sentences.append(_matched(audit["worst_input"], audit[audit["worst_input"]]))
    if audit["worst_input"] == "raw" and prepared and not prepared["warning"]:
        sentences.append(_matched("prepared", prepared))
    return sentences


def place_sentence(pixel: dict[str, Any] | None) -> str:
    """A warning where the maps of most images with a mask are highest elsewhere than in it; else empty."""
    if not pixel or pixel.get("peak_in_defect") is None or not pixel.get("images_with_mask"):
        return ""
    masked = pixel["images_with_mask"]
    inside = round(pixel["peak_in_defect"] * masked)
    if 2 * inside >= masked:
        return ""
    return (
        f"The anomaly map is highest inside the marked defect in {inside} of {masked} images of defects with a "
        "mask, which is less than half. The model separates the images, but mostly not by the marked place. "
        "Check its maps before you trust them."
    )


def _worst(place: str, section: dict[str, Any]) -> str:
    return f"{statistic(section['worst'])} of {_PLACES[place]}"


def _auroc_comparison(section: dict[str, Any]) -> str:
    side = section["statistics"][section["worst"]]["defective_are"]
    return (
        f"AUROC {metric(section['worst_auroc'])} ({side} on defects) against the detector's "
        f"{metric(section['detector_auroc'])}"
    )


def _matched(place: str, section: dict[str, Any]) -> str:
    matched, name = section["matched"], _worst(place, section)
    if matched["auroc"] is None:
        return (
            f"The detector cannot be judged on parts alike in the {name}: there are too few ({matched['n_good']} "
            f"good, {matched['n_defective']} defects)."
        )
    return (
        f"Among parts alike in the {name} ({matched['n_good']} good, {matched['n_defective']} defects) the "
        f"detector has AUROC {metric(matched['auroc'])}."
    )
