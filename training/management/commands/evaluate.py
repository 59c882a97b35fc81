"""`manage.py evaluate`: figures of a model version on the test split of a data set."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from modelzoo.runtime import hold
from modelzoo.selectors import find_version, threshold_in_force
from mvtec_site.commands import ProductCommand
from mvtec_site.errors import UserError
from training.selectors import images_of, latest_dataset
from training.services import record_evaluation


class Command(ProductCommand):
    help = "Evaluate a model version at its threshold in force; the figures are kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--model-version", default="latest", help="an id, or latest (default)")
        parser.add_argument("--dataset", default="", help="name of a data set (default: the one it was trained on)")
        parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        from training.evaluation import evaluate_images
        from training.runner import progress_bar

        version = find_version(wanted=options["model_version"])
        dataset = latest_dataset(options["dataset"] or version.dataset_name)
        images = images_of(dataset, "test")
        if not images:
            raise UserError(f"{dataset} has no test images.", code="no_test_images")
        threshold = threshold_in_force(version.pk)
        held = hold(version, options["device"])
        with progress_bar(quiet=options["json"]) as echo:
            metrics = evaluate_images(held.detector, images, threshold.value, progress=echo)
        record_evaluation(version=version, dataset=dataset, threshold=threshold, metrics=metrics, actor=None)
        if options["json"]:
            head = {"model_version": version.pk, "dataset": dataset.name, "dataset_snapshot": dataset.snapshot}
            self.answer(head | metrics)
        else:
            self.stdout.write(
                f"{version} on {dataset}, threshold {threshold.value:.6g} (revision {threshold.revision})"
            )
            self.stdout.write(as_text(metrics))


def as_text(metrics: dict[str, Any]) -> str:
    """The figures as a short table for a terminal."""

    def shown(value: Any) -> str:
        if value is None:
            return "-"
        return f"{value:.4f}" if isinstance(value, float) else str(value)

    lines = [f"{metrics['n']} test images"]
    for group in ("image", "pixel"):
        for name, value in (metrics[group] or {}).items():
            if isinstance(value, int | float | str) or value is None:
                lines.append(f"  {group + '.' + name:<26} {shown(value)}")
    lines.append("  by defect type (recall at the threshold in force)")
    for name, row in metrics["per_defect"].items():
        lines.append(f"    {name:<24} {shown(row['recall'])}  of {row['n']}")
    return "\n".join(lines)
