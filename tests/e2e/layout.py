"""What is wrong with the layout of a page as it stands in the browser, in sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Boxes may touch, and round by a pixel on either side.
_SLACK = 3

_FAULTS = Path(__file__).with_suffix(".js").read_text()

_PICTURE = """() => {
  const picture = document.querySelector("main .viewer");
  const main = document.querySelector("main"), edges = getComputedStyle(main);
  const content = main.clientWidth - parseFloat(edges.paddingLeft) - parseFloat(edges.paddingRight);
  return picture ? picture.getBoundingClientRect().width / content : null;
}"""


def faults(page: Any) -> list[str]:
    """Overlaps of what is not nested, what is wider than the window, and cut labels."""
    found: list[str] = page.evaluate(_FAULTS, _SLACK)
    return found


def share_of_picture(page: Any) -> float | None:
    """The width of the main picture as a share of the page's content; None where there is no picture."""
    share: float | None = page.evaluate(_PICTURE)
    return share
