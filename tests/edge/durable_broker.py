"""`python -m tests.edge.durable_broker PORT FILE`: an MQTT broker (3.1.1 and 5) that may be killed at any moment.

What it acknowledges stands in the file, one line of JSON for each message: so a test knows afterwards what a broker has
taken, whatever became of it. It forwards nothing. (amqtt, which does, keeps nothing that outlives it.)
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

CONNECT, PUBLISH, SUBSCRIBE, PING, DISCONNECT = 1, 3, 8, 12, 14


async def _packet(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    """Type, flags and body of the next one."""
    [head] = await reader.readexactly(1)
    length, shift = 0, 0
    while True:
        [byte] = await reader.readexactly(1)
        length |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            break
    return head >> 4, head & 15, await reader.readexactly(length)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, file: Path) -> None:
    is_version_5 = False
    try:
        while True:
            kind, flags, body = await _packet(reader)
            if kind == CONNECT:
                is_version_5 = body[6] == 5
                writer.write(b"\x20\x03\x00\x00\x00" if is_version_5 else b"\x20\x02\x00\x00")
            elif kind == PUBLISH:
                end = 2 + int.from_bytes(body[:2])
                topic, packet_id = body[2:end].decode(), body[end : end + 2]
                payload = body[end + 2 :] if flags & 6 else body[end:]
                _keep(file, topic, payload[1 + payload[0] :] if is_version_5 else payload)
                if flags & 6:
                    writer.write(b"\x40\x02" + packet_id)
            elif kind == SUBSCRIBE:
                writer.write(b"\x90\x03" + body[:2] + b"\x01")
            elif kind == PING:
                writer.write(b"\xd0\x00")
            elif kind == DISCONNECT:
                break
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


def _keep(file: Path, topic: str, payload: bytes) -> None:
    with file.open("a") as out:
        out.write(json.dumps({"topic": topic, "at": time.time(), "document": json.loads(payload)}) + "\n")
        out.flush()
        os.fsync(out.fileno())


async def _main(port: int, file: Path) -> None:
    server = await asyncio.start_server(lambda r, w: _serve(r, w, file), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2])))
