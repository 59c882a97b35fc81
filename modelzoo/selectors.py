"""Reads: which version, threshold and deployment is meant or in force."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from django.db.models import Q

from common.errors import Conflict, NotFound, UserError
from jobs.metrics.definitions import MAX_CATEGORIES, OTHER
from modelzoo.detectors.errors import DetectorError, TooFewImages
from modelzoo.detectors.preprocessing.input_rules import InputRules
from modelzoo.evaluation import calibration
from modelzoo.models import Category, Deployment, InputCheckSettings, ModelVersion, Threshold

_WITH = ("category",)
_VERSION = ("model_version__category",)
# What an image needs to be judged and answered. A row of all columns costs as much as ten narrow ones.
_FOR_ONE_IMAGE = (
    "status",
    "station",
    "category__name",
    "category__is_default",
    "model_version__algorithm",
    "model_version__number",
    "model_version__preprocessing",
)
_MAX_LISTED = 20  # names in a sentence


def find_category(name: str) -> Category:
    """Raises `NotFound` naming those there are."""
    short = unicodedata.normalize("NFKC", name)  # a Mac may send letters and accents apart
    category = None if "\0" in name else Category.objects.filter(name=short).first()
    if category is None:
        names = ", ".join(Category.objects.order_by("name").values_list("name", flat=True)[:20])
        hint = f"There are: {names}." if names else "There is none yet."
        raise NotFound(f"There is no category named {name[:100]!r}. {hint}", code="category_not_found")
    return category


def find_version(*, reference: str | int = "latest", category: str = "", algorithm: str = "") -> ModelVersion:
    """A version by id, or the latest of a category and algorithm: one that is not archived, else one that has served.

    Raises `NotFound` with what there is, `UserError` for a word that names no version or one of another category or
    algorithm, and `SeveralCategories` for the latest of no category where several have versions.
    """
    versions = ModelVersion.objects.select_related(*_WITH)
    if str(reference) != "latest":
        if not str(reference).isdecimal() or len(str(reference)) > 18:
            raise UserError(f"model_version must be an id or 'latest', not {str(reference)[:50]!r}.", code="invalid")
        version = versions.filter(pk=int(reference)).first()
        if version is None:
            raise NotFound(f"There is no model version {reference}.", code="model_version_not_found")
        if category and version.category.name != category:
            raise UserError(
                f"Model version {reference} is for {version.category.name}, not for {category}. Nothing was changed. "
                "Name its own category, or none.",
                code="invalid",
            )
        if algorithm and version.algorithm != algorithm:
            raise UserError(
                f"Model version {reference} is a {version.algorithm}, not a {algorithm}. Nothing was changed. Name its "
                "own algorithm, or none.",
                code="invalid",
            )
        return version
    if category:
        versions = versions.filter(category__name=category)
    if algorithm:
        versions = versions.filter(algorithm=algorithm)
    if not category:
        names = sorted(versions.order_by().values_list("category__name", flat=True).distinct())
        if len(names) > 1:
            raise SeveralCategories(
                f"Several categories have model versions ({_name_list(names)}), and the request names none. Nothing "
                "was changed. Name a category, or the id of a model version.",
                categories=names,
            )
    served = Q(deployments__activated_at__isnull=False, deployments__station="")
    latest = versions.exclude(stage=ModelVersion.Stage.ARCHIVED).order_by("-id").first()
    # Whoever goes back and forth between algorithms archives each in turn; what a person put aside never served.
    latest = latest or versions.filter(served).order_by("-id").first()
    if latest is None:
        what = " ".join(word for word in (algorithm, "model version") if word)
        where = f" for {category[:100]!r}" if category else ""
        names = list(Category.objects.order_by("name").values_list("name", flat=True)) if category else []
        hint = f" Categories are: {_name_list(names)}." if names else ""
        raise NotFound(
            f"There is no {what}{where} yet.{hint} Train one on the Training page or with manage.py train.",
            code="model_version_not_found",
        )
    return latest


def newest_of_each_algorithm() -> list[ModelVersion]:
    """The newest version of each algorithm that is not archived, by name of the algorithm."""
    versions = ModelVersion.objects.select_related(*_WITH).exclude(stage=ModelVersion.Stage.ARCHIVED)
    return list({version.algorithm: version for version in versions.order_by("algorithm", "id")}.values())


@functools.lru_cache(maxsize=1000)
def category_label(category_id: int) -> str:
    """A category's name as a label of metrics; those after the first MAX_CATEGORIES share one, in all processes."""
    older = Category.objects.filter(pk__lt=category_id).count()
    return OTHER if older >= MAX_CATEGORIES else Category.objects.get(pk=category_id).name


