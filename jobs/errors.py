"""What can happen to work that is left to workers."""

from __future__ import annotations

from common.errors import Unavailable


class NoWorker(Unavailable):
    """No worker did it in time, and it was given up: none will do it later."""

    code = "no_worker"


class ClaimLost(Exception):
    """The lease ran out, and the job is somebody else's or over. Stop, and write nothing."""
