"""One image through web, broker and worker: its ids in every log, its spans at a collector, no secret anywhere."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests import parts
from tests.stack.conftest import Stack, new_stack, trained, wait_for

SECRET = "hunter2-Very_Secret_Value"
TOKEN = "a-token-for-the-metrics"


class Collector:
    """A receiver of OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    collector.spans += [span for scope in resource.scope_spans for span in scope.spans]
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """No lines of its own."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()


@pytest.fixture(scope="module")
def stack(collector: Collector) -> Iterator[Stack]:
    environment = {
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "DEBUG",
        "METRICS_TOKEN": TOKEN,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "EMAIL_PASSWORD": SECRET,
    }
    with new_stack(trained(), **environment) as made:
        made.start()
        yield made


def send(client: httpx.Client, **headers: str) -> httpx.Response:
    files = {"image": ("part.png", parts.png(1, defective=True), "image/png")}
    return client.post("/api/test_image", files=files, headers=headers)


def lines(stack: Stack, name: str) -> list[dict[str, Any]]:
    text = (stack.var_dir / "logs" / f"{name}.log").read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def with_id(stack: Stack, name: str, request_id: str) -> list[dict[str, Any]]:
    return [line for line in lines(stack, name) if line.get("request_id") == request_id]


def test_the_id_of_a_request_is_in_every_log_and_its_spans_at_the_collector(
    stack: Stack, client: httpx.Client, collector: Collector
) -> None:
    assert client.post("/api/load_model", json={"model_version": "latest"}).status_code == 200
    parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
    answer = send(client, **{"X-Request-ID": "the-way-of-one-image", "traceparent": parent})
    assert answer.status_code == 200, answer.text
    record = answer.json()["inspection_id"]

    [access] = wait_for(lambda: with_id(stack, "access", "the-way-of-one-image"), 20)
    assert (access["status"], access["path"]) == (200, "/api/test_image")

    def recorded() -> list[dict[str, Any]]:
        found = with_id(stack, "inference", "the-way-of-one-image")
        return [line for line in found if line.get("inspection") == record]

    judged = wait_for(recorded, 20)
    assert judged[0]["task"] == "inspection.tasks.judge"
    assert judged[0]["trace_id"] == "ab" * 16

    names = {"POST api", "receive", "decode", "wait", "answer", "inspection.tasks.judge"}
    names |= {"queue", "score", "prepare", "model", "map", "record"}

    def spans() -> list[Span]:
        return [span for span in collector.spans if span.trace_id.hex() == "ab" * 16]

    wait_for(lambda: names <= {span.name for span in spans()}, 30, lambda: str({span.name for span in spans()}))
    [root] = [span for span in spans() if span.name == "POST api"]
    [task] = [span for span in spans() if span.name == "inspection.tasks.judge"]
    assert root.parent_span_id.hex() == "cd" * 8
    assert task.parent_span_id == root.span_id
    assert next(span for span in spans() if span.name == "score").parent_span_id == task.span_id
    assert SECRET not in str(collector.spans)


def test_no_secret_reaches_a_log(stack: Stack, client: httpx.Client) -> None:
    """By address, header, cookie, form, JSON, part of a form, a name that is refused, and an error with locals."""
    nobody = httpx.Client(base_url=stack.address, timeout=60)
    for path in ("/", "/login/", "/api/status", "/nowhere", "/api/inspections", "/metrics"):
        for name in ("token", "password", "pass%77ord", "api_key", "signature", "sessionid", "code_secret"):
            nobody.get(f"{path}?a=1&{name}={SECRET}&b=2")
    for headers in (
        {"Authorization": f"Bearer {SECRET}"},
        {"Authorization": f"Basic {SECRET}"},
        {"Authorization": f"Token {SECRET}"},
        {"Cookie": f"sessionid={SECRET}; csrftoken={SECRET}"},
        {"X-CSRFToken": SECRET, "X-Signature": SECRET},
        {"Referer": f"http://127.0.0.1/?token={SECRET}"},
        {"User-Agent": f"program token={SECRET}"},
    ):
        nobody.get("/api/status", headers=headers)
        nobody.post("/api/test_image", headers=headers, files={"image": ("x.png", b"x", "image/png")})
    page = nobody.get("/login/")
    csrf = page.cookies.get("csrftoken", "")
    form = {"username": "ina", "password": SECRET, "csrfmiddlewaretoken": csrf}
    nobody.post("/login/", data=form, headers={"Referer": stack.address})
    nobody.post("/login/", data={"username": "ina", "password": SECRET, "csrfmiddlewaretoken": SECRET})
    for body in ({"password": SECRET, "token": SECRET}, [{"api_key": SECRET}], SECRET):
        client.post("/api/load_model", json=body)
        client.post("/api/tokens", json=body)
    client.post("/api/test_image", data={"password": SECRET, "station": f"token={SECRET}"}, files={"image": b"x"})
    client.post("/api/load_model", content=b'{"password": "' + SECRET.encode())
    done = stack.manage("show_config")
    assert SECRET not in done.stdout + done.stderr

    wait_for(lambda: len(lines(stack, "access")) > 40, 20)
    credentials = (SECRET, stack.token, csrf, (stack.var_dir / "secret_key").read_text())
    logs = [path for path in Path(stack.var_dir, "logs").iterdir() if path.is_file()]
    assert {path.stem for path in logs} >= {"access", "web", "inference", "training", "beat"}
    for log in [*logs, stack.log]:
        text = log.read_text()
        for secret in credentials:
            assert not secret or secret not in text, [line for line in text.splitlines() if secret in line][:3]


def test_metrics_of_all_processes_come_from_the_web_server(stack: Stack, client: httpx.Client) -> None:
    assert httpx.get(f"{stack.address}/metrics").status_code == 401
    assert client.get("/metrics").status_code == 401, "a user's token is none for this"
    assert send(client).status_code == 200

    def metrics() -> dict[str, float]:
        answer = httpx.get(f"{stack.address}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        rows = [line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in rows}

    recorded = 'mvtec_inspection_requests_total{outcome="recorded"}'
    before = wait_for(lambda: (found := metrics())[recorded] >= 1 and found, 20)
    assert before['mvtec_inspection_stage_seconds_count{stage="answer"}'] >= 1
    roles = {name for name in before if name.startswith("mvtec_processes{")}
    for role in ("web", "inference", "training", "scheduler"):
        assert any(f'role="{role}"' in name for name in roles), role
    # After a restart of the processes that counted, sums go on from where they were.
    assert stack.kill("-Q inference", "gunicorn")
    wait_for(lambda: _is_ready(stack), 120)
    assert metrics()[recorded] >= before[recorded]


def _is_ready(stack: Stack) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{stack.address}/readyz", timeout=20).status_code == 200
    return False
