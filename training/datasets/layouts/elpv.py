"""Real images on any machine: the monocrystalline cells of the ELPV data set, in MVTec layout.

The PyPI wheel `elpv-dataset` carries 2,624 electroluminescence images of solar cells (8-bit grey, 300 x 300), each with
the probability that the cell is defective and its kind, mono- or polycrystalline.

What becomes of them:

* Only monocrystalline cells. Probability 0 is good, 1 is defective (type `defective`, test only). The 173 cells at 1/3
  and 2/3, on which the raters were not sure, are left out.
* The split goes by module. Cells are numbered module by module (60 cells, sometimes 48, 54 or 72), and those of one
  module look alike, so a random split would test on the neighbours of what was learnt. A cut at one number is no
  better: the last modules are of makes that occur nowhere else, and no detector can know a product it never saw
  (PaDiM's AUROC is 0.58 there, for false alarms on the new makes). So: of every make with several modules, the good
  cells of the last module are for the test; all other good cells are for training. That is the question a factory
  asks, a new module of a known product. Module borders and makes (`MODULES`) were read off the images: the layout of
  busbars and solder joints, brightness, the dark frame.
* That makes 342 good cells for training, 246 good and 313 defective ones for the test. No module has good cells on
  both sides. Defective cells of all modules are in the test, also of modules whose good cells are learnt from and of
  makes without good test cells, as on a production line.
* A test cell with the very pixels of a training cell would be left out. There is none in version 1.0.0: no two of the
  2,624 images have the same pixels. Near-duplicates were looked for across the sides too (correlation of the fine
  structure that a cell does not share with its module, in all four mirrorings): at most 0.86, as between ordinary
  neighbours in one module, reached by cells at the same place of two modules. Nothing hints at a cell
  that was photographed twice.

What to know before quoting a figure: the defects are dark, so the mean grey level alone separates this test with an
AUROC of 0.84.

The images are under CC BY-NC-SA 4.0 (attribution, non-commercial use, share alike), which is why they are read from
the wheel and never copied into this repository; `README.txt` beside the written images names the source:
S. Deitsch et al., "Segmentation of photovoltaic module cells in uncalibrated electroluminescence images", Machine
Vision and Applications 32, 2021; C. Buerhop-Lutz et al., "A benchmark for visual identification of defective solar
cells in electroluminescence imagery", EU PVSEC 2018.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
from bisect import bisect_right
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from PIL import Image

from common.errors import UserError
from common.files import write_folder

NAME = "elpv-mono"
_ATTRIBUTION = """Monocrystalline cells of the ELPV data set, arranged in MVTec layout; the images are unchanged.
Source: PyPI package elpv-dataset, https://github.com/zae-bayern/elpv-dataset
Licence: Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International (CC BY-NC-SA 4.0)
Please cite:
  S. Deitsch et al., Segmentation of photovoltaic module cells in uncalibrated electroluminescence images,
  Machine Vision and Applications 32, 2021.
  S. Deitsch et al., Automatic classification of defective photovoltaic module cells in electroluminescence images,
  Solar Energy 185, 2019.
  C. Buerhop-Lutz et al., A benchmark for visual identification of defective solar cells in electroluminescence
  imagery, EU PVSEC 2018.
"""


@dataclass(frozen=True)
class Module:
    """The number of a solar module's first cell, what its make looks like, and whether its good cells are held out."""

    first_cell: int
    make: str
    is_held_out: bool = False


# In the order of the numbers; each module ends where the next one of the table, or a polycrystalline one, begins.
MODULES = (
    Module(1, "thick busbars, dark corners"),
    Module(361, "thick busbars"),
    Module(421, "thick busbars"),
    Module(481, "thick busbars", is_held_out=True),
    Module(901, "bold dashes"),
    Module(961, "thin lines, dark frame"),
    Module(1021, "thin lines, dark frame", is_held_out=True),
    Module(1081, "bold dashes", is_held_out=True),
    Module(1141, "long dashes, dark frame"),
    Module(1201, "long dashes, dark frame", is_held_out=True),
    Module(1255, "short dashes"),
    Module(1315, "short dashes", is_held_out=True),
    Module(1375, "lines, dark frame"),
    Module(1435, "lines, dark frame", is_held_out=True),
    Module(1495, "long dashes, bright frame"),
    Module(1555, "long dashes, bright frame", is_held_out=True),
    Module(2145, "dots at the edge"),
    Module(2397, "thin lines, grainy"),
)


