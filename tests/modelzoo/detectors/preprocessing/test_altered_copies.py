"""Copies of good images: what may differ, what may not, and that they are the same every time."""

from __future__ import annotations

import numpy as np
import torch

from modelzoo.detectors.preprocessing.altered_copies import COPIES, MAX_BRIGHTNESS_CHANGE, SourceWithCopies
from tests.modelzoo.detectors.conftest import TensorSource, textured

GROUP = 1 + COPIES


def read(source: SourceWithCopies, size: int, indices: list[int] | None = None) -> torch.Tensor:
    return torch.cat(list(source.batches(size, indices)))


def test_each_image_is_followed_by_its_copies_and_nothing_depends_on_the_batches():
    images = textured(5, 48, 64)
    source = SourceWithCopies(TensorSource(images), seed=3)
    whole = read(source, 2 * GROUP)
    assert len(source) == len(whole) == 5 * GROUP
    assert whole.dtype == torch.uint8
    assert torch.equal(whole[::GROUP], images)
    for size in (1, GROUP + 2, 100):
        assert torch.equal(read(source, size), whole)
    assert torch.equal(read(source, GROUP, [3, 1]), torch.cat([whole[3 * GROUP : 4 * GROUP], whole[GROUP : 2 * GROUP]]))
    assert all(len(batch) % GROUP == 0 for batch in source.batches(7))
    assert torch.equal(read(SourceWithCopies(TensorSource(images), seed=3), 10), whole)
    assert not torch.equal(read(SourceWithCopies(TensorSource(images), seed=4), 10), whole)


def test_copies_are_near_the_image_and_no_two_are_the_same():
    image = torch.zeros(1, 3, 80, 100, dtype=torch.uint8)
    image[:, :, 30:50, 40:60] = 200  # its centre is (39.5, 49.5)
    copies = read(SourceWithCopies(TensorSource(image), seed=0), GROUP)[1:].double()
    assert len({copy.numpy().tobytes() for copy in copies}) == COPIES
    for copy in copies[:, 0]:
        rows, columns = torch.arange(80.0), torch.arange(100.0)
        centre = (copy.sum(1) @ rows.double() / copy.sum(), copy.sum(0) @ columns.double() / copy.sum())
        # A hundredth of each side, and what a turn about the middle of the image moves.
        assert abs(float(centre[0]) - 39.5) < 1.2
        assert abs(float(centre[1]) - 49.5) < 1.2


def test_brightness_changes_by_what_the_good_images_differ_and_no_more():
    flat = torch.full((4, 3, 32, 32), 100, dtype=torch.uint8)
    same = read(SourceWithCopies(TensorSource(flat), seed=0), GROUP)
    assert (same == 100).all(), "images of one brightness have copies of that brightness"
    levels = torch.tensor([96, 99, 101, 104], dtype=torch.uint8)[:, None, None, None].expand(4, 3, 32, 32).contiguous()
    source = SourceWithCopies(TensorSource(levels), seed=0)
    assert source.brightness_change == np.array([96, 99, 101, 104], np.float32).std() / 100
    copies = read(source, GROUP).reshape(4, GROUP, -1).double().mean(2)
    change = (copies / copies[:, :1] - 1).abs().max()
    assert 0 < change <= source.brightness_change + 0.01
    wild = torch.tensor([10, 250], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 32, 32).contiguous()
    assert SourceWithCopies(TensorSource(wild), seed=0).brightness_change == MAX_BRIGHTNESS_CHANGE


def test_copies_of_one_image_are_no_different_images():
    image = textured(1, 48, 64)
    assert not SourceWithCopies(TensorSource(image.repeat(7, 1, 1, 1)), seed=0).has_different_images
    assert SourceWithCopies(TensorSource(textured(7, 48, 64)), seed=0).has_different_images


def test_what_is_ignored_stays_as_it_is_in_the_image():
    images = textured(3, 48, 64)
    ignored = torch.zeros(48, 64, dtype=torch.bool)
    ignored[10:20, 30:50] = True
    groups = read(SourceWithCopies(TensorSource(images), seed=1, ignored=ignored), GROUP).reshape(3, GROUP, 3, 48, 64)
    assert torch.equal(groups[..., ignored], images[:, None, :, ignored].expand_as(groups[..., ignored]))
    assert not torch.equal(groups[:, 1], images)
