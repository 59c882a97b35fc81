"""A small example of every layout of folders that is recognised, and what an import makes of it."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

from tests import badfiles

WIDTH, HEIGHT = 64, 48
DEFECT = (slice(10, 20), slice(16, 32))  # rows and columns that every mask marks


@dataclass(frozen=True)
class Example:
    """`images`: how many there are of each split and kind; `masks`: how many defective images have one."""

    layout: str
    images: dict[str, int]
    masks: int
    writer: Callable[[Path], None]

    def write(self, root: Path) -> Path:
        global _seeds
        _seeds = count()
        self.writer(root)
        return root


_seeds = count()
EXAMPLES: dict[str, Example] = {}


def example(layout: str, images: dict[str, int], masks: int) -> Callable[[Callable[[Path], None]], None]:
    def register(write: Callable[[Path], None]) -> None:
        EXAMPLES[write.__name__] = Example(layout, images, masks, write)

    return register


# ---------------------------------------------------------------- files
def put(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def image(path: Path) -> None:
    """A picture like no other one of the example, the same in every run."""
    pixels = badfiles.pixels(WIDTH, HEIGHT, seed=next(_seeds))
    kind = {"jpg": "JPEG", "jpeg": "JPEG", "bmp": "BMP", "tif": "TIFF"}.get(path.suffix[1:].lower(), "PNG")
    put(path, badfiles.encode(pixels, kind))


def images(folder: Path, number_of: int, suffix: str = ".png", start: int = 0) -> None:
    for number in range(start, start + number_of):
        image(folder / f"{number:03}{suffix}")


def marked(value: int = 255) -> np.ndarray:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[DEFECT] = value
    return pixels


def mask(path: Path, mode: str = "L", value: int = 255) -> None:
    kind = {"jpg": "JPEG", "bmp": "BMP", "tif": "TIFF"}.get(path.suffix[1:].lower(), "PNG")
    put(path, badfiles.encode(Image.fromarray(marked(value)).convert(mode), kind))


# ---------------------------------------------------------------- folders for training and test
@example("mvtec-ad", {"train/good": 6, "test/good": 2, "test/broken": 2}, 2)
def mvtec_ad(root: Path) -> None:
    images(root / "train/good", 6)
    images(root / "test/good", 2)
    images(root / "test/broken", 2)
    for number in range(2):
        mask(root / f"ground_truth/broken/{number:03}_mask.png")


@example("mvtec-3d", {"train/good": 8, "test/good": 2, "test/hole": 2}, 2)
def mvtec_3d(root: Path) -> None:
    counts = {("train", "good"): 6, ("validation", "good"): 2, ("test", "good"): 2, ("test", "hole"): 2}
    for (split, label), amount in counts.items():
        images(root / split / label / "rgb", amount)
        for number in range(amount):
            points = Image.fromarray(np.ones((HEIGHT, WIDTH), np.float32))
            put(root / split / label / f"xyz/{number:03}.tiff", badfiles.encode(points, "TIFF"))
            mask(root / split / label / f"gt/{number:03}.png", value=255 if label == "hole" else 0)


@example("mvtec-loco", {"train/good": 8, "test/good": 2, "test/logical_anomalies": 2}, 2)
def mvtec_loco(root: Path) -> None:
    images(root / "train/good", 6)
    images(root / "validation/good", 2)
    images(root / "test/good", 2)
    images(root / "test/logical_anomalies", 2)
    for number in range(2):
        for part in range(number + 1):  # the second image has two masks
            mask(root / f"ground_truth/logical_anomalies/{number:03}/{part:03}.png", value=250 + part)


@example("mvtec-ad-2", {"train/good": 8, "test/good": 4, "test/bad": 4}, 4)
def mvtec_ad_2(root: Path) -> None:
    images(root / "can/train/good", 6, "_regular.png")
    images(root / "can/validation/good", 2, "_regular.png")
    for lamp in ("regular", "overexposed"):
        images(root / "can/test_public/good", 2, f"_{lamp}.png")
        images(root / "can/test_public/bad", 2, f"_{lamp}.png")
        images(root / "can/test_private", 3, f"_{lamp}.png")
        for number in range(2):
            mask(root / f"can/test_public/ground_truth/bad/{number:03}_{lamp}_mask.png")


@example("mvtec-ad", {"train/good": 6, "test/good": 2, "test/bad": 2}, 2)
def visa_1cls(root: Path) -> None:
    images(root / "train/good", 6, ".JPG")
    images(root / "test/good", 2, ".JPG")
    images(root / "test/bad", 2, ".JPG", start=100)
    for number in (100, 101):
        mask(root / f"ground_truth/bad/{number:03}.png", value=number - 99)


@example("btad", {"train/good": 6, "test/good": 2, "test/ko": 2}, 2)
def btad(root: Path) -> None:
    images(root / "train/ok", 6, ".bmp")
    images(root / "test/ok", 2, ".bmp")
    images(root / "test/ko", 2, ".bmp")
    for number in range(2):
        mask(root / f"ground_truth/ko/{number:03}.png")


@example("train-test", {"train/good": 6, "test/good": 2, "test/scratch": 1, "test/dent": 1}, 0)
def classes_around_splits(root: Path) -> None:
    images(root / "ok/train", 6)
    images(root / "ok/test", 2)
    image(root / "ng/test/scratch/000.png")
    image(root / "ng/test/dent/000.png")


@example("train-test", {"train/good": 6, "test/good": 2, "test/NG": 2}, 0)
def splits_within_one_another(root: Path) -> None:
    images(root / "train/train/OK", 6)
    images(root / "test/test/OK", 2)
    images(root / "test/test/NG", 2)


@example("train-test", {"train/good": 6, "test/good": 2, "test/defective": 3}, 0)
def defects_in_the_training_folder(root: Path) -> None:
    images(root / "train/good", 6)
    images(root / "train/defective", 2)
    images(root / "test/good", 2)
    images(root / "test/defective", 1, start=5)


@example("train-test", {"train/good": 9, "test/good": 2, "test/crack": 2}, 0)
def good_by_reason_and_calibration(root: Path) -> None:
    images(root / "train/good/shift-1", 3)
    images(root / "train/good/shift-2", 3)
    images(root / "calibration/good", 3)
    images(root / "test/good/after cleaning", 2)
    images(root / "test/crack", 2)


@example("train-test", {"train/good": 6, "test/good": 2, "test/bad": 2}, 0)
def validation_is_the_test(root: Path) -> None:
    images(root / "train/good", 6)
    images(root / "val/good", 2)
    images(root / "val/bad", 2)


@example("train-test", {"train/good": 6, "test/good": 2, "test/bad": 2}, 0)
def training_images_without_a_class(root: Path) -> None:
    images(root / "train", 6)
    images(root / "test/good", 2)
    images(root / "test/bad", 2)


# ---------------------------------------------------------------- folders of classes alone
@example("class-folders", {"train/good": 6, "test/good": 3, "test/NG": 2}, 0)
def ok_and_ng(root: Path) -> None:
    images(root / "OK", 9)
    images(root / "NG", 2)


@example("class-folders", {"train/good": 6, "test/good": 3, "test/anomaly": 2}, 0)
def normal_and_anomaly(root: Path) -> None:
    images(root / "normal", 9)
    images(root / "anomaly", 2)


@example("class-folders", {"train/good": 6, "test/good": 3, "test/Kratzer": 2}, 0)
def german_words(root: Path) -> None:
    images(root / "Gutteile", 9)
    images(root / "Kratzer", 2)


@example("class-folders", {"train/good": 8, "test/good": 4, "test/Defects": 4}, 4)
def piped(root: Path) -> None:
    """1-bit masks within the folder of defects, under the name of the image with GT for D."""
    for sheet in range(3):
        for place in range(4):
            image(root / f"NoDefects/PA_ND_{sheet:02}_{place}.bmp")
    for number in range(4):
        image(root / f"Defects/PA_D_{number:02}_1.bmp")
        mask(root / f"Defects/GroundThruth/PA_GT_{number:02}_1.bmp", mode="1")


@example("class-folders", {"train/good": 6, "test/good": 3, "test/MT_Crack": 2}, 2)
def magnetic_tile(root: Path) -> None:
    """The mask beside the image, black for good parts; only one folder's name resembles good."""
    for label, amount in (("MT_Free", 9), ("MT_Crack", 2)):
        for number in range(amount):
            image(root / label / f"Imgs/exp1_num_{number + 100}.jpg")
            mask(root / label / f"Imgs/exp1_num_{number + 100}.png", value=255 if label == "MT_Crack" else 0)


