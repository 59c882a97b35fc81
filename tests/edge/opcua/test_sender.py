"""The OPC UA server with real clients on loopback: what they see, who is turned away, what they start."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections

pytest.importorskip("asyncua", reason="asyncua is not installed (requirements-edge.txt)")
from asyncua import Client, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography.x509.oid import ExtendedKeyUsageOID

from accounts.services import issue_token, revoke_token
from edge.connections.kinds import Figures, Message, SettingInvalid, Target
from edge.opcua import certificates
from edge.opcua.kind import OPCUA
from edge.opcua.people import is_still_valid
from edge.opcua.sender import OpcUaSender, exchange_of
from jobs.outbox import NotDelivered, NotReady, NotSent
from tests.edge.opcua.client import call, connected, node_id, subscribed
from tests.stack.conftest import free_port

pytestmark = pytest.mark.django_db
_ids = iter(range(1, 1000))
Act = Callable[[Client], Coroutine[Any, Any, Any]]


def make_client_certificate(folder: Path) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = folder / "client.der", folder / "client.pem"
    asyncio.run(
        setup_self_signed_certificate(
            key, certificate, "urn:tests:client", "localhost", [ExtendedKeyUsageOID.CLIENT_AUTH], {}
        )
    )
    return certificate, key


class Site:
    """A server, and a client that is trusted and has a token."""

    def __init__(self, folder: Path, user: User, **values: Any) -> None:
        self.port = free_port()
        cleaned = OPCUA.clean({"host": "127.0.0.1", "bind": "127.0.0.1", "port": self.port, **values})
        self.target = Target(next(_ids), "mes", "opcua", "east", "", cleaned, {}, None, 1)
        self.token, self.secret = issue_token(user=user, name=f"mes {self.port}", actor=None)
        self.user = user
        self.certificate, self.key = make_client_certificate(folder)
        self.figures = Figures()
        self.sender = OpcUaSender(self.target, self.figures)
        self.sender.open()
        self.worker: ThreadPoolExecutor = self.sender._server._people._worker  # type: ignore[union-attr]
        # The thread that asks for tokens shares the connection of this test, as Django's own test server does.
        database = connections["default"]
        database.inc_thread_sharing()
        self.worker.submit(connections.__setitem__, "default", database).result()
        self.trust()

    def close(self) -> None:
        self.worker.submit(connections.__delitem__, "default").result()
        connections["default"].dec_thread_sharing()
        self.sender.close()

    def trust(self) -> None:
        (certificates.folder() / "trusted" / "client.der").write_bytes(self.certificate.read_bytes())

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/inspection"

    def words(self, **other: str) -> list[str]:
        values = {
            "url": self.url,
            "certificate": str(self.certificate),
            "key": str(self.key),
            "server": str(certificates.folder() / "own" / "certificate.der"),
            "user": self.user.username,
            "token": self.secret,
        }
        return list((values | other).values())

    def run(self, act: Act, **other: str) -> Any:
        async def session() -> Any:
            client = await connected(*self.words(**other))
            try:
                return await act(client)
            finally:
                await client.disconnect()

        return asyncio.run(session())


@pytest.fixture
def site(tmp_path: Path, user: User) -> Iterator[Site]:
    made = Site(tmp_path / "client", user)
    yield made
    made.close()


def message(sequence: int, verdict: str = "good", **fields: Any) -> Message:
    document = {
        "filename": "1.png",
        "request_id": f"request {sequence}",
        "part": None,
        "serial_number": f"S{sequence}",
        "part_number": "A-7",
        "model_version": 4,
        "threshold_revision": 2,
        "recorded_at": "2026-07-12T08:00:00+00:00",
        "score": 1.5,
    }
    made = Message(f"delivery {sequence}", "east", "disc", verdict, sequence, 1, False, False, document)
    return replace(made, **fields)


def test_each_verdict_is_an_event_and_the_last_result(site: Site):
    async def act(client: Client) -> Any:
        handler, index = await subscribed(client)

        def send() -> None:
            site.sender.send(message(1))
            site.sender.send(message(2, "defective", is_duplicate=True))

        sent = threading.Thread(target=send)
        sent.start()
        events = []
        for _ in range(2):
            events.append(await asyncio.wait_for(handler.events.get(), 10))
            assert await call(client, index, "ResultManagement.AcknowledgeResult", "another") == -1
            assert await call(client, index, "ResultManagement.AcknowledgeResult", events[-1]["ResultId"]) == 0
        await asyncio.to_thread(sent.join)
        values = {}
        for name in (
            "ResultId",
            "Verdict",
            "ExternalRecipeId",
            "InternalRecipeId",
            "ProductId",
            "IsSimulated",
            "Score",
        ):
            node = client.get_node(node_id(f"VisionSystem.ResultManagement.Results.{name}", index))
            values[name] = await node.read_value()
        content, error = await call(client, index, "ResultManagement.GetResultById", "delivery 1")
        return events, values, content, error

    expected = {
        "ResultId": "delivery 2",
        "Verdict": "defective",
        "ExternalRecipeId": "disc",
        "InternalRecipeId": "4.2",
        "ProductId": "A-7",
        "IsSimulated": False,
        "Score": 1.5,
    }
    events, values, content, error = site.run(act)
    assert [(event["Verdict"], event["Sequence"], event["IsDuplicate"]) for event in events] == [
        ("good", 1, False),
        ("defective", 2, True),
    ]
    assert events[0]["PartId"] == "S1"
    assert values == expected
    assert error == 0
    assert '"serial_number":"S1"' in content


def test_without_a_client_nothing_is_sent_and_the_server_stays(site: Site, monkeypatch: pytest.MonkeyPatch):
    from edge.opcua import sender

    monkeypatch.setattr(sender, "_CLIENT_SECONDS", 0.2)
    with pytest.raises(NotReady):
        site.sender.send(message(1))
    site.sender.tick()


def test_what_no_client_acknowledges_is_not_delivered(tmp_path: Path, user: User):
    site = Site(tmp_path / "client", user, acknowledge_ms=100)

    async def act(client: Client) -> Any:
        handler, _ = await subscribed(client)
        with pytest.raises(NotDelivered, match="acknowledged"):
            await asyncio.to_thread(site.sender.send, message(1))
        return await asyncio.wait_for(handler.events.get(), 10)

    try:
        assert site.run(act)["Sequence"] == 1
    finally:
        site.close()


def test_whoever_is_not_trusted_is_turned_away_and_kept_for_a_look(site: Site, tmp_path: Path):
    certificate, key = make_client_certificate(tmp_path / "stranger")

    async def look(client: Client) -> Any:
        return await client.nodes.server.read_browse_name()

    with pytest.raises(ua.UaError):
        site.run(look, certificate=str(certificate), key=str(key))
    [kept] = (certificates.folder() / "rejected").iterdir()
    assert kept.read_bytes() == certificate.read_bytes()
    assert site.figures.as_dict()["clients_rejected"] == 1
    kept.rename(certificates.folder() / "trusted" / kept.name)
    assert site.run(look, certificate=str(certificate), key=str(key))


def test_a_stranger_with_the_certificate_of_a_trusted_client_is_turned_away(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A certificate is no secret. What counts is the one whose key encrypted the channel."""
    certificate, key = make_client_certificate(tmp_path / "stranger")

    async def session() -> None:
        client = Client(site.url, timeout=5)
        client.application_uri = "urn:tests:client"
        server = str(certificates.folder() / "own" / "certificate.der")
        await client.set_security(SecurityPolicyBasic256Sha256, str(certificate), str(key), None, server)
        await client.connect_socket()
        try:
            await client.send_hello()
            await client.open_secure_channel()
            assert client.security_policy.host_certificate == certificate.read_bytes()
            client.security_policy.host_certificate = site.certificate.read_bytes()
            # Our signature does not fit what it says of itself; a stranger would not mind.
            monkeypatch.setattr(client.security_policy.asymmetric_cryptography, "verify", lambda *_: None)
            await client.create_session()
            await client.activate_session(username=site.user.username, password=site.secret)
        finally:
            client.disconnect_socket()

    with pytest.raises(ua.uaerrors.BadUserAccessDenied):
        asyncio.run(session())


