"""Reads: the calibrations of a category, and which one measures a picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.db.models import Max, OuterRef, QuerySet, Subquery
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from common.errors import NotFound
from modelzoo.evaluation.region_sizes import SizeRule
from modelzoo.models import Category, ModelVersion, Threshold
from modelzoo.scales.models import ScaleCalibration
from modelzoo.selectors import threshold_in_force

_RECENT = 1000  # of the newest records: from them comes which stations send pictures


def calibrations() -> QuerySet[ScaleCalibration]:
    """All revisions, the newest first, with what every view of them names."""
    return ScaleCalibration.objects.select_related("category", "author", "picture")


def find_calibration(calibration_id: int) -> ScaleCalibration:
    row = calibrations().filter(pk=calibration_id).first()
    if row is None:
        raise NotFound(f"There is no calibration {calibration_id}.", code="calibration_not_found")
    return row


def newest_calibrations(category_id: int) -> QuerySet[ScaleCalibration]:
    """The highest revision of each station of a category, also where it withdraws."""
    last = ScaleCalibration.objects.filter(category=OuterRef("category"), station=OuterRef("station"))
    highest = last.order_by().values("station").annotate(last=Max("revision")).values("last")
    return calibrations().filter(category=category_id, revision=Subquery(highest)).order_by("station")


def scales_in_force(category_id: int) -> dict[str, ScaleCalibration]:
    """By station, without those that are withdrawn."""
    return {row.station: row for row in newest_calibrations(category_id) if row.mm_per_px is not None}


def scale_for(
    scales: Mapping[str, ScaleCalibration], *, station: str, width: int, height: int
) -> ScaleCalibration | None:
    """What measures a picture of a station; None: nothing does. No station takes another one's."""
    calibration = scales.get(station)
    return calibration if calibration is not None and calibration.is_valid_for(width, height) else None


def stations_without_scale(category: Category) -> list[str]:
    """Stations that lately sent pictures of a category and have no calibration; "" stands for images that name none."""
    recent = category.inspections.order_by("-created_at", "-id").values_list("station", flat=True)[:_RECENT]
    return sorted(set(recent) - set(scales_in_force(category.pk)))


def rule_words(rule: SizeRule) -> list[str]:
    """A size rule in words, a sentence each; none where there is no rule."""
    words = []
    if rule.min_area_mm2 is not None:
        words.append(str(_("Regions below %(area)s mm² are ignored.")) % {"area": f"{rule.min_area_mm2:g}"})
    for grade in rule.grades:
        conditions = []
        if grade.min_area_mm2:
            conditions.append(str(_("%(area)s mm² or more")) % {"area": f"{grade.min_area_mm2:g}"})
        if grade.min_peak:
            conditions.append(str(_("peak of %(peak)s or more")) % {"peak": f"{grade.min_peak:g}"})
        words.append(f"{grade.name}: {', '.join(conditions) or _('any size')}.")
    return words


LEFT_OUT: Promise = _(
    "Size rules are left out here: scores are compared with thresholds alone, except where a recorded verdict is "
    "shown. With its rule a version rejects fewer parts, and more defects may pass."
)


def have_size_rules(version_ids: Iterable[int]) -> bool:
    """Whether any revision of the thresholds of these versions ignores regions."""
    return Threshold.objects.filter(model_version__in=list(version_ids), min_region_mm2__isnull=False).exists()


def missing_size_rule(version: ModelVersion) -> ModelVersion | None:
    """What is in production and ignores regions, where this version of the category would not; else None."""
    production = ModelVersion.objects.filter(category=version.category_id, stage=ModelVersion.Stage.PRODUCTION)
    beside = production.exclude(pk=version.pk).select_related("category").only("number", "algorithm", "category__name")
    other = beside.first()
    if other is None or threshold_in_force(other.pk).min_region_mm2 is None:
        return None
    return other if threshold_in_force(version.pk).min_region_mm2 is None else None


def ignored_words(count: int, area: float | None) -> str:
    """How many regions a rule ignored."""
    sentence = ngettext("%(n)s region below %(area)s mm² ignored.", "%(n)s regions below %(area)s mm² ignored.", count)
    return sentence % {"n": count, "area": f"{area:g}"}
