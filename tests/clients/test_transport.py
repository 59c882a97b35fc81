"""What is sent again, how often, after which pauses; and what an error looks like."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from mvtec_client import ApiProblem, Client, Retry, TookTooLong, Unreachable

Answer = httpx.Response | Exception
PROBLEM = {"type": "/docs/problems#x", "title": "X", "status": 409, "code": "conflict", "detail": "No.", "who": "you"}


class Server:
    """Answers from a list, the last one for ever; remembers what it was asked."""

    def __init__(self, *answers: Answer | Callable[[httpx.Request], httpx.Response]) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.pauses: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    def client(self, attempts: int = 4, **retry: Any) -> Client:
        rule = Retry(attempts=attempts, sleep=self.pauses.append, **retry)
        return Client("http://plant", "mvt_key", transport=httpx.MockTransport(self), retry=rule)


def ok(document: Any = None) -> httpx.Response:
    return httpx.Response(200, json={} if document is None else document)


def busy(status: int = 503, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=PROBLEM | {"status": status, "code": "no_worker"}, headers=headers)


GONE = httpx.RemoteProtocolError("Server disconnected without sending a response.")
REFUSED = httpx.ConnectError("Connection refused")


@pytest.mark.parametrize(
    "failure", [GONE, REFUSED, httpx.ReadTimeout("slow"), *map(busy, (429, 502, 503, 504))], ids=str
)
def test_reading_is_tried_again(failure: Answer) -> None:
    server = Server(failure, failure, ok({"broker": "reachable"}))
    assert server.client().status()["broker"] == "reachable"
    assert len(server.asked) == 3
    assert [request.headers["Authorization"] for request in server.asked] == ["Bearer mvt_key"] * 3
    assert len(server.pauses) == 2


def test_an_inspection_is_sent_again_with_the_same_key_and_image() -> None:
    server = Server(GONE, busy(), ok({"inspection_id": "1"}))
    assert server.client().inspect(b"\x89PNG...", station="press 4")["inspection_id"] == "1"
    keys = {request.headers["Idempotency-Key"] for request in server.asked}
    assert len(keys) == 1
    assert all(b"\x89PNG..." in request.content and b"press 4" in request.content for request in server.asked)
    assert all(b'filename="image.png"' in request.content for request in server.asked)
    server.client().inspect(b"\xff\xd8", idempotency_key="mine")
    assert server.asked[-1].headers["Idempotency-Key"] == "mine"
    server.client().inspect(b"\xff\xd8")
    assert server.asked[-1].headers["Idempotency-Key"] not in keys


def test_a_stream_is_sent_again_from_its_beginning() -> None:
    server = Server(GONE, ok({"batch_id": "1"}))
    server.client().batch(archive=("a.zip", io.BytesIO(b"PK-content")))
    assert all(b"PK-content" in request.content for request in server.asked)
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("failure", "tries"), [(GONE, 1), (busy(502), 1), (busy(503), 1), (REFUSED, 4), (busy(429), 4)]
)
def test_what_may_not_be_done_twice_is_sent_again_only_where_it_was_not_seen(failure: Answer, tries: int) -> None:
    server = Server(failure)
    with pytest.raises((ApiProblem, Unreachable)):
        server.client().set_threshold(7, 1.0, reason="x")
    assert len(server.asked) == tries
    assert "Idempotency-Key" not in server.asked[0].headers


def test_no_more_tries_than_allowed() -> None:
    server = Server(busy())
    with pytest.raises(ApiProblem) as problem:
        server.client(attempts=3).status()
    assert (problem.value.status, problem.value.code, len(server.asked)) == (503, "no_worker", 3)
    with pytest.raises(Unreachable, match="Connection refused"):
        Server(REFUSED).client(attempts=2).status()
    with pytest.raises(ValueError, match="at least 1"):
        Retry(attempts=0)


def test_pauses_grow_are_bounded_and_obey_the_server() -> None:
    server = Server(busy())
    with pytest.raises(ApiProblem):
        server.client(attempts=8, first_pause=1.0, longest_pause=4.0).status()
    lows, highs = (0.5, 1, 2, 2, 2, 2, 2), (1, 2, 4, 4, 4, 4, 4)
    assert all(low <= pause <= high for low, pause, high in zip(lows, server.pauses, highs, strict=True))
    server = Server(busy(429, **{"Retry-After": "7"}), busy(429, **{"Retry-After": "86400"}), busy(429), ok())
    server.client(first_pause=1.0).status()
    assert server.pauses[:2] == [7.0, 60.0]
    server = Server(
        busy(503, **{"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), busy(503, **{"Retry-After": "?"}), ok()
    )
    server.client(first_pause=1.0).status()
    assert all(pause <= 2 for pause in server.pauses)


def test_problems() -> None:
    with pytest.raises(ApiProblem) as problem:
        Server(httpx.Response(409, json=PROBLEM)).client().load_model()
    found = problem.value
    assert (found.status, found.code, found.detail, found.extra) == (409, "conflict", "No.", {"who": "you"})
    assert str(found) == "409 conflict: No."
    for content in (b"<html>Bad gateway</html>", b"[1]", b'{"detail": "no code"}'):
        with pytest.raises(ApiProblem) as problem:
            Server(httpx.Response(418, content=content)).client().status()
        assert (problem.value.code, problem.value.detail) == ("http_418", content.decode())


def test_pages_are_asked_for_as_they_are_needed() -> None:
    def page(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("cursor", "0"))
        following = f"http://inside:8000/api/inspections?limit=2&cursor={number + 1}&lot=L" if number < 2 else None
        return ok({"next": following, "previous": None, "results": [{"n": 2 * number}, {"n": 2 * number + 1}]})

    server = Server(page)
    rows: Any = server.client().inspections(lot="L", outcome=["good", "defective"], reviewed=False, page_size=2)
    assert server.asked == []
    assert [next(rows)["n"], next(rows)["n"]] == [0, 1]
    assert len(server.asked) == 1
    assert [row["n"] for row in rows] == [2, 3, 4, 5]
    assert {request.url.host for request in server.asked} == {"plant"}, "the address that we know, not the server's own"
    query = server.asked[-1].url.params
    assert (query["lot"], query.get_list("outcome"), query["reviewed"], query["cursor"]) == (
        "L",
        ["good", "defective"],
        "no",
        "2",
    )


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    def broken() -> Any:
        yield b"half"
        raise httpx.ReadError("cut")

    server = Server(lambda _: httpx.Response(200, content=broken()), httpx.Response(200, content=b"whole"))
    target = tmp_path / "out.csv"
    assert server.client().export_inspections(target, format="csv").read_bytes() == b"whole"
    with pytest.raises(ApiProblem, match="permission"):
        Server(httpx.Response(403, json=PROBLEM | {"code": "permission_denied"})).client().export_inspections(
            tmp_path / "no.csv"
        )
    with pytest.raises(Unreachable):
        Server(lambda _: httpx.Response(200, content=broken())).client().export_audit(tmp_path / "no.csv")
    assert list(tmp_path.iterdir()) == [target]


def test_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvtec_client.client.time.sleep", lambda seconds: None)
    seen: list[str] = []
    server = Server(ok({"status": "queued"}), ok({"status": "running"}), ok({"status": "finished"}))
    server.client().wait_for_batch("b", progress=lambda batch: seen.append(batch["status"]))
    assert seen == ["queued", "running", "finished"]
    with pytest.raises(TookTooLong, match="goes on"):
        Server(ok({"status": "queued"})).client().wait_for_rescoring("r", timeout=0.0)


def test_what_is_put_into_an_address_stays_in_its_place() -> None:
    server = Server(ok())
    server.client().inspection("../status?x=1#y", anomaly_map="none")
    assert server.asked[0].url.raw_path == b"/api/inspections/..%2Fstatus%3Fx%3D1%23y?anomaly_map=none"


def test_paths_and_names_of_images(tmp_path: Path) -> None:
    path = tmp_path / "part.jpg"
    path.write_bytes(b"\xff\xd8jpeg")
    server = Server(ok())
    with server.client() as client:
        client.inspect(path)
        client.inspect(("lot 7/press.PNG", b"\x89PNG"))
        client.batch([path, b"\x89PNG"], lot="L")
    first, second, third = (request.content for request in server.asked)
    assert b'filename="part.jpg"' in first
    assert b"image/jpeg" in first
    assert b'filename="lot 7/press.PNG"' in second
    assert b"image/png" in second
    assert third.count(b'name="images"') == 2
