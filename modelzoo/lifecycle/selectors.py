"""Reads: whether a version is approved, and what it shows at each promotion gate of its category."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_noop as _

from common.errors import Conflict
from modelzoo.documents import robustness_of
from modelzoo.lifecycle.models import Approval, PromotionGates
from modelzoo.loading.artifact_check import ArtifactFault
from modelzoo.loading.artifact_store import check_artifact
from modelzoo.signatures.selectors import signed_rows


@dataclass(frozen=True)
class Gates:
    """The values of `PromotionGates` of a category; None, false or empty: no such gate."""

    dataset_name: str = ""
    min_recall: float | None = None
    max_false_reject_rate: float | None = None
    min_lamp_tolerance: float | None = None
    refuse_shortcut_warning: bool = False
    verify_artifact: bool = False
    min_challenger_images: int | None = None
    max_error_increase: float | None = None


@dataclass(frozen=True)
class GateResult:
    """What a version shows at one gate.

    Attributes:
        name: of the gate, a field of `Gates`.
        required, measured: as people read them.
    """

    name: str
    title: str
    required: str
    measured: str
    passed: bool

    @property
    def sentence(self) -> str:
        return f"{self.title}: {self.measured}, required {self.required}"


GateCheck = Callable[[Any, Gates], GateResult | None]
_checks_above: list[GateCheck] = []


def register_gate_check(check: GateCheck) -> None:
    """A gate whose figures lie in an app that builds on this one: what a version shows; None where it is not set."""
    _checks_above.append(check)


def _percent(share: float) -> str:
    """With as many digits as tell it from a limit that it just missed."""
    return f"{100 * share:.4g} %"


def approval_in_force(version_id: int) -> Approval | None:
    """The newest decision on a version, if it is an approval; a row of `signed_rows`."""
    rows = Approval.objects.select_related("author").filter(model_version_id=version_id)
    rows = signed_rows(rows, kind="approval.given", of="model_version_id", key=("approval", "pk"))
    newest = rows.order_by("-id").first()
    return newest if newest and newest.approved else None


def newest_gates(category_id: int) -> PromotionGates | None:
    """The row in force; None where nobody set gates."""
    rows = PromotionGates.objects.select_related("author")
    return rows.filter(category_id=category_id).order_by("-id").first()


def gates_in_force(category_id: int) -> Gates:
    row = newest_gates(category_id)
    return Gates(**{name: getattr(row, name) for name in Gates.__dataclass_fields__}) if row else Gates()


def gate_results(version: Any, *, read_artifact: bool = True) -> list[GateResult]:
    """What a version shows at each gate of its category that is set; empty where none is.

    Args:
        read_artifact: false: leave out the gate that reads every byte of the artifact, where a page only shows.
    """
    gates = gates_in_force(version.category_id)
    results = _figures(version, gates)
    if gates.min_lamp_tolerance is not None:
        results.append(_lamp(version, gates.min_lamp_tolerance))
    if gates.refuse_shortcut_warning:
        results.append(_shortcuts(version, gates))
    results += [result for check in _checks_above if (result := check(version, gates))]
    if gates.verify_artifact and read_artifact:
        results.append(_artifact(version))
    return results


def refuse_unless_releasable(version: Any) -> None:
    """Raises `Conflict` for a version that may not go into production: not approved, or a gate refuses it."""
    if settings.REQUIRE_APPROVAL and approval_in_force(version.pk) is None:
        raise Conflict(
            f"{version} is not approved, and this installation requires it (REQUIRE_APPROVAL). Nothing was changed. "
            "Have somebody approve it who did not train it.",
            code="approval_missing",
        )
    refused = [result for result in gate_results(version) if not result.passed]
    if refused:
        raise Conflict(
            f"{version} does not pass the promotion gates of {version.category.name}. "
            f"{'; '.join(result.sentence for result in refused)}. Nothing was changed. Evaluate it again, train a "
            "better one, or change the gates, which is kept in the audit log.",
            code="gate_refused",
        )


def _newest_evaluation(version: Any, dataset_name: str) -> tuple[Any, bool]:
    """The newest evaluation on a data set at the threshold in force, and whether there is one at another."""
    # Evaluations belong to an app that builds on this one: reached by name, not imported.
    rows = version.evaluations.select_related("threshold").filter(dataset__name=dataset_name).order_by("-pk")
    threshold = version.thresholds.order_by("-revision").first()
    return rows.filter(threshold=threshold).first(), rows.exists()


def _figures(version: Any, gates: Gates) -> list[GateResult]:
    """The gates that are figures of the reference set."""
    limits = [
        ("min_recall", _("Recall"), "recall", gates.min_recall, "at least"),
        ("max_false_reject_rate", _("False-reject rate"), "false_reject_rate", gates.max_false_reject_rate, "at most"),
    ]
    if all(limit is None for _, _, _, limit, _ in limits):
        return []
    evaluation, is_evaluated = _newest_evaluation(version, gates.dataset_name)
    results = []
    for name, title, key, limit, words in limits:
        if limit is None:
            continue
        value = evaluation and (evaluation.metrics.get("image") or {}).get(key)
        if value is None:
            at = " at the active threshold" if is_evaluated else ""
            measured, passed = f"not measured on {gates.dataset_name}{at}", False
        else:
            measured = f"{_percent(value)} on {gates.dataset_name}"
            passed = value >= limit if name == "min_recall" else value <= limit
        results.append(GateResult(name, title, f"{words} {_percent(limit)}", measured, passed))
    return results


def _lamp(version: Any, limit: float) -> GateResult:
    robustness = robustness_of(version)
    title, required = _("Lamp tolerance"), f"at least {_percent(limit)} darker and brighter"
    if robustness is None:
        return GateResult("min_lamp_tolerance", title, required, "robustness not measured", False)
    lamp = robustness["lamp"]
    darker, brighter = lamp["darker"] or 0.0, lamp["brighter"] or 0.0
    measured = f"{_percent(darker)} darker, {_percent(brighter)} brighter"
    return GateResult("min_lamp_tolerance", title, required, measured, min(darker, brighter) >= limit)


def _shortcuts(version: Any, gates: Gates) -> GateResult:
    """Of the newest evaluation, on the reference set where there is one."""
    rows = version.evaluations.order_by("-pk")
    if gates.dataset_name:
        rows = rows.filter(dataset__name=gates.dataset_name)
    metrics: Any = rows.values_list("metrics", flat=True).first()
    audit = (metrics or {}).get("shortcut_audit")
    words = ("not measured", False) if audit is None else ("warning", False) if audit["warning"] else ("none", True)
    return GateResult("refuse_shortcut_warning", _("Shortcut warning"), "none", *words)


def _artifact(version: Any) -> GateResult:
    title, required = _("Artifact"), "unchanged since it was registered"
    try:
        check_artifact(version)
    except ArtifactFault as fault:
        return GateResult("verify_artifact", title, required, str(fault).rstrip("."), False)
    return GateResult("verify_artifact", title, required, "unchanged", True)
