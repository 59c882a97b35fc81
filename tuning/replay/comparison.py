"""When a recomputed verdict is the recorded one. Numbers only: no database.

The sums of one image are divided among threads and among the images that are scored together, and round differently:
on one machine that moved no score by more than 3.1e-7 of it, whatever the detector, runtime and precision. Other
processors and other releases of the libraries compute in another order altogether, as another runtime on one machine
does: there 3.5e-4 in fp32, and 3.9e-2 in less. docs/models.md has the measurement.
"""

from __future__ import annotations

# Largest difference of two scores of one image in the same runtime and precision, as a share of the larger one: by the
# same code on the same machine, and elsewhere by precision.
SAME_MACHINE = 1e-5
ELSEWHERE = {"fp32": 1e-3, "bf16": 5e-2, "int8": 5e-2}


def tolerance_of(precision: str, *, same_machine: bool) -> float:
    return SAME_MACHINE if same_machine else ELSEWHERE.get(precision, ELSEWHERE["fp32"])


def deviation(recorded: float, recomputed: float) -> float:
    """Their difference as a share of the larger one; infinite where one is no number."""
    largest = max(abs(recorded), abs(recomputed))
    if largest == 0:
        return 0.0
    share = abs(recorded - recomputed) / largest
    return share if share == share else float("inf")
