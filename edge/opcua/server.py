"""The OPC UA server of one connection, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any, TypeVar

from asyncua import Server, ua, uamethod
from asyncua.common.utils import ServiceError
from cryptography import x509

from edge.connections.kinds import Figures, Target
from edge.opcua import certificates
from edge.opcua.jobs import NO_JOBS, NOT_ALLOWED, OK, UNKNOWN_RECIPE, Jobs
from edge.opcua.people import People, Rules, SignedIn, caller, is_still_valid
from edge.opcua.results import FIELDS
from edge.triggers.recipes import read_recipes
from jobs.outbox import NotSent

log = logging.getLogger(__name__)
T = TypeVar("T")
NAMESPACE = "urn:visual-inspection:machine-vision"
READY, EXECUTING = "Ready", "SingleExecution"  # states of VisionAutomaticModeStateMachineType
_MAX_LAST = 20
_WAIT_SECONDS = 10.0
_ANY_USER = (ua.UserNameIdentityToken,)
_MAX_ID = 100


class ResultServer:
    """`start` and `stop` from one thread; `announce`, `was_acknowledged` and `set_state` from any."""

    def __init__(self, target: Target, figures: Figures, known: Jobs) -> None:
        self._target, self._figures, self._jobs = target, figures, known
        self._values = target.settings
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"opcua-{target.connection_id}", daemon=True
        )
        is_secured = self._values["security"] != "none"
        self._people = People(is_secured=is_secured, is_anonymous_allowed=self._values["anonymous"])
        self._server = Server(user_manager=self._people)
        self._nodes: dict[str, Any] = {}
        self._events: Any = None
        self._last: OrderedDict[str, str] = OrderedDict()  # contents by result
        self._awaited = ""
        self._acknowledged = threading.Event()
        self._beat = 0

    def start(self) -> None:
        """Raises `NotSent`."""
        self._thread.start()
        try:
            self._do(self._start(), seconds=60)
        except (OSError, ValueError, ua.UaError) as error:
            raise NotSent(f"The OPC UA server cannot listen on port {self._values['port']} ({error}).") from error

    def stop(self) -> None:
        with contextlib.suppress(Exception):
            self._do(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_WAIT_SECONDS)
        if not self._loop.is_running():
            self._loop.close()
        self._people.close()

    def require_alive(self) -> None:
        """Raises `NotSent`. Counts the heartbeat, too: it stands still where nobody would send a verdict."""
        if not self._thread.is_alive():
            raise NotSent("The OPC UA server has ended.")
        self._beat = self._beat % 0xFFFFFFFF + 1
        self._do(self._write("Heartbeat", self._beat, ua.VariantType.UInt32))

    # ------------------------------------------------------------ results
    def has_subscriber(self) -> bool:
        """Whether a client has subscribed to our events."""
        return bool(self._do(self._subscriptions()))

    def announce(self, result: dict[str, Any], *, is_awaited: bool = False) -> None:
        """Write the variables, then raise the event: who gets it finds the same in them."""
        self._acknowledged.clear()
        self._awaited = result["ResultId"] if is_awaited else ""
        self._do(self._announce(result))

    def was_acknowledged(self, seconds: float) -> bool:
        return self._acknowledged.wait(seconds)

    def set_state(self, state: str) -> None:
        self._do(self._write("CurrentState", ua.LocalizedText(state), ua.VariantType.LocalizedText))

    def turn_away_old_tokens(self) -> None:
        """End sessions whose token was revoked since, or is over."""
        for session in list(self._server.iserver._external_sessions.values()):
            if isinstance(session.user, SignedIn) and not is_still_valid(session.user):
                self._do(session.close_session(True))

    def _do(self, work: Coroutine[Any, Any, T], seconds: float = _WAIT_SECONDS) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    # ------------------------------------------------------------ in the loop
    async def _start(self) -> None:
        server, host, port = self._server, self._values["host"], self._values["port"]
        certificate, key = certificates.own_certificate(host)
        await server.init()
        server.set_endpoint(f"opc.tcp://{host}:{port}/inspection")
        server.socket_address = (self._values["bind"], port)
        server.set_server_name("Visual inspection")
        await server.set_application_uri(certificates.application_uri())
        await server.load_certificate(certificate)
        await server.load_private_key(key)
        policies = [ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
        if self._values["security"] == "none":
            policies.append(ua.SecurityPolicyType.NoSecurity)
        server.set_security_policy(policies, permission_ruleset=Rules())
        anonymous = (ua.AnonymousIdentityToken,) if self._values["anonymous"] else ()
        server.set_identity_tokens([*_ANY_USER, *anonymous])
        server.set_certificate_validator(self._validate)
        self._figures.put("certificate_ends", certificates.expiry_of(certificate).date().isoformat())
        await self._build()
        await server.start()

    async def _validate(self, certificate: x509.Certificate, application: Any) -> None:
        """Of the certificate that a client names. That of its channel is looked at when its user signs in."""
        if self._values["security"] != "none" and not certificates.is_trusted(certificate):
            certificates.keep_rejected(certificate)
            self._figures.add("clients_rejected")
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    async def _build(self) -> None:
        """The address space: names of OPC 40100-1 in a namespace of ours, all node ids are text."""
        index = await self._server.register_namespace(NAMESPACE)
        objects = self._server.get_objects_node()
        system = await _object(objects, index, "VisionSystem")
        results = await _object(system, index, "VisionSystem.ResultManagement")
        last = await _object(results, index, "VisionSystem.ResultManagement.Results")
        machine = await _object(system, index, "VisionSystem.VisionStateMachine")
        for name, kind in FIELDS.items():
            self._nodes[name] = await _variable(last, index, f"VisionSystem.ResultManagement.Results.{name}", kind)
        latest = node_id("VisionSystem.ResultManagement.LastResults", index)
        self._nodes["LastResults"] = await results.add_variable(
            latest, ua.QualifiedName("LastResults", index), [], ua.VariantType.String
        )
        heartbeat, state = "VisionSystem.Heartbeat", "VisionSystem.VisionStateMachine.CurrentState"
        self._nodes["Heartbeat"] = await _variable(system, index, heartbeat, ua.VariantType.UInt32)
        self._nodes["CurrentState"] = await _variable(machine, index, state, ua.VariantType.LocalizedText)
        await self._write("CurrentState", ua.LocalizedText(READY), ua.VariantType.LocalizedText)
        text, number = ua.VariantType.String, ua.VariantType.Int32
        await _method(
            machine,
            index,
            "VisionSystem.VisionStateMachine.StartSingleJob",
            self._start_single_job,
            [("MeasId", text), ("PartId", text), ("RecipeId", text), ("ProductId", text)],
            [("JobId", text), ("Error", number)],
        )
        prefix = "VisionSystem.ResultManagement."
        await _method(
            results, index, prefix + "AcknowledgeResult", self._acknowledge, [("ResultId", text)], [("Error", number)]
        )
        await _method(
            results,
            index,
            prefix + "GetResultById",
            self._get_result,
            [("ResultId", text)],
            [("ResultContent", text), ("Error", number)],
        )
        event = await self._server.create_custom_event_type(
            index, "ResultReadyEventType", ua.ObjectIds.BaseEventType, list(FIELDS.items())
        )
        self._events = await self._server.get_event_generator(event, system)
        self._on_server = await self._server.get_event_generator(event, ua.ObjectIds.Server)
        self._system = system.nodeid

    async def _write(self, name: str, value: Any, kind: ua.VariantType) -> None:
        await self._nodes[name].write_value(ua.Variant(value, kind))

    async def _subscriptions(self) -> list[tuple[int, bool]]:
        """Those to events: their ids, and whether they look at the vision system itself or at the server."""
        found = []
        for number, subscription in list(self._server.iserver.subscription_service.subscriptions.items()):
            events = subscription.monitored_item_srv._monitored_events
            looks_at_system = bool(events.get(self._system))
            if looks_at_system or events.get(ua.NodeId(ua.Int32(ua.ObjectIds.Server))):
                found.append((number, looks_at_system))
        return found

    async def _announce(self, result: dict[str, Any]) -> None:
        for name, kind in FIELDS.items():
            await self._write(name, result[name], kind)
        self._last[result["ResultId"]] = result["ResultContent"]
        while len(self._last) > _MAX_LAST:
            self._last.popitem(last=False)
        await self._write("LastResults", [*self._last.values()], ua.VariantType.String)
        message = f"{result['PartId'] or 'Part'}: {result['Verdict']}"
        for number, looks_at_system in await self._subscriptions():
            generator = self._events if looks_at_system else self._on_server
            for name in FIELDS:
                setattr(generator.event, name, result[name])
            generator.event.Severity = 100 if result["Verdict"] == "good" else 500
            await generator.trigger(message=message, subscription_id=number)

    # ------------------------------------------------------------ methods
    @uamethod
    async def _acknowledge(self, parent: Any, result_id: str) -> int:
        """0: taken note of; -1: it is not the one that is waited for, which does no harm."""
        if not result_id or result_id != self._awaited:
            return -1
        self._acknowledged.set()
        return 0

    @uamethod
    async def _get_result(self, parent: Any, result_id: str) -> tuple[str, int]:
        content = self._last.get(result_id or "")
        return ("", -1) if content is None else (content, 0)

    @uamethod
    async def _start_single_job(
        self, parent: Any, measurement: str, part_id: str, recipe: str, product: str
    ) -> tuple[str, int]:
        user = caller()
        if not self._values["jobs"]:
            return "", NO_JOBS
        if user is None or not user.may_inspect:
            return "", NOT_ALLOWED
        texts = [(text or "").strip() for text in (measurement, part_id, recipe, product)]
        measurement, part_id, recipe, product = texts
        number = self._recipe(recipe)
        if number is None or any(len(text) > _MAX_ID or not text.isprintable() for text in texts):
            self._figures.add("triggers_refused")
            return "", UNKNOWN_RECIPE
        job_id, error = self._jobs.start(
            measurement=measurement,
            part_id=part_id,
            part_number=product,
            recipe=number,
            now=time.monotonic(),
            figures=self._figures,
        )
        if error == OK:
            await self._write("CurrentState", ua.LocalizedText(EXECUTING), ua.VariantType.LocalizedText)
        return job_id, error

    def _recipe(self, text: str) -> int | None:
        """A recipe by its number or the name of its category; 0 where there is no table of them."""
        recipes = read_recipes(self._values["recipes"])
        if not recipes:
            return 0
        if text.isascii() and text.isdigit() and int(text) in recipes:
            return int(text)
        return next((number for number, category in sorted(recipes.items()) if category == text), None)


def node_id(path: str, index: int) -> ua.NodeId:
    """Of one of our nodes: its names from the vision system on, in our namespace."""
    return ua.NodeId(ua.String(path), ua.Int16(index))


async def _object(parent: Any, index: int, path: str) -> Any:
    return await parent.add_object(node_id(path, index), ua.QualifiedName(path.rpartition(".")[2], index))


async def _variable(parent: Any, index: int, path: str, kind: ua.VariantType) -> Any:
    name = ua.QualifiedName(path.rpartition(".")[2], index)
    return await parent.add_variable(node_id(path, index), name, ua.get_default_value(kind), kind)


async def _method(
    parent: Any,
    index: int,
    path: str,
    function: Any,
    inputs: list[tuple[str, ua.VariantType]],
    outputs: list[tuple[str, ua.VariantType]],
) -> None:
    def argument(name: str, kind: ua.VariantType) -> ua.Argument:
        return ua.Argument(Name=name, DataType=ua.NodeId(ua.Int32(kind.value)), ValueRank=-1)

    await parent.add_method(
        node_id(path, index),
        ua.QualifiedName(path.rpartition(".")[2], index),
        function,
        [argument(*each) for each in inputs],
        [argument(*each) for each in outputs],
    )
