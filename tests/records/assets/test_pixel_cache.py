"""Decoded pixels on their way to the worker: the same ones or none."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from records.assets import pixel_cache
from records.assets.images import UploadLimits, as_rgb, check_image, open_rgb
from tests import badfiles

KEY = "a" * 64


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.VAR_DIR = tmp_path
    return tmp_path / "handover"


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (badfiles.png, "a.png"),
        (badfiles.grey_png, "a.png"),
        (badfiles.palette_png, "a.png"),
        (badfiles.bilevel_png, "a.png"),
        (badfiles.opaque_rgba_png, "a.png"),
        (badfiles.jpeg, "a.jpg"),
        (lambda: badfiles.rotated_jpeg(6), "a.jpg"),
    ],
)
def test_what_is_picked_up_is_what_the_file_opens_to(make: Any, name: str) -> None:
    data = make()
    facts, pixels = check_image(data, name, UploadLimits())
    assert pixels.size == (facts.width, facts.height)
    pixel_cache.put(facts.sha256, pixels)
    found = pixel_cache.take(facts.sha256)
    assert found is not None
    assert found.mode == pixels.mode
    np.testing.assert_array_equal(np.asarray(as_rgb(found)), np.asarray(open_rgb(data, UploadLimits())))
    assert pixel_cache.take(facts.sha256) is None, "only once"


@pytest.mark.parametrize("kept", [0, 10, 16, 500])
def test_what_is_cut_off_is_not_believed(folder: Path, kept: int) -> None:
    pixel_cache.put(KEY, Image.new("L", (64, 48), 7))
    [path] = folder.iterdir()
    path.write_bytes(path.read_bytes()[:kept])
    assert pixel_cache.take(KEY) is None


def test_what_was_changed_is_not_believed(folder: Path) -> None:
    for at in (0, 5, 13, 100):
        pixel_cache.put(KEY, Image.new("L", (64, 48), 7))
        [path] = folder.iterdir()
        data = bytearray(path.read_bytes())
        data[at] ^= 0xFF
        path.write_bytes(data)
        assert pixel_cache.take(KEY) is None


def test_large_images_are_not_laid_down(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_cache, "_MAX_BYTES", 64 * 48)
    pixel_cache.put("b" * 64, Image.new("RGB", (64, 48)))
    pixel_cache.put(KEY, Image.new("L", (64, 48)))
    assert [path.name for path in folder.iterdir()] == [KEY]


def test_a_folder_that_cannot_be_written_is_no_failure(folder: Path) -> None:
    folder.write_text("not a folder")
    pixel_cache.put(KEY, Image.new("L", (64, 48)))
    assert pixel_cache.take(KEY) is None
    pixel_cache.sweep(0)


def test_the_sweep_removes_what_nobody_picked_up(folder: Path) -> None:
    for key in (KEY, "b" * 64):
        pixel_cache.put(key, Image.new("L", (64, 48)))
    long_ago = time.time() - 100
    os.utime(folder / KEY, (long_ago, long_ago))
    pixel_cache.sweep(60)
    assert [path.name for path in folder.iterdir()] == ["b" * 64]
