"""How fast trained versions are here: each runtime and precision in a process of its own, all taking turns.

In a round every side is asked once at each batch, there and back in the next one; what is reported are medians over
rounds and, of ratios, the median of those within one round: a slow minute of the machine meets both sides alike.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from common.errors import UserError
from modelzoo.loading.artifact_store import local_folder
from modelzoo.models import ModelVersion
from training.benchmarks import machine, speed_report
from training.benchmarks.protocol import Side, SideFailed
from training.datasets.selectors import images_of, local_files
from training.models import Dataset, DatasetImage

BATCHES = (1, 8, 16)
# What the peer is measured at, and everybody's papers are.
REFERENCE_SIZE = {"height": 256, "width": 256}
CONTENDER = [sys.executable, "-m", "training.benchmarks.contender"]
PEER = "training.benchmarks.peers.anomalib_padim"
# Without a comparison of fits the peer still has to be fitted, and is as fast whatever it was fitted on.
FEW_TRAINING_IMAGES, FEW_TEST_IMAGES = 16, 2


@dataclass
class Contestant:
    """A side, and what was measured of it.

    Attributes:
        requests: what it is asked at a batch size, by name of the figure.
        rounds: milliseconds per image in each round, by figure and batch; without those that it was not asked for.
        avx512: whether it was seen using AVX-512; None where not known.
    """

    name: str
    side: Side
    requests: Callable[[int], Mapping[str, dict[str, Any]]]
    rounds: list[dict[tuple[str, int], float]] = field(default_factory=list)
    running: bool = True
    peak_mb: float = 0.0
    avx512: bool | None = None

    def times(self, figure: str, batch: int) -> list[float | None]:
        """Of each round that was begun."""
        return [times.get((figure, batch)) for times in self.rounds]

    def ask(self, **request: Any) -> dict[str, Any]:
        """One measurement. Raises `SideFailed`."""
        answer = self.side.ask(**request)
        self.peak_mb = answer.pop("peak_mb")
        if (avx512 := answer.pop("avx512")) is not None:
            self.avx512 = bool(self.avx512) or avx512
        return answer


@dataclass
class Entry(Contestant):
    """A version in one runtime and precision; `figures`: what its evaluation said, where there was one."""

    version: ModelVersion = field(kw_only=True)
    tests: list[DatasetImage] = field(kw_only=True)
    figures: dict[str, Any] = field(default_factory=dict)


def measure(
    versions: Sequence[ModelVersion],
    *,
    runtimes: Sequence[str],
    precisions: Sequence[str],
    device: str,
    rounds: int,
    threads: int,
    accuracy: bool,
    peer_python: str,
    compare_fit: bool,
    isa: str,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """One document, see `speed_report.document`. When it is interrupted, it says so and has what was measured so far.

    Args:
        peer_python: of a virtual environment with the peer; empty for none.
        compare_fit: whether the peer and our PaDiM are fitted on all images; else the peer is, on a few.
        isa: one of `machine.ISAS`.

    Raises:
        UserError: nothing can be measured, the peer was asked for and does not run, or the processor lacks `isa`.
    """
    comparison = Comparison(threads, isa, tell)
    with ExitStack() as sides, _ended_like_interrupted():
        try:
            for version in versions:
                tests = _test_images(version)
                for runtime in runtimes:
                    for precision in precisions:
                        comparison.enter_version(sides, version, tests, runtime, precision, device)
            comparison.require_entries()
            comparison.enter_plain(sides)
            if peer_python:
                comparison.enter_peer(sides, peer_python, versions, compare_fit)
            for turn in range(rounds):
                tell(f"round {turn + 1} of {rounds}")
                comparison.take_turns(turn)
            if accuracy:
                comparison.evaluate()
        except SideFailed as error:
            raise UserError(f"A side of the comparison does not run: {error}") from error
        except KeyboardInterrupt:
            comparison.interrupted = True
    return speed_report.document(comparison, rounds)


class Comparison:
    """All sides that take turns.

    Attributes:
        fits: seconds and memory of `ours` and of the `peer`; empty where they were not compared.
        unavailable: name and reason of what could not be measured, or not to the end.
        rounds: how many are complete.
    """

    def __init__(self, threads: int, isa: str, tell: Callable[[str], None]) -> None:
        self.threads = threads
        self.isa = isa
        self.entries: list[Entry] = []
        self.plain: Contestant | None = None
        self.peer: Contestant | None = None
        self.fits: dict[str, Any] = {}
        self.unavailable: list[dict[str, str]] = []
        self.rounds = 0
        self.interrupted = False
        self.load = machine.OtherLoad(threads)
        self._limits = machine.limits(isa)
        self._tell = tell
        self._contestants: list[Contestant] = []

    def _start(self, command: list[str]) -> Side:
        return Side(command, threads=self.threads, environment=self._limits)

    def enter_version(
        self,
        sides: ExitStack,
        version: ModelVersion,
        tests: list[DatasetImage],
        runtime: str,
        precision: str,
        device: str,
    ) -> None:
        name = f"{version.algorithm} {runtime} {precision}"
        self._tell(f"loading {name}")
        command = [*CONTENDER, "model", "--artifact", str(local_folder(version)), "--sha256", version.artifact_sha256]
        command += ["--runtime", runtime, "--precision", precision, "--device", device]
        try:
            side = sides.enter_context(self._start(command))
            if self._limits and (reason := machine.NOT_LIMITED.get(side.hello["choice"]["runtime"])):
                side.close()
                raise SideFailed(f"{reason}; nothing limits it to {self.isa}. Measure it on such a processor.")
        except SideFailed as error:
            self.unavailable.append({"name": name, "because": str(error)})
            return

        def requests(batch: int) -> dict[str, dict[str, Any]]:
            files = local_files(tests[index % len(tests)] for index in range(batch))
            return {"model": {"measure": "model", "batch": batch}, "bytes": {"measure": "bytes", "files": files}}

        entry = Entry(name, side, requests, version=version, tests=tests)
        self.entries.append(entry)
        self._contestants.append(entry)

    def require_entries(self) -> None:
        if not self.entries:
            raise UserError("Nothing could be measured: " + "; ".join(row["because"] for row in self.unavailable))

    def enter_plain(self, sides: ExitStack) -> None:
        side = sides.enter_context(self._start([*CONTENDER, "plain"]))
        self.plain = Contestant(
            "plain backbone", side, lambda batch: {"model": {"measure": "model", "batch": batch, **REFERENCE_SIZE}}
        )
        self._contestants.append(self.plain)

    def enter_peer(self, sides: ExitStack, python: str, versions: Sequence[ModelVersion], compare_fit: bool) -> None:
        """Starts the peer on the images of our PaDiM. Both are fitted once: turns would take too long."""
        padim = next((version for version in versions if version.algorithm == "padim"), None)
        dataset = Dataset.objects.filter(snapshot=padim.dataset_snapshot).first() if padim else None
        if padim is None or dataset is None:
            raise UserError(
                "The peer is a PaDiM with ResNet-18: train such a version on a data set that is here first."
            )
        if compare_fit:
            self.fits["ours"] = self._fit_ours(padim, dataset)
        folder = Path(sides.enter_context(tempfile.TemporaryDirectory(prefix="peer-"))) / dataset.name
        _link_images(dataset, folder, everything=compare_fit)
        self._tell("fitting the peer" if compare_fit else "fitting the peer on a few images")
        try:
            side = sides.enter_context(self._start(_peer_command(python, folder)))
        except (SideFailed, OSError) as error:
            raise UserError(f"The peer does not run with {python}: {error}") from error
        if compare_fit:
            self.fits["peer"] = side.hello["fit"]

        def requests(batch: int) -> dict[str, dict[str, Any]]:
            return {
                of: {"measure": "model", "of": of, "batch": batch, **REFERENCE_SIZE} for of in ("model", "backbone")
            }

        self.peer = Contestant(side.hello["name"], side, requests)
        self._contestants.append(self.peer)

    def _fit_ours(self, padim: ModelVersion, dataset: Dataset) -> dict[str, Any]:
        aligned = padim.preprocessing["align"]["chosen"] == "pose"
        options = "padim" if aligned else "padim:align=none,illumination=none"
        self._tell(f"fitting {options}")
        command = [*CONTENDER, "fit", "--detector", options, "--backbone", padim.backbone]
        with self._start(command) as side:
            training = images_of(dataset, "train")
            return {**side.hello, "images": len(training), **side.ask("fit", files=local_files(training))}

    def take_turns(self, turn: int) -> None:
        """One round: every side at every batch. Whoever ends meanwhile is left out from then on."""
        pids = [contestant.side.pid for contestant in self._contestants if contestant.running]
        self.load.start(pids)
        for contestant in self._contestants:
            contestant.rounds.append({})
        for batch in BATCHES:
            # There and back: what drifts while a round lasts favours nobody.
            for contestant in self._contestants[:: -1 if turn % 2 else 1]:
                if contestant.running:
                    self._ask(contestant, batch)
        self.load.stop(pids)
        self.rounds += 1

    def _ask(self, contestant: Contestant, batch: int) -> None:
        try:
            for figure, request in contestant.requests(batch).items():
                contestant.rounds[-1][figure, batch] = contestant.ask(**request)["ms"]
        except SideFailed as error:
            self._leave_out(contestant, f"It ended in round {self.rounds + 1}: {error}")

    def _leave_out(self, contestant: Contestant, reason: str) -> None:
        contestant.running = False
        self.unavailable.append({"name": contestant.name, "because": reason})

    def evaluate(self) -> None:
        """AUROC of each version in each runtime and precision."""
        for entry in self.entries:
            if not entry.running:
                continue
            self._tell(f"evaluating {entry.name}")
            defective = [image.is_defective for image in entry.tests]
            try:
                entry.figures = entry.ask(measure="auroc", files=local_files(entry.tests), defective=defective)
            except SideFailed as error:
                self._leave_out(entry, f"It ended while it was evaluated: {error}")


@contextmanager
def _ended_like_interrupted() -> Iterator[None]:
    """SIGTERM ends a measurement as Ctrl-C does: with what was measured so far."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _test_images(version: ModelVersion) -> list[DatasetImage]:
    dataset = Dataset.objects.filter(snapshot=version.dataset_snapshot).first()
    images = images_of(dataset, "test") if dataset else []
    if not images:
        raise UserError(
            f"{version} has no test images here to be measured with; import its data set with a test split."
        )
    return images


def _link_images(dataset: Dataset, folder: Path, *, everything: bool) -> None:
    """A folder in MVTec layout of links to the images, or to a few of each kind."""
    for split, few in (("train", FEW_TRAINING_IMAGES), ("test", FEW_TEST_IMAGES)):
        by_path = sorted(images_of(dataset, split), key=lambda image: image.path)
        for _, images in groupby(by_path, key=lambda image: Path(image.path).parent):
            for image in list(images)[: None if everything else few]:
                link = folder / image.path
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(local_files([image])[0])


def _peer_command(python: str, category: Path) -> list[str]:
    """What starts the peer on a folder in MVTec layout, with the weights of our ResNet-18."""
    from modelzoo.detectors.backbones.weights import resolve_weights

    weights = resolve_weights("resnet18").path
    return [python, "-m", PEER, "--category", str(category), "--weights", str(weights)]
