"""The types of the client are those of the API's schema."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from mvtec_site import client_shapes
from mvtec_site.client_shapes import Schema


@pytest.fixture(scope="module")
def schema() -> Schema:
    return client_shapes.current_schema()


def test_the_types_of_the_client_are_what_the_schema_gives(schema: Schema) -> None:
    assert client_shapes.SHAPES.read_text() == client_shapes.render(schema), "run: make client"


def test_the_command_writes_what_is_not_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    committed, stale = client_shapes.SHAPES.read_text(), tmp_path / "shapes.py"
    stale.write_text(committed + "# older\n")
    monkeypatch.setattr(client_shapes, "SHAPES", stale)
    with pytest.raises(CommandError, match="is not up to date"):
        call_command("generate_client", check=True)
    call_command("generate_client")
    assert stale.read_text() == committed
    call_command("generate_client", check=True)


def rendered(schema: Schema, **properties: Schema) -> str:
    """What becomes of a component with these properties, of which the first is always there."""
    schema = copy.deepcopy(schema)
    schema["components"]["schemas"]["ThingOutput"] = {"properties": properties, "required": list(properties)[:1]}
    return client_shapes.render(schema).partition("class Thing(TypedDict):\n")[2].partition("\n\n")[0]


@pytest.mark.parametrize(
    ("shape", "annotation"),
    [
        ({"type": "string"}, "str"),
        ({"type": "string", "format": "date-time", "nullable": True}, "Moment | None"),
        ({"type": "array", "items": {"type": "number", "nullable": True}}, "list[float | None]"),
        ({"type": "object", "additionalProperties": {}}, "JsonObject"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "dict[str, int]"),
        ({"nullable": True}, "Any"),
        ({"allOf": [{"$ref": "#/components/schemas/RegionOutput"}], "nullable": True}, "Region | None"),
        (
            {
                "nullable": True,
                "oneOf": [{"$ref": "#/components/schemas/VerdictEnum"}, {"$ref": "#/components/schemas/NullEnum"}],
            },
            "Verdict | None",
        ),
    ],
)
def test_a_property_becomes_an_annotation(schema: Schema, shape: Schema, annotation: str) -> None:
    assert rendered(schema, one=shape) == f"    one: {annotation}"


def test_what_is_not_always_there_says_so_and_help_texts_are_docstrings(schema: Schema) -> None:
    text = rendered(schema, one={"type": "integer"}, two={"type": "boolean", "description": "whether\n\n* `x` - y"})
    assert text == '    one: int\n    two: NotRequired[bool]\n    """whether"""'
