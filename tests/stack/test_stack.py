"""Over HTTP, through the broker, with a worker that holds a real model."""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image

from common.version import VERSION
from tests import parts
from tests.stack.conftest import Stack, migrated, new_stack, trained, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow]


def load(client: httpx.Client, **words: Any) -> dict[str, Any]:
    answer = client.post("/api/load_model", json=words)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def judge(client: httpx.Client, seed: int, *, defective: bool = False, **fields: str) -> httpx.Response:
    files = {"image": (f"{seed}.png", parts.png(seed, defective=defective), "image/png")}
    return client.post("/api/test_image", files=files, data=fields)


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = dict(answer.json())
    assert (document["status"], document["code"]) == (status, code)
    assert document["detail"]
    return document


@pytest.mark.postgresql_too
def test_the_whole_way(stack: Stack, client: httpx.Client) -> None:
    problem(judge(client, 1), 409, "no_model_loaded")
    assert client.get("/api/status").json()["model_loaded"] is False

    loaded = load(client, model_version="latest", category="disc", algorithm="padim")
    assert loaded["worker"].startswith("inference@")
    # A worker that has just started puts "warm" into its queue, and that may still wait behind the loading.
    idle = {"inference": 0, "training": 0}
    wait_for(lambda: client.get("/api/status/").json()["queues"] == idle, 60, lambda: client.get("/api/status/").text)
    status = client.get("/api/status/").json()
    assert status["model"]["model_version"] == loaded["model_version"]
    queues = {queue for worker in status["workers"] for queue in worker["queues"]}
    assert queues == {"inference", "training", "connections"}

    good, bad = judge(client, 5000).json(), judge(client, 5001, defective=True, lot="L1").json()
    assert (good["is_defective"], bad["is_defective"]) == (False, True)
    for record in (good, bad):
        assert record["reconstruction_error"] == record["score"]
        assert record["confidence"] == abs(record["score"] - record["threshold"])
        assert len(record["anomaly_map"]) == parts.SIDE
        assert {len(row) for row in record["anomaly_map"]} == {parts.SIDE}
        assert max(max(row) for row in record["anomaly_map"]) == pytest.approx(record["score"], rel=1e-6)
    again = client.get(f"/api/inspections/{bad['inspection_id']}", params={"anomaly_map": "full"}).json()
    assert {k: v for k, v in again.items() if k != "created_at"} == {k: v for k, v in bad.items() if k != "created_at"}
    image = client.get(bad["image_url"])
    assert image.content == parts.png(5001, defective=True)
    for picture in ("map", "overlay", "thumbnail"):
        answer = client.get(f"/api/inspections/{bad['inspection_id']}/{picture}", headers={"Accept": "image/avif"})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("image/")
        etag = answer.headers["etag"]
        cached = client.get(answer.request.url.path, headers={"If-None-Match": etag})
        assert (cached.status_code, cached.content) == (304, b"")


def test_maps_in_the_form_that_was_asked_for(client: httpx.Client) -> None:
    load(client)
    assert judge(client, 1, anomaly_map="none").json()["anomaly_map"] is None
    address = judge(client, 1, anomaly_map="url").json()["anomaly_map"]
    assert client.get(address).headers["content-type"] == "image/png"
    problem(judge(client, 1, anomaly_map="jpeg"), 400, "invalid")


def test_a_threshold_given_with_load_model_judges_the_next_image(client: httpx.Client) -> None:
    load(client)
    before = judge(client, 3, anomaly_map="none").json()
    loaded = load(client, threshold=before["score"] / 2)
    after = judge(client, 3, anomaly_map="none").json()
    assert after["score"] == pytest.approx(before["score"], rel=1e-6)
    assert (before["is_defective"], after["is_defective"]) == (False, True)
    assert after["threshold_revision"] == loaded["threshold_revision"] == before["threshold_revision"] + 1
    load(client, threshold=before["threshold"])


def test_a_batch_of_files(client: httpx.Client) -> None:
    load(client)
    files = [("images", (f"{i}.png", parts.png(i, defective=i % 2 == 1), "image/png")) for i in range(6)]
    files.append(("images", ("broken.png", b"x" * 100, "image/png")))
    answer = client.post("/api/batch_test", files=files, data={"wait": "30"})
    assert answer.status_code == 200
    document = answer.json()
    assert (document["total"], document["done"], document["failed"], document["defective"]) == (7, 6, 1, 3)
    assert document["results"][6]["code"] == "not_an_image"


