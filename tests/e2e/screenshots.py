"""`python -m tests.e2e.screenshots [--only NAME]`: docs/screenshots/PAGE-(1440|1024|390)-(light|dark).png of each.

A system of its own with the demo's images (elpv-dataset, CC BY-NC-SA 4.0) is started and stopped for it: some reviews,
thresholds that moved, a second version that was trained over the API, a batch with a file that is none.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tests.e2e.conftest import CHROMIUM, FLAGS
from tests.environment import ROOT
from tests.stack.conftest import free_port

FOLDER = ROOT / "docs" / "screenshots"
OTHERS = ("report-1440-light.png",)  # of the HTML report in docs/reports, which is no page
SCREENS = {
    1440: (900, 1100),
    1024: (768, 1300),
    390: (844, 1600),
}  # by width: the height, and that of a long page at most
MOST = 200_000  # bytes
_ADDRESSES = (
    "import json; from inspection.benchmarks.pages import PARTS, addresses;"
    "print(json.dumps({name: where for name, where in addresses().items() if name not in PARTS}))"
)


@dataclass
class System:
    var_dir: Path
    address: str
    environment: dict[str, str]
    username: str
    password: str
    token: str
    camera: int = 0  # the connection of a camera, which takes these
    frames: list[bytes] = field(default_factory=list)

    def pages(self) -> dict[str, str]:
        words = [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", _ADDRESSES]
        done = subprocess.run(words, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True)
        found: dict[str, str] = json.loads(done.stdout)
        return found | {"line": f"/?inspection={found['inspection'].split('/')[2]}"}


@contextmanager
def demo() -> Iterator[System]:
    """`manage.py demo` in a folder that goes away with it."""
    folder = Path(tempfile.mkdtemp(prefix="screenshots-"))
    address, said = f"http://127.0.0.1:{free_port()}", folder / "said"
    camera = folder / "camera"
    camera.mkdir()
    environment = os.environ | {"VAR_DIR": str(folder), "DATABASE_URL": "", "EDGE_TRIGGER_ROOTS": str(camera)}
    environment |= {f"THROTTLE_{kind}": "0" for kind in ("ANONYMOUS", "INSPECT", "READ", "MANAGE")}
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], cwd=ROOT, env=environment, check=True)
    words = [sys.executable, "manage.py", "demo", "--port", address.rpartition(":")[2]]
    with said.open("w") as out:
        process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        while "Ctrl-C stops everything" not in said.read_text():
            if process.poll() is not None:
                raise SystemExit(f"The demo ended:\n{said.read_text()}")
            time.sleep(1)
        login = json.loads((folder / "demo_login.json").read_text())
        yield System(folder, address, environment, **login)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def fill(system: System) -> None:
    """What a week on a line leaves behind."""
    headers = {"Authorization": f"Bearer {system.token}", "Connection": "close"}
    with httpx.Client(base_url=system.address, headers=headers, timeout=180) as client:

        def post(path: str, **request: Any) -> Any:
            return client.post(f"/api/{path}", **request).raise_for_status().json()

        model = client.get("/api/status").json()["model"]
        dataset = client.get("/api/datasets").json()["results"][0]
        asked = {"dataset": dataset["name"], "algorithm": "autoencoder", "options": {"epochs": 6, "image_size": 64}}
        run = post("training-runs", json=asked)
        good, bad = (
            client.get(
                f"/api/datasets/{dataset['id']}/images", params={"split": "test", "is_defective": truth, "limit": 40}
            )
            .raise_for_status()
            .json()["results"]
            for truth in ("false", "true")
        )
        chosen = [image for three in zip(good[10::2], good[11::2], bad[10:], strict=False) for image in three]
        stations = ("east 1", "east 2")
        for number, image in enumerate(chosen[:20]):
            data = client.get(f"/api/dataset-images/{image['id']}/image").content
            part = {
                "station": stations[number % 2],
                "lot": f"L-104{number // 8}",
                "serial_number": f"SN-{88120 + number}",
            }
            files = {"image": (Path(image["path"]).name, data, "image/png")}
            post("test_image", files=files, data=part | {"anomaly_map": "none"})
        for number, record in enumerate(client.get("/api/inspections", params={"limit": 40}).json()["results"]):
            if number % 3 == 0 and record["outcome"] != "not_comparable":
                defective = record["outcome"] == "defective"
                says = {"verdict": "defective", "defect_type": "crack"} if defective else {"verdict": "good"}
                if number % 9 == 0 and defective:
                    says = {"verdict": "good", "comment": "the busbar's shadow"}
                post(f"inspections/{record['inspection_id']}/reviews", json=says)
        words = {"model_version": model["model_version"], "reason": "two parts of lot L-1041 escaped"}
        post("thresholds", json=words | {"value": round(model["threshold"] * 0.97, 4)})
        batch = [
            ("images", (f"cell-{n}.png", client.get(f"/api/dataset-images/{image['id']}/image").content, "image/png"))
            for n, image in enumerate(chosen[20:32])
        ]
        batch.append(("images", ("notes.png", b"not an image", "image/png")))
        post("batch_test", files=batch, data={"wait": "60", "lot": "L-1043"})
        while (run := client.get(f"/api/training-runs/{run['id']}").json())["status"] in ("queued", "running"):
            time.sleep(2)
        version, east = run["model_version"], {"station": "east 1", "anomaly_map": "none"}
        post("challengers", json={"model_version": version, "reason": "to see it on live cells"})
        for number, image in enumerate(chosen[32:44]):
            data = client.get(f"/api/dataset-images/{image['id']}/image").content
            files = {"image": (Path(image["path"]).name, data, "image/png")}
            record = post("test_image", files=files, data=east | {"serial_number": f"SN-{88200 + number}"})
            if record["outcome"] == "good":
                escape = record["inspection_id"]
        post(f"inspections/{escape}/reviews", json={"verdict": "defective", "defect_type": "crack"})
        post("containments", json={"inspection_id": escape, "reason": "found at incoming goods", "min_likeness": 0.4})
        golden = {"serial_number": "SN-88200", "expected": "good", "note": "cell of the sample box"}
        post("reference-parts", json=golden | {"category": dataset["category"]})
        post("canaries", json={"model_version": version, "station": "east 2", "reason": "beside the other"})
        post("issued-reports", json={"kind": "day"})
        _inspect_a_part(client, dataset["category"], [*good[:2], bad[0]])
        webhook = {"name": "MES", "kind": "webhook", "line_time_ms": 2000}
        webhook |= {"settings": {"url": "https://mes.example/"}, "secrets": {"signing_secret": "of the pictures alone"}}
        post("connections", json=webhook)
        folder = {"source": "folder", "mode": "newest", "folder": str(system.var_dir / "camera"), "settle_ms": 0}
        camera = {"name": "Cell camera", "kind": "camera", "station": "end of line", "category": dataset["category"]}
        system.camera = post("connections", json=camera | {"settings": folder})["connection_id"]
        system.frames = [client.get(f"/api/dataset-images/{image['id']}/image").content for image in good[:8]]
        post("edge-nodes", json={"name": "east-pc", "station": "east 3"})
        time.sleep(15)  # for the challenger, the containment, the charts and the reference part


def _inspect_a_part(client: httpx.Client, category: str, images: list[dict[str, Any]]) -> None:
    """Of three views."""
    views = ("top", "left", "right")
    layout = {"views": [{"name": name, "category": category, "station": f"camera {name}"} for name in views]}
    words = layout | {"time_limit_seconds": 60, "reason": "three cameras at the end of the line"}
    client.put("/api/part-layouts/cell", json=words).raise_for_status()
    files = {
        view: (f"{view}.png", client.get(f"/api/dataset-images/{image['id']}/image").content, "image/png")
        for view, image in zip(views, images, strict=True)
    }
    said = {"layout": "cell", "part_id": "P-88301", "serial_number": "SN-88301", "lot": "L-1043", "station": "east 1"}
    client.post("/api/parts", files=files, data=said).raise_for_status()


def small(png: bytes) -> bytes:
    """The same picture, with a palette if it is large, in which the few vivid colours have their share."""
    image = Image.open(BytesIO(png)).convert("RGB")
    plain = BytesIO()
    image.save(plain, "PNG", optimize=True)
    if plain.tell() <= MOST // 2:
        return plain.getvalue()
    pixels = np.asarray(image).reshape(-1, 3)
    vivid = pixels[np.ptp(pixels.astype(int), axis=1) > 48]
    grey = pixels[:: max(1, len(pixels) // max(100_000, 4 * len(vivid)))]
    sample = Image.fromarray(np.concatenate([vivid, grey])[None])
    for colours in (256, 128, 64):
        out = BytesIO()
        palette = sample.quantize(colours)
        image.quantize(palette=palette, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if out.tell() <= MOST:
            break
    return out.getvalue()


def take(system: System, only: list[str]) -> set[str]:
    """Write the pictures; returns the names of the files that belong in the folder."""
    from playwright.sync_api import sync_playwright

    pages = {"login": "/login/"} | system.pages() | {"connection-live": f"/connections/{system.camera}/live/"}
    if unknown := set(only) - set(pages):
        raise SystemExit(f"There is no page {', '.join(unknown)}. There are: {', '.join(pages)}.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        for name, path in pages.items():
            if not only or name in only:
                with _camera_runs(system) if name == "connection-live" else nullcontext():
                    page.goto(system.address + path)
                    _shots(page, name)
            if name == "login":
                page.goto(system.address + path)
                page.fill("#id_username", system.username)
                page.fill("#id_password", system.password)
                with page.expect_navigation():
                    page.click("button.primary")
        browser.close()
    return {f"{name}-{width}-{scheme}.png" for name in pages for width in SCREENS for scheme in ("light", "dark")}


@contextmanager
def _camera_runs(system: System) -> Iterator[None]:
    """Frames come, two a second, and the last one has its verdict."""
    ended = threading.Event()

    def run() -> None:
        number = 0
        while not ended.wait(0.5):
            part = system.var_dir / "camera" / f".{number}.png"
            part.write_bytes(system.frames[number % len(system.frames)])
            part.rename(part.with_name(f"{number}.png"))
            number += 1

    camera = threading.Thread(target=run)
    camera.start()
    try:
        time.sleep(8)
        yield
    finally:
        ended.set()
        camera.join()


def _shots(page: Any, name: str) -> None:
    quiet = "load" if name == "connection-live" else "networkidle"  # what is live asks again and again
    for width, (height, most) in SCREENS.items():
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_load_state(quiet)
        whole = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": width, "height": min(most, whole)})
        page.wait_for_load_state(quiet)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.wait_for_timeout(200)
            (FOLDER / f"{name}-{width}-{scheme}.png").write_bytes(small(page.screenshot()))
    sys.stderr.write(f"{name}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="names of pages")
    only = parser.parse_args().only
    FOLDER.mkdir(parents=True, exist_ok=True)
    with demo() as system:
        fill(system)
        wanted = take(system, only)
    for file in FOLDER.glob("*.png"):
        if file.name not in wanted | set(OTHERS):
            file.unlink()


if __name__ == "__main__":
    main()
