"""`manage.py calibrate`: a new threshold revision of a model version, by a rule."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import numpy as np

from common.commands import ProductCommand
from common.errors import UserError
from modelzoo.detectors.errors import DetectorError
from modelzoo.evaluation import calibration
from modelzoo.loading.scoring import load_model
from modelzoo.models import ModelVersion, Threshold
from modelzoo.selectors import find_version, threshold_by_rule, threshold_in_force
from modelzoo.services import set_threshold
from training.datasets.imports import find_dataset
from training.datasets.selectors import images_of, latest_dataset
from training.models import DatasetImage


class Command(ProductCommand):
    help = (
        "Set the threshold of a model version by a rule: from held-out good images, or, with labelled defects, "
        "by F1 or cost. Past verdicts do not change."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--model-version", default="latest", help="an id, or latest (default)")
        parser.add_argument(
            "--category", default="", help=("the category whose latest version is used; required if there are several")
        )
        rule = parser.add_mutually_exclusive_group(required=True)
        rule.add_argument("--percentile", type=float, help="of the held-out good scores (0..100)")
        rule.add_argument(
            "--false-reject-rate",
            type=float,
            help=("conformal: new good parts are rejected with at most this probability"),
        )
        rule.add_argument("--best-f1", action="store_true", help="on labelled images")
        rule.add_argument(
            "--cost",
            type=float,
            nargs=2,
            metavar=("FALSE_REJECT", "ESCAPE"),
            help="on labelled images: what a rejected good part and a passed defective part cost",
        )
        parser.add_argument(
            "--prevalence", type=float, help="with --cost: share of defective parts on the line (default: as labelled)"
        )
        parser.add_argument("--dataset", default="", help="labelled images (default: the version's own data set)")
        parser.add_argument("--reason", default="", help="kept with the revision")
        parser.add_argument("--dry-run", action="store_true", help="show the threshold and save nothing")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:

        version = find_version(reference=options["model_version"], category=options["category"])
        if options["prevalence"] is not None and options["cost"] is None:
            raise UserError("--prevalence belongs to --cost.")
        try:
            value, method, parameters, evidence = self._threshold(version, options)
        except DetectorError as error:
            raise UserError(f"{error} The active threshold does not change.") from error
        before = threshold_in_force(version.pk)
        answer: dict[str, Any] = {
            "model_version": version.pk,
            "method": method,
            "threshold": value,
            "parameters": parameters,
            "evidence": evidence,
            "before": before.value,
        }
        if not options["dry_run"]:
            reason = options["reason"] or f"manage.py calibrate, {method}"
            threshold = set_threshold(
                version=version,
                value=value,
                method=method,
                parameters=parameters,
                evidence=evidence,
                reason=reason,
                actor=None,
            )
            answer["revision"] = threshold.revision
        if options["json"]:
            self.answer(answer)
        else:
            outcome = f"kept as revision {answer['revision']}" if "revision" in answer else "not kept (--dry-run)"
            self.stdout.write(f"{version}: {value:.6g} by {method} (was {before.value:.6g}), {outcome}")

    def _threshold(
        self, version: ModelVersion, options: dict[str, Any]
    ) -> tuple[float, str, dict[str, Any], dict[str, Any]]:
        """Value, method, its parameters, and what it was taken from."""

        for method, name in (
            (Threshold.Method.PERCENTILE, "percentile"),
            (Threshold.Method.CONFORMAL, "false_reject_rate"),
        ):
            if options[name] is not None:
                rule = {name: options[name]}
                value, evidence = threshold_by_rule(version=version, method=method, parameters=rule)
                return value, method, rule, evidence
        scores, labels, evidence = self._labelled(version, options["dataset"])
        if options["best_f1"]:
            return calibration.best_f1_threshold(scores, labels), Threshold.Method.BEST_F1, {}, evidence
        false_reject, escape = options["cost"]
        value = calibration.cost_threshold(
            scores, labels, cost_false_reject=false_reject, cost_escape=escape, prevalence=options["prevalence"]
        )
        costs = {"cost_false_reject": false_reject, "cost_escape": escape, "prevalence": options["prevalence"]}
        return value, Threshold.Method.COST, costs, evidence

    def _labelled(self, version: ModelVersion, reference: str) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Scores and labels of the labelled images that can be compared."""
        from training.runs.execution.evaluation import judge

        dataset = find_dataset(reference) if reference else latest_dataset(version.dataset_name)
        images = images_of(dataset, DatasetImage.Split.TEST)
        rows = [row for row in judge(load_model(version).detector, images) if row.score is not None]
        labels = np.array([row.image.is_defective for row in rows], dtype=bool)
        if not labels.any() or labels.all():
            raise UserError(f"{dataset} has no labelled images of both kinds.", code="no_labelled_images")
        origin = {"scores": f"labelled images of {dataset.name}", "snapshot": dataset.snapshot, "n": len(labels)}
        return np.array([row.score for row in rows]), labels, origin
