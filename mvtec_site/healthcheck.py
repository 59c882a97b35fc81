"""`python -m mvtec_site.healthcheck KEY`: exit status 0 where the broker holds this sign of life; for containers.

Without Django's settings, so that it can be asked every few seconds. `{host}` in the key is this machine's name.
"""

from __future__ import annotations

import os
import socket
import sys

import redis

from mvtec_site.env import read_secret


def main(key: str) -> int:
    address, _ = read_secret(os.environ, "REDIS_URL")
    try:
        client = redis.Redis.from_url(address, socket_connect_timeout=3, socket_timeout=3)
        exists = client.exists(key.format(host=socket.gethostname()))
    except redis.RedisError as error:
        sys.stderr.write(f"The broker does not answer: {error}\n")
        return 1
    if not exists:
        sys.stderr.write(f"No sign of life: {key}\n")
    return 0 if exists else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
