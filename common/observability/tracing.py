"""Spans for OpenTelemetry, where its packages are installed and OTEL_EXPORTER_OTLP_ENDPOINT says who collects them.

Otherwise nothing of it is imported, and all of this does nothing. `requirements-opentelemetry.txt` has the packages.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PACKAGES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")
HEADER = "traceparent"  # W3C Trace Context, in HTTP and in messages
HEADERS = (HEADER, "tracestate")


def _tracer() -> Any:
    provider = _provider()
    return provider and provider.get_tracer("mvtec")


@functools.lru_cache(maxsize=1)
def _provider() -> Any:
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return None
    try:
        trace, exporter = (importlib.import_module(name) for name in _PACKAGES)
        resources = importlib.import_module("opentelemetry.sdk.resources")
        processors = importlib.import_module("opentelemetry.sdk.trace.export")
    except ImportError as error:
        log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, and no traces are sent: %s. See docs/observability.md.", error)
        return None
    name = os.environ.get("OTEL_SERVICE_NAME") or "mvtec-inspection"
    provider = trace.TracerProvider(resource=resources.Resource.create({"service.name": name}))
    provider.add_span_processor(processors.BatchSpanProcessor(exporter.OTLPSpanExporter()))
    return provider


@contextmanager
def span(name: str, *, carrier: Mapping[str, str] | None = None, **attributes: str | float) -> Iterator[Any]:
    """The block as a span, below the one in force or the one that `carrier` names; None where nobody collects."""
    tracer = _tracer()
    if tracer is None:
        yield None
        return
    context = importlib.import_module("opentelemetry.propagate").extract(carrier) if carrier else None
    with tracer.start_as_current_span(name, context=context, attributes=attributes) as current:
        yield current


def note_span(name: str, seconds: float, **attributes: str | float) -> None:
    """A span that ends now and took so long."""
    tracer = _tracer()
    if tracer is not None:
        ended = time.time_ns()
        began = ended - int(max(0.0, seconds) * 1e9)
        tracer.start_span(name, start_time=began, attributes=attributes).end(ended)


def begin(name: str, carrier: Mapping[str, str]) -> Any:
    """As `span`, for what begins in one function and ends in another (`end`)."""
    if _tracer() is None:
        return None
    manager = span(name, carrier=carrier)
    manager.__enter__()
    return manager


def end(manager: Any) -> None:
    if manager is not None:
        manager.__exit__(None, None, None)


def carrier() -> dict[str, str]:
    """What names the span in force, for a message or a request that goes on from here; empty where there is none."""
    headers: dict[str, str] = {}
    if _tracer() is not None:
        importlib.import_module("opentelemetry.propagate").inject(headers)
    return headers


def current_ids() -> dict[str, str]:
    """`trace_id` and `span_id` of the span in force, for log lines."""
    if not _provider.cache_info().currsize or _provider() is None:  # a log line is no reason to begin with it
        return {}
    context = importlib.import_module("opentelemetry.trace").get_current_span().get_span_context()
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"} if context.is_valid else {}


def flush() -> None:
    """Send what is collected yet; for processes that end without Python's own end."""
    if _provider.cache_info().currsize and _provider() is not None:
        _provider().force_flush(2000)