@pytest.mark.parametrize(("user_name", "token"), [("olga", "mvt_wrong"), ("somebody", None), ("olga", "")])
def test_without_a_token_of_that_user_nobody_comes_in(site: Site, user_name: str, token: str | None):
    async def look(client: Client) -> Any:
        return await client.nodes.server.read_browse_name()

    with pytest.raises(ua.UaError):
        site.run(look, user=user_name, token=site.secret if token is None else token)


def test_nobody_comes_in_without_a_user_or_without_encryption(site: Site):
    async def plain(is_user: bool) -> None:
        client = Client(site.url, timeout=5)
        if is_user:
            client.set_user(site.user.username)
            client.set_password(site.secret)
        async with client:
            pass

    for is_user in (True, False):
        with pytest.raises((ua.UaError, TimeoutError, ConnectionError)):
            asyncio.run(plain(is_user))


def test_a_session_ends_when_its_token_is_revoked(site: Site):
    async def act(client: Client) -> str:
        await client.nodes.server.read_browse_name()
        site.sender._tokens_at = 0
        for work in (lambda: revoke_token(token=site.token, actor=None), site.sender.tick):
            await asyncio.wrap_future(site.worker.submit(work))
        try:
            await subscribed(client)
        except (ua.UaError, ConnectionError, TimeoutError) as error:
            return type(error).__name__
        return ""

    sessions = site.sender._server._server.iserver._external_sessions  # type: ignore[union-attr]
    site.run(act)
    assert not sessions
    assert not is_still_valid(site_user(site))


