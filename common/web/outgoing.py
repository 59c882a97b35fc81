"""Connections to addresses that people entered, which must not become a way into the network of this server.

The name is resolved once, every address that it has is checked, and the connection goes to the one that was checked:
what a name resolves to a moment later does not matter. Private addresses are allowed by name, address or network.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT = 10  # seconds
_MAX_ANSWER = 1024  # bytes that are read of what comes back


class NotReached(Exception):
    """No connection was made: nothing was sent."""


class AddressRefused(NotReached):
    """The address is not one that this server may connect to."""


class NoAnswer(Exception):
    """The connection was lost after it was made: nobody knows what arrived."""


@dataclass(frozen=True)
class Answer:
    status: int
    text: str  # how it begins
    retry_after: int | None = None  # seconds, where it says so


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA-256 over the time in seconds, a dot and the body, in hexadecimal digits.

    The time is signed along, so that a message which was listened to cannot be sent again later.
    """
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def is_allowed(host: str, address: str, allowed: Collection[str]) -> bool:
    """Whether a host or its address is among those that are named: by name, by address, or by network."""
    if host.lower() in {name.lower() for name in allowed}:
        return True
    ip = ipaddress.ip_address(address.partition("%")[0])
    for name in allowed:
        with contextlib.suppress(ValueError):
            if ip in ipaddress.ip_network(name, strict=False):
                return True
    return False


def checked_address(host: str, port: int, *, private_hosts: Collection[str], setting: str) -> str:
    """Where a connection may go to. Raises `AddressRefused` where the host has one that is not of the internet.

    `setting`: what names the private hosts, for the sentence.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotReached(f"The host {host} cannot be found ({error}).") from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        ip = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(ip, "ipv4_mapped", None) or ip
        if not mapped.is_global and not is_allowed(host, str(mapped), private_hosts):
            raise AddressRefused(
                f"The host {host} has the address {address}, which is not of the public internet. "
                f"Name it in {setting} to allow it."
            )
        if mapped.is_multicast or mapped.is_unspecified or mapped.is_link_local:
            raise AddressRefused(f"The host {host} has the address {address}, which no receiver has.")
    return addresses[0]


def trusting(certificate: str = "") -> ssl.SSLContext:
    """Believes the authorities that this machine does; with a certificate (PEM) that one alone."""
    context = ssl.create_default_context()
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=certificate)
    return context


def post(
    url: str,
    *,
    body: bytes,
    headers: dict[str, str],
    private_hosts: Collection[str],
    setting: str,
    is_plain_allowed: bool = False,
    certificate: str = "",
    timeout: float = TIMEOUT,
    method: str = "POST",
    max_answer: int = _MAX_ANSWER,
) -> Answer:
    """What the receiver answered, whatever it is, up to `max_answer` bytes. Redirects are not followed.

    `is_plain_allowed`: http:// to private hosts that are allowed. Raises `AddressRefused`, `NotReached`, `NoAnswer`.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise AddressRefused(f"The address cannot be read ({error}).") from error
    schemes = ("https", "http") if is_plain_allowed else ("https",)
    if parts.scheme not in schemes or not host or parts.username or parts.password:
        raise AddressRefused(f"The address must begin with {schemes[0]}:// and name a host, without a user.")
    address = checked_address(host, port, private_hosts=private_hosts, setting=setting)
    if parts.scheme == "http" and not is_allowed(host, address, private_hosts):
        raise AddressRefused(f"Plain http:// goes to private hosts alone that {setting} names. Use https://.")
    context = trusting(certificate) if parts.scheme == "https" else None
    connection = _PinnedConnection(host, port, address, context=context, timeout=timeout)
    try:
        connection.connect()
    except OSError as error:
        connection.close()
        raise NotReached(f"No connection ({type(error).__name__}: {error}).") from error
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        text = answer.read(max_answer).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"No answer ({type(error).__name__}: {error}).") from error
    finally:
        connection.close()
    pause = answer.headers.get("Retry-After", "")
    return Answer(answer.status, text, int(pause) if pause.isascii() and pause.isdigit() else None)


class _PinnedConnection(http.client.HTTPConnection):
    """HTTP to one address; with a context HTTPS, with the certificate and the name of the host."""

    def __init__(self, host: str, port: int, address: str, *, context: ssl.SSLContext | None, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._address, self._trust = address, context

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._trust is not None:
            self.sock = self._trust.wrap_socket(self.sock, server_hostname=self.host)
