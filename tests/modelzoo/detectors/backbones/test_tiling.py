"""Features of tiles are those of the whole input."""

from __future__ import annotations

import pytest
import torch

from modelzoo.detectors.backbones.onednn import fastest_forward
from modelzoo.detectors.backbones.tiling import TiledForward, spans
from tests.modelzoo.detectors.backbones.test_onednn import made_up


@pytest.mark.parametrize("length", [64, 96, 250, 256, 257, 300, 512, 1000])
@pytest.mark.parametrize(("tile", "overlap"), [(64, 0), (64, 32), (256, 160), (256, 224)])
def test_tiles_cover_an_axis(length, tile, overlap):
    result = spans(length, tile, overlap)
    assert [span.keep_from for span in result[1:]] == [span.keep_to for span in result[:-1]]
    assert (result[0].keep_from, result[-1].keep_to) == (0, length)
    for span in result:
        assert span.end - span.start <= tile
        assert span.start % 16 == span.keep_from % 16 == 0
        assert span.start == 0 or span.keep_from - span.start >= overlap // 2
        assert span.end == length or span.end - span.keep_to >= overlap // 2


@pytest.mark.parametrize("size", [(320, 288), (300, 256), (96, 300)])
def test_with_enough_overlap_nothing_differs(size):
    """224 pixels are the receptive field of resnet18, rounded up; not all sizes are multiples of the strides."""
    images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    network = fastest_forward(made_up("resnet18"), torch.float32)
    with torch.inference_mode():
        whole = network(images)
        for overlap, is_exact in ((224, True), (32, False)):
            tiled = TiledForward(network, (4, 8, 16), 256, overlap)(images)
            for a, b in zip(whole, tiled, strict=True):
                assert a.shape == b.shape
                assert b.is_contiguous(memory_format=torch.channels_last)
            differs = max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(whole, tiled, strict=True))
            assert (differs < 1e-5) is is_exact
