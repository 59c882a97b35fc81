"""Speaks to the centre: a request for each thing, and of each answer what it means for whoever waits.

The centre takes everything exactly once, so whatever is not known to have arrived is simply sent again.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings

from common.web.outgoing import Answer, NoAnswer, NotReached, post
from edge.connections.kinds import Target
from jobs.outbox import NotReady, NotSent, Refused

_SETTING = "EDGE_PRIVATE_HOSTS"
_MAX_ANSWER = 4 * 1024 * 1024
_LATER = timedelta(seconds=15)  # until what the centre could not take yet is offered again
# The centre has looked at it and will say the same again: a person has to look at it.
_FINAL = {400, 409, 413, 415, 422}
# Of those, what somebody can change at the centre, or time does.
NOT_YET = frozenset(
    {
        *("node_model_unknown", "node_threshold_unknown", "node_calibration_unknown", "node_clock_ahead"),
        *("node_station_differs", "conflict"),
    }
)


class CentreClient:
    def __init__(self, target: Target) -> None:
        self._target = target

    def contact(self, **how: Any) -> dict[str, Any]:
        """Say that this node is there, and how it is; the centre's word about it."""
        return self._json("POST", "contact", {"node": self._target.settings["node_name"], **how})

    def send_record(self, record: Mapping[str, Any], image: bytes, anomaly_map: bytes | None) -> dict[str, Any]:
        boundary = uuid.uuid4().hex
        parts = [_part(boundary, 'name="record"', json.dumps(record, ensure_ascii=False).encode())]
        files = {"image": image} | ({"map": anomaly_map} if anomaly_map is not None else {})
        for name, data in files.items():
            head = f'name="{name}"; filename="{name}"\r\nContent-Type: application/octet-stream'
            parts.append(_part(boundary, head, data))
        body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
        return self._read(self._ask("POST", "records", body, f"multipart/form-data; boundary={boundary}"))

    def send_events(self, events: list[list[Any]]) -> dict[str, Any]:
        return self._json("POST", "anchors", {"events": events})

    def pages(self, what: str) -> Any:
        """All of what the centre has of this node: its anchors, or its records."""
        query = "?limit=200"
        while query:
            page = self._read(self._ask("GET", what + query))
            yield from page["results"]
            following = page["next"] or ""
            query = following[following.index("?") :] if "?" in following else ""

    def _json(self, method: str, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(document, ensure_ascii=False).encode()
        return self._read(self._ask(method, path, body, "application/json"))

    def _ask(self, method: str, path: str, body: bytes = b"", content_type: str = "") -> Answer:
        token = self._target.secret("token")
        if not token:
            raise NotSent("It has no token. Set the one that the centre's page Edge nodes gave for this node.")
        headers = {"Authorization": f"Bearer {token}", "User-Agent": "mvtec-edge-node", "Accept": "application/json"}
        try:
            return post(
                f"{self._target.settings['url'].rstrip('/')}/api/edge-nodes/self/{path}",
                body=body,
                headers=headers | ({"Content-Type": content_type} if content_type else {}),
                private_hosts=settings.EDGE_PRIVATE_HOSTS,
                setting=_SETTING,
                is_plain_allowed=True,
                certificate=self._target.settings["ca_certificate"],
                timeout=self._target.settings["timeout_s"],
                method=method,
                max_answer=_MAX_ANSWER,
            )
        except (NotReached, NoAnswer) as error:
            raise NotSent(str(error)) from error

    def _read(self, answer: Answer) -> dict[str, Any]:
        """The document of an answer. Raises `Refused` for what is refused for good, `NotReady` and `NotSent` else."""
        try:
            document = json.loads(answer.text)
        except ValueError:
            document = None
        if 200 <= answer.status < 300 and isinstance(document, dict):
            return document
        problem = document if isinstance(document, dict) else {}
        code, detail = str(problem.get("code", "")), str(problem.get("detail", ""))
        sentence = f"The centre answered {answer.status} {code}: {detail}" if code else f"It answered {answer.status}."
        if answer.status in (429, 507) or code in NOT_YET:
            raise NotReady(sentence, wait=timedelta(seconds=answer.retry_after or 0) or _LATER)
        if answer.status in _FINAL and code:
            raise Refused(sentence)
        # A wrong token, a page of a proxy, an error of its own: nothing about this record.
        raise NotSent(sentence)


def _part(boundary: str, head: str, data: bytes) -> bytes:
    return f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
