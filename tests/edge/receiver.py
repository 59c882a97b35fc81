"""`python -m tests.edge.receiver PORT FILE SECRET`: takes signed webhooks, and may be killed at any moment.

What it answers 200 to stands in the file, one line of JSON for each; a signature that is wrong is answered 401.
"""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import os
import sys
import time
from pathlib import Path


class Receiver(http.server.BaseHTTPRequestHandler):
    file: Path
    secret: str

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        signed = self.headers["X-Timestamp"].encode() + b"." + body
        expected = f"sha256={hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest()}"
        is_ours = any(hmac.compare_digest(part, expected) for part in self.headers["X-Signature"].split(", "))
        if is_ours:
            document = json.loads(body)
            duplicate = str(document["duplicate"]).lower()
            assert self.headers["X-Delivery-Id"] == document["delivery_id"]
            assert (self.headers["X-Attempt"], self.headers["X-Duplicate"]) == (str(document["attempt"]), duplicate)
            with self.file.open("a") as out:
                out.write(json.dumps({"at": time.time(), "document": document}) + "\n")
                out.flush()
                os.fsync(out.fileno())
        self.send_response(200 if is_ours else 401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


if __name__ == "__main__":
    Receiver.file, Receiver.secret = Path(sys.argv[2]), sys.argv[3]
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
