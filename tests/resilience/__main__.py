"""`python -m tests.resilience`: faults, large pictures, and the fuzzing of what comes from strangers.

faults [--only WORD] [--times N] [--scale X]    the table of docs/resilience.md
load [--clients N] [--workers N] [--seconds S]   many clients of the line at once, and the memory meanwhile
bombs                                           pictures of 64 megapixels beside the line
fuzz [--images N] [--archives N] [--artifacts N]

`--json` prints one document.
"""

from __future__ import annotations

import argparse
import sys

from tests import environment  # noqa: F401 - first of all: it says where everything lies
from tests.resilience import commands

_FORMS = {
    "faults": commands.faults,
    "bombs": commands.bombs,
    "load": commands.load,
    "fuzz": commands.fuzz,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.resilience", description=__doc__)
    parser.add_argument("what", choices=_FORMS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="of the faults those in whose name this pattern is found")
    parser.add_argument("--times", type=int, default=0, help="injections of each fault; 0: as the table says")
    parser.add_argument("--scale", type=float, default=1.0, help="of what takes long: 0.1 is a tenth")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument(
        "--database", choices=["sqlite", "postgresql"], default="sqlite", help="tests.environment reads it"
    )
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1, help="inference processes; memory is that of the first")
    parser.add_argument("--images", type=int, default=90_000)
    parser.add_argument("--archives", type=int, default=10_000)
    parser.add_argument("--artifacts", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation: to go on where one ended")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    return _FORMS[options.what](options)


if __name__ == "__main__":
    sys.exit(main())
