"""A real S3 server on loopback (moto's), with a bucket of its own for whoever asks for one."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

_KEY = "suite"


@dataclass(frozen=True)
class Bucket:
    endpoint: str
    name: str

    @property
    def environment(self) -> dict[str, str]:
        """What an installation needs to keep its files there."""
        keys = {"S3_ACCESS_KEY": _KEY, "S3_SECRET_KEY": _KEY, "S3_REGION": "us-east-1"}
        return {"S3_BUCKET": self.name, "S3_ENDPOINT": self.endpoint, **keys}

    def storage(self, location: str, **options: Any) -> dict[str, Any]:
        """As Django's STORAGES takes it."""
        keys = {"access_key": _KEY, "secret_key": _KEY, "region": "us-east-1"}
        named = {"location": location, "bucket": self.name, "endpoint": self.endpoint}
        return {"BACKEND": "records.storage.s3.ObjectStorage", "OPTIONS": named | keys | options}

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=_KEY,
            aws_secret_access_key=_KEY,
        )

    def names(self) -> list[str]:
        return [entry["Key"] for entry in self.client().list_objects_v2(Bucket=self.name).get("Contents", ())]


@contextlib.contextmanager
def new_bucket() -> Iterator[Bucket]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        bucket = Bucket(f"http://{host}:{port}", f"bucket-{uuid.uuid4().hex[:8]}")
        bucket.client().create_bucket(Bucket=bucket.name)
        yield bucket
    finally:
        server.stop()
