"""What can go wrong, as exceptions."""

from __future__ import annotations

from typing import Any

import httpx

_MEMBERS = ("type", "title", "status", "code", "detail")


class ClientError(Exception):
    """Whatever this client raises."""


class Unreachable(ClientError):
    """No answer, after all tries that were allowed."""


class TookTooLong(ClientError):
    """Something that was waited for did not end in time. It goes on; wait again."""


class ApiProblem(ClientError):
    """An answer that is an error: RFC 9457 problem document, or whatever a proxy in between said.

    `code` is stable, switch on it. `extra` holds the members that a code adds, for example `errors` by field.
    """

    def __init__(self, status: int, code: str, detail: str, extra: dict[str, Any] | None = None) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.extra = extra or {}

    @classmethod
    def of(cls, response: httpx.Response) -> ApiProblem:
        """Of a response whose content was read."""
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict) or "code" not in document:
            return cls(response.status_code, f"http_{response.status_code}", response.text[:500])
        extra = {name: value for name, value in document.items() if name not in _MEMBERS}
        return cls(response.status_code, str(document["code"]), str(document.get("detail", "")), extra)
