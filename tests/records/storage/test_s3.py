"""Files in an object storage, against a real server on loopback."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from records.storage.errors import StorageUnavailable
from records.storage.listing import shared_files
from records.storage.s3 import ObjectStorage
from tests.object_storage import Bucket, new_bucket


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with new_bucket() as made:
        yield made


def storage_of(bucket: Bucket, location: str = "media", **options: object) -> ObjectStorage:
    return ObjectStorage(**bucket.storage(location, **options)["OPTIONS"])


def test_a_file_is_stored_under_its_name_below_the_location_and_read_back(bucket: Bucket) -> None:
    storage = storage_of(bucket)
    data = os.urandom(200_000)
    assert storage.save("assets/ab/cd/one.png", ContentFile(data)) == "assets/ab/cd/one.png"
    assert "media/assets/ab/cd/one.png" in bucket.names()
    with storage.open("assets/ab/cd/one.png") as stored:
        assert stored.read() == data
    assert storage.size("assets/ab/cd/one.png") == len(data)
    assert storage.exists("assets/ab/cd/one.png")
    assert storage.save("assets/ab/cd/one.png", ContentFile(data)) == "assets/ab/cd/one.png", "it is the same file"
    storage.delete("assets/ab/cd/one.png")
    storage.delete("assets/ab/cd/one.png")
    assert not storage.exists("assets/ab/cd/one.png")


def test_a_file_larger_than_memory_holds_is_read_whole(bucket: Bucket) -> None:
    storage = storage_of(bucket)
    data = os.urandom(1024**2) * 40
    storage.save("large", ContentFile(data))
    with storage.open("large") as stored:
        assert stored.read() == data


@pytest.mark.parametrize("ask", ["open", "size", "get_modified_time"])
def test_what_is_not_there_is_a_missing_file(bucket: Bucket, ask: str) -> None:
    with pytest.raises(FileNotFoundError):
        getattr(storage_of(bucket), ask)("assets/no/such")


def test_no_name_leaves_the_location(bucket: Bucket) -> None:
    from django.core.exceptions import SuspiciousOperation

    with pytest.raises(SuspiciousOperation):
        storage_of(bucket).save("../artifacts/x", ContentFile(b"x"))
    with pytest.raises(ValueError, match="written whole"):
        storage_of(bucket).open("x", "wb")


def test_listing_knows_one_folder_and_all(bucket: Bucket) -> None:
    storage = storage_of(bucket, "listed")
    for name in ("aa/1/f", "aa/2/f", "ab/1/f", "aab/f"):
        storage.save(name, ContentFile(name.encode()))
    assert [(file.name, file.size_bytes) for file in storage.listing("aa/")] == [("aa/1/f", 6), ("aa/2/f", 6)]
    assert len(list(storage.listing(""))) == 4
    assert not list(storage.listing("zz/"))


def test_shared_files_are_those_of_the_alias(bucket: Bucket, settings: object) -> None:
    settings.STORAGES = settings.STORAGES | {"artifacts": bucket.storage("shared")}  # type: ignore[attr-defined]
    storages["artifacts"].save("aa/f", ContentFile(b"1"))
    assert [file.name for file in shared_files("artifacts")] == ["aa/f"]
    assert not list(shared_files("default")), "a folder of this machine"


def test_threads_share_a_connection_and_a_forked_process_makes_its_own(bucket: Bucket) -> None:
    storage = storage_of(bucket)
    with ThreadPoolExecutor(4) as pool:
        clients = {id(client) for client in pool.map(lambda _: storage.connection.meta.client, range(8))}
    assert len(clients) == 1
    storage._process = -1  # as after a fork
    assert id(storage.connection.meta.client) not in clients


@pytest.mark.parametrize(("bucket_name", "keys"), [("no-such-bucket", {}), (None, {})])
def test_a_store_that_refuses_or_is_not_there_is_unavailable(
    bucket: Bucket, bucket_name: str | None, keys: dict[str, str]
) -> None:
    other = Bucket(bucket.endpoint if bucket_name else "http://127.0.0.1:1", bucket_name or "any")
    storage = storage_of(other, timeout=0.5, attempts=2)
    for ask in (
        lambda: storage.save("a", ContentFile(b"x")),
        lambda: storage.open("a"),
        lambda: list(storage.listing("")),
    ):
        with pytest.raises(StorageUnavailable, match="Nothing was kept") as caught:
            ask()
        assert (caught.value.code, caught.value.status) == ("storage_unavailable", 503)


def test_a_store_that_hangs_is_asked_a_bounded_number_of_times() -> None:
    connections: list[socket.socket] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(20)

        def accept() -> None:
            while len(connections) < 2:
                connections.append(listener.accept()[0])

        accepting = threading.Thread(target=accept)
        accepting.start()
        silent = Bucket(f"http://127.0.0.1:{listener.getsockname()[1]}", "any")
        with pytest.raises(StorageUnavailable):
            storage_of(silent, timeout=0.3, attempts=2).save("a", ContentFile(b"x"))
        accepting.join()
    assert len(connections) == 2, "once, and once more"
    for connection in connections:
        connection.close()


def test_an_answer_that_breaks_off_is_asked_for_again() -> None:
    """The first answer promises ten bytes and brings four."""
    answers = [b"half", b"0123456789"]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            for body in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n" + body)

        serving = threading.Thread(target=serve)
        serving.start()
        broken = Bucket(f"http://127.0.0.1:{listener.getsockname()[1]}", "any")
        with storage_of(broken, timeout=2, attempts=2).open("a") as stored:
            assert stored.read() == b"0123456789"
        serving.join()
