"""The spool: what went in comes out, in other portions, or it says that it is incomplete."""

from __future__ import annotations

import errno

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modelzoo.detectors import registry
from modelzoo.detectors.feature_spool import FeatureSpool
from tests.modelzoo.detectors.conftest import TensorSource, textured


@given(st.lists(st.integers(1, 7), min_size=1, max_size=8), st.integers(1, 9))
def test_what_went_in_comes_out(sizes, portion):
    parts = [torch.randn(n, 2, 3) for n in sizes]
    with FeatureSpool() as spool:
        for part in parts:
            spool.add(part)
        assert spool.complete
        for _ in range(2):  # it can be read again
            read = [batch.clone() for batch in spool.batches(portion)]
            assert torch.equal(torch.cat(read), torch.cat(parts))
            assert all(len(batch) == portion for batch in read[:-1])


def test_too_much_is_not_kept_at_all():
    with FeatureSpool(max_bytes=100) as spool:
        spool.add(torch.zeros(4, 5))
        assert spool.complete
        spool.add(torch.zeros(4, 5))
        assert not spool.complete
        spool.add(torch.zeros(1, 5))
        assert not spool.complete


@pytest.mark.parametrize("cause", ["too much", "disk full"])
def test_a_model_is_the_same_without_it(monkeypatch, cause):
    def fitted():
        detector = registry.create(
            "padim", image_size=(64, 96), device="cpu", backbone="efficientnet_lite0", n_features=8, sigma=2
        )
        return detector.fit(TensorSource(textured(9, 64, 96)))

    expected = fitted()
    if cause == "too much":
        monkeypatch.setattr("modelzoo.detectors.padim.detector.FeatureSpool", lambda: FeatureSpool(max_bytes=1))
    else:

        def full(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        class Full(FeatureSpool):
            def __init__(self):
                super().__init__()
                self._file = type(
                    "File",
                    (),
                    {"write": full, "flush": lambda _: None, "truncate": lambda *_: 0, "close": lambda _: None},
                )()

        monkeypatch.setattr("modelzoo.detectors.padim.detector.FeatureSpool", Full)
    for name, tensor in fitted().state().items():
        torch.testing.assert_close(tensor, expected.state()[name], rtol=1e-4, atol=1e-5)