@dataclass(frozen=True)
class Cell:
    """One line of `labels.csv`: the file, the probability that the cell is defective (0..1), `mono` or `poly`."""

    path: Path
    probability: float
    kind: str

    @property
    def number(self) -> int:
        return int(self.path.stem.removeprefix("cell"))


def write_elpv_mono(target: Path, *, source: Path | None = None) -> Path:
    """Write the monocrystalline cells in MVTec layout, the original PNG bytes.

    Args:
        target: the folder below which `elpv-mono/` is made; made itself where it is missing.
        source: the folder with `labels.csv`; by default that of the installed `elpv-dataset`.

    Returns:
        `target / "elpv-mono"`. Where it exists with the same content it is left as it is.

    Raises:
        UserError: `elpv_missing` (the package is not installed or not whole), `folder_in_use` (the folder exists with
            other content), `storage_failed` (it cannot be written; nothing is left).
    """
    plan = _plan(read_cells(source or _installed_data()))
    folder = target / NAME
    if folder.exists():
        if _digests(folder) != {name: _sha256(cell.path) for name, cell in plan.items()}:
            raise UserError(
                f"{folder} exists and holds something else. Remove it, or name another folder.", code="folder_in_use"
            )
        return folder
    try:
        with write_folder(folder) as unfinished:
            for name, cell in plan.items():
                (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(cell.path, unfinished / name)
            (unfinished / "README.txt").write_text(_ATTRIBUTION)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror or error}). Nothing was kept.",
            code="storage_failed",
            status=HTTPStatus.INSUFFICIENT_STORAGE,
        ) from error
    return folder


def module_of(cell: Cell) -> Module:
    """The module that a monocrystalline cell was cut from."""
    return MODULES[bisect_right(MODULES, cell.number, key=lambda module: module.first_cell) - 1]


def read_cells(source: Path) -> list[Cell]:
    """Every cell of `labels.csv`, a table separated by white space: path, probability, kind."""
    try:
        rows = [line.split() for line in (source / "labels.csv").read_text().splitlines() if line.strip()]
        return [Cell(source / path, float(probability), kind) for path, probability, kind in rows]
    except (OSError, ValueError) as error:
        raise _missing_error(f"{source}/labels.csv cannot be read ({error})") from error


def _installed_data() -> Path:
    # Found, not imported: the package pulls in what we have no use for.
    spec = importlib.util.find_spec("elpv_dataset")
    if spec is None or not spec.submodule_search_locations:
        raise _missing_error("the package is not installed")
    return Path(spec.submodule_search_locations[0]) / "data"


def _missing_error(why: str) -> UserError:
    return UserError(
        f"The ELPV images are not there: {why}. Install them with `pip install elpv-dataset`.", code="elpv_missing"
    )


def _plan(cells: list[Cell]) -> dict[str, Cell]:
    """Where each cell goes, by its path in the layout."""
    mono = sorted((cell for cell in cells if cell.kind == "mono"), key=lambda cell: cell.number)
    good = [cell for cell in mono if cell.probability == 0.0]
    train = [cell for cell in good if not module_of(cell).is_held_out]
    held_out = [cell for cell in good if module_of(cell).is_held_out]
    defective = [cell for cell in mono if cell.probability == 1.0]
    train_digests = {_pixel_digest(cell.path) for cell in train}
    plan = {f"train/good/{cell.path.name}": cell for cell in train}
    for defect_type, tested in (("good", held_out), ("defective", defective)):
        unseen = (cell for cell in tested if _pixel_digest(cell.path) not in train_digests)
        plan |= {f"test/{defect_type}/{cell.path.name}": cell for cell in unseen}
    return plan


def _digests(folder: Path) -> dict[str, str]:
    """sha256 by relative path of every image below a folder."""
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in folder.rglob("*.png")}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _pixel_digest(path: Path) -> str:
    """Equal for equal pixels, however they were compressed."""
    try:
        with Image.open(path) as image:
            return hashlib.sha256(f"{image.size}{image.mode}".encode() + image.tobytes()).hexdigest()
    except OSError as error:
        raise _missing_error(f"{path} cannot be read ({error})") from error
