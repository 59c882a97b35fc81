"""Are the detectors right and quick on this machine's GPU? JSON to stdout; exit status 0 where all checks passed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training.benchmarks.gpu.check import main

if __name__ == "__main__":
    sys.exit(main())
