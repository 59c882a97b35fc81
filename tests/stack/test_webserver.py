"""The running system under connections that stall, callers that nobody knows, and uploads that nobody wants."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests import parts
from tests.stack.conftest import Stack, new_stack, trained, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow]

MIB = 1024**2


@pytest.fixture(scope="module")
def system() -> Iterator[Stack]:
    """With short deadlines, few threads and small caps."""
    limits = {
        "WEB_HEADER_TIMEOUT": "6",
        "WEB_BODY_TIMEOUT": "6",
        "WEB_WRITE_TIMEOUT": "6",
        "WEB_THREADS": "4",
        "WEB_CONNECTIONS_PER_ADDRESS": "80",
        "BATCH_MAX_BYTES": str(120 * MIB),
        "ANSWER_TIMEOUT": "8",
    }
    with new_stack(trained(), **limits) as made:
        made.start()
        with made.client() as client:
            assert client.post("/api/load_model", json={}).status_code == 200
        yield made


def connect(system: Stack, data: bytes = b"", source: str = "127.0.0.9") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", system.port), timeout=20, source_address=(source, 0))
    sock.sendall(data)
    return sock


def ask_as_others_do(system: Stack) -> None:
    """Health, a page and a judged part, all from one client."""
    with system.client() as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/login/").status_code == 200
        answer = client.post("/api/test_image", files={"image": ("a.png", parts.png(1, defective=True), "image/png")})
        assert answer.status_code == 200, answer.text


def pieces(body: bytes, size: int = 1000) -> Iterator[bytes]:
    """httpx sends what comes from a generator in chunks, without a length."""
    for start in range(0, len(body), size):
        yield body[start : start + size]


def temporary(system: Stack) -> int:
    """Bytes in the folder of uploads, named and unlinked ones alike."""
    folder = system.var_dir / "uploads"
    named = sum(path.stat().st_size for path in folder.iterdir())
    unlinked = 0
    for process in system.children():
        for entry in Path(f"/proc/{process.pid}/fd").iterdir():
            try:
                if str(entry.readlink()).startswith(f"{folder}/"):
                    unlinked += entry.stat().st_size
            except OSError:
                continue
    return named + unlinked


@pytest.mark.parametrize("kind", ["silent", "header", "body", "anonymous"])
def test_half_open_connections_stop_nobody(system: Stack, kind: str) -> None:
    head = f"POST /api/test_image HTTP/1.1\r\nHost: 127.0.0.1:{system.port}\r\n"
    token = f"Authorization: Bearer {system.token}\r\nContent-Type: multipart/form-data; boundary=B\r\n"
    fragment = {
        "silent": "",
        "header": head,
        "body": f"{head}{token}Content-Length: 100000\r\n\r\n--B\r\n",
        "anonymous": f"{head}Content-Length: 5000\r\n\r\n--B\r\n",
    }[kind].encode()
    with ExitStack() as stack:
        many = [stack.enter_context(connect(system, fragment)) for _ in range(300 if kind == "silent" else 60)]
        ask_as_others_do(system)
        answers = [receive(sock) for sock in many[-60:]]
        if kind in ("body", "anonymous"):
            assert {answer[:12] for answer in answers} == {b"HTTP/1.1 408"}
        else:
            assert not any(answers)
        ask_as_others_do(system)


def receive(sock: socket.socket) -> bytes:
    answer = b""
    try:
        while data := sock.recv(65536):
            answer += data
    except ConnectionResetError:
        pass
    return answer


@pytest.mark.parametrize("path", ["/login/", "/inspect", "/admin/login/", "/healthz", "/api/test_image", "/batches/"])
def test_nobody_unknown_fills_the_disk(system: Stack, path: str) -> None:
    """A self-made CSRF cookie and token are what anybody can have."""
    fields = b'--B\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n' + b"a" * 32
    begin = fields + b'\r\n--B\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    header = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{system.port}\r\nCookie: csrftoken={'a' * 32}\r\n"
        f"Content-Type: multipart/form-data; boundary=B\r\n"
    )
    for length in (f"Content-Length: {50 * MIB}", "Transfer-Encoding: chunked"):
        with connect(system, f"{header}{length}\r\n\r\n".encode()) as sock:
            answers: list[bytes] = []
            reader = threading.Thread(target=lambda s=sock, a=answers: a.append(receive(s)))
            reader.start()
            most = 0
            try:
                for number in range(50):
                    block = begin + bytes(MIB) if number == 0 else bytes(MIB)
                    sock.sendall(b"%x\r\n%s\r\n" % (len(block), block) if "chunked" in length else block)
                    most = max(most, temporary(system))
            except OSError:
                pass
            reader.join(20)
        assert answers[0][:12] in (b"HTTP/1.1 413", b"HTTP/1.1 401", b"HTTP/1.1 302", b"HTTP/1.1 403"), answers
        assert most < MIB


def test_what_is_known_may_send_much_and_leaves_nothing_behind(system: Stack) -> None:
    big = b"".join(pieces(bytes(60 * MIB), MIB))
    with system.client() as client:
        answer = client.post("/api/batches", files={"images": ("a.png", big, "image/png")})
        assert answer.status_code < 500
        assert answer.json().get("code") != "request_too_large"
        answer = client.post("/api/batches", files={"images": ("a.png", big + big + big, "image/png")})
        assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")
    wait_for(lambda: temporary(system) == 0, 20)


def test_bodies_in_chunks_mean_what_they_say(system: Stack) -> None:
    with system.client() as client:
        body = json.dumps({"model_version": "1000"}).encode()
        answer = client.post("/api/load_model", content=pieces(body, 5), headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (404, "model_version_not_found")

        form = httpx.Request("POST", "http://x", files={"image": ("a.png", parts.png(1, defective=True), "image/png")})
        content = pieces(form.read())
        headers = {"Content-Type": form.headers["Content-Type"]}
        answer = client.post("/api/test_image", content=content, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["filename"] == "a.png"


def test_slow_readers_of_large_answers_stop_nobody_and_are_ended(system: Stack) -> None:
    request = (
        f"GET /api/model-versions/1/artifact HTTP/1.1\r\nHost: 127.0.0.1:{system.port}\r\n"
        f"Authorization: Bearer {system.token}\r\n\r\n"
    ).encode()
    with ExitStack() as stack, system.client() as client:
        for _ in range(20):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            sock.bind(("127.0.0.9", 0))
            sock.connect(("127.0.0.1", system.port))
            sock.sendall(request)
        ask_as_others_do(system)
        whole = client.get("/api/model-versions/1/artifact")
        assert whole.status_code == 200
        assert len(whole.content) > MIB


def test_callers_that_wait_for_a_stopped_worker_leave_threads_to_others(system: Stack) -> None:
    workers = [p for p in system.children() if "inference@" in " ".join(p.cmdline())]
    for process in workers:
        process.suspend()
    try:
        image = {"image": ("a.png", parts.png(3, defective=True), "image/png")}

        def call() -> None:
            with system.client() as client:
                client.post("/api/test_image", files=image)

        callers = [threading.Thread(target=call) for _ in range(12)]
        for caller in callers:
            caller.start()
        with system.client() as client:
            for path in ("/healthz", "/login/", "/api/status", "/api/inspections"):
                assert client.get(path, timeout=8).status_code == 200, path
    finally:
        for process in workers:
            process.resume()
    for caller in callers:
        caller.join()
    ask_as_others_do(system)


def test_the_access_log_names_the_request(system: Stack) -> None:
    with system.client() as client:
        client.get("/healthz", headers={"X-Request-ID": "the-one-meant"})
    log = system.var_dir / "logs" / "access.log"
    wait_for(lambda: "the-one-meant" in log.read_text(), 5)
    (line,) = [line for line in log.read_text().splitlines() if "the-one-meant" in line]
    assert line.startswith("127.0.0.1 ")
    assert '"GET /healthz HTTP/1.1" 200 3 ' in line
