"""`python -m edge.benchmarks.broker PORT`: amqtt on loopback, for a benchmark. Anonymous, and nothing is kept."""

from __future__ import annotations

import asyncio
import sys


async def serve(port: int) -> None:
    from amqtt.broker import Broker  # for developers: not installed everywhere

    configuration = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    await Broker(configuration).start()
    while True:
        await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
