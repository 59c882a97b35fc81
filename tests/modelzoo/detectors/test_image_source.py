"""Reading files: order, laziness, and the way to the model's input and back."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.image_source import CachedImageSource, FileImageSource
from modelzoo.detectors.preprocessing.pipeline import Frame, Preprocessing
from tests.modelzoo.detectors.conftest import TensorSource, open_rgb


@pytest.fixture
def files(tmp_path):
    """Eleven images whose grey value is ten times their number."""
    paths = [tmp_path / f"{number:02}.png" for number in range(11)]
    for number, path in enumerate(paths):
        Image.new("L", (50, 40), 10 * number).save(path)
    return paths


def values(batches) -> list[list[int]]:
    return [[int(image[0, 0, 0]) // 10 for image in batch] for batch in batches]


def test_batches_come_in_order(files):
    source = FileImageSource(files, Preprocessing(32, 48), open_image=open_rgb)
    assert len(source) == 11
    assert values(source.batches(4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert values(source.batches(2, [7, 0, 7])) == [[7, 0], [7]]
    assert values(source.batches(4, [])) == []
    batch = next(source.batches(5))
    assert batch.shape == (5, 3, 32, 48)
    assert batch.dtype == torch.uint8


def test_decoding_is_lazy_and_stops_with_its_reader(files):
    opened: list[Path] = []
    decoders: set[threading.Thread] = set()

    def counting(path: Path) -> Image.Image:
        opened.append(path)
        decoders.add(threading.current_thread())
        return open_rgb(path)

    batches = FileImageSource(files, Preprocessing(32, 32), open_image=counting).batches(2)
    assert opened == []
    next(batches)
    batches.close()
    # Two batches at the start, one more when the first was taken.
    assert len(opened) <= 6
    assert decoders
    assert not [thread for thread in decoders if thread.is_alive()]


def test_an_error_of_the_decoder_reaches_the_reader(files):
    def refusing(path: Path) -> Image.Image:
        if path.name == "03.png":
            raise DetectorError(f"{path.name} is no image.")
        return open_rgb(path)

    with pytest.raises(DetectorError, match=r"03\.png"):
        list(FileImageSource(files, Preprocessing(32, 32), open_image=refusing).batches(4))


def test_any_function_can_be_mapped_over_the_originals(files):
    source = FileImageSource(files, Preprocessing(32, 32), open_image=open_rgb)
    assert list(source.map(lambda image: image.size, [3, 3])) == [(50, 40)] * 2
    assert [int(np.asarray(image)[0, 0, 0]) // 10 for image in source.map(lambda image: image)] == list(range(11))


def test_resizing_is_antialiased():
    """A checkerboard of single pixels becomes an even grey, not black or white."""
    board = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    pixels = Preprocessing(32, 64).prepare(Image.fromarray(board).convert("RGB")).pixels
    assert pixels.shape == (3, 32, 64)
    assert (pixels.float() - 127.5).abs().max() < 8


def test_an_image_of_the_right_size_is_not_touched():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    assert np.array_equal(Preprocessing(32, 48).prepare(Image.fromarray(pixels)).pixels.permute(1, 2, 0), pixels)


def test_preprocessing_wants_rgb():
    with pytest.raises(DetectorError, match="mode L"):
        Preprocessing(32, 32).prepare(Image.new("L", (40, 40)))


def test_a_frame_leads_back_to_the_place_in_the_original():
    image = np.zeros((120, 300, 3), dtype=np.uint8)
    image[30:40, 200:220] = 255
    prepared = Preprocessing(60, 60).prepare(Image.fromarray(image))
    back = prepared.frame.to_original(prepared.pixels[0].numpy().astype(np.float32))
    assert back.shape == (120, 300)
    row, column = np.unravel_index(back.argmax(), back.shape)
    assert 30 <= row < 40
    assert 200 <= column < 220
    with pytest.raises(DetectorError, match="two dimensions"):
        Frame(5, 5, (0, 0, 5, 5)).to_original(np.zeros((1, 2, 3)))


def test_the_cache_gives_the_same_batches_and_reads_once():
    images = torch.arange(7, dtype=torch.uint8).view(7, 1, 1, 1).expand(7, 3, 2, 2)
    source = TensorSource(images)
    told: list[int] = []
    cached = CachedImageSource(source)
    cached.fill(3, told.append)
    assert told == [3, 6, 7]
    for order in (None, [5, 1, 1, 6], []):
        expected = list(TensorSource(images).batches(2, order))
        assert [batch.tolist() for batch in cached.batches(2, order)] == [batch.tolist() for batch in expected]
    assert source.reads.tolist() == [1] * 7


def test_what_does_not_fit_the_cache_is_read_each_time():
    source = TensorSource(torch.zeros(7, 3, 2, 2, dtype=torch.uint8))
    cached = CachedImageSource(source, limit_bytes=7 * 12 - 1)
    cached.fill(3, lambda done: None)
    assert source.reads.sum() == 3
    assert [len(batch) for batch in cached.batches(4)] == [4, 3]
    assert len(cached) == 7
