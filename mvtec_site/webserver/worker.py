"""gunicorn's worker process: waitress' event loop on gunicorn's sockets."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from types import FrameType

from django.conf import settings
from gunicorn.workers.base import Worker
from waitress import wasyncore

_LOOP_SECONDS = 0.5
# The loop wants the interpreter for a moment between two pieces of a thread's work, several times for each request:
# with Python's own 5 ms it mostly waits (docs/adr/0009).
_SWITCH_SECONDS = 0.001
# What a process has open besides, and what a connection may need at most: itself, its body, its answer.
_FILES_BESIDES, _FILES_EACH = 200, 3


class BufferedWorker(Worker):
    """Requests are received and answers sent by one loop; threads see whole requests only."""

    def init_process(self) -> None:
        # waitress' and Django's temporary files alike.
        settings.UPLOAD_DIR.mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = str(settings.UPLOAD_DIR)
        super().init_process()

    def run(self) -> None:
        # Not at the top: gunicorn's parent imports this file, and only its children set Django up.
        from mvtec_site.webserver.listener import listen, publish_metrics, shared_state

        publish_metrics()
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._shared = shared_state(self.wsgi, self.log, _connection_limit())
        self._listeners = [listen(sock.sock, self._shared) for sock in self.sockets]
        while self.alive:
            self._turn(_LOOP_SECONDS)
            if self.ppid != os.getppid():
                self.log.info("Parent changed, shutting down: %s", self)
                break
        self._finish()

    def _turn(self, seconds: float) -> None:
        self.notify()
        wasyncore.poll2(seconds, self._shared.socket_map)

    def _finish(self) -> None:
        """Requests that are in progress, or on their way, end well; gunicorn ends what takes too long."""
        for listener in self._listeners:
            listener.stop_accepting()
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while time.monotonic() < deadline and any(not listener.is_idle() for listener in self._listeners):
            self._turn(0.1)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        for listener in getattr(self, "_listeners", ()):
            listener.pull_trigger()


def _connection_limit() -> int:
    """WEB_CONNECTIONS, or fewer where the system gives a process not so many open files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    required = _FILES_BESIDES + _FILES_EACH * settings.WEB_CONNECTIONS
    files = required if hard == resource.RLIM_INFINITY else min(hard, required)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= files:
        files = required if soft == resource.RLIM_INFINITY else min(soft, required)
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return int(min(settings.WEB_CONNECTIONS, max(10, (files - _FILES_BESIDES) // _FILES_EACH)))
