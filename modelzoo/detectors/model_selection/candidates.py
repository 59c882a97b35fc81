"""What is tried: detectors with each backbone whose weights are here, then one changed option of the best two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Values that are tried instead of a detector's own. Blur and floor are not: since distances have one scale, other
# values change AUROC by less than 0.015, and synthetic defects prefer a finer blur where real ones do not (wood).
OPTION_VALUES: dict[str, dict[str, tuple[Any, ...]]] = {
    "padim": {},
    "patchcore": {},
    "autoencoder": {"skip_connections": (True,)},
}
# A larger input is tried where the images have the pixels for it.
SIZE_FACTORS = (1.5, 2.0)
# Training it takes minutes where the others take seconds: with less it would be all that is tried.
MIN_AUTOENCODER_MINUTES = 30.0


@dataclass(frozen=True)
class Candidate:
    """A detector with the options in which it differs from its defaults."""

    algorithm: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As tables show it: "padim, sigma 4"."""
        changed = [f"{name.replace('_', ' ')} {_text(value)}" for name, value in self.options.items()]
        return ", ".join([self.algorithm, *changed])

    def __hash__(self) -> int:
        return hash(self.name)

    def with_option(self, name: str, value: Any) -> Candidate:
        return Candidate(self.algorithm, {**self.options, name: value})


# What is trained unless another is better by more than chance. On ten sets with real defects PatchCore's mean AUROC is
# 0.951, PaDiM's 0.932, and on the worst of them (31 cookies) PatchCore is 0.011 behind: where synthetic defects cannot
# tell the two apart, real ones speak for it.
BASELINE = Candidate("patchcore")


def detectors(other_backbones: Sequence[str], minutes: float) -> list[Candidate]:
    """The first that are tried, the cheap ones first, within a budget. `other_backbones`: beside the default one."""
    found = [BASELINE, Candidate("padim")]
    found += [one.with_option("backbone", name) for name in other_backbones for one in found[:2]]
    if minutes >= MIN_AUTOENCODER_MINUTES:
        found.append(Candidate("autoencoder"))
    return found


def variations(
    candidate: Candidate, options: Mapping[str, Any], own_size: tuple[float, float], *, may_be_unaligned: bool
) -> list[Candidate]:
    """One option of a candidate changed: the cheap ones first.

    Args:
        options: all that the candidate has now.
        own_size: median height and width of the good images.
        may_be_unaligned: whether the parts are aligned, which could be left out.
    """
    found = [
        candidate.with_option(name, value)
        for name, values in OPTION_VALUES[candidate.algorithm].items()
        for value in values
        if options[name] != value
    ]
    for factor in SIZE_FACTORS:
        size = [16 * round(factor * side / 16) for side in options["image_size"]]
        if all(own >= 0.9 * side for own, side in zip(own_size, size, strict=True)):
            found.append(candidate.with_option("image_size", size))
    if may_be_unaligned:
        found.append(candidate.with_option("align", "none"))
    return found


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
