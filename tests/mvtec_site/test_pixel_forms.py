"""Each form of pixels from import to record: a data set of it, a small model, and the score that `evaluate` gives."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from PIL import Image

from modelzoo.detectors.engines.base import FP32, TORCH
from modelzoo.detectors.preprocessing.input_rules import InputRules
from modelzoo.loading.scoring import load_model
from modelzoo.models import ModelVersion
from modelzoo.services import activate, request_deployment, set_input_checks
from tests import badfiles, parts
from training.datasets.selectors import images_of, latest_dataset
from training.runs.execution.evaluation import judge

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("lease_renewed_at_the_end", "worker"),
    pytest.mark.sqlite_is_enough,
]
EVERY_FORMAT = ("png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp")


def sixteen_bit(image: Image.Image, low: int = 800, high: int = 1200) -> Image.Image:
    grey = np.asarray(image.convert("L")).astype(np.float64)
    return Image.fromarray((low + grey * (high - low) / 255).round().astype(np.uint16))


def with_alpha(image: Image.Image, mode: str) -> Image.Image:
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, image.width, 8))
    alpha.paste(128, (0, 8, image.width, 12))
    result = image.convert("RGB")
    result.putalpha(alpha)
    return result.convert(mode)


def palette(image: Image.Image) -> Image.Image:
    return image.quantize(64)


def rotated_jpeg(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return badfiles.encode(image, "JPEG", quality=95, exif=exif)


FORMS: dict[str, tuple[str, Callable[[Image.Image], bytes]]] = {
    "png": ("png", parts.encode),
    "grey 8-bit png": ("png", lambda image: parts.encode(image.convert("L"))),
    "grey 16-bit png": ("png", lambda image: parts.encode(sixteen_bit(image))),
    "grey 16-bit tiff": ("tif", lambda image: badfiles.encode(sixteen_bit(image), "TIFF", compression="tiff_lzw")),
    "bmp": ("bmp", lambda image: parts.encode(image, "BMP")),
    "tiff": ("tiff", lambda image: parts.encode(image, "TIFF")),
    "lzw tiff": ("tif", lambda image: badfiles.encode(image, "TIFF", compression="tiff_lzw")),
    "webp": ("webp", lambda image: badfiles.encode(image, "WEBP", quality=90)),
    "rgba": ("png", lambda image: parts.encode(with_alpha(image, "RGBA"))),
    "grey and alpha": ("png", lambda image: parts.encode(with_alpha(image, "LA"))),
    "palette": ("png", lambda image: parts.encode(palette(image))),
    "transparent palette": ("png", lambda image: badfiles.encode(palette(image), transparency=0)),
    "turned jpeg": ("jpg", rotated_jpeg),
    "line scan": ("png", lambda image: parts.encode(image.resize((16 * 32, 32)))),
}


def write_dataset(root: Path, form: str) -> Path:
    """A small category in MVTec layout, with its images in this form."""
    extension, encode = FORMS[form]
    for folder, count, start, defective in (
        ("train/good", 8, 0, False),
        ("test/good", 2, 1000, False),
        ("test/scratch", 2, 2000, True),
    ):
        (root / folder).mkdir(parents=True)
        for index in range(count):
            image, _ = parts.part(start + index, defective=defective)
            (root / folder / f"{index:03}.{extension}").write_bytes(encode(image))
    return root


def train(folder: Path, **options: Any) -> ModelVersion:
    out = io.StringIO()
    words = {"model": "padim", "dataset": str(folder), "image_size": 64, "backbone": "efficientnet_lite0"}
    call_command("train", json=True, stdout=out, stderr=io.StringIO(), **words, **options)
    return ModelVersion.objects.get(pk=json.loads(out.getvalue())["model_version"])


def put_in_force(version: ModelVersion) -> None:
    asked = request_deployment(version=version, device="cpu", runtime=TORCH, precision=FP32, actor=None)
    assert activate(deployment=asked, device="cpu", worker="test")


@pytest.mark.parametrize("form", FORMS)
def test_a_record_has_the_score_that_evaluate_gives(
    form: str, tmp_path: Path, signed_in: Client, settings: Any
) -> None:
    settings.ALLOWED_EXTENSIONS = EVERY_FORMAT
    settings.BATCH_SIZE = 1  # how many are scored together moves the last digit of a float
    version = train(write_dataset(tmp_path / "disc", form))
    put_in_force(version)
    assert (version.window is not None) == ("16-bit" in form)
    images = images_of(latest_dataset("disc"), "test")
    assert len(images) == 4
    scorer = load_model(version, runtime=TORCH, precision=FP32).scorer
    scores: dict[bool, list[float]] = {False: [], True: []}
    for expected in judge(scorer, images):
        name = Path(expected.image.path).name
        upload = SimpleUploadedFile(name, expected.image.asset.read())
        record = signed_in.post("/api/test_image", {"image": upload}).json()
        assert record["score"] == expected.score
        scores[expected.image.is_defective].append(record["score"])
        address = f"/api/inspections/{record['inspection_id']}"
        assert signed_in.get(f"{address}/image").content == expected.image.asset.read()
        shown = signed_in.get(f"{address}/picture")
        assert shown["Content-Type"] in ("image/png", "image/jpeg")
        assert signed_in.get(f"{address}/thumbnail")["Content-Type"] == "image/jpeg"
        assert signed_in.get(f"{address}/overlay").status_code == 200
    assert max(scores[False]) < min(scores[True])


def test_sixteen_bit_images_are_shown_by_the_window_of_the_version_that_judged_them(
    tmp_path: Path, signed_in: Client
) -> None:
    version = train(write_dataset(tmp_path / "disc", "grey 16-bit png"), window=[500, 1500])
    put_in_force(version)
    assert version.window == (500, 1500)
    image = sixteen_bit(parts.part(7)[0])
    record = signed_in.post("/api/test_image", {"image": SimpleUploadedFile("a.png", parts.encode(image))}).json()
    shown = signed_in.get(f"/api/inspections/{record['inspection_id']}/picture").content
    exact = (np.asarray(image).astype(np.float64).clip(500, 1500) - 500) * 255 / 1000
    with Image.open(io.BytesIO(shown)) as picture:
        np.testing.assert_array_equal(np.asarray(picture)[..., 0], np.floor(exact + 0.5))
    page = signed_in.get(f"/inspections/{record['inspection_id']}/").content.decode()
    assert "500 to 1500" in page


def test_a_model_of_another_depth_says_so_and_a_clipped_picture_too(
    tmp_path: Path, signed_in: Client, user: User
) -> None:
    def judged(image: Image.Image) -> dict[str, Any]:
        upload = SimpleUploadedFile("a.png", parts.encode(image))
        return dict(signed_in.post("/api/test_image", {"image": upload}).json())

    part = parts.part(7)[0]
    version = train(write_dataset(tmp_path / "disc", "grey 16-bit png"))
    put_in_force(version)
    eight_bit = judged(part.convert("L"))
    assert (eight_bit["outcome"], eight_bit["reason"]) == ("not_comparable", "eight_bit_picture")
    set_input_checks(category=version.category, rules=InputRules(likeness="off"), reason="another lamp", actor=user)
    [warning] = judged(sixteen_bit(part, low=1000, high=1400))["warnings"]
    assert warning["code"] == "outside_window"
    put_in_force(train(write_dataset(tmp_path / "other" / "disc", "bmp")))
    refused = signed_in.post("/api/test_image", {"image": SimpleUploadedFile("a.png", parts.encode(sixteen_bit(part)))})
    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_mode")


def test_a_narrow_range_rejects_no_more_good_parts_than_eight_bits_do(tmp_path: Path) -> None:
    """Values 800 to 1200 of 65,536: with the first 8 of 16 bits two grey levels would be left."""
    found = {}
    for form in ("png", "grey 16-bit png"):
        version = train(write_dataset(tmp_path / form / "disc", form))
        scores = np.array(version.held_out_scores)
        found[form] = scores / version.thresholds.get(revision=1).value
    assert (found["grey 16-bit png"] > 1).sum() <= (found["png"] > 1).sum()
    assert np.median(found["grey 16-bit png"]) == pytest.approx(np.median(found["png"]), abs=0.25)


def test_grey_images_before_a_model_of_coloured_ones_are_said_whatever_the_format(
    tmp_path: Path, signed_in: Client, settings: Any
) -> None:
    settings.ALLOWED_EXTENSIONS = EVERY_FORMAT
    root = tmp_path / "disc" / "train" / "good"
    root.mkdir(parents=True)
    dark = Image.new("L", (parts.SIDE, parts.SIDE), 20)
    red = [Image.merge("RGB", [parts.part(seed)[0].getchannel(0), dark, dark]) for seed in range(8)]
    for index, image in enumerate(red):
        (root / f"{index}.bmp").write_bytes(parts.encode(image, "BMP"))
    put_in_force(train(tmp_path / "disc"))
    grey = parts.part(9)[0].convert("L")
    for image, file_format in ((grey, "BMP"), (grey, "TIFF"), (palette(grey.convert("RGB")), "PNG")):
        upload = SimpleUploadedFile("a", parts.encode(image, file_format))
        record = signed_in.post("/api/test_image", {"image": upload}).json()
        assert (record["outcome"], record["reason"]) == ("not_comparable", "grey_picture")


def test_a_fixed_window_serves_training_line_and_models_without_a_window(
    tmp_path: Path, signed_in: Client, settings: Any
) -> None:
    settings.SIXTEEN_BIT = "12bit"
    old = train(write_dataset(tmp_path / "old" / "disc", "grey 8-bit png"))
    assert old.window is None
    put_in_force(old)
    twelve_bit = sixteen_bit(parts.part(7)[0], low=0, high=4095)
    record = signed_in.post("/api/test_image", {"image": SimpleUploadedFile("a.png", parts.encode(twelve_bit))}).json()
    assert record["outcome"] in ("good", "defective")
    new = train(write_dataset(tmp_path / "new" / "disc", "grey 16-bit png"))
    assert new.window == (0, 4095)
