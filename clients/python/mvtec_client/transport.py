"""Sending requests, and sending again those that may be sent twice."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import quote

import httpx

from mvtec_client.problems import ApiProblem, Unreachable

File = tuple[str, bytes | IO[bytes], str]
"""Name, content, media type. A stream is read from its beginning at each try."""

_SAFE = ("GET", "HEAD", "DELETE")
_LATER = (429, 502, 503, 504)
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Retry:
    """How often, and after which pauses, a request is sent again.

    Only what does no harm twice is: reading, deleting, what carries an idempotency key, and what comes to the same when
    done twice (`upload_dataset`, `dataset_from_reviews`, `make_audit_checkpoint`). Anything else is sent again only
    where the server cannot have seen it (no connection), or says that it did nothing (429).
    """

    attempts: int = 6
    first_pause: float = (
        0.25  # seconds; doubled each time, and shortened by chance so that clients do not march in step
    )
    longest_pause: float = 8.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError("attempts counts the first one too: it is at least 1")

    def pause(self, attempt: int, response: httpx.Response | None) -> float:
        """What the server asked for, if it did; never longer than a minute."""
        retry_after = _retry_after(response) if response is not None else None
        limit = min(self.first_pause * 2**attempt, self.longest_pause)
        pause = random.uniform(limit / 2, limit)
        return pause if retry_after is None else min(max(retry_after, pause), 60.0)


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    return None


class Transport:
    """One connection pool to one server."""

    def __init__(
        self,
        base_url: str,
        token: str = "",
        *,
        timeout: float | httpx.Timeout,
        retry: Retry,
        transport: httpx.BaseTransport | None,
    ) -> None:
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout, transport=transport)
        self._retry = retry

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The client is of no more use."""
        self._http.close()

    # ------------------------------------------------------------ one request
    def _get(self, *path: object, **params: object) -> Any:
        return self._send("GET", path, params=params).json()

    def _bytes(self, *path: object, **params: object) -> bytes:
        return self._send("GET", path, params=params, accept="*/*").content

    def _post(
        self,
        *path: object,
        json: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
        files: Sequence[tuple[str, File]] = (),
        key: str | None = None,
        repeatable: bool = False,
    ) -> Any:
        return self._send("POST", path, json=json, fields=fields, files=files, key=key, repeatable=repeatable).json()

    def _pages(self, *path: object, **params: object) -> Iterator[Any]:
        """The rows of all pages; a page is asked for when the one before is used up."""
        while True:
            page = self._get(*path, **params)
            yield from page["results"]
            if page["next"] is None:
                return
            # Only the cursor: behind a proxy the server may know itself by another address.
            params = params | {"cursor": httpx.URL(page["next"]).params["cursor"]}

    def _send(
        self,
        method: str,
        path: Sequence[object],
        *,
        params: Mapping[str, object] | None = None,
        json: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
        files: Sequence[tuple[str, File]] = (),
        key: str | None = None,
        repeatable: bool = False,
        accept: str = "application/json",
    ) -> httpx.Response:
        """The answer, after as many tries as are allowed; raises `ApiProblem` or `Unreachable`."""

        def send() -> httpx.Response:
            for _, (_, content, _) in files:
                if not isinstance(content, bytes):
                    content.seek(0)
            return self._http.request(
                method,
                _address(path),
                params=_text_values(params or {}),
                json=json,
                data=None if fields is None else _text_values(fields),
                files=list(files) or None,
                headers={"Accept": accept} | ({"Idempotency-Key": key} if key is not None else {}),
            )

        return self._with_retries(send, is_repeatable=method in _SAFE or key is not None or repeatable)

    def _save(self, target: str | Path, *path: object, **params: object) -> Path:
        """An answer of any length as a file, which is there when it is whole and not before."""
        destination = Path(target)
        partial = destination.with_name(f".{destination.name}.part")

        def send() -> httpx.Response:
            with self._http.stream(
                "GET", _address(path), params=_text_values(params), headers={"Accept": "*/*"}
            ) as response:
                if response.is_error:
                    response.read()
                    return response
                with partial.open("wb") as out:
                    for chunk in response.iter_bytes(_CHUNK):
                        out.write(chunk)
            return response

        try:
            self._with_retries(send, is_repeatable=True)
            partial.replace(destination)
        finally:
            partial.unlink(missing_ok=True)
        return destination

    def _with_retries(self, send: Callable[[], httpx.Response], *, is_repeatable: bool) -> httpx.Response:
        for attempt in range(self._retry.attempts):
            last = attempt == self._retry.attempts - 1
            response: httpx.Response | None = None
            try:
                response = send()
            except httpx.TransportError as error:
                is_unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
                if last or not (is_repeatable or is_unsent):
                    raise Unreachable(f"{type(error).__name__}: {error}") from error
            else:
                is_retried = response.status_code in _LATER if is_repeatable else response.status_code == 429
                if last or not is_retried:
                    if response.is_error:
                        raise ApiProblem.of(response)
                    return response
            self._retry.sleep(self._retry.pause(attempt, response))
        raise AssertionError("unreachable: the last attempt returns or raises")


def _address(path: Sequence[object]) -> str:
    return "/api/" + "/".join(quote(str(part), safe="") for part in path)


def _text_values(values: Mapping[str, object]) -> dict[str, Any]:
    """As query strings and forms take it; what is None or empty is left out."""
    return {name: _text(value) for name, value in values.items() if value is not None and value not in ("", [])}


def _text(value: object) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_text(one) for one in value]
    return str(value)
