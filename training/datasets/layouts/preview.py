"""What an import understood of a folder, for people and programs: shown before anything is kept, and kept with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from training.datasets.layouts.entries import CategoryScan, SkippedFile

MAX_EXAMPLES = 3  # paths of left-out files that are named for each reason


def preview_document(scans: Iterable[CategoryScan]) -> list[dict[str, Any]]:
    """One document for each category, as `--dry-run --json`, the page and the API show it."""
    return [category_preview(scan) for scan in scans]


def category_preview(scan: CategoryScan) -> dict[str, Any]:
    """The layout, how many images of each kind there are in each split, and what is left out and why."""
    images = Counter((entry.split, entry.is_defective, entry.defect_type) for entry in scan.entries)
    masks = Counter((entry.split, entry.defect_type) for entry in scan.entries if entry.mask_sha256)
    return {
        "name": scan.name,
        "snapshot": scan.snapshot,
        "layout": {"name": scan.layout.name, "sentence": scan.layout.sentence},
        "images": [
            {
                "split": split,
                "defect_type": defect_type,
                "is_defective": is_defective,
                "count": count,
                "masks": masks[split, defect_type],
            }
            for (split, is_defective, defect_type), count in sorted(images.items(), key=_train_and_good_first)
        ],
        "masks": masks.total(),
        "left_out": left_out(scan.skipped),
        "left_out_count": len(scan.skipped),
        "duplicates": scan.duplicates.document,
        "warnings": list(scan.warnings),
    }


def left_out(skipped: Iterable[SkippedFile]) -> list[dict[str, Any]]:
    """Why files are left out: the most frequent reason first, with the first sentence and a few paths."""
    by_code: dict[str, list[SkippedFile]] = defaultdict(list)
    for file in skipped:
        by_code[file.code].append(file)
    return [
        {
            "code": code,
            "reason": files[0].reason,
            "count": len(files),
            "examples": [file.path for file in files[:MAX_EXAMPLES]],
        }
        for code, files in sorted(by_code.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def _train_and_good_first(item: tuple[tuple[str, bool, str], int]) -> tuple[bool, bool, str]:
    (split, is_defective, defect_type), _ = item
    return split != "train", is_defective, defect_type
