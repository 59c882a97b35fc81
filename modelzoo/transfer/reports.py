"""The evaluation report inside a package. It is made by an app that builds on this one, which names its maker here."""

from __future__ import annotations

from collections.abc import Callable

from modelzoo.models import ModelVersion

Maker = Callable[[ModelVersion], str | None]
_makers: list[Maker] = []


def register(maker: Maker) -> None:
    """`maker` gives the report of a version's newest evaluation as one page of HTML; None: there is none."""
    _makers[:] = [maker]


def report_of(version: ModelVersion) -> str | None:
    return next((report for maker in _makers if (report := maker(version))), None)