@example("class-folders", {"train/good": 6, "test/good": 3, "test/defect": 3}, 3)
def masks_beside_the_images(root: Path) -> None:
    images(root / "good", 9)
    images(root / "defect", 3, ".jpg")
    mask(root / "defect/000_mask.jpg", mode="RGB")
    mask(root / "defect/001_GT.png")
    mask(root / "defect/002_mask.tif")


@example("mask-labels", {"train/good": 6, "test/good": 2, "test/defect": 3}, 3)
def kolektor(root: Path) -> None:
    """The mask beside the image, black for good parts; no folders of classes."""
    for split, good, bad in (("train", 6, 1), ("test", 2, 2)):
        for number in range(good + bad):
            image(root / split / f"{number}.png")
            mask(root / split / f"{number}_GT.png", value=0 if number < good else 255)


@example("mask-labels", {"train/good": 6, "test/good": 2, "test/defect": 2}, 2)
def dagm(root: Path) -> None:
    """Masks of defects alone, in a folder within."""
    images(root / "Train", 6, ".PNG")
    images(root / "Test", 4, ".PNG")
    for number in range(2):
        mask(root / f"Test/Label/{number:03}_label.PNG")


# ---------------------------------------------------------------- good parts alone
@example("good-folder", {"train/good": 6}, 0)
def one_flat_folder(root: Path) -> None:
    images(root, 6)


