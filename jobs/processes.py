"""Child processes that do not outlive us."""

from __future__ import annotations

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """For `preexec_fn`: on Linux the kernel ends the child when its parent dies, however that happens.

    Elsewhere the child goes on; leases and the lock of VAR_DIR keep that harmless.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
