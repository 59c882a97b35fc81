"""In how many simulated shifts the 95 % intervals of a random audit hold the true number of escapes; no database."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from common.benchmarks import Tell
from quality.random_audit.bounds import LEVEL, hypergeometric_interval
from quality.random_audit.draw import GOOD, Member, draw

SHIFTS = 2000


@dataclass(frozen=True)
class Scenario:
    """Shifts of so many passed parts, of which a share is defective and a share is drawn."""

    passed: int
    escape_rate: float
    drawn: int


# The first is the one that is asked for; the others say where the intervals are wider than they promise.
SCENARIOS = (
    Scenario(10_000, 0.01, 500),
    Scenario(10_000, 0.002, 500),
    Scenario(10_000, 0.05, 500),
    Scenario(3_000, 0.02, 300),
    Scenario(3_000, 0.01, 150),
    Scenario(1_000, 0.02, 200),
    Scenario(1_000, 0.01, 50),
    Scenario(500, 0.005, 25),
)


def figures(
    tell: Tell = lambda sentence: None,
    *,
    shifts: int = SHIFTS,
    seed: int = 0,
    scenarios: Sequence[Scenario] = SCENARIOS,
) -> dict[str, Any]:
    """Coverage in each scenario: the share of shifts whose interval holds the truth, and the mean width in parts."""
    rows = []
    for scenario in scenarios:
        tell(f"{shifts:,} shifts of {scenario.passed:,} passed parts")
        rows.append(
            asdict(scenario) | {"expected_found": scenario.drawn * scenario.escape_rate} | _of(scenario, shifts, seed)
        )
    return {
        "shifts": shifts,
        "level": LEVEL,
        "coverage": rows[0]["mid_p_coverage"],
        "exact_coverage": rows[0]["exact_coverage"],
        "scenarios": rows,
        "draw": _draw_is_even(seed),
    }


def _of(scenario: Scenario, shifts: int, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    escapes = rng.binomial(scenario.passed, scenario.escape_rate, shifts)
    found = rng.hypergeometric(escapes, scenario.passed - escapes, scenario.drawn)
    row: dict[str, float] = {}
    for name, mid_p in (("mid_p", True), ("exact", False)):
        bounds = np.array(
            [hypergeometric_interval(int(count), scenario.drawn, scenario.passed, mid_p=mid_p) for count in found]
        )
        row[f"{name}_coverage"] = float(np.mean((bounds[:, 0] <= escapes) & (escapes <= bounds[:, 1])))
        row[f"{name}_mean_width"] = round(float(np.mean(bounds[:, 1] - bounds[:, 0])), 1)
    return row


def _draw_is_even(seed: int, parts: int = 200, drawn: int = 20, draws: int = 2000) -> dict[str, float]:
    """How often each of some parts is drawn under so many seeds: chi-square over its degrees of freedom, about 1."""
    members = [Member(f"part-{number}", GOOD, "") for number in range(parts)]
    counts = dict.fromkeys((member.inspection_id for member in members), 0)
    for number in range(draws):
        key = hashlib.sha256(f"{seed} {number}".encode()).hexdigest()
        for member in draw(members, seed=key, passed=drawn, rejected=0):
            counts[member.inspection_id] += 1
    share = drawn / parts
    values = np.array(list(counts.values()))
    deviations = ((values - draws * share) ** 2 / (draws * share * (1 - share))).sum() * (1 - 1 / parts)
    return {"draws": draws, "chi_square_per_degree": round(float(deviations / (parts - 1)), 3)}


def as_text(document: dict[str, Any]) -> str:
    lines = [
        f"Coverage of 95 % intervals in {document['shifts']:,} simulated shifts each",
        "passed  rate   drawn  expected  mid-P   exact",
    ]
    lines += [
        f"{row['passed']:6}  {row['escape_rate']:5.3f}  {row['drawn']:5}  {row['expected_found']:8.2f}  "
        f"{row['mid_p_coverage']:.4f}  {row['exact_coverage']:.4f}"
        for row in document["scenarios"]
    ]
    return "\n".join([*lines, f"Draw: chi-square per degree of freedom {document['draw']['chi_square_per_degree']}"])
