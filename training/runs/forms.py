"""The form that starts a training run. Options, their limits and explanations are those that the detectors declare."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, get_args, get_origin, get_type_hints

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from common.errors import UserError
from common.web.refusals import refusal_html
from modelzoo.detectors.options import DEVICES
from modelzoo.detectors.registry import TRAINABLE
from modelzoo.models import Threshold
from training.models import Dataset, TrainingRun
from training.runs.options import default_options

# What is worth a look before the first run; everything else has a good default.
BASIC = {"budget", "backbone", "image_size", "coreset", "epochs", "latent_dim"}
_LABELS = {
    "n_features": "Features",
    "image_size": "Image size",
    "sigma": "Blur of the anomaly map",
    "tile": "Tiles",
    "tile_overlap": "Overlap of tiles",
    "align": "Pose",
    "window": "Black and white of 16-bit images",
    "latent_dim": "Bottleneck size",
    "folds": "Held-out parts",
    "budget": "Time budget, minutes",
}
_MAX_SEED = 2**32 - 1


class NumbersField(forms.CharField):
    """Several numbers in one line, one that stands for all of them, or one of `words`."""

    def __init__(
        self,
        *,
        kind: type[int] | type[float],
        count: int,
        accepts_single: bool,
        words: Collection[str] = (),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.kind, self.count, self.accepts_single, self.words = kind, count, accepts_single, words

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            return value
        texts = [f"{number:g}" for number in value]
        return texts[0] if self.accepts_single and len(set(texts)) == 1 else " ".join(texts)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if text in self.words:
            return text
        parts = [part for part in re.split(r"[\s,;x]+", text) if part]
        counts = (1, self.count) if self.accepts_single else (self.count,)
        try:
            numbers = [self.kind(part) for part in parts]
        except ValueError:
            numbers = []
        if len(numbers) not in counts:
            whole = "whole numbers" if self.kind is int else "numbers"
            raise forms.ValidationError(
                f"Write {'one number, or ' if self.accepts_single else ''}{self.count} {whole} with spaces between"
                f"{''.join(f', or {word}' for word in self.words)}."
            )
        return numbers[0] if len(numbers) == 1 else numbers


class OptionsForm(forms.Form):
    """The options of one detector, or of the choice of one, each with its limits and its explanation."""

    def __init__(self, algorithm: str, data: Mapping[str, Any] | None, values: Mapping[str, Any]) -> None:
        super().__init__(data, prefix=algorithm)
        self.algorithm = algorithm
        config = TRAINABLE[algorithm].config
        hints, defaults = get_type_hints(config), default_options()
        for field in dataclasses.fields(config):
            if field.name == "seed":
                continue
            default = defaults.get(field.name, field.default)
            self.fields[field.name] = _field(field, hints[field.name], values.get(field.name, default), default)
        self.fields["device"] = forms.ChoiceField(
            label=_("Device"),
            choices=[(name, name) for name in DEVICES],
            initial=values.get("device", defaults["device"]),
            help_text=_("where it is trained; auto: a GPU where there is one"),
        )

    @property
    def basic(self) -> list[forms.BoundField]:
        return [field for field in self if field.name in BASIC]

    @property
    def advanced(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in BASIC]

    @property
    def advanced_has_errors(self) -> bool:
        return any(field.errors for field in self.advanced)

    def blame(self, error: UserError) -> bool:
        """Put what a detector says of an option at its field: sentences begin with `name=`. False where none does."""
        sentence = error.detail
        name, equals, _rest = sentence.partition("=")
        if not equals or name not in self.fields:
            return False
        said = sentence.partition(" is not valid: ")[2].capitalize() or sentence
        self.add_error(name, refusal_html(error, said))
        return True


def _field(field: Any, hint: Any, initial: Any, default: Any) -> forms.Field:
    """A form's field for a field of a detector's dataclass."""
    meta = field.metadata
    low, high, choices = meta["low"], meta["high"], meta["choices"]
    words: dict[str, Any] = {
        "label": _LABELS.get(field.name, field.name.replace("_", " ").capitalize()),
        "help_text": meta["help"],
        "initial": initial,
    }
    if hint is bool:
        return forms.BooleanField(required=False, **words)
    if choices and get_origin(hint) is tuple:
        return forms.MultipleChoiceField(
            choices=_pairs(choices), widget=forms.CheckboxSelectMultiple, **words | {"initial": list(initial)}
        )
    if choices:
        return forms.ChoiceField(choices=_pairs(choices), **words)
    words["help_text"] += _range(low, high, default)
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        return NumbersField(
            kind=inner[0],
            count=len(inner),
            accepts_single=inner[0] is int,
            words=meta["words"].keys(),
            max_length=100,
            **words,
        )
    limits = {"min_value": low, "max_value": high}
    if hint is int:
        return forms.IntegerField(**limits, **words)
    return forms.FloatField(**limits, widget=forms.NumberInput({"step": "any"}), **words)


def _pairs(choices: Sequence[str]) -> list[tuple[str, str]]:
    return [(choice, choice) for choice in choices]


def _range(low: float | None, high: float | None, default: Any) -> str:
    default_text = (
        " ".join(f"{number:g}" for number in default) if isinstance(default, (list, tuple)) else f"{default:g}"
    )
    between = f"; {low:.15g} to {high:.15g}" if low is not None and high is not None else ""
    return f"{between}; usually {default_text}"


class RunForm(forms.Form):
    """What every run is asked for beside the options: data, detector, the rule of the first threshold, seed."""

    dataset = forms.TypedChoiceField(label=_("Data set"), coerce=int)
    algorithm = forms.ChoiceField(
        label=_("Detector"),
        choices=[(one.name, one.title) for one in TRAINABLE.values()],
        widget=forms.RadioSelect,
    )
    method = forms.ChoiceField(
        label=_("First threshold"),
        choices=[
            (Threshold.Method.PERCENTILE.value, _("percentile of the good scores")),
            # xgettext:no-python-format
            (Threshold.Method.CONFORMAL.value, _("at most X % false rejects on average (conformal)")),
        ],
        help_text=_("from the scores of held-out good parts; it can be changed later"),
    )
    percentile = forms.FloatField(
        label=_("Percentile"),
        required=False,
        min_value=1,
        max_value=100,
        widget=forms.NumberInput({"step": "any"}),
        # xgettext:no-python-format
        help_text=_("90 rejects about 10 % of the good parts"),
    )
    false_reject_rate = forms.FloatField(
        label=_("False rejects, %"),
        required=False,
        min_value=0.001,
        max_value=99.999,
        widget=forms.NumberInput({"step": "any"}),
        help_text=_("of new good parts, at most, on average"),
    )
    seed = forms.IntegerField(
        label=_("Seed"),
        min_value=0,
        max_value=_MAX_SEED,
        help_text=_("the same seed, data and options give the same model"),
    )

    def __init__(
        self, data: Mapping[str, Any] | None, datasets: Iterable[Dataset], like: TrainingRun | None, dataset: int | None
    ) -> None:
        rule = like.calibration if like else {}
        super().__init__(
            data,
            initial={
                "dataset": like.dataset_id if like else dataset,
                "algorithm": like.algorithm if like else next(iter(TRAINABLE)),
                "method": rule.get("method", Threshold.Method.PERCENTILE.value),
                "percentile": f"{rule.get('percentile', settings.THRESHOLD_PERCENTILE):.15g}",
                "false_reject_rate": f"{100 * rule.get('false_reject_rate', 0.05):.13g}",
                "seed": like.seed if like else 0,
            },
        )
        choices = [(row.pk, f"{row.name} · {row.snapshot[:8]} · {row.created_at:%Y-%m-%d}") for row in datasets]
        self.fields["dataset"].choices = choices  # type: ignore[attr-defined]
        options = like.options if like else {}
        self.options = {
            name: OptionsForm(name, data, options if like and like.algorithm == name else {}) for name in TRAINABLE
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        parameter = "percentile" if cleaned.get("method") == Threshold.Method.PERCENTILE else "false_reject_rate"
        if cleaned.get(parameter) is None and parameter not in self.errors:
            self.add_error(parameter, _("Write a number."))
        other = {"percentile": "false_reject_rate", "false_reject_rate": "percentile"}[parameter]
        self.errors.pop(other, None)  # what is not asked for cannot be wrong
        return cleaned

    @property
    def detectors(self) -> list[dict[str, Any]]:
        """Each detector with its words and its options."""
        selection = self["algorithm"].value()
        return [
            {"algorithm": algorithm, "is_selected": name == selection, "options": self.options[name]}
            for name, algorithm in TRAINABLE.items()
        ]

    @property
    def selected_options(self) -> OptionsForm:
        return self.options[self.cleaned_data["algorithm"]]

    @property
    def rule(self) -> dict[str, float]:
        """As `threshold_rule` takes it."""
        if self.cleaned_data["method"] == Threshold.Method.PERCENTILE:
            return {"percentile": self.cleaned_data["percentile"]}
        return {"false_reject_rate": self.cleaned_data["false_reject_rate"] / 100}
