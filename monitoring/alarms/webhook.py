"""A signed POST to an address outside, which must not become a way into the network that this server stands in.

The name is resolved once, every address that it has is checked, and the connection goes to the one that was checked:
what a name resolves to a moment later does not matter. Redirects are not followed, and nothing but HTTPS is spoken. A
receiver inside a factory's own network is allowed by its name (ALARM_WEBHOOK_PRIVATE_HOSTS).
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Collection
from urllib.parse import urlsplit

from jobs.outbox import NotDelivered

_TIMEOUT = 10  # seconds
_MAX_ANSWER = 1024  # bytes that are read of what comes back


class WebhookRefused(NotDelivered):
    """The address is not one that messages may go to, or it did not take this one."""


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA-256 over the time in seconds, a dot and the body, in hexadecimal digits.

    The time is signed along, so that a message which was listened to cannot be sent again later.
    """
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def post(url: str, *, body: bytes, headers: dict[str, str], private_hosts: Collection[str] = ()) -> int:
    """The status that the receiver answered, 2xx. Raises `WebhookRefused` for all else."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError as error:
        raise WebhookRefused(f"The address cannot be read ({error}).") from error
    if parts.scheme != "https" or not host or parts.username or parts.password:
        raise WebhookRefused("The address must begin with https:// and name a host, without a user.")
    address = checked_address(host, port, is_private_allowed=host in private_hosts)
    connection = _PinnedConnection(host, port, address)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body=body, headers=headers)
        answer = connection.getresponse()
        answer.read(_MAX_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise WebhookRefused(f"No answer ({type(error).__name__}: {error}).") from error
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        raise WebhookRefused(f"The receiver answered {answer.status}.")
    return answer.status


def checked_address(host: str, port: int, *, is_private_allowed: bool) -> str:
    """Where a connection may go to. Raises `WebhookRefused` where the host has one that is not of the internet."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise WebhookRefused(f"The host {host} cannot be found ({error}).") from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        ip = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(ip, "ipv4_mapped", None) or ip
        if not mapped.is_global and not is_private_allowed:
            raise WebhookRefused(
                f"The host {host} has the address {address}, which is not of the public internet. "
                "Name it in ALARM_WEBHOOK_PRIVATE_HOSTS to allow it."
            )
        if mapped.is_multicast or mapped.is_unspecified or mapped.is_link_local:
            raise WebhookRefused(f"The host {host} has the address {address}, which no receiver has.")
    return addresses[0]


class _PinnedConnection(http.client.HTTPSConnection):
    """HTTPS to one address, with the certificate and the name of the host."""

    def __init__(self, host: str, port: int, address: str) -> None:
        super().__init__(host, port, timeout=_TIMEOUT, context=ssl.create_default_context())
        self._address = address

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)  # type: ignore[attr-defined]
