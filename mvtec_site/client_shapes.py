"""The types of the Python client, written from the OpenAPI schema: each component is a type of its name."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from drf_spectacular.generators import SchemaGenerator

Schema = dict[str, Any]

SHAPES = Path(settings.BASE_DIR) / "clients" / "python" / "mvtec_client" / "shapes.py"
_WIDTH = 120
_HEAD = '''"""What the API answers, as types: each is the document of that name in the OpenAPI schema.

Documents may gain members; code that reads them by name goes on working.

Made by `manage.py generate_client` (`make client`) from the serializers of the API: change those, not this file.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal, NotRequired, TypedDict

Moment = str
"""ISO 8601 with offset: `datetime.fromisoformat` reads it."""
JsonObject = dict[str, Any]
'''


@dataclass(frozen=True)
class Keywords:
    """Members of a request that methods of the client take as keyword arguments."""

    description: str
    of: str
    """An operation, whose query parameters are meant, or the component of a body."""
    without: frozenset[str] = frozenset()
    """Parameters that the methods have themselves."""


KEYWORDS = {
    "Filters": Keywords(
        "Which records are meant; the same for lists, exports, agreement, what-if and rescoring.",
        of="inspections",
        without=frozenset({"limit", "cursor", "order", "threshold"}),
    ),
    "WhatIfOptions": Keywords(
        "The filters, and how the answer shall be made.", of="what_if", without=frozenset({"threshold"})
    ),
    "ReportScopeFields": Keywords("Which report is meant.", of="report"),
    "StatementScopeFields": Keywords("What a statement of inspection is about.", of="statement"),
    "AuditFilters": Keywords(
        "Which audit events are meant.", of="audit_events", without=frozenset({"limit", "cursor"})
    ),
    "PartFields": Keywords(
        "What is known about the part; kept with the record as given.",
        of="TestImageInputRequest",
        without=frozenset({"image", "category", "anomaly_map"}),
    ),
    "How": Keywords(
        "On what and how a model is run; what is not given is as the server's settings say.",
        of="PromotionInputRequest",
        without=frozenset({"reason", "signature"}),
    ),
    "InputCheckFields": Keywords(
        "What is checked of a picture, what follows, and how much is tolerated.",
        of="InputChecksInputRequest",
        without=frozenset({"reason"}),
    ),
    "ScaleCalibrationFields": Keywords(
        "What a scale was measured from: a known length, or a checkerboard.",
        of="ScaleCalibrationInputRequest",
        without=frozenset({"station", "method", "reason"}),
    ),
    "SignatureFields": Keywords(
        "What an act is signed with: the password of the token's user, and the meaning of the signature.",
        of="SignatureInputRequest",
    ),
    "SignatureRulesFields": Keywords(
        "Which acts of a category need an electronic signature.",
        of="SignatureRulesInputRequest",
        without=frozenset({"reason"}),
    ),
    "ConnectionFields": Keywords("A connection to the line.", of="ConnectionInputRequest"),
    "ConnectionChanges": Keywords("What is changed of a connection.", of="PatchedConnectionChangeInputRequest"),
    "NodeChanges": Keywords("What is changed of an edge node.", of="PatchedNodeChangeInputRequest"),
    "PromotionGatesFields": Keywords(
        "What a version must show before it may go into production.",
        of="PromotionGatesInputRequest",
        without=frozenset({"reason"}),
    ),
}


def current_schema() -> Schema:
    schema: Schema = SchemaGenerator().get_schema(request=None, public=True)
    return schema


def render(schema: Schema) -> str:
    """The text of the client's `shapes.py`."""
    components = schema["components"]["schemas"]
    operations = {
        operation["operationId"]: operation for path in schema["paths"].values() for operation in path.values()
    }
    aliases = {
        _name(component): _literal(shape["enum"])
        for component, shape in components.items()
        if "enum" in shape and component != "NullEnum"
    }
    aliases["CsvDialect"] = _literal(_parameters(operations["export_inspections"])["dialect"]["enum"])
    aliases["Picture"] = _literal(_pictures(schema))
    parts = [_HEAD + "\n".join(_alias(name, literal) for name, literal in sorted(aliases.items())) + "\n"]
    for component, shape in components.items():
        if component.endswith(("Request", "Enum", "PageOutput")) or component == "ProblemOutput":
            continue
        if "oneOf" in shape:  # one of several shapes, each of which has its own
            continue
        required = set(shape.get("required", ()))
        members = {
            name: (_type(member) if name in required else f"NotRequired[{_type(member)}]", _description(member))
            for name, member in shape["properties"].items()
        }
        parts.append(_typed_dict(_name(component), "TypedDict", _description(shape), members))
    alias_names = {literal: name for name, literal in aliases.items()}
    for name, keywords in KEYWORDS.items():
        if keywords.of in operations:
            properties = _parameters(operations[keywords.of])
        else:
            properties = components[keywords.of]["properties"]
        members = {
            member: (_argument(member, shape, alias_names), _description(shape))
            for member, shape in properties.items()
            if member not in keywords.without
        }
        parts.append(_typed_dict(name, "TypedDict, total=False", keywords.description, members))
    return "\n\n".join(parts)


# ---------------------------------------------------------------- from the schema
def _name(component: str) -> str:
    return component.removesuffix("Output").removesuffix("Enum")


def _parameters(operation: Schema) -> dict[str, Schema]:
    """Those of the query, each with its description."""
    return {
        parameter["name"]: parameter["schema"] | {"description": parameter.get("description", "")}
        for parameter in operation["parameters"]
        if parameter["in"] == "query"
    }


def _pictures(schema: Schema) -> list[str]:
    """The last words of the addresses that answer pictures of a record."""
    start = "/api/inspections/{inspection_id}/"
    return [
        path.removeprefix(start).strip("/")
        for path, operations in schema["paths"].items()
        if path.startswith(start) and any(content.startswith("image/") for content in _contents(operations["get"]))
    ]


def _contents(operation: Schema) -> list[str]:
    return [content for response in operation["responses"].values() for content in response.get("content", {})]


def _type(shape: Schema) -> str:
    """An annotation for what a member of an answer is."""
    annotation = _not_null(shape)
    return f"{annotation} | None" if shape.get("nullable") and annotation != "Any" else annotation


def _not_null(shape: Schema) -> str:
    if "$ref" in shape:
        return _name(shape["$ref"].rpartition("/")[2])
    if "allOf" in shape:
        return _not_null(shape["allOf"][0])
    if "oneOf" in shape:
        return " | ".join(_not_null(one) for one in shape["oneOf"] if not one["$ref"].endswith("/NullEnum"))
    if "enum" in shape:
        return _literal(shape["enum"])
    match shape.get("type"):
        case "string":
            return "Moment" if shape.get("format") == "date-time" else "str"
        case "integer":
            return "int"
        case "number":
            return "float"
        case "boolean":
            return "bool"
        case "array":
            return f"list[{_type(shape['items'])}]"
        case "object":
            values = _type(shape["additionalProperties"])
            return "JsonObject" if values == "Any" else f"dict[str, {values}]"
        case None:
            return "Any"
    raise ValueError(f"no type for {shape}")


def _argument(name: str, shape: Schema, alias_names: dict[str, str]) -> str:
    """An annotation for what a method takes: what the client turns into the text of a query is taken as it is."""
    if name in ("since", "until"):
        return "date | datetime | str"
    if shape.get("type") == "array":
        item = _argument(name, shape["items"], alias_names)
        return f"{item} | list[{item}]"
    annotation = _not_null(shape)
    return "bool" if annotation == _literal(["yes", "no"]) else alias_names.get(annotation, annotation)


def _description(shape: Schema) -> str:
    """In one paragraph, without the list of an enumeration's values that stands below it."""
    text = " ".join(str(shape.get("description") or "").partition("* `")[0].split())
    if '"""' in text or text.endswith(('"', "\\")):
        raise ValueError(f"no docstring can say: {text}")
    return text


# ---------------------------------------------------------------- as Python
def _literal(values: list[str]) -> str:
    return "Literal[" + ", ".join(f'"{value}"' for value in values) + "]"


def _alias(name: str, literal: str) -> str:
    line = f"{name} = {literal}"
    if len(line) <= _WIDTH:
        return line
    inner = "    " + literal.removeprefix("Literal[").removesuffix("]")
    if len(inner) > _WIDTH:  # as the formatter has it: one a line
        inner = inner.replace(", ", ",\n    ") + ","
    return f"{name} = Literal[\n{inner}\n]"


def _typed_dict(name: str, base: str, description: str, members: dict[str, tuple[str, str]]) -> str:
    lines = [f"class {name}({base}):"]
    if description:
        lines += [*_docstring(description), ""]
    for member, (annotation, text) in members.items():
        lines.append(f"    {member}: {annotation}")
        lines += _docstring(text) if text else []
    return "\n".join(lines) + "\n"


def _docstring(text: str) -> Iterator[str]:
    indent = " " * 4
    lines = textwrap.wrap(f'"""{text}', _WIDTH - len(indent) - 3, break_long_words=False, break_on_hyphens=False)
    lines[-1] += '"""'
    return (indent + line for line in lines)
