"""Image in, verdict out over cameras, with the real processes: streams end and come back, the process is killed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import parts
from tests.edge.cameras.rtsp import Stream, served
from tests.edge.line import SECRET
from tests.edge.other_side import Other
from tests.stack.conftest import Stack, new_stack, trained, wait_for

pytestmark = pytest.mark.stack
_DUMP = """
import json
from edge.models import FrameDetails
print("FRAMES " + json.dumps([{
    "filename": row.request.filename, "station": row.request.station, "status": row.request.status,
    "camera": row.camera, "number": row.number,
} for row in FrameDetails.objects.select_related("request").order_by("pk")]))
"""


def frames(stack: Stack) -> list[dict[str, Any]]:
    out = stack.manage("shell", "-c", _DUMP).stdout
    [line] = [line for line in out.splitlines() if line.startswith("FRAMES ")]
    found: list[dict[str, Any]] = json.loads(line.removeprefix("FRAMES "))
    return found


def picture() -> Image.Image:
    """With sides that RFC 2435 can say."""
    import io

    image = Image.open(io.BytesIO(parts.png(3))).convert("RGB")
    return image.resize((image.width // 16 * 16, image.height // 16 * 16))


def test_image_in_verdict_out_whatever_is_lost(tmp_path: Path) -> None:
    number = 12
    folder = tmp_path / "camera"
    folder.mkdir()
    receiver = Other("tests.edge.receiver", tmp_path / "receiver", SECRET)
    stream = Stream(picture(), fps=10, password="secret of the stream")
    try:
        with new_stack(
            trained(), EDGE_PRIVATE_HOSTS="127.0.0.1", EDGE_TRIGGER_ROOTS=str(tmp_path), ANSWER_TIMEOUT="60"
        ) as stack:
            stack.start()
            with stack.client() as client:
                assert client.post("/api/load_model", json={}).status_code == 200
                _follow(stack, client, receiver, stream, folder, number)
                # Nobody is told the password.
                everything = client.get("/api/connections").text + stack.log.read_text()
                assert stream.password not in everything
    finally:
        receiver.kill()


def _follow(stack: Stack, client: Any, receiver: Other, stream: Stream, folder: Path, number: int) -> None:
    def make(**asked: Any) -> str:
        answer = client.post("/api/connections", json=asked)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["url"])

    def state(address: str) -> dict[str, Any]:
        found: dict[str, Any] = client.get(address).json()
        return found

    def documents(station: str) -> list[dict[str, Any]]:
        return [document for document in receiver.documents() if document["station"] == station]

    def explain() -> str:
        return stack.log.read_text()[-4000:]

    make(
        name="MES",
        kind="webhook",
        settings={"url": f"http://127.0.0.1:{receiver.port}/"},
        secrets={"signing_secret": SECRET},
    )
    files = make(
        name="files",
        kind="camera",
        station="east",
        settings={"source": "folder", "mode": "every", "folder": str(folder), "settle_ms": 0, "queue_length": 100},
    )
    wait_for(lambda: state(files)["state"] == "open", 60, explain)
    with served(stream):
        asked = {
            "source": "rtsp",
            "mode": "interval",
            "interval_ms": 200,
            "address": f"rtsp://127.0.0.1:{stream.port}/live",
            "username": "otto",
        }
        streamed = make(
            name="stream", kind="camera", station="west", settings=asked, secrets={"password": stream.password}
        )
        wait_for(lambda: len(documents("west")) >= 2, 90, explain)
        live = f"/connections/{state(streamed)['connection_id']}/live/frame"
        assert client.get(live).status_code in (302, 401), "a token is no session"
    wait_for(lambda: state(streamed)["figures"].get("camera_losses", 0) >= 1, 60, explain)
    assert state(streamed)["state"] == "failing"
    before = len(documents("west"))
    with served(stream):
        wait_for(lambda: len(documents("west")) >= before + 2, 90, explain)
        for part in range(number):
            part_file = folder / f".{part}"
            part_file.write_bytes(parts.png(part, defective=part % 3 == 0))
            part_file.rename(folder / f"{part:02d}.png")
            if part == number // 2:
                stack.kill("run_connections")
            time.sleep(0.05)
        wait_for(lambda: len({document["filename"] for document in documents("east")}) == number, 120, explain)
    rows = frames(stack)
    east = [row for row in rows if row["station"] == "east"]
    assert sorted(row["filename"] for row in east) == [f"{part:02d}.png" for part in range(number)], "each once"
    assert {row["camera"] for row in rows} == {"camera", f"rtsp://127.0.0.1:{stream.port}/live"}
    for document in documents("east"):
        assert document["verdict"] == ("defective" if int(document["filename"][:2]) % 3 == 0 else "good")
    sequences = [document["sequence"] for document in documents("east") if not document["duplicate"]]
    assert sequences == sorted(sequences), "in order"
