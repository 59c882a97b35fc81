"""Which recipe of a PLC is which category: a table in the settings of its connection."""

from __future__ import annotations

from edge.connections.kinds import SettingInvalid, Target
from edge.triggers.services import TriggerRejected

MAX_RECIPE = 65_535


def read_recipes(text: str) -> dict[int, str]:
    """Lines such as `3 = bottle`, by their number. Raises `SettingInvalid`."""
    recipes: dict[int, str] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        number, equals, category = (part.strip() for part in line.partition("="))
        if not equals or not category or not number.isascii() or not number.isdigit() or int(number) > MAX_RECIPE:
            raise SettingInvalid(
                f"The recipe {line.strip()!r} cannot be read: a line is a number from 0 to {MAX_RECIPE}, an equals "
                "sign and a category, such as 3 = bottle. Nothing was changed.",
                field="recipes",
            )
        if int(number) in recipes:
            raise SettingInvalid(f"The recipe {int(number)} is there twice. Nothing was changed.", field="recipes")
        recipes[int(number)] = category
    return recipes


def category_of(target: Target, recipe: int) -> str:
    """The category that a recipe stands for. Raises `TriggerRejected`.

    Without a table the connection has one category, whatever the PLC says.
    """
    recipes = read_recipes(target.settings["recipes"])
    if not recipes:
        return target.category
    category = recipes.get(recipe)
    if category is None:
        raise TriggerRejected(f"The connection {target.name} has no recipe {recipe}. Nothing was judged.")
    if target.category and category != target.category:
        raise TriggerRejected(
            f"The recipe {recipe} is the category {category}, but the connection {target.name} gets verdicts of "
            f"{target.category} alone. Nothing was judged."
        )
    return category


def recipe_of(target: Target, category: str) -> int | None:
    """The opposite: by which number the PLC knows a category, the lowest one of several."""
    numbers = [number for number, name in read_recipes(target.settings["recipes"]).items() if name == category]
    return min(numbers, default=None)
