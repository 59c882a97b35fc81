"""Engines: the same scores in every precision, a choice that explains itself, batches cut when memory is short."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from modelzoo.detectors import registry
from modelzoo.detectors.engines import selection
from modelzoo.detectors.engines.base import AUTO, BF16, FP32, PRECISIONS, EngineUnavailable
from modelzoo.detectors.engines.native import TorchEngine
from modelzoo.detectors.engines.selection import MAX_AUTO_SCORE_SHIFT, Scorer, open_scorer
from modelzoo.detectors.errors import DetectorError
from tests.modelzoo.detectors.conftest import TensorSource, textured, with_defect
from tests.modelzoo.detectors.test_contract import QUICK, SIZE


@pytest.fixture(scope="module", params=sorted(QUICK))
def fitted(request):
    detector = registry.create(request.param, image_size=SIZE, device="cpu", **QUICK[request.param])
    return detector.fit(TensorSource(textured(24, *SIZE)))


def test_fp32_is_the_reference(fitted):
    images = textured(5, *SIZE, seed=2)
    scored, expected = open_scorer(fitted, precision=FP32).score(images), fitted.score(images)
    # Not to the last digit: sums may be divided among another number of threads.
    np.testing.assert_allclose(scored.maps, expected.maps, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(scored.scores, expected.scores, rtol=1e-5)


def test_bf16_moves_scores_by_little(fitted):
    if BF16 not in TorchEngine.precisions(fitted):
        pytest.skip("this processor has no bfloat16")
    scorer, good = open_scorer(fitted, precision=BF16), textured(8, *SIZE, seed=2)
    moved = np.abs(scorer.score(good).scores - fitted.score(good).scores)
    assert 0 < moved.max() < np.std(fitted.held_out_scores)
    defective = with_defect(good)
    np.testing.assert_allclose(scorer.score(defective).scores, fitted.score(defective).scores, rtol=0.05)


def test_the_probe_is_good_training_images(fitted):
    training = textured(24, *SIZE)
    assert len(fitted.reference_images) == 16
    assert all(any(torch.equal(image, other) for other in training) for image in fitted.reference_images)
    again = type(fitted).restore(fitted.describe(), fitted.state())
    assert torch.equal(again.reference_images, fitted.reference_images)


def test_auto_explains_its_choice(fitted):
    choice = open_scorer(fitted, precision=AUTO).choice
    measured = {row["precision"]: row for row in choice["measured"]}
    assert next(iter(measured)) == FP32
    assert measured[FP32]["moved"] == 0
    assert all(row["moved"] <= MAX_AUTO_SCORE_SHIFT and set(row["ms"]) == {"1", "4"} for row in measured.values())
    quickest = min(sum(row["ms"].values()) for row in measured.values())
    assert sum(measured[choice["precision"]]["ms"].values()) == pytest.approx(quickest, abs=0.01)


class _TwoPrecisions(TorchEngine):
    """Offers fp32 and int8, and computes both in fp32."""

    @classmethod
    def precisions(cls, detector):
        return (FP32, "int8")

    def __init__(self, detector, precision, cache=None):
        super().__init__(detector, FP32)
        self.precision = precision


class _Moody(_TwoPrecisions):
    """`slow` is the precision that takes long, by a clock of its own."""

    slow = FP32
    clock = 0.0

    def maps(self, images):
        _Moody.clock += 2.0 if self.precision == self.slow else 1.0
        return super().maps(images)


@pytest.fixture
def moody(monkeypatch):
    monkeypatch.setattr(selection, "import_module", lambda name: __import__(__name__, fromlist=["_"]))
    monkeypatch.setitem(selection._ENGINES, "torch", "x:_Moody")
    monkeypatch.setattr(_Moody, "slow", FP32)
    monkeypatch.setattr(selection.time, "perf_counter", lambda: _Moody.clock)
    return _Moody


def test_auto_chooses_once_on_a_machine(fitted, moody, monkeypatch, tmp_path):
    first = open_scorer(fitted, cache=tmp_path / "model").choice
    assert first["precision"] == "int8"
    monkeypatch.setattr(moody, "slow", "int8")
    assert open_scorer(fitted, cache=tmp_path / "other").choice["precision"] == FP32
    again = open_scorer(fitted, cache=tmp_path / "model").choice
    assert (again["precision"], again["measured"]) == ("int8", first["measured"])
    [stored] = (tmp_path / "model").iterdir()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert open_scorer(fitted, cache=tmp_path / "model").choice["precision"] == FP32
    assert len(list((tmp_path / "model").iterdir())) == 2
    assert stored.exists()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"runtime": "torch", "precision": "fp8"}', b"\xff"])
def test_a_choice_that_cannot_be_read_is_measured_again(fitted, moody, monkeypatch, tmp_path, damage):
    open_scorer(fitted, cache=tmp_path)
    [stored] = tmp_path.iterdir()
    stored.write_bytes(damage)
    monkeypatch.setattr(moody, "slow", "int8")
    assert open_scorer(fitted, cache=tmp_path).choice["precision"] == FP32
    monkeypatch.setattr(moody, "slow", FP32)
    assert open_scorer(fitted, cache=tmp_path).choice["precision"] == FP32
    assert [path.name for path in tmp_path.iterdir()] == [stored.name]


def test_of_two_processes_that_measure_at_once_the_first_decides(fitted, moody, monkeypatch, tmp_path):
    race = selection._race

    def overtaken(*arguments):
        scorer = race(*arguments)
        monkeypatch.setattr(selection, "_race", race)
        monkeypatch.setattr(moody, "slow", "int8")
        assert open_scorer(fitted, cache=tmp_path).choice["precision"] == FP32
        return scorer

    monkeypatch.setattr(selection, "_race", overtaken)
    assert open_scorer(fitted, cache=tmp_path).choice["precision"] == FP32


def test_a_choice_that_cannot_be_stored_is_no_obstacle(fitted, moody, tmp_path):
    (tmp_path / "file").write_text("no folder")
    assert open_scorer(fitted, cache=tmp_path / "file").choice["precision"] == "int8"


class _Careless(_TwoPrecisions):
    """Says that it has a quick int8, which gives every image twice its score."""

    def maps(self, images):
        if self.precision == "int8":
            return np.full((len(images), *SIZE), 1e9, np.float32)
        return super().maps(images)


def test_auto_never_takes_a_precision_that_changes_the_scores(fitted, monkeypatch):
    monkeypatch.setattr(selection, "import_module", lambda name: __import__(__name__, fromlist=["_"]))
    monkeypatch.setitem(selection._ENGINES, "torch", "x:_Careless")
    scorer = open_scorer(fitted)
    assert scorer.choice["precision"] == FP32
    assert [row["precision"] for row in scorer.choice["measured"]] == [FP32]
    [refused] = scorer.choice["unavailable"]
    assert refused["precision"] == "int8"
    assert f"more than {MAX_AUTO_SCORE_SHIFT:g}" in refused["because"]


class _Quick(_Moody):
    """Another runtime: as quick as its `slow` precision is not."""

    runtime = "openvino"
    ms = 0.0

    @classmethod
    def precisions(cls, detector):
        return (FP32,)

    def maps(self, images):
        _Moody.clock += _Quick.ms
        return TorchEngine.maps(self, images)


class _Missing(TorchEngine):
    runtime = "onnxruntime"

    @classmethod
    def precisions(cls, detector):
        raise EngineUnavailable("onnxruntime is not installed")


@pytest.fixture
def runtimes(monkeypatch, moody):
    """PyTorch takes 1.0 in int8 and 2.0 in float32 on the clock, another runtime `_Quick.ms`, a third is missing."""
    monkeypatch.setitem(selection._ENGINES, "onnxruntime", "x:_Missing")
    monkeypatch.setitem(selection._ENGINES, "openvino", "x:_Quick")
    return _Quick


@pytest.mark.parametrize(("ms", "winner"), [(0.5, "openvino"), (0.95, "torch"), (3.0, "torch")])
def test_runtimes_race_and_pytorch_stays_where_another_is_hardly_quicker(fitted, runtimes, monkeypatch, ms, winner):
    monkeypatch.setattr(runtimes, "ms", ms)
    choice = open_scorer(fitted, runtime=AUTO).choice
    assert choice["runtime"] == winner
    assert {row["runtime"] for row in choice["measured"]} == {"torch", "openvino"}
    assert choice["unavailable"] == [{"runtime": "onnxruntime", "because": "onnxruntime is not installed"}]


def test_a_runtime_that_fails_with_the_model_leaves_the_race_to_the_others(fitted, runtimes, monkeypatch):
    def fail(self, images):
        raise EngineUnavailable("no such operation")

    monkeypatch.setattr(runtimes, "maps", fail)
    choice = open_scorer(fitted, runtime=AUTO).choice
    assert choice["runtime"] == "torch"
    assert {"runtime": "openvino", "precision": FP32, "because": "no such operation"} in choice["unavailable"]


def test_a_precision_that_no_runtime_has_is_said_with_what_is_missing(fitted, runtimes):
    with pytest.raises(
        EngineUnavailable, match=r"bf16 is not to be had with any runtime.*onnxruntime is not installed"
    ):
        open_scorer(fitted, runtime=AUTO, precision=BF16)


def test_the_winner_of_runtimes_stays_on_this_machine(fitted, runtimes, monkeypatch, tmp_path):
    monkeypatch.setattr(runtimes, "ms", 0.5)
    assert open_scorer(fitted, runtime=AUTO, cache=tmp_path).choice["runtime"] == "openvino"
    monkeypatch.setattr(runtimes, "ms", 9.0)
    assert open_scorer(fitted, runtime=AUTO, cache=tmp_path).choice["runtime"] == "openvino"


class _Small(TorchEngine):
    """An engine whose device holds two images."""

    def __init__(self, detector):
        super().__init__(detector, FP32)
        self.asked: list[int] = []

    def maps(self, images):
        self.asked.append(len(images))
        if len(images) > 2:
            raise MemoryError("out of memory")
        return self.detector.score(images).maps


def test_a_batch_that_does_not_fit_is_cut_and_the_size_remembered(fitted):
    engine = _Small(fitted)
    scorer = Scorer(fitted, engine, {})
    images = textured(7, *SIZE, seed=2)
    np.testing.assert_allclose(scorer.score(images).scores, fitted.score(images).scores, rtol=1e-4)
    engine.asked.clear()
    np.testing.assert_allclose(scorer.score(images).scores, fitted.score(images).scores, rtol=1e-4)
    assert max(engine.asked) <= 2


def test_one_image_that_does_not_fit_is_an_error(fitted):
    class Full(TorchEngine):
        def maps(self, images):
            raise MemoryError("out of memory")

    with pytest.raises(MemoryError):
        Scorer(fitted, Full(fitted, FP32), {}).score(textured(2, *SIZE))


def test_cuda_running_out_of_memory_is_told_as_such(fitted):
    engine = TorchEngine(fitted, FP32)

    def full(images):
        raise torch.OutOfMemoryError("CUDA out of memory")

    engine.map_function = full
    with pytest.raises(MemoryError, match="CUDA"):
        engine.maps(textured(2, *SIZE))


def test_no_images_give_no_scores(fitted):
    scored = open_scorer(fitted, precision=FP32).score(textured(0, *SIZE))
    assert scored.scores.shape == (0,)
    assert scored.maps.shape == (0, *SIZE)


def test_wrong_images_and_names_are_refused(fitted):
    scorer = open_scorer(fitted, precision=FP32)
    with pytest.raises(DetectorError, match="Expected uint8"):
        scorer.score(torch.zeros(1, 3, *SIZE))
    with pytest.raises(DetectorError, match="no runtime 'abacus'"):
        open_scorer(fitted, runtime="abacus")
    with pytest.raises(DetectorError, match="no precision 'fp8'"):
        open_scorer(fitted, precision="fp8")
    for precision in set(PRECISIONS) - set(TorchEngine.precisions(fitted)):
        with pytest.raises(EngineUnavailable, match="not to be had"):
            open_scorer(fitted, precision=precision)
