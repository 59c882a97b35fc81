"""The report as a file: one page, no script, nothing loaded from elsewhere, for light, dark and paper."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import override

from common.errors import UserError
from common.files import write_whole
from common.version import library_versions
from modelzoo.models import ModelVersion, Threshold
from training.models import Dataset, Evaluation
from training.report.context import is_whole, report_context

if TYPE_CHECKING:
    from training.report.pictures import EmbeddedPicture


def check_target(path: Path) -> None:
    """Refuse a place where no report can be written, before any work is done for it.

    Raises:
        UserError: it is a folder, or the folder around it is missing or not writable.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder. Name a file for the report, such as {path / 'report.html'}.")
    if not path.parent.is_dir():
        raise UserError(f"There is no folder {path.parent}. Create it, then evaluate again.")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"The folder {path.parent} cannot be written to. Choose another place for the report.")


def write(path: Path, html: str) -> None:
    """Write the file whole or not at all; an older one at this path is replaced.

    Raises:
        UserError: the disk refuses; what was at the path stays.
    """
    try:
        with write_whole(path) as out:
            out.write(html.encode())
    except OSError as error:
        raise UserError(
            f"The report could not be written to {path}: {error.strerror}. The evaluation itself is kept."
        ) from error


def render(
    *,
    version: ModelVersion,
    dataset: Dataset,
    threshold: Threshold,
    evaluation: Evaluation,
    pictures: list[tuple[str, list[EmbeddedPicture]]],
    now: datetime | None = None,
) -> str:
    """The report of one recorded evaluation as HTML. `now`: the time that stands on it."""
    with override("en"):  # a document is the same whoever asks for it
        return render_to_string(
            "report/file.html",
            report_context(version=version, dataset=dataset, threshold=threshold, evaluation=evaluation)
            | {
                "is_file": True,
                "style": Path(_static_path("css/app.css")).read_text(encoding="utf-8"),
                "pictures": pictures,
                "picture_template": "report/_embedded_picture.html",
                "evaluated_with": library_versions(),
                "now": now or timezone.now(),
            },
        )


def newest_report(version: ModelVersion) -> str | None:
    """The report of a version's newest evaluation, without its pictures; None where it has none that is whole."""
    for evaluation in version.evaluations.select_related("dataset", "threshold").order_by("-pk"):
        if is_whole(evaluation.metrics):
            return render(
                version=version,
                dataset=evaluation.dataset,
                threshold=evaluation.threshold,
                evaluation=evaluation,
                pictures=[],
                now=evaluation.created_at,
            )
    return None


def _static_path(name: str) -> str:
    path = finders.find(name)
    if not isinstance(path, str):
        raise FileNotFoundError(f"static file {name}")
    return path
