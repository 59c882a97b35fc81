"""Masks of what is not judged: sent, refused, trained with, shown, and in the record of a part."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from PIL import Image, ImageDraw

from inspection.judging.worker import Verdict, decide_verdict
from jobs.heartbeat import Heartbeat
from modelzoo.loading import scoring
from modelzoo.models import ModelVersion, Threshold
from records.models import Asset, AuditEvent
from tests import parts
from tests.mvtec_site.test_api import problem
from tests.training.test_pages import posted
from training.datasets.imports import import_path
from training.models import Dataset, TrainingRun
from training.runs import services
from training.runs.execution.runner import execute

pytestmark = pytest.mark.django_db
SMALL = {"image_size": 64, "backbone": "efficientnet_lite0", "n_features": 20, "illumination": "none", "align": "none"}
# The lower left quarter of a part.
IGNORED = (0, 48, 47, 95)


def mask_picture(size: tuple[int, int] = (96, 96), box: tuple[int, int, int, int] | None = IGNORED) -> Image.Image:
    image = Image.new("L", size, 0)
    if box:
        ImageDraw.Draw(image).rectangle(box, fill=255)
    return image


def stained(seed: int, box: tuple[int, int, int, int]) -> bytes:
    """A good part with a white stain."""
    image, _ = parts.part(seed)
    ImageDraw.Draw(image).rectangle(box, fill=(255, 255, 255))
    return parts.encode(image)


BELOW, BESIDE = (24, 60, 36, 70), (56, 62, 66, 72)


@pytest.fixture
def dataset(dataset_folder: Path) -> Dataset:
    [item] = import_path(dataset_folder, actor=None)
    return item.dataset


@pytest.fixture(autouse=True)
def _one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Heartbeat, "_keep", lambda self: None)  # no second connection sees this transaction


def send(client: Client, data: bytes, name: str = "mask.png") -> Any:
    return client.post("/api/ignore-masks", {"mask": SimpleUploadedFile(name, data, "image/png")})


def start(client: Client, **body: Any) -> Any:
    body = {"dataset": "disc", "algorithm": "padim", "options": SMALL, **body}
    return client.post("/api/training-runs", body, content_type="application/json")


def carry_out(run: TrainingRun) -> ModelVersion:
    claim = services.claim_run(run_id=run.pk, worker="w")
    assert claim
    return execute(claim)


def scores(version: ModelVersion, *images: bytes) -> list[Any]:
    return scoring.score(scoring.load_model(version, "cpu", precision="fp32"), list(images))


# ---------------------------------------------------------------- over the API, to a record
def test_a_mask_is_sent_trained_with_and_named_by_version_record_and_audit(signed_in: Client, dataset: Dataset) -> None:
    stored = send(signed_in, parts.encode(mask_picture()))
    assert stored.status_code == 201, stored.content
    sha256 = stored.json()["sha256"]
    assert stored.json() == {"sha256": sha256, "width": 96, "height": 96, "share": pytest.approx(0.25)}
    picture = Image.open(io.BytesIO(signed_in.get(stored["Location"]).content))
    assert (picture.mode, picture.size) == ("1", (96, 96))
    again = send(signed_in, parts.encode(mask_picture().convert("RGB")), "other.png")
    assert again.json()["sha256"] == sha256

    response = start(signed_in, ignore_mask=sha256)
    assert response.status_code == 202, response.content
    run = TrainingRun.objects.get(pk=response.json()["id"])
    assert (response.json()["ignore_mask"], response.json()["ignore_mask_version"]) == (sha256, None)
    assert json.loads(AuditEvent.objects.get(kind="training_run.requested").after)["ignore_mask"] == sha256

    version = carry_out(run)
    document = signed_in.get(f"/api/model-versions/{version.pk}").json()
    shown = document["ignore_mask"]
    assert (shown["sha256"], shown["drawn_on_version"]) == (sha256, None)
    assert shown["share"] == pytest.approx(0.25, abs=0.02)
    ignored = np.array(Image.open(io.BytesIO(signed_in.get(shown["picture_url"]).content)))
    assert ignored.shape == (64, 64)
    assert ignored[:32, :].sum() == 0
    assert ignored[34:, :30].all()
    mean = Image.open(io.BytesIO(signed_in.get(f"/api/model-versions/{version.pk}/mean-image").content))
    assert mean.size == (64, 64)
    assert version.metrics["ignored"]["share"] == pytest.approx(0.25, abs=0.02)

    good, below, beside = scores(version, parts.png(77), stained(77, BELOW), stained(77, BESIDE))
    assert below.score == good.score
    assert beside.score > max(version.held_out_scores) > good.score
    assert (below.map()[52:92, 4:44] == 0).all()
    [polygon] = good.ignored_outlines()
    assert np.ptp(np.array(polygon), axis=0).tolist() == pytest.approx([47, 47], abs=2)
    threshold = Threshold(model_version=version, value=max(version.held_out_scores))
    verdict = decide_verdict(below, version=version, threshold=threshold)
    assert isinstance(verdict, Verdict)
    assert verdict.columns["ignored_outlines"] == [polygon]
    assert verdict.columns["regions"] == []

    page = signed_in.get(reverse("model", args=[version.pk])).content.decode()
    assert "Hatched: not judged, 25.0 % of the image" in page
    assert 'fill="url(#hatch)"' in signed_in.get(reverse("run", args=[run.pk])).content.decode()


def test_a_version_without_a_mask_judges_everything(signed_in: Client, version: ModelVersion) -> None:
    assert signed_in.get(f"/api/model-versions/{version.pk}").json()["ignore_mask"] is None
    problem(signed_in.get(f"/api/model-versions/{version.pk}/ignore-mask"), 404, "ignore_mask_not_found")
    assert "the whole image is judged" in signed_in.get(reverse("model", args=[version.pk])).content.decode()


def test_a_mask_drawn_on_a_version_makes_a_new_one_and_goes_on_when_that_is_extended(
    signed_in: Client, dataset: Dataset, tmp_path: Path
) -> None:
    first = carry_out(TrainingRun.objects.get(pk=start(signed_in).json()["id"]))
    sha256 = send(signed_in, parts.encode(mask_picture((64, 64), (0, 32, 31, 63)))).json()["sha256"]
    answer = start(signed_in, ignore_mask=sha256, ignore_mask_version=first.pk)
    assert answer.json()["ignore_mask_version"] == first.pk
    second = carry_out(TrainingRun.objects.get(pk=answer.json()["id"]))
    assert second.preprocessing["ignore_mask"]["drawn_on_version"] == first.pk
    assert second.preprocessing["ignore_mask"]["share"] == pytest.approx(0.25, abs=0.01)
    [more] = import_path(parts.write_dataset(tmp_path / "more" / "disc", train=14, good=0, bad=0), actor=None)
    third = carry_out(services.request_extension(version=second, dataset=more.dataset, actor=None))
    assert third.preprocessing["ignore_mask"] == second.preprocessing["ignore_mask"]
    good, below = scores(third, parts.png(78), stained(78, BELOW))
    assert good.score == below.score


# ---------------------------------------------------------------- what is refused
def gif() -> bytes:
    out = io.BytesIO()
    frames = [mask_picture(box=(0, 0, n, n)) for n in (10, 20)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"not an image", 415, "not_an_image"),
        (gif(), 415, "multi_frame"),
        (parts.encode(mask_picture(box=None)), 422, "ignore_mask_rejected"),
        (parts.encode(mask_picture(box=(0, 0, 96, 96))), 422, "ignore_mask_rejected"),
        (parts.encode(mask_picture((8, 8), (0, 0, 3, 3))), 422, "image_too_small"),
        (parts.encode(mask_picture())[:-20], 422, "truncated_image"),
    ],
    ids=["text", "frames", "black", "white", "tiny", "cut"],
)
def test_what_is_no_mask_is_refused_and_not_stored(signed_in: Client, data: bytes, status: int, code: str) -> None:
    problem(send(signed_in, data), status, code)
    assert not Asset.objects.exists()


def test_a_file_of_any_size_is_refused_before_it_is_read(signed_in: Client, settings: Any) -> None:
    settings.MAX_FILE_SIZE = 1000
    problem(send(signed_in, b"\x89PNG\r\n\x1a\n" + bytes(5000)), 413, "file_too_large")
    assert not Asset.objects.exists()


def test_a_mask_that_does_not_fit_starts_no_run(signed_in: Client, dataset: Dataset, version: ModelVersion) -> None:
    wide = send(signed_in, parts.encode(mask_picture((192, 96)))).json()["sha256"]
    document = problem(start(signed_in, ignore_mask=wide), 422, "ignore_mask_mismatch")
    assert "192 x 96" in document["detail"]
    assert "96 x 96" in document["detail"]
    problem(start(signed_in, ignore_mask="0" * 64), 404, "ignore_mask_not_found")
    problem(start(signed_in, ignore_mask="mask.png"), 400, "invalid")
    problem(start(signed_in, ignore_mask_version=version.pk), 400, "invalid")
    image = dataset.images.all()[0].asset
    problem(start(signed_in, ignore_mask=image.sha256), 422, "ignore_mask_rejected")
    problem(start(signed_in, ignore_mask=wide, ignore_mask_version=10**6), 404, "model_version_not_found")
    assert not TrainingRun.objects.exists()


def test_who_may_not_train_stores_no_mask(operator: Any) -> None:
    client = Client()
    client.force_login(operator)
    assert send(client, parts.encode(mask_picture())).status_code == 403
    assert client.get(reverse("ignored-regions") + "?dataset=1").status_code == 403


# ---------------------------------------------------------------- the command
def test_the_command_takes_a_file(dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "date.png"
    mask_picture((192, 192), (0, 96, 95, 191)).save(file)
    call_command("train", model="padim", dataset="disc", ignore_mask=file, queue=True, json=True)
    run = TrainingRun.objects.get(pk=json.loads(capsys.readouterr().out)["training_run"])
    assert run.ignore_mask is not None
    assert (run.ignore_mask.width, run.ignore_mask.height) == (192, 192)


# ---------------------------------------------------------------- the pages
def painted(image: Image.Image) -> str:
    return "data:image/png;base64," + base64.b64encode(parts.encode(image)).decode()


def test_what_is_painted_leads_to_the_form_of_a_run_with_it(signed_in: Client, dataset: Dataset) -> None:
    form = signed_in.post(reverse("training-new"), {"dataset": dataset.pk, "draw": "1"})
    assert form["Location"] == f"{reverse('ignored-regions')}?dataset={dataset.pk}"
    page = signed_in.get(form["Location"]).content.decode()
    assert reverse("dataset-mean-image", args=[dataset.pk]) in page
    mean = signed_in.get(reverse("dataset-mean-image", args=[dataset.pk]))
    assert Image.open(io.BytesIO(mean.content)).size == (96, 96)
    refused = signed_in.post(form["Location"], {"mask": painted(mask_picture(box=None).convert("RGBA"))})
    assert refused.status_code == 422
    assert "nothing would be ignored" in refused.content.decode()
    assert signed_in.post(form["Location"], {"mask": "%%%"}).status_code == 422
    saved = signed_in.post(form["Location"], {"mask": painted(mask_picture().convert("RGBA"))})
    mask = Asset.objects.latest("pk")
    assert saved["Location"] == f"{reverse('training-new')}?dataset={dataset.pk}&ignore_mask={mask.sha256}"
    page = signed_in.get(saved["Location"]).content.decode()
    assert "Hatched: not judged, 25.0 %" in page
    small = {f"padim-{name}": value for name, value in {**SMALL, "layers": ["layer1"]}.items()}
    answer = signed_in.post(saved["Location"], posted(dataset=dataset.pk, algorithm="padim", **small))
    assert answer.status_code == 302, answer.content.decode()[:3000]
    run = TrainingRun.objects.get()
    assert run.ignore_mask == mask
    like = signed_in.get(f"{reverse('training-new')}?like={run.pk}").content.decode()
    assert "Hatched: not judged" in like
    without = signed_in.get(f"{reverse('training-new')}?like={run.pk}&ignore_mask=none").content.decode()
    assert "Draw ignored regions" in without


def test_one_paints_on_the_mean_image_of_a_version(signed_in: Client, version: ModelVersion) -> None:
    page = signed_in.get(f"{reverse('ignored-regions')}?version={version.pk}").content.decode()
    assert reverse("model-version-mean-image", args=[version.pk]) in page
    assert signed_in.get(reverse("model-version-mean-image", args=[version.pk])).status_code == 200
    assert signed_in.get(reverse("ignored-regions")).status_code == 404
    assert signed_in.get(f"{reverse('ignored-regions')}?version=99999").status_code == 404