def site_user(site: Site) -> Any:
    from asyncua.crypto.permission_rules import UserRole

    from edge.opcua.people import SignedIn

    return SignedIn(UserRole.User, site.user.username, token_id=site.token.pk)


def test_without_security_where_the_setting_says_so(tmp_path: Path, user: User):
    site = Site(tmp_path / "client", user, security="none", anonymous=True, jobs=False)

    async def plain() -> Any:
        async with Client(site.url, timeout=5) as client:
            index = await client.get_namespace_index("urn:visual-inspection:machine-vision")
            started = await call(client, index, "VisionStateMachine.StartSingleJob", "1", "S1", "3", "A-7")
            node = client.get_node(node_id("VisionSystem.ResultManagement.Results.Verdict", index))
            with pytest.raises(ua.UaError):
                await node.write_value("good")
            return started

    try:
        assert asyncio.run(plain()) == ["", -5]
    finally:
        site.close()


def test_the_port_that_is_taken_is_told(site: Site, user: User):
    other = OpcUaSender(site.target, Figures())
    with pytest.raises(NotSent, match="cannot listen"):
        other.open()
    other.close()


def test_jobs_are_started_one_at_a_time_and_counted(tmp_path: Path, user: User, settings: Any):
    settings.EDGE_TRIGGER_ROOTS = (tmp_path,)
    site = Site(
        tmp_path / "client", user, jobs=True, recipes="3 = disc", picture_folder=str(tmp_path), taken="published"
    )

    async def act(client: Client) -> list[Any]:
        _, index = await subscribed(client)

        async def start(measurement: str, recipe: str = "3") -> Any:
            return await call(client, index, "VisionStateMachine.StartSingleJob", measurement, "S1", recipe, "A-7")

        first = await start("1")
        state = client.get_node(node_id("VisionSystem.VisionStateMachine.CurrentState", index))
        assert (await state.read_value()).Text == "SingleExecution"
        found = [await start("2"), await start("2"), await start("3", "9")]
        # The verdict of its part ends it.
        document = {**message(1).document, "filename": f"job-{first[0]}-part.png"}
        await asyncio.to_thread(site.sender.send, message(1, document=document))
        assert (await state.read_value()).Text == "Ready"
        return [first, *found, await start("disc")]

    try:
        first, early, doubled, unknown, _ = site.run(act)
        assert first[1] == 0
        assert (early[1], doubled[1], unknown[1]) == (-1, -3, -2)
        counts = site.figures.as_dict()
        assert (counts["triggers_early"], counts["triggers_doubled"], counts["triggers_accepted"]) == (1, 1, 2)
        known = exchange_of(site.target.connection_id).jobs
        assert known.take_overdue(now=time.monotonic() + 61, line=60) is not None
    finally:
        site.close()


def test_settings_that_cannot_be_together():
    for wrong, field in (({"jobs": True}, "picture_folder"), ({"host": "a b"}, "host")):
        with pytest.raises(SettingInvalid) as caught:
            OPCUA.clean({"host": "line-pc", **wrong})
        assert caught.value.extra["field"] == field


def test_our_certificate_is_made_once():
    first = certificates.own_certificate("line-pc")[0].read_bytes()
    assert certificates.own_certificate("line-pc")[0].read_bytes() == first
    key = certificates.folder() / "own" / "key.pem"
    assert key.stat().st_mode & 0o077 == 0
    assert certificates.expiry_of(certificates.folder() / "own" / "certificate.der").year >= 2035
