"""The other side of a connection, which may be killed at any moment."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.environment import ROOT
from tests.stack.conftest import free_port


class Other:
    """The other side of a connection: a process that is killed and started again at the same port."""

    def __init__(self, module: str, file: Path, *words: str) -> None:
        self.port, self.file = free_port(), file
        self._command = [sys.executable, "-m", module, str(self.port), str(file), *words]
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, cwd=ROOT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self, pause: float) -> None:
        self.kill()
        time.sleep(pause)
        self.process = self._start()

    def documents(self) -> list[dict[str, Any]]:
        """What it has taken, with the time at which it did; a line that a kill cut off was not acknowledged."""
        found = []
        for line in self.file.read_text().splitlines() if self.file.exists() else []:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry["document"]["schema"] == "verdict/1":
                found.append(entry["document"] | {"taken_at": entry["at"]})
        return found