# ---------------------------------------------------------------- tables and manifests
@example("label-table", {"train/good": 6, "test/good": 3, "test/defect": 2}, 0)
def elpv(root: Path) -> None:
    rows = [(f"images/cell{number:04}.png", "1.0" if number < 2 else "0.0") for number in range(11)]
    rows.append(("images/cell0011.png", "0.3333333333333333"))
    for path, _ in rows:
        image(root / path)
    put(root / "labels.csv", "".join(f"{path}   {probability}   mono\n" for path, probability in rows))


@example("label-table", {"train/good": 6, "test/good": 2, "test/crack": 2}, 1)
def table_with_splits(root: Path) -> None:
    lines = ["datei;result;set;mask"]
    for number in range(10):
        image(root / f"pictures/{number:03}.png")
        label = "OK" if number < 8 else "crack"
        lines.append(f"C:\\line 3\\pictures\\{number:03}.png;{label};{'train' if number < 6 else 'test'};")
    mask(root / "annotated/eight.png", mode="RGB")
    lines[9] += "annotated/eight.png"
    put(root / "export.csv", "\n".join(lines) + "\n")


@example("visa", {"train/good": 6, "test/good": 3, "test/scratch": 2}, 2)
def visa(root: Path) -> None:
    lines = ["image,label,mask"]
    for number in range(9):
        image(root / f"Data/Images/Normal/{number:04}.JPG")
        lines.append(f"candle/Data/Images/Normal/{number:04}.JPG,normal,")
    for number in range(2):
        image(root / f"Data/Images/Anomaly/{number:03}.JPG")
        mask(root / f"Data/Masks/Anomaly/{number:03}.png", value=number + 1)
        names = f"candle/Data/Images/Anomaly/{number:03}.JPG", f"candle/Data/Masks/Anomaly/{number:03}.png"
        lines.append(f"{names[0]},scratch,{names[1]}")
    put(root / "image_anno.csv", "\n".join(lines))


@example("manifest", {"train/good": 6, "test/good": 2, "test/scratch": 2}, 2)
def lookout_for_vision(root: Path) -> None:
    """Masks on white, as the service exports them."""
    colours = {
        "0": {"class-name": "BACKGROUND", "hex-color": "#ffffff"},
        "1": {"class-name": "scratch", "hex-color": "#2ca02c"},
    }
    for split, good, bad in (("train", 6, 0), ("test", 2, 2)):
        lines = []
        for number in range(good + bad):
            path = f"{split}/{number:03}.jpg"
            image(root / path)
            line = {
                "source-ref": f"s3://our-bucket/part/{path}",
                "anomaly-label": int(number >= good),
                "anomaly-label-metadata": {"class-name": "anomaly" if number >= good else "normal"},
            }
            if number >= good:
                painted = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
                painted[DEFECT] = (0x2C, 0xA0, 0x2C)
                put(root / f"masks/{split}-{number:03}.png", badfiles.encode(painted))
                line["anomaly-mask-ref"] = f"s3://our-bucket/part/masks/{split}-{number:03}.png"
                line["anomaly-mask-ref-metadata"] = {"internal-color-map": colours}
            lines.append(json.dumps(line))
        put(root / f"{split}.manifest", "\n".join(lines))


