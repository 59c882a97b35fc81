"""A client of the OPC UA server in a process of its own: it notes each result, then acknowledges it.

`python -m tests.edge.opcua.client URL CERTIFICATE KEY SERVER_CERTIFICATE USER TOKEN FILE [PICTURES PARTS]`: with a
folder and a number it starts so many jobs, one after another, and its camera puts a picture into the folder for each.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from tests import parts

NAMESPACE = "urn:visual-inspection:machine-vision"
NAMES = ("ResultId", "Verdict", "Sequence", "IsDuplicate", "IsSupplement", "JobId", "MeasId", "PartId", "ResultState")
PATIENCE = 10.0
LOST = (OSError, TimeoutError, ua.UaError, asyncio.CancelledError)


def note(file: Path, **entry: Any) -> None:
    with file.open("a") as log:
        log.write(json.dumps({"at": time.time(), **entry}) + "\n")


def entries(file: Path, key: str) -> list[dict[str, Any]]:
    found = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if key in entry:
            found.append(entry)
    return found


class Handler:
    def __init__(self) -> None:
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def event_notification(self, event: Any) -> None:
        self.events.put_nowait({name: getattr(event, name) for name in NAMES})


async def connected(url: str, certificate: str, key: str, server: str, user: str, token: str) -> Client:
    """Signed and encrypted."""
    client = Client(url, timeout=5)
    client.application_uri = "urn:tests:client"
    client.set_user(user)
    client.set_password(token)
    await client.set_security(SecurityPolicyBasic256Sha256, certificate, key, None, server)
    await client.connect()
    return client


def node_id(path: str, index: int) -> ua.NodeId:
    return ua.NodeId(ua.String(path), ua.Int16(index))


async def subscribed(client: Client) -> tuple[Handler, int]:
    index = await client.get_namespace_index(NAMESPACE)
    handler = Handler()
    subscription = await client.create_subscription(50, handler)
    event = client.get_node(ua.NodeId(ua.Int32(ua.ObjectIds.BaseEventType)))
    for child in await event.get_children(refs=ua.ObjectIds.HasSubtype):
        if (await child.read_browse_name()).Name == "ResultReadyEventType":
            event = child
    await subscription.subscribe_events(client.get_node(node_id("VisionSystem", index)), event)
    return handler, index


async def call(client: Client, index: int, path: str, *words: str) -> Any:
    parent, _, name = path.rpartition(".")
    node = client.get_node(node_id(f"VisionSystem.{parent}", index))
    return await node.call_method(ua.QualifiedName(name, index), *words)


async def work(words: list[str]) -> None:
    file, pictures = Path(words[6]), Path(words[7]) if len(words) > 7 else None
    number = int(words[8]) if pictures else 0
    while True:
        try:
            client = await connected(*words[:6])
        except (*LOST, ValueError) as error:
            note(file, failed=repr(error))
            await asyncio.sleep(0.3)
            continue
        try:
            await serve(client, file, pictures, number)
        except LOST as error:
            note(file, lost=repr(error))
        finally:
            try:
                await asyncio.wait_for(client.disconnect(), 3)
            except LOST as error:
                note(file, left=repr(error))


async def serve(client: Client, file: Path, pictures: Path | None, number: int) -> None:
    handler, index = await subscribed(client)
    note(file, subscribed=True)
    last = max((entry["started"] for entry in entries(file, "started")), default=0)
    waiting, since = "", 0.0
    while True:
        if pictures is not None and not waiting and last < number:
            job, error = await call(
                client, index, "VisionStateMachine.StartSingleJob", str(last + 1), str(last + 1), "3", "A-7"
            )
            if error == 0:
                last += 1
                waiting, since = job, time.monotonic()
                note(file, started=last, job=job)
                hidden = pictures / f".{last}.png"
                hidden.write_bytes(parts.png(last % 60, defective=last % 3 == 0))
                hidden.rename(pictures / f"part-{last}.png")
            elif error == -3:
                last += 1  # it was started before we were killed
                note(file, started=last, job="")
            else:
                note(file, refused=error)
                await asyncio.sleep(0.1)
        try:
            result = await asyncio.wait_for(handler.events.get(), 0.2)
        except TimeoutError:
            await client.check_connection()
            if waiting and time.monotonic() - since > PATIENCE:
                note(file, unanswered=waiting)
                waiting = ""
            continue
        note(file, result=result)
        if result["JobId"] == waiting:
            waiting = ""
        error = await call(client, index, "ResultManagement.AcknowledgeResult", result["ResultId"])
        note(file, acknowledged=result["ResultId"], error=error)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1:]))
