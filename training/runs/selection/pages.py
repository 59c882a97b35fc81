"""What pages and reports show of a selection."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from common.numbers import metric, percent

KINDS = {
    "cut_paste": "moved patch",
    "perlin": "noise patches",
    "scar": "scratch",
    "missing": "missing piece",
    "stain": "stain",
}


def selection_table(evidence: dict[str, Any]) -> dict[str, Any] | None:
    """The table of candidates, with its words; None where the run did not choose."""
    if not evidence:
        return None
    candidates = evidence["candidates"]
    kinds = list(candidates[0]["by_kind"]) if candidates else []
    return {
        "because": evidence["because"],
        "rate": percent(evidence["false_reject_rate"]),
        "seconds": f"{evidence['seconds'] / 60:.1f}",
        "budget": f"{evidence['budget_minutes']:g}",
        "kinds": [KINDS.get(kind, kind) for kind in kinds],
        "columns": 4 + len(kinds),
        "groups": [
            {"caption": _caption(images, rows), "rows": [_row(row, kinds, evidence) for row in rows]}
            for images, rows in (
                (images, list(rows)) for images, rows in groupby(candidates, lambda row: row["images"])
            )
        ],
        "not_tried": evidence["not_tried"],
        "pictures": [
            {
                **picture,
                "words": f"{KINDS.get(picture['kind'], picture['kind'])}, {picture['size']}, {picture['contrast']}",
            }
            for picture in evidence.get("pictures", [])
        ],
    }


def _caption(images: str, rows: list[dict[str, Any]]) -> str:
    first = rows[0]
    stage = "Last stage" if images == "all" else "First stages, fewer images"
    return (
        f"{stage}: learned from up to {max(row['n_learned'] for row in rows)} good images, judged "
        f"{first['n_held_out']} others and {first['n_defects']} with a defect"
    )


def _row(row: dict[str, Any], kinds: list[str], evidence: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": row["name"],
        "is_winner": row["name"] == evidence["winner"]["name"],
        "detection": percent(row["detection"]),
        "by_kind": [percent(row["by_kind"][kind]) for kind in kinds],
        "auroc": metric(row["auroc"]),
        "seconds": f"{row['seconds']:.0f} s",
    }
