"""Reads: how long a training run takes, as the earlier runs of this installation tell."""

from __future__ import annotations

import statistics
from datetime import timedelta
from typing import Any

from django.db.models import Count, F, Q
from django.utils import timezone

from modelzoo.detectors.config import NATIVE
from training.models import DatasetImage, TrainingRun

_EARLIER_RUNS = 5
_MIN_PROGRESS, _MIN_ELAPSED = 0.05, timedelta(seconds=5)  # before that a run's own pace is noise


def remaining_time(run: TrainingRun) -> timedelta | None:
    """How long an open run will take yet; None where neither earlier runs nor its own progress tell.

    At its beginning it goes by earlier runs alone; the further it is, the more its own pace counts.
    """
    if not run.is_open:
        return None
    duration = expected_duration(run)
    if run.status == TrainingRun.Status.QUEUED or run.started_at is None:
        return duration
    elapsed = timezone.now() - run.started_at
    by_others = None if duration is None else max(duration - elapsed, timedelta(0))
    paced = run.progress >= _MIN_PROGRESS and elapsed >= _MIN_ELAPSED
    by_itself = elapsed * (1 / run.progress - 1) if paced else None
    if by_itself is None:
        # One that took longer than all before tells nothing yet: no "0 s left" for minutes.
        return by_others or None
    return by_itself if by_others is None else by_itself * run.progress + by_others * (1 - run.progress)


def expected_duration(run: TrainingRun) -> timedelta | None:
    """What earlier runs of this algorithm took, by size: images, their pixels, and epochs where there are any."""
    earlier = (
        TrainingRun.objects.filter(
            algorithm=run.algorithm,
            status=TrainingRun.Status.SUCCEEDED,
            started_at__isnull=False,
            finished_at__isnull=False,
            base_version__isnull=run.base_version_id is None,
        )
        .exclude(pk=run.pk)
        .annotate(n=Count("dataset__images", filter=Q(dataset__images__split=DatasetImage.Split.TRAIN)))
        .annotate(took=F("finished_at") - F("started_at"))
        .order_by("-id")
        .values_list("options", "n", "took")[:_EARLIER_RUNS]
    )
    paces = [
        took.total_seconds() / size
        for options, n, took in earlier
        if took and took > timedelta(0) and (size := _size(options, n))
    ]
    own = _size(run.options, run.dataset.images.filter(split=DatasetImage.Split.TRAIN).count())
    if not paces or not own:
        return None
    return timedelta(seconds=statistics.median(paces) * own)


def _size(options: dict[str, Any], images: int) -> float:
    """Work to be done, in a unit of its own: pixels that are looked at; 0 where only the images tell them."""
    side = options.get("image_size") or 1
    if side == NATIVE:
        return 0.0
    height, width = side if isinstance(side, list) else (side, side)
    return float(images * height * width * (options.get("epochs") or 1))
