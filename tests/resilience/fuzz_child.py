"""One process of `tests.resilience.fuzz`: so many files of a kind, within limits of its own."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import resource
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import environment  # noqa: F401 - a VAR_DIR of its own, before Django reads it
from tests.resilience import mutations

_ADDRESS_SPACE = {"images": 3 * 1024**3, "archives": 3 * 1024**3, "artifacts": 12 * 1024**3}  # torch maps much
_MAX_SECONDS = 2.0
_OPEN_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """Sees every file that Python opens to write, makes, renames or links, and notes those outside of a folder."""

    def __init__(self, allowed: tuple[Path, ...]) -> None:
        self._allowed = tuple(str(path.resolve()) for path in allowed)
        self.is_on = False
        self.outside: list[str] = []
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & _OPEN_TO_WRITE:
            self._note(event, arguments[0])
        elif event in ("os.mkdir", "os.rename", "os.link", "os.symlink"):
            for path in arguments[:2]:
                self._note(event, path)

    def _note(self, event: str, path: Any) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            real = os.path.realpath(os.fsdecode(path))
            if not real.startswith(self._allowed):
                self.outside.append(f"{event} {real}")


def try_image(number: int, seed: int, folder: Path) -> str:
    from records.assets.images import ImageRejected, UploadLimits, check_image, open_rgb

    data, limits = mutations.mutated_image(number, seed), UploadLimits(sixteen_bit=True)
    try:
        facts, image = check_image(data, f"{number}.png", limits)
    except ImageRejected as refusal:
        return refusal.code
    if (facts.width, facts.height) != image.size or open_rgb(data, limits).size != image.size:
        raise AssertionError("what passed is opened in another size")
    return ""


def try_archive(number: int, seed: int, folder: Path) -> str:
    from training.datasets.layouts.archives import ArchiveLimits, ArchiveRejected, extract, iter_images

    data, into = mutations.mutated_archive(number, seed), folder / "into"
    archive = folder / "archive"
    archive.write_bytes(data)
    code = ""
    try:
        for _ in iter_images(io.BytesIO(data), ArchiveLimits()):
            pass
    except ArchiveRejected:
        pass
    try:
        extract(archive, into, ArchiveLimits())
        for path in into.rglob("*"):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise AssertionError(f"{path} is neither a file nor a folder")
    except ArchiveRejected as refusal:
        code = refusal.code
        if into.exists():
            raise AssertionError("what was refused left something behind") from refusal
    shutil.rmtree(into, ignore_errors=True)
    return code


def artifact_trial() -> Callable[[int, int, Path], str]:
    """Fits two small detectors, whose artifacts are mutated from then on."""
    import torch

    from modelzoo.detectors import artifacts, registry
    from modelzoo.detectors.errors import ArtifactError, DetectorError
    from modelzoo.loading.artifact_check import ArtifactFault, check_folder
    from tests.modelzoo.detectors.conftest import TensorSource, textured

    torch.set_num_threads(1)
    originals = []

    def prepare(folder: Path) -> None:
        quick = {"image_size": 32, "epochs": 1, "latent_dim": 2, "batch_size": 8}
        for algorithm, options in (("autoencoder", quick), ("padim", {"image_size": 64, "n_features": 4})):
            place = folder / f"original-{algorithm}"
            if not place.exists():  # a process before this one made it: all mutate the same
                backbone = {"backbone": "efficientnet_lite0"} if algorithm == "padim" else {}
                detector = registry.create(algorithm, device="cpu", **options, **backbone)
                detector.fit(TensorSource(textured(10, options["image_size"], options["image_size"])))
                artifacts.save(detector, place, metadata={})
            originals.append(((place / artifacts.MANIFEST).read_bytes(), (place / artifacts.TENSORS).read_bytes()))

    def try_artifact(number: int, seed: int, folder: Path) -> str:
        if not originals:
            prepare(folder)
        chance = random.Random(f"{seed} artifact {number}")
        manifest, tensors = originals[0] if chance.random() < 0.9 else originals[1]
        if chance.random() < 0.5:
            tensors = mutations.mutated_tensors(tensors, chance)
        if chance.random() < 0.8:  # the hash is right: what was changed is looked at
            document = json.loads(manifest)
            entry = {"sha256": hashlib.sha256(tensors).hexdigest(), "size_bytes": len(tensors)}
            document["files"][artifacts.TENSORS] = entry
            manifest = json.dumps(document).encode()
        if chance.random() < 0.7:
            manifest = mutations.mutated_manifest(manifest, chance)
        if chance.random() < 0.1:
            manifest = mutations.mutated(manifest, chance, (manifest,))
        place = folder / "artifact"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        (place / artifacts.MANIFEST).write_bytes(manifest)
        (place / artifacts.TENSORS).write_bytes(tensors)
        try:
            check_folder(place, hashlib.sha256(manifest).hexdigest())
        except ArtifactFault:
            pass
        try:
            artifacts.load(place)
        except (ArtifactError, DetectorError) as refusal:
            return type(refusal).__name__
        return ""

    return try_artifact


def main() -> None:
    kind, first, count, seed, place = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mvtec_site.settings")
    django.setup()
    folder = Path(place) / "files"
    folder.mkdir(exist_ok=True)
    trial = {"images": try_image, "archives": try_archive}.get(kind) or artifact_trial()
    guard = Guard((Path(place),))
    if kind != "artifacts":
        trial(first, seed, folder)  # what is imported and written once is no file of strangers
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE[kind],) * 2)
    found: dict[str, Any] = {"files": 0, "accepted": 0, "crashes": [], "hangs": [], "longest": 0.0}
    refused: Counter[str] = Counter()
    with (Path(place) / "progress").open("ab", buffering=0) as progress:
        for number in range(first, first + count):
            guard.is_on = kind != "artifacts" or found["files"] > 0
            began = time.process_time()
            try:
                code = trial(number, seed, folder)
                refused[code] += bool(code)
                found["accepted"] += not code
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                found["crashes"].append(f"{kind} {number}: {type(error).__name__}: {str(error)[:200]}")
            seconds = time.process_time() - began
            guard.is_on = False
            if found["files"] or kind != "artifacts":
                found["longest"] = max(found["longest"], seconds)
                if seconds > _MAX_SECONDS:
                    found["hangs"].append(f"{kind} {number}: {seconds:.1f} s")
            found["files"] += 1
            progress.write(b".")
    # Not ru_maxrss, which a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text().splitlines()
    [peak] = [int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM")]
    refused = +refused
    document = found | {"refused": refused, "outside": guard.outside, "memory_mb": peak}
    (Path(place) / "result.json").write_text(json.dumps(document))


if __name__ == "__main__":
    main()