def test_a_batch_of_a_zip_is_answered_at_once_and_can_be_watched(client: httpx.Client) -> None:
    load(client)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for index in range(5):
            archive.writestr(f"folder/{index}.png", parts.png(index))
    answer = client.post("/api/batch_test", files={"archive": ("five.zip", packed.getvalue(), "application/zip")})
    assert answer.status_code == 202
    address = answer.headers["location"]
    final = wait_for(
        lambda: (found := client.get(address).json())["status"] == "finished" and found, 30, lambda: address
    )
    assert (final["total"], final["done"], final["good"], final["progress"]) == (5, 5, 5, 1.0)


def test_a_batch_of_a_data_sets_test_split(client: httpx.Client) -> None:
    load(client)
    document = client.post("/api/batch_test", json={"dataset": "disc", "wait": 30}).json()
    assert (document["total"], document["done"], document["defective"]) == (8, 8, 4)


@pytest.mark.postgresql_too
def test_killed_in_the_middle_of_a_batch_every_image_is_judged_exactly_once() -> None:
    """Must show 5: kill -9 of everything, start again; none is lost, none is double."""
    count = 60
    with new_stack(trained()) as stack:
        stack.start()
        files = [("images", (f"{i}.png", parts.png(i), "image/png")) for i in range(count)]
        with stack.client() as client:
            load(client)
            address = client.post("/api/batch_test", files=files).headers["location"]
            wait_for(lambda: client.get(address).json()["done"] >= 3, 60)
        # First the worker's child alone, then everything, the supervisor included.
        assert stack.kill("inference")
        with stack.client() as client:
            wait_for(lambda: client.get(address).json()["done"] >= 10, 90)
        stack.kill()
        stack.start()
        with stack.client() as client:
            final = wait_for(
                lambda: (found := client.get(address).json())["status"] == "finished" and found,
                120,
                lambda: stack.log.read_text(),
            )
        assert (final["total"], final["done"], final["failed"]) == (count, count, 0)
        assert len({row["inspection_id"] for row in final["results"]}) == count
        counted = stack.manage(
            *("shell", "--verbosity", "0", "--command"),
            "from inspection.models import Inspection as I;"
            "print(I.objects.count(), I.objects.values('request').distinct().count())",
        )
        assert counted.stdout.split() == [str(count), str(count)]
        assert stack.json("verify_audit")["broken_at"] is None


@pytest.mark.postgresql_too
@pytest.mark.parametrize("which", ["child", "worker"])
def test_killed_while_callers_wait_every_image_is_judged_exactly_once(stack: Stack, which: str) -> None:
    """What was claimed together comes back together: by the redelivered message, or when the worker starts anew."""
    callers, each = 4, 10
    with stack.client() as client:
        load(client)
    answered: list[str] = []

    def call(number: int) -> None:
        with stack.client() as client:
            for index in range(each):
                answer = judge(client, 10_000 + number * each + index, anomaly_map="none", lot=f"killed {which}")
                assert answer.status_code == 200, answer.text
                answered.append(answer.json()["inspection_id"])

    def inference() -> list[psutil.Process]:
        """The worker, then the process that judges."""
        found = [process for process in stack.children() if "-Q inference" in " ".join(process.cmdline())]
        return sorted(found, key=lambda process: process.ppid() in {other.pid for other in found})

    with ThreadPoolExecutor(callers) as pool:
        under_way = [pool.submit(call, number) for number in range(callers)]
        wait_for(lambda: len(answered) >= callers, 60, stack.log.read_text)
        for victim in inference()[::-1][: 1 if which == "child" else 2]:
            victim.kill()
        for one in under_way:
            one.result(timeout=120)
    assert len(set(answered)) == callers * each
    counted = stack.manage(
        *("shell", "--verbosity", "0", "--command"),
        f"from inspection.models import Inspection as I; print(I.objects.filter(lot='killed {which}').count())",
    )
    assert counted.stdout.split() == [str(callers * each)]


