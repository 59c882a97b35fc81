"""A connection to an MQTT broker: made within a time, or not at all."""

from __future__ import annotations

import socket
import threading
from typing import Any

import paho.mqtt.client as mqtt
from django.conf import settings
from paho.mqtt.enums import CallbackAPIVersion

from common.web.outgoing import AddressRefused, NotReached, checked_address, trusting
from edge.connections.kinds import Target
from jobs.outbox import NotSent

_PROTOCOLS = {"3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}


class _PinnedClient(mqtt.Client):
    """Connects to the address that was checked, by whatever name TLS then asks the broker."""

    address = ""

    def _create_socket_connection(self) -> socket.socket:
        return socket.create_connection((self.address, self._port), timeout=self._connect_timeout)


class BrokerClient:
    """One session with the broker of a connection, in paho's own thread; it is not made again when it is lost."""

    def __init__(self, target: Target, *, suffix: str = "", is_kept: bool = False) -> None:
        self._settings = target.settings
        self._timeout: float = target.settings["timeout_s"]
        self._is_kept = is_kept
        self._connected = threading.Event()
        self._why = ""
        self.lost = threading.Event()
        self.is_version_5 = target.settings["version"] == "5"
        client_id = (target.settings["client_id"] or f"mvtec-{target.connection_id}") + suffix
        options: dict[str, Any] = {} if self.is_version_5 else {"clean_session": not is_kept}
        self.paho = _PinnedClient(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=_PROTOCOLS[target.settings["version"]],
            reconnect_on_failure=False,
            manual_ack=True,
            **options,
        )
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = self._on_disconnect
        if target.settings["username"]:
            self.paho.username_pw_set(target.settings["username"], target.secret("password") or None)
        if target.settings["tls"]:
            self.paho.tls_set_context(trusting(target.settings["ca_certificate"]))
        self.paho.connect_timeout = self._timeout

    def connect(self) -> None:
        """Raises `NotSent`."""
        host, port = self._settings["host"], self._settings["port"]
        try:
            self.paho.address = checked_address(
                host, port, private_hosts=settings.EDGE_PRIVATE_HOSTS, setting="EDGE_PRIVATE_HOSTS"
            )
        except (AddressRefused, NotReached) as error:
            raise NotSent(str(error)) from error
        options: dict[str, Any] = {"clean_start": not self._is_kept} if self.is_version_5 else {}
        if self.is_version_5 and self._is_kept:
            options["properties"] = _kept_session()
        try:
            self.paho.connect(host, port, keepalive=self._settings["keepalive_s"], **options)
        except (OSError, ValueError) as error:
            raise NotSent(f"The broker {host}:{port} does not answer ({error}).") from error
        self.paho.loop_start()
        if not self._connected.wait(self._timeout):
            self.close()
            raise NotSent(
                f"The broker {host}:{port} {self._why or f'did not answer within {self._timeout:g} seconds'}."
            )

    def require_connected(self) -> None:
        """Raises `NotSent`."""
        if self.lost.is_set() or not self.paho.is_connected():
            raise NotSent(f"The connection to the broker was lost ({self._why or 'no reason given'}).")

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._why = f"refused the connection ({reason})"
        else:
            self._connected.set()

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._why = self._why or str(reason)
        self.lost.set()


def _kept_session() -> Any:
    """The broker keeps what comes in for a day while we are away."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 24 * 3600
    return properties
