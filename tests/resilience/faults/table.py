"""The table: what is done to the system, in the order of docs/resilience.md."""

from __future__ import annotations

from tests.resilience.faults.claiming import CLAIMING
from tests.resilience.faults.dependencies import DEPENDENCIES
from tests.resilience.faults.injection import Fault
from tests.resilience.faults.processes import PROCESSES
from tests.resilience.faults.sending import SENDING

FAULTS: tuple[Fault, ...] = (*PROCESSES, *DEPENDENCIES, *SENDING, *CLAIMING)
