"""What the pages of training runs and evaluations show."""

from __future__ import annotations

from django.db.models import F, QuerySet
from django.utils.translation import gettext as _

from common.errors import NotFound
from common.numbers import metric, percent, score_text
from common.web.charts import Chart, line
from modelzoo.models import ModelVersion
from training.datasets.pages import MAX_RELATED
from training.models import Dataset, Evaluation, TrainingRun
from training.runs.documents import runs


def runs_on(dataset: Dataset) -> list[TrainingRun]:
    """The last ones."""
    return list(run_list().filter(dataset=dataset).order_by("-pk")[:MAX_RELATED])


# ---------------------------------------------------------------- runs
def run_list(*, dataset: str = "", status: str = "") -> QuerySet[TrainingRun]:
    """With `auroc` of what came of each, and without what a list does not show."""
    return (
        runs(dataset=dataset, status=status)
        .select_related("model_version")
        .defer("versions", *ModelVersion.long_columns("model_version", in_list=True))
        .annotate(auroc=F("model_version__metrics__image__auroc"))
    )


def losses(run: TrainingRun) -> Chart | None:
    """The loss of each epoch, on the training images and on those kept out; None where there are no epochs."""
    rows = [row for row in run.history if {"epoch", "train_loss", "held_out_loss"} <= row.keys()]
    if not rows:
        return None
    return line(
        _("Loss over %(epochs)s epochs, at the end %(loss)s on held-out images")
        % {"epochs": len(rows), "loss": f"{rows[-1]['held_out_loss']:.5f}"},
        {
            "first": (_("training images"), [(row["epoch"], row["train_loss"]) for row in rows]),
            "second": (_("held-out images"), [(row["epoch"], row["held_out_loss"]) for row in rows]),
        },
        x_label=_("epoch"),
        y_label=_("loss"),
    )


# ---------------------------------------------------------------- reports
def evaluations() -> QuerySet[Evaluation]:
    return Evaluation.objects.select_related("model_version__category", "dataset__category", "threshold")


def find_evaluation(evaluation_id: int) -> Evaluation:
    evaluation = evaluations().filter(pk=evaluation_id).first()
    if evaluation is None:
        raise NotFound(f"There is no evaluation {evaluation_id}.", code="evaluation_not_found")
    return evaluation


def evaluation_of(version: ModelVersion) -> Evaluation | None:
    """The newest one of a version."""
    return evaluations().filter(model_version=version).order_by("-pk").first()


def other_evaluations(evaluation: Evaluation) -> list[Evaluation]:
    """The last ones of the same version."""
    rows = Evaluation.objects.filter(model_version=evaluation.model_version_id)
    return list(rows.select_related("dataset", "threshold").defer("metrics").order_by("-pk")[: 2 * MAX_RELATED])


def results(evaluation: Evaluation) -> list[tuple[str, str]]:
    """The few figures that one asks for first."""
    image = evaluation.metrics["image"]
    return [
        (_("Image AUROC"), metric(image.get("auroc"))),
        (_("Defects detected"), percent(image.get("recall"))),
        (_("False rejects"), percent(image.get("false_reject_rate"))),
        (
            _("F1 at %(score)s") % {"score": score_text(evaluation.metrics["threshold"])}
            if "threshold" in evaluation.metrics
            else "F1",
            metric(image.get("f1")),
        ),
        (_("Test images"), str(evaluation.metrics.get("n", "-"))),
    ]
