"""`manage.py evaluate`: figures of a model version on the test split of a data set, and a report for people."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from common.commands import ProductCommand
from common.errors import UserError
from common.numbers import metric_range, percent, percent_range
from modelzoo.loading.options import add_runtime_options, runtime_options
from modelzoo.selectors import find_version
from training.datasets.selectors import latest_dataset
from training.report import file
from training.report.words import duplicates_sentence, shortcut_sentences
from training.runs.services import record_evaluation


class Command(ProductCommand):
    help = "Evaluate a model version at its active threshold; the metrics are saved."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--model-version", default="latest", help="an id, or latest (default)")
        parser.add_argument(
            "--category", default="", help=("the category whose latest version is used; required if there are several")
        )
        parser.add_argument("--dataset", default="", help="name of a data set (default: the one it was trained on)")
        # The reference, unless another way is asked for: figures are compared over machines and years.
        add_runtime_options(parser, runtime="torch", precision="fp32")
        parser.add_argument("--report", type=Path, metavar="PATH", help="also write a self-contained HTML report")
        parser.add_argument(
            "--without-pictures",
            action="store_true",
            help="leave the images out of the report: parts stay confidential",
        )
        parser.add_argument(
            "--robustness",
            action="store_true",
            help="also measure how brightness, blur, noise, shift, rotation and JPEG change the scores of good images "
            "(of the test split, or of training where it has none)",
        )
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        from training.evaluations.worker import evaluate_version
        from training.report import pictures
        from training.runs.execution.runner import progress_bar

        target = Path(options["report"]) if options.get("report") else None
        if options["without_pictures"] and not target:
            raise UserError("--without-pictures says what a report shows; name one with --report.")
        if target:
            file.check_target(target)
        version = find_version(reference=options["model_version"], category=options["category"])
        dataset = latest_dataset(options["dataset"] or version.dataset_name)
        with progress_bar(quiet=options["json"]) as echo:
            evaluated = evaluate_version(
                version, dataset, robustness=options["robustness"], options=runtime_options(options), progress=echo
            )
        threshold, metrics, scored = evaluated.threshold, evaluated.metrics, evaluated.scored
        scorer = evaluated.model.scorer
        evaluation = record_evaluation(
            version=version, dataset=dataset, threshold=threshold, metrics=metrics, actor=None
        )

        def report_pictures() -> list[tuple[str, list[pictures.EmbeddedPicture]]]:
            return pictures.show(scorer, pictures.choose(scored), threshold.value)

        if target:
            html = file.render(
                version=version,
                dataset=dataset,
                threshold=threshold,
                evaluation=evaluation,
                pictures=[] if options["without_pictures"] else report_pictures(),
            )
            file.write(target, html)
        if options["json"]:
            head = {"model_version": version.pk, "dataset": dataset.name, "dataset_snapshot": dataset.snapshot}
            self.answer(head | evaluation.metrics | ({"report": str(target)} if target else {}))
        else:
            self.stdout.write(
                f"{version} on {dataset}, threshold {threshold.value:.6g} (revision {threshold.revision}), "
                f"{' '.join(metrics['run_in'].values())}"
            )
            self.stdout.write(as_text(evaluation.metrics))
            if target:
                self.stdout.write(f"Report: {target}")


def as_text(metrics: dict[str, Any]) -> str:
    """The figures as a short table for a terminal."""

    def value_text(value: Any) -> str:
        if value is None:
            return "-"
        return f"{value:.4f}" if isinstance(value, float) else str(value)

    intervals = metrics["image"]["intervals"]
    lines = [f"{metrics['n']} test images (in brackets: 95 % intervals)"]
    for group in ("image", "pixel"):
        for name, value in (metrics[group] or {}).items():
            if isinstance(value, int | float | str) or value is None:
                within = f"  ({metric_range(intervals[name])})" if group == "image" and intervals.get(name) else ""
                lines.append(f"  {group + '.' + name:<26} {value_text(value)}{within}")
    lines.append("  by defect type (recall at the active threshold)")
    for name, row in metrics["per_defect"].items():
        share, within = percent(row["recall"]), percent_range(row["recall_interval"])
        lines.append(f"    {name:<24} {share:>7}  of {row['n']}  ({within})")
    if ignored := metrics.get("ignored"):
        below = ignored["images_with_no_judged_defect"]
        lines.append(
            f"  ignored: {percent(ignored['share'])} of an image; {below} defects lie there alone, by their masks"
        )
    not_comparable = metrics["not_comparable"]
    if not_comparable["reasons"]:
        why = ", ".join(f"{reason} {count}" for reason, count in not_comparable["reasons"].items())
        lines.append(
            f"  not comparable, counted as rejected: {not_comparable['good']} good, "
            f"{not_comparable['defective']} defects ({why})"
        )
    if left_out := duplicates_sentence(metrics.get("duplicates_left_out", 0)):
        lines.append(f"  {left_out}")
    warned = metrics["shortcut_audit"] and metrics["shortcut_audit"]["warning"]
    lines.append("  shortcut audit: WARNING" if warned else "  shortcut audit")
    lines += [f"    {sentence}" for sentence in shortcut_sentences(metrics["shortcut_audit"])]
    return "\n".join(lines + robustness_lines(metrics.get("robustness")))


def robustness_lines(robustness: dict[str, Any] | None) -> list[str]:
    """The table of disturbances for a terminal; nothing where it was not measured."""
    if robustness is None:
        return []
    lines = [
        f"  robustness, on {robustness['n']} good {robustness['images']} (change: multiples of the spread of held-out "
        "good scores)",
        f"    {'':<24} {'median':>8} {'95th %':>8} {'rejected':>10} {'not comparable':>15}",
    ]
    for row in (robustness["baseline"], *robustness["disturbances"]):
        changes = (f"{row[name]:+.2f}" if row[name] is not None else "-" for name in ("change_median", "change_p95"))
        median, p95 = changes if row is not robustness["baseline"] else ("", "")
        lines.append(
            f"    {row['title']:<24} {median:>8} {p95:>8} {percent(row['rejected_share']):>10} "
            f"{row['not_comparable']:>15}  {', '.join(row['reasons'])}".rstrip()
        )
    return [*lines, f"    {robustness['sentence']}"]