@example("manifest", {"train/good": 6, "test/good": 3, "test/dent": 2}, 2)
def sagemaker_boxes(root: Path) -> None:
    lines = []
    for number in range(11):
        image(root / f"{number:03}.jpg")
        box = {"class_id": 0, "left": 16, "top": 10, "width": 16, "height": 10}
        value = {
            "image_size": [{"width": WIDTH, "height": HEIGHT, "depth": 3}],
            "annotations": [box] if number >= 9 else [],
        }
        metadata = {"class-map": {"0": "dent"}}
        lines.append(json.dumps({"source-ref": f"s3://b/{number:03}.jpg", "job": value, "job-metadata": metadata}))
    put(root / "output.manifest", "\n".join(lines))


# ---------------------------------------------------------------- boxes and polygons
@example("yolo", {"train/good": 6, "test/good": 2, "test/scratch": 2}, 2)
def yolo(root: Path) -> None:
    images(root / "images/train", 6)
    images(root / "images/val", 4, start=50)
    put(root / "data.yaml", "train: images/train\nnames:\n  0: scratch\n  1: dent\n")
    put(root / "labels/val/050.txt", "0 0.375 0.3125 0.25 0.2083333\n")
    put(root / "labels/val/051.txt", "0 0.25 0.2083 0.5 0.2083 0.5 0.4167 0.25 0.4167\n")
    put(root / "labels/train/000.txt", "")


@example("coco", {"train/good": 6, "test/good": 3, "test/dent": 2}, 2)
def coco(root: Path) -> None:
    images(root / "images", 11)
    polygon = [16, 10, 32, 10, 32, 20, 16, 20]
    document = {
        "images": [{"id": n, "file_name": f"{n:03}.png", "width": WIDTH, "height": HEIGHT} for n in range(11)],
        "categories": [{"id": 1, "name": "dent"}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 1, "bbox": [16, 10, 16, 10], "segmentation": []},
            {"id": 2, "image_id": 10, "category_id": 1, "bbox": [16, 10, 16, 10], "segmentation": [polygon]},
        ],
    }
    put(root / "annotations/instances_default.json", json.dumps(document))


@example("voc", {"train/good": 6, "test/good": 3, "test/crack": 2}, 2)
def pascal_voc(root: Path) -> None:
    images(root / "JPEGImages", 11, ".jpg")
    for number in range(9, 11):
        put(
            root / f"Annotations/{number:03}.xml",
            f"<annotation><filename>{number:03}.jpg</filename>"
            f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
            "<object><name>crack</name><bndbox><xmin>16</xmin><ymin>10</ymin><xmax>32</xmax><ymax>20</ymax></bndbox>"
            "</object></annotation>",
        )


@example("class-folders", {"train/good": 6, "test/good": 3, "test/bad": 2}, 2)
def boxes_beside_class_folders(root: Path) -> None:
    images(root / "good", 9)
    images(root / "bad", 2)
    for number in range(2):
        put(root / f"bad/{number:03}.txt", "0 0.375 0.3125 0.25 0.2083333\n")


# ---------------------------------------------------------------- names of masks
@example("mvtec-ad", {"train/good": 6, "test/good": 2, "test/brüchig": 6}, 6)
def masks_of_any_name(root: Path) -> None:
    """Folded case, both forms of Unicode, every affix."""
    composed, decomposed = (unicodedata.normalize(form, "brüchig") for form in ("NFC", "NFD"))
    images(root / "train/good", 6)
    images(root / "test/good", 2)
    for name in ("000.PNG", "001.png", "002.png", "003.png", "ä4.png", "005.png"):
        image(root / "test" / composed / name)
    folder = root / "masks" / decomposed
    for name in ("000_MASK.PNG", "mask_001.bmp", "002_GT.tif", "003.png_mask.png", "005.png"):
        mask(folder / name)
    mask(folder / (unicodedata.normalize("NFD", "Ä4") + "_label.png"))


if __name__ == "__main__":
    for name, one in EXAMPLES.items():
        one.write(Path(sys.argv[1], name))
