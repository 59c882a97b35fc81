"""Sparkplug B payloads: protocol buffers by the schema of Eclipse Tahu, of which these are the fields that we use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_PACKAGE = "org.eclipse.tahu.protobuf"


class MetricType(IntEnum):
    """Numbers of the specification, section 6.4.16."""

    INT64 = 4
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12


@dataclass(frozen=True)
class Metric:
    """One named value; None is Sparkplug's null."""

    name: str
    kind: MetricType
    value: str | int | float | bool | None


_VALUE_FIELDS = {
    MetricType.INT64: "long_value",
    MetricType.DOUBLE: "double_value",
    MetricType.BOOLEAN: "boolean_value",
    MetricType.STRING: "string_value",
}


def encode_payload(metrics: Sequence[Metric], *, at: float, sequence: int | None) -> bytes:
    """`at`: seconds since 1970, of message and metrics; `sequence`: 0 to 255, none in NDEATH."""
    milliseconds = int(at * 1000)
    payload = _payload_class()()
    payload.timestamp = milliseconds
    if sequence is not None:
        payload.seq = sequence
    for metric in metrics:
        row = payload.metrics.add(name=metric.name, timestamp=milliseconds, datatype=int(metric.kind))
        if metric.value is None:
            row.is_null = True
        elif metric.kind is MetricType.INT64:
            row.long_value = int(metric.value) % (1 << 64)  # two's complement, as Tahu has it
        else:
            setattr(row, _VALUE_FIELDS[metric.kind], metric.value)
    return bytes(payload.SerializeToString())


def decode_metrics(data: bytes) -> list[Metric]:
    """Metrics whose type we know. Raises `ValueError` for what is no payload."""
    payload = _payload_class()()
    try:
        payload.ParseFromString(data)
    except DecodeError as error:
        raise ValueError("This is no Sparkplug payload.") from error
    found = []
    for row in payload.metrics:
        for kind, field in _VALUE_FIELDS.items():
            if row.HasField(field):
                found.append(Metric(row.name, kind, getattr(row, field)))
    return found


@cache
def _payload_class() -> Any:
    """Made from the numbers and types of sparkplug_b.proto, so that no generated code is kept."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="mvtec/sparkplug_b.proto", package=_PACKAGE, syntax="proto2")
    payload = file.message_type.add(name="Payload")
    metric = payload.nested_type.add(name="Metric")
    metric.oneof_decl.add(name="value")
    for name, number, kind in (
        ("name", 1, field.TYPE_STRING),
        ("timestamp", 3, field.TYPE_UINT64),
        ("datatype", 4, field.TYPE_UINT32),
        ("is_null", 7, field.TYPE_BOOL),
    ):
        metric.field.add(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL)
    for name, number, kind in (
        ("long_value", 11, field.TYPE_UINT64),
        ("double_value", 13, field.TYPE_DOUBLE),
        ("boolean_value", 14, field.TYPE_BOOL),
        ("string_value", 15, field.TYPE_STRING),
    ):
        metric.field.add(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL, oneof_index=0)
    payload.field.add(name="timestamp", number=1, type=field.TYPE_UINT64, label=field.LABEL_OPTIONAL)
    payload.field.add(
        name="metrics",
        number=2,
        type=field.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.Payload.Metric",
        label=field.LABEL_REPEATED,
    )
    payload.field.add(name="seq", number=3, type=field.TYPE_UINT64, label=field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))