def input_rules(category_id: int) -> InputRules:
    """What is checked of a picture before it is judged as one of a category."""
    row = InputCheckSettings.objects.filter(category_id=category_id).first()
    return row.rules if row else InputRules()


def threshold_in_force(version_id: int) -> Threshold:
    return Threshold.objects.filter(model_version_id=version_id).order_by("-revision")[0]


def threshold_by_rule(
    *, version: ModelVersion, method: str, parameters: dict[str, Any]
) -> tuple[float, dict[str, Any]]:
    """The threshold that a rule takes from the held-out scores of a version, and what it was taken from.

    `percentile` wants {"percentile": 95}, `conformal` {"false_reject_rate": 0.05}. Raises `UserError` for other methods
    and parameters, and `Conflict` where there are too few scores.
    """

    rules: dict[str, tuple[str, Callable[..., float]]] = {
        Threshold.Method.PERCENTILE: ("percentile", calibration.percentile_threshold),
        Threshold.Method.CONFORMAL: ("false_reject_rate", calibration.conformal_threshold),
    }
    if method not in rules:
        raise UserError(
            f"Held-out good images alone give no threshold by {method}. Nothing was changed. Send a value; manage.py "
            "calibrate computes best_f1 and cost from labelled images.",
            code="value_missing",
        )
    name, rule = rules[method]
    number = parameters.get(name)
    if set(parameters) != {name} or isinstance(number, bool) or not isinstance(number, int | float):
        raise UserError(
            f"To compute a threshold by {method}, parameters must be {{{name!r}: a number}}. Nothing was changed.",
            code="invalid_parameters",
        )
    scores = version.held_out_scores
    if not scores:
        raise Conflict(
            f"{version} has no held-out scores. The active threshold does not change.", code="too_few_scores"
        )
    try:
        value = rule(scores, number)
    except TooFewImages as error:
        raise Conflict(f"{error} The active threshold does not change.", code="too_few_scores") from error
    except DetectorError as error:
        raise UserError(f"{error} The active threshold does not change.", code="invalid_parameters") from error
    above = sum(score > value for score in scores)
    evidence = {"scores": "held-out good images", "n": len(scores), "above": above, "quantile": 1 - above / len(scores)}
    return value, evidence


def active_deployments() -> list[Deployment]:
    """What serves each category, the one loaded last first."""
    return list(
        Deployment.objects.filter(status=Deployment.Status.ACTIVE, station="")
        .select_related("category", "model_version__category", "requested_by")
        .defer(*ModelVersion.long_columns("model_version"))
        .order_by("-activated_at", "-id")
    )


def active_canaries(*, category_id: int | None = None, version_id: int | None = None) -> list[Deployment]:
    """What judges a station instead of production, by category and station."""
    rows = Deployment.objects.filter(status=Deployment.Status.ACTIVE).exclude(station="")
    if category_id is not None:
        rows = rows.filter(category=category_id)
    if version_id is not None:
        rows = rows.filter(model_version=version_id)
    rows = rows.select_related("category", "model_version__category", "requested_by")
    return list(rows.defer(*ModelVersion.long_columns("model_version")).order_by("category__name", "station"))


