"""How fast the embedded system judges over HTTP, beside the bare work that no serving can do without.

Everything is measured in turns in one run: figures of two runs on a busy machine cannot be compared.
"""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.db import connection

from common.errors import Unavailable, UserError
from inspection.benchmarks import processor_time
from modelzoo.loading import scoring
from modelzoo.models import ModelVersion
from records.assets.images import open_rgb
from records.assets.selectors import upload_limits

_START_SECONDS = 90.0
_PNG_HEADER = 33  # bytes: the signature and the first chunk, after which others may stand


def measure(
    version: ModelVersion,
    images: Sequence[tuple[str, bytes]],
    *,
    clients: Sequence[int],
    rounds: int,
    requests: int,
    anomaly_map: str,
    neighbours: int,
    stages: bool,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Figures of one version on a system of its own, which is gone afterwards.

    Args:
        images: names and bytes; every measurement goes through all of them, again and again.
        clients: numbers of callers who each send one image after the other over a connection that stays open.
        requests: images of each caller in each round.
        neighbours: other programs that keep a core busy each while HTTP is measured.
        stages: the processor time of an image by stage, too, in calls of their own after the others.
    """
    model = scoring.load_model(version)
    files = [data for _, data in images]
    rows: list[dict[str, Any]] = []
    tell("Starting web server, workers and broker on a copy of the database ...")
    with _own_system(version) as (callers, process_id):
        _post(callers(1)[0], images[0], anomaly_map)
        for number in range(rounds + 1):
            row: dict[str, Any] = _bare(model, files, requests)
            with _busy_neighbours(neighbours):
                for count in clients:
                    row[f"clients_{count}"] = _serve(callers(count), images, requests, anomaly_map)
            if number:  # the first one warms up
                rows.append(row)
                tell(f"round {number} of {rounds}")
        document = _summary(version, rows, clients, anomaly_map) | {"neighbours": neighbours}
        if stages:
            for row in document["rows"]:
                tell(f"Stages at {row['clients']} client(s) ...")
                row |= _processor_time(callers(row["clients"]), process_id, images, requests * rounds, anomaly_map)
    return document


def as_text(document: dict[str, Any]) -> str:
    """The figures as lines for a terminal."""
    lines = [
        f"model {document['model_ms']:.2f} ms, decode {document['decode_ms']:.2f} ms, prepare "
        f"{document['prepare_ms']:.2f} ms; bare loop {document['loop_images_per_second']:.1f} images/s",
    ]
    lines += [
        f"{row['clients']:>2} client(s): p50 {row['p50_ms']:7.2f} ms ({row['p50_over_model_and_decode']:.2f} x model "
        f"and decode), p95 {row['p95_ms']:7.2f} ms, p99 {row['p99_ms']:7.2f} ms, "
        f"{row['images_per_second']:6.1f} images/s ({row['share_of_loop']:.0%} of the bare loop)"
        for row in document["rows"]
    ]
    lines += [line for row in document["rows"] if "stages_ms" in row for line in _stage_lines(row)]
    return "\n".join(lines)


def _stage_lines(row: dict[str, Any]) -> list[str]:
    return [
        f"Processor time of an image at {row['clients']} client(s): {sum(row['processor_ms'].values()):.1f} ms, "
        f"{row['beyond_bare_ms']:.1f} ms beside {', '.join(processor_time.BARE)}",
        "  by process: " + ", ".join(f"{name} {ms:.1f}" for name, ms in row["processor_ms"].items()),
        *(f"  {ms:6.2f}  {stage}" for stage, ms in row["stages_ms"].items()),
    ]


# ---------------------------------------------------------------- the bare work
def _bare(model: scoring.LoadedModel, files: Sequence[bytes], repeats: int) -> dict[str, Any]:
    """Milliseconds of one image's steps, and images per second of a loop that has both hands free."""
    import torch

    sample = [files[index % len(files)] for index in range(repeats)]
    decoded = [open_rgb(data, upload_limits()) for data in files]
    prepared = [model.detector.prepare(image).pixels[None] for image in decoded]
    cores = torch.get_num_threads()
    batch = [sample[start : start + settings.BATCH_SIZE] for start in range(0, len(sample), settings.BATCH_SIZE)]
    return {
        "model_ms": _median_ms(lambda index: model.scorer.score(prepared[index % len(files)]), repeats),
        "decode_ms": _median_ms(lambda index: open_rgb(sample[index], upload_limits()), repeats),
        "prepare_ms": _median_ms(lambda index: model.detector.prepare(decoded[index % len(files)]), repeats),
        "loop": max(
            _per_second(len(sample), lambda: [scoring.score(model, [data]) for data in sample]),
            _per_second(len(sample), lambda: [scoring.score(model, part) for part in batch]),
        ),
        "cores": cores,
    }


def _median_ms(call: Callable[[int], object], repeats: int) -> float:
    times = []
    for index in range(repeats):
        began = time.perf_counter()
        call(index)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def _per_second(count: int, call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return count / (time.perf_counter() - began)


# ---------------------------------------------------------------- over HTTP
def _serve(
    callers: Sequence[httpx.Client], images: Sequence[tuple[str, bytes]], requests: int, anomaly_map: str
) -> dict[str, Any]:
    def call(number: int) -> list[float]:
        times = []
        for index in range(requests):
            began = time.perf_counter()
            _post(callers[number], images[(number + index) % len(images)], anomaly_map)
            times.append(time.perf_counter() - began)
        return times

    with ThreadPoolExecutor(len(callers)) as pool:
        began = time.perf_counter()
        times = [seconds for of_one in pool.map(call, range(len(callers))) for seconds in of_one]
        wall = time.perf_counter() - began
    return {"times_ms": [seconds * 1000 for seconds in times], "images_per_second": len(times) / wall}


def _processor_time(
    callers: Sequence[httpx.Client],
    process_id: int,
    images: Sequence[tuple[str, bytes]],
    requests: int,
    anomaly_map: str,
) -> dict[str, Any]:
    """Milliseconds of processor time of one image, by process and by stage; the callers' own are not in it."""
    with processor_time.measured(process_id) as used:
        _serve(callers, images, requests, anomaly_map)
    per_image = 1000 / (len(callers) * requests)
    by_process = sorted(used.by_process.items(), key=lambda item: -item[1])
    by_stage = sorted(used.by_stage.items(), key=lambda item: -item[1])
    bare = sum(used.by_stage.get(stage, 0.0) for stage in processor_time.BARE)
    return {
        "processor_ms": {name: round(seconds * per_image, 2) for name, seconds in by_process},
        "stages_ms": {stage: round(seconds * per_image, 2) for stage, seconds in by_stage},
        "beyond_bare_ms": round((sum(used.by_process.values()) - bare) * per_image, 2),
    }


def _post(client: httpx.Client, image: tuple[str, bytes], anomaly_map: str) -> None:
    files = {"image": (image[0], _unique_copy(image[1]))}
    answer = client.post("/api/test_image", files=files, data={"anomaly_map": anomaly_map})
    if answer.is_error:
        raise Unavailable(f"POST /api/test_image answered {answer.status_code}: {answer.text[:500]}")


def _unique_copy(data: bytes) -> bytes:
    """The same picture in a file of its own, as from a camera: what is known already would not be written again."""
    text = f"Comment\0{secrets.token_hex(16)}".encode()
    if data.startswith(b"\xff\xd8"):
        return data[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + data[2:]
    chunk = b"tEXt" + text
    size, checksum = len(text).to_bytes(4, "big"), zlib.crc32(chunk).to_bytes(4, "big")
    return data[:_PNG_HEADER] + size + chunk + checksum + data[_PNG_HEADER:]


@contextmanager
def _own_system(version: ModelVersion) -> Iterator[tuple[Callable[[int], list[httpx.Client]], int]]:
    """A running embedded system with the version in force: a function that makes callers of it, its process."""
    if connection.vendor != "sqlite":
        raise UserError("The embedded system is measured, which keeps its records in SQLite: unset DATABASE_URL.")
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="mvtec-b-")))
        _copy_database(folder / "db.sqlite3")
        port = _free_port()
        environment = os.environ | {
            "VAR_DIR": str(folder),
            "MODEL_PATH": str(settings.MODEL_PATH),
            "AUDIT_EVENT_KEYS": str(settings.AUDIT_EVENT_KEYS),
            "REDIS_URL": "",
            "THROTTLE_INSPECT": "0",
            "DJANGO_SUPERUSER_PASSWORD": secrets.token_urlsafe(12),
        }
        name = f"benchmark-{secrets.token_hex(4)}"
        _manage(environment, "createsuperuser", "--noinput", "--username", name, "--email", "benchmark@localhost")
        token = _manage(environment, "create_token", name, "benchmark").strip()
        with (folder / "run.log").open("wb") as log:
            words = [sys.executable, "manage.py", "run", "--port", str(port)]
            process = subprocess.Popen(words, cwd=settings.BASE_DIR, env=environment, stdout=log, stderr=log)
        ending.callback(process.wait)
        ending.callback(process.terminate)

        def callers(count: int) -> list[httpx.Client]:
            while len(open_ones) < count:
                headers = {"Authorization": f"Bearer {token}"}
                client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120)
                open_ones.append(ending.enter_context(client))
            return open_ones[:count]

        open_ones: list[httpx.Client] = []
        _await_ready(callers(1)[0], process, folder / "run.log")
        loaded = callers(1)[0].post("/api/load_model", json={"model_version": str(version.pk)})
        if loaded.is_error:
            raise Unavailable(f"The model was not loaded: {loaded.text[:500]}")
        yield callers, process.pid


