"""Traces that go on in the server: the caller's span travels with a call when OpenTelemetry is in use."""

from __future__ import annotations

import sys
from typing import Any


def traceparent() -> str:
    """The current span as W3C's Trace Context writes it; empty when there is none. OpenTelemetry is not loaded here."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return ""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return ""
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}"


def metadata() -> tuple[tuple[str, str], ...]:
    """The metadata of a call that says so."""
    found = traceparent()
    return (("traceparent", found),) if found else ()