def deployment_in_force(category: str = "", *, station: str = "") -> Deployment:
    """What judges an image: the category's deployment; where none is named, the only one or that of the default.

    `station`: where the image comes from; a canary of that station goes before.

    Raises `NoModelLoaded`, and `SeveralCategories` where several are in force and none of them is meant.
    """
    active = Deployment.objects.filter(status=Deployment.Status.ACTIVE).select_related("category", "model_version")
    active = active.only(*_FOR_ONE_IMAGE)
    if category:
        # A canary's station comes after the empty one of production, without which there is no canary.
        deployment = active.filter(category__name=category, station__in={"", station}).order_by("-station").first()
        if deployment is None:
            raise _no_model_for(category)
        return _with_its_category(deployment)
    deployments = list(active.filter(station="").order_by("category__name"))
    if not deployments:
        raise NoModelLoaded("No model is loaded. Load one with POST /api/load_model, then send the image again.")
    deployment = without_category(deployments)
    if deployment is None:
        names = [deployment.category.name for deployment in deployments]
        raise SeveralCategories(
            f"Several categories are in production ({_name_list(names)}), and the request names none. Nothing was "
            "judged. Name the category, or set a default category (Models page, manage.py set_default_category).",
            categories=names,
        )
    return deployment_in_force(deployment.category.name, station=station) if station else _with_its_category(deployment)


def _with_its_category(deployment: Deployment) -> Deployment:
    deployment.model_version.category = deployment.category
    return deployment


def without_category(deployments: Sequence[Deployment]) -> Deployment | None:
    """Of those in force, what judges an image that names no category: the only one, or the default's; None: nothing."""
    if len(deployments) == 1:
        return deployments[0]
    return next((deployment for deployment in deployments if deployment.category.is_default), None)


def default_category() -> Category | None:
    return Category.objects.filter(is_default=True).first()


def _no_model_for(category: str) -> NoModelLoaded:
    names = sorted(deployment.category.name for deployment in active_deployments())
    in_force = f"In production: {_name_list(names)}. " if names else ""
    return NoModelLoaded(
        f"No model is loaded for {category[:100]!r}. {in_force}Nothing was judged. Name a category that is in "
        "production, or load a model for this one with POST /api/load_model."
    )


def _name_list(names: Sequence[str]) -> str:
    return ", ".join(names[:_MAX_LISTED]) + (", ..." if len(names) > _MAX_LISTED else "")


def rollback_target(category: Category) -> Deployment:
    """What served a category before its present version. A second rollback goes one step further back, not forth again.

    Raises `NoModelLoaded`, and `Conflict` where no other version served before.
    """
    present = deployment_in_force(category.name)
    served = Deployment.objects.filter(category=category, activated_at__isnull=False, station="")
    path: list[Deployment] = []  # how the present version came about
    for step in served.select_related("model_version__category").order_by("id"):
        if step.kind == Deployment.Kind.ROLLBACK:
            while path and path[-1].model_version_id != step.model_version_id:
                path.pop()
        if path and path[-1].model_version_id == step.model_version_id:
            path.pop()  # loaded again, perhaps in another way
        path.append(step)
    if len(path) < 2:
        others = served.exclude(model_version=present.model_version_id).exists()
        raise Conflict(
            f"{_NOT_SERVED_BEFORE[others].format(category=category.name, version=present.model_version)} Nothing was "
            "changed. Promote the version that you want.",
            code="nothing_to_roll_back_to",
        )
    return path[-2]


# Why there is nothing to roll back to, by whether other versions served at all.
_NOT_SERVED_BEFORE = {
    False: "No other version of {category} was in production before {version}.",
    True: ("The other versions of {category} were rolled back, and {version} is the first one that was in production."),
}


class NoModelLoaded(UserError):
    code = "no_model_loaded"
    status = 409  # type: ignore[assignment]


class SeveralCategories(Conflict):
    """A request that names no category, where several could be meant: `categories` are their names."""

    code = "several_categories"