def _copy_database(target: Path) -> None:
    connection.ensure_connection()
    copy = sqlite3.connect(target)
    with copy:
        connection.connection.backup(copy)
    copy.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _manage(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *words], cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise Unavailable(f"manage.py {words[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def _await_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if client.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise Unavailable(f"The system did not come up: {log.read_text()[-500:]}")


@contextmanager
def _busy_neighbours(count: int) -> Iterator[None]:
    """Processes that do nothing but compute, one core each."""
    neighbours = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()


# ---------------------------------------------------------------- what comes out
def _summary(
    version: ModelVersion, rows: Sequence[dict[str, Any]], clients: Sequence[int], anomaly_map: str
) -> dict[str, Any]:
    """Medians over the rounds; ratios are formed within a round first."""
    served = []
    for count in clients:
        results = [row[f"clients_{count}"] for row in rows]
        p50 = [statistics.median(row["times_ms"]) for row in results]
        times = sorted(value for row in results for value in row["times_ms"])
        served.append(
            {
                "clients": count,
                "p50_ms": round(statistics.median(times), 3),
                "p95_ms": _quantile(times, 0.95),
                "p99_ms": _quantile(times, 0.99),
                "images_per_second": _median(row["images_per_second"] for row in results),
                "p50_over_model_and_decode": _median(
                    value / (row["model_ms"] + row["decode_ms"]) for value, row in zip(p50, rows, strict=True)
                ),
                "share_of_loop": _median(
                    of_round["images_per_second"] / row["loop"] for of_round, row in zip(results, rows, strict=True)
                ),
            }
        )
    return {
        "model_version": version.pk,
        "detector": version.algorithm,
        "anomaly_map": anomaly_map,
        "cores": rows[0]["cores"],
        "rounds": len(rows),
        **{name: _median(row[name] for row in rows) for name in ("model_ms", "decode_ms", "prepare_ms")},
        "loop_images_per_second": _median(row["loop"] for row in rows),
        "rows": served,
    }


def _median(values: Iterator[float]) -> float:
    return round(statistics.median(values), 3)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3)