def test_a_model_is_remembered_across_a_restart(stack: Stack) -> None:
    with stack.client() as client:
        load(client)
        before = judge(client, 9, anomaly_map="none").json()
    assert stack.stop() == []
    stack.start()
    with stack.client() as client:
        after = judge(client, 9, anomaly_map="none").json()
    assert after["score"] == before["score"]
    assert after["inspection_id"] != before["inspection_id"]


def test_two_cannot_run_on_one_var_dir(stack: Stack) -> None:
    done = stack.manage("run", "--port", str(stack.port + 1), check=False)
    assert done.returncode != 0
    assert "already" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_one_sentence(stack: Stack) -> None:
    with new_stack() as other:
        done = other.manage("run", "--port", str(stack.port), check=False)
    assert done.returncode != 0
    assert str(stack.port) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dead_worker_is_started_again(stack: Stack) -> None:
    with stack.client() as client:
        load(client)
        assert stack.kill("-Q inference")
        answer = wait_for(
            lambda: (found := judge(client, 4, anomaly_map="none")).status_code == 200 and found,
            120,
            stack.log.read_text,
        )
    assert answer.json()["is_defective"] is False


def test_a_tampered_artifact_is_not_loaded_and_what_serves_goes_on(stack: Stack, client: httpx.Client) -> None:
    serving = load(client)
    second = stack.json(
        *("train", "--model", "padim", "--dataset", "disc", "--image-size", "64", "--seed", "5"),
        *("--backbone", "efficientnet_lite0"),
    )
    tensors = Path(second["artifact"]) / "model.safetensors"
    data = bytearray(tensors.read_bytes())
    data[len(data) // 2] ^= 0xFF
    tensors.write_bytes(data)
    answer = client.post("/api/load_model", json={"model_version": second["model_version"]})
    document = problem(answer, 409, "model_unusable")
    assert "hash" in document["detail"]
    assert judge(client, 2, anomaly_map="none").json()["model_version"] == serving["model_version"]


def test_training_on_the_queue(stack: Stack) -> None:
    asked = stack.json(
        *("train", "--model", "autoencoder", "--dataset", "disc", "--image-size", "64", "--epochs", "2", "--queue"),
        *("--latent-dim", "16"),
    )
    assert asked["published"] is True
    script = (
        "from training.models import TrainingRun as R;"
        f"r = R.objects.get(pk={asked['training_run']}); print(r.status, r.model_version_id, len(r.history), r.error)"
    )

    def state() -> list[str]:
        return stack.manage("shell", "--verbosity", "0", "--command", script).stdout.split()

    final = wait_for(lambda: (found := state())[0] not in ("queued", "running") and found, 120)
    assert final[0] == "succeeded", final
    with stack.client() as client:
        loaded = load(client, category="disc", algorithm="autoencoder")
        assert loaded["algorithm"] == "autoencoder"
        assert judge(client, 2, anomaly_map="none").json()["algorithm"] == "autoencoder"


def test_a_search_of_auto_that_is_killed_begins_anew_and_ends_with_one_version(stack: Stack) -> None:
    """kill -9 of the process in the middle of the comparison: nothing half is left, and the evidence is whole."""
    asked = stack.json(
        *("train", "--model", "auto", "--dataset", "disc", "--image-size", "64", "--backbone", "efficientnet_lite0"),
        *("--illumination", "none", "--align", "none", "--seed", "3", "--queue"),
    )
    with stack.client() as client:

        def run() -> dict[str, Any]:
            return dict(client.get(f"/api/training-runs/{asked['training_run']}").json())

        def versions() -> set[int]:
            return {one["id"] for one in client.get("/api/model-versions").json()["results"]}

        before = versions()
        # What is being compared stands in the message.
        wait_for(lambda: run()["message"].startswith(("patchcore, ", "padim, ")), 120, lambda: str(run()))
        assert stack.kill("execute_run")
        final = wait_for(lambda: (found := run())["status"] not in ("queued", "running") and found, 240)
        assert (final["status"], final["attempt"]) == ("succeeded", 2), final
        assert len(final["selection"]["candidates"]) >= 2
        assert final["selection"]["because"]
        assert versions() - before == {final["model_version"]}
    artifacts = {path.parent for path in stack.var_dir.rglob("model.safetensors")}
    assert len(artifacts) == len({path.parent for path in stack.var_dir.rglob("manifest.json")})
    assert stack.json("verify_audit")["broken_at"] is None


def test_without_a_worker_the_caller_is_told() -> None:
    """Web server and broker alone: a 503 that says what was kept, and no record, now or later."""
    with new_stack(trained(), ANSWER_TIMEOUT="1", LOAD_TIMEOUT="15") as stack:
        stack.start()
        with stack.client() as client:
            load(client)
            for process in stack.children():
                if "inference" in " ".join(process.cmdline()):
                    process.suspend()  # there, but not answering
            problem(judge(client, 1), 503, "no_worker")
            problem(client.post("/api/load_model", json={}), 503, "no_worker")
            for process in stack.children():
                if process.status() == psutil.STATUS_STOPPED:
                    process.resume()
            wait_for(lambda: judge(client, 2).status_code == 200, 60)
        script = "from inspection.models import *; print(Inspection.objects.filter(filename='1.png').count())"
        assert stack.manage("shell", "--verbosity", "0", "--command", script).stdout.split() == ["0"]


def test_two_stacks_never_meet(stack: Stack) -> None:
    with new_stack(migrated()) as other:
        other.manage("create_user", "ina", "--role", "engineer", "--password-stdin", typed="a-long-password")
        other.token = other.manage("create_token", "ina", "suite").stdout.strip()
        other.start()
        with other.client() as client:
            assert client.get("/api/status").json()["model_loaded"] is False
            answer = client.get("/api/status", headers={"Authorization": f"Bearer {stack.token}"})
            assert answer.status_code == 401
        assert other.stop() == []


def test_serving_is_measured_on_a_system_of_its_own(stack: Stack, tmp_path: Path) -> None:
    Image.open(io.BytesIO(parts.png(1))).save(tmp_path / "part.jpeg")
    (tmp_path / "part.png").write_bytes(parts.png(1))

    def words(kind: str) -> list[str]:
        image = str(tmp_path / f"part.{kind}")
        return ["--image", image, "--clients", "1", "2", "--rounds", "1", "--requests", "3", "--neighbours", "1"]

    if stack.environment["DATABASE_URL"]:
        done = stack.manage("benchmark_serving", *words("png"), check=False)
        assert done.returncode != 0
        assert "unset DATABASE_URL" in done.stderr
        return
    count = "from inspection.models import Inspection as I; print(I.objects.count())"
    before = stack.manage("shell", "-v0", "-c", count).stdout
    document = stack.json("benchmark_serving", *words("png"))
    assert stack.manage("shell", "-v0", "-c", count).stdout == before, "nothing of it is kept"
    assert [row["clients"] for row in document["rows"]] == [1, 2]
    assert document["neighbours"] == 1
    for row in document["rows"]:
        assert min(row["p50_ms"], row["p95_ms"], row["p99_ms"], row["images_per_second"], row["share_of_loop"]) > 0
    assert min(document["model_ms"], document["decode_ms"], document["prepare_ms"]) > 0
    assert "2 client(s): p50" in stack.manage("benchmark_serving", *words("jpeg")).stdout


def test_a_benchmark_of_nothing_is_refused(stack: Stack) -> None:
    done = stack.manage("benchmark_serving", "--image", "absent.png", check=False)
    assert done.returncode != 0
    assert "absent.png cannot be read" in done.stderr
    done = stack.manage("benchmark_serving", "--image", "absent.png", "--rounds", "0", check=False)
    assert "must be at least 1" in done.stderr


def test_health_needs_no_login_and_everything_else_does(stack: Stack) -> None:
    with httpx.Client(base_url=stack.address) as nobody:
        assert nobody.get("/healthz").text == "ok\n"
        ready = nobody.get("/readyz")
        assert ready.status_code == 200, ready.text
        assert all(ready.json().values())
        for path in ("/", "/admin/", "/line/status"):
            assert nobody.get(path).status_code == 302
        for path in ("/api/status", "/api/schema", "/api/docs"):
            assert nobody.get(path).status_code in (401, 302), path
        assert nobody.post("/api/test_image").status_code == 401


def test_the_code_version_is_recorded(client: httpx.Client) -> None:
    load(client)
    versions = client.get("/api/status").json()["versions"]
    assert versions["torch"].startswith("2.")
    assert versions["code"].startswith(VERSION)
