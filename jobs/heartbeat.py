"""Signs of life from a thread, for work whose steps may take longer than a lease."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection

from jobs.engine import Claim
from jobs.errors import ClaimLost

log = logging.getLogger(__name__)


class Heartbeat:
    """Calls `beat`, which renews the claim, several times a lease while its block runs, and once at the end.

    Nothing is raised in the work: it asks `is_lost` at its steps.
    """

    def __init__(self, claim: Claim[Any], beat: Callable[[], None] | None = None) -> None:
        self._claim = claim
        self._beat = beat or claim.renew
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="heartbeat", daemon=True)

    @property
    def is_lost(self) -> bool:
        return self._lost.is_set()

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if not self.is_lost:
            self._give_sign()

    def _keep(self) -> None:
        try:
            while not self._stop.wait(min(1.0, settings.LEASE_SECONDS / 4)):
                self._give_sign()
        finally:
            connection.close()

    def _give_sign(self) -> None:
        try:
            self._beat()
        except ClaimLost:
            self._lost.set()
            self._stop.set()
        except OperationalError as error:
            # A database that is busy or away for a moment costs this beat, not the work: the lease covers several.
            log.warning("The lease of %s could not be renewed: %s", self._claim, error)
