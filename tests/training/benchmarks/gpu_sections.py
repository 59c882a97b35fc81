"""Sections for the tests of the check of a GPU. They run in processes of their own, which load this module alone."""

from __future__ import annotations

import os
import sys
import time

from training.benchmarks.gpu.report import Reporter, SkipSection
from training.benchmarks.gpu.setting import Setting


def fine(setting: Setting, reporter: Reporter) -> None:
    sys.stdout.write("libraries print")
    reporter.row(seen=1.0, missing=float("nan"))
    reporter.check("small enough", 0.1, 0.2)


def too_far(setting: Setting, reporter: Reporter) -> None:
    reporter.check("small enough", float("nan"), 0.2)


def broken(setting: Setting, reporter: Reporter) -> None:
    reporter.row(seen=2)
    raise ValueError("the matrix is singular")


def dead(setting: Setting, reporter: Reporter) -> None:
    os.abort()


def slow(setting: Setting, reporter: Reporter) -> None:
    reporter.row(seen=3)
    time.sleep(600)


def lacking(setting: Setting, reporter: Reporter) -> None:
    raise SkipSection("there is no decoder")
