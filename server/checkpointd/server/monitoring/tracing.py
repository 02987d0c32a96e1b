"""Traces by OpenTelemetry that join the caller's. Loaded only when they are wanted."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Result = TypeVar("Result")

_PROPAGATOR = TraceContextTextMapPropagator()

# Codes that are faults of the server, by OpenTelemetry's conventions for gRPC.
_FAULTS = ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")


class Tracer:
    """Makes spans, and sends them where OpenTelemetry's own variables (OTEL_*) say."""

    def __init__(self) -> None:
        # What OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say goes before.
        self._provider = TracerProvider(resource=Resource.create({"service.name": "checkpointd"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("checkpointd")

    def began(self, rpc: str, metadata: Iterable[tuple[str, str | bytes]]) -> "CallSpan":
        """A call or an op was taken."""
        carried = {key: value for key, value in metadata if isinstance(value, str)}
        parent = _PROPAGATOR.extract(carried, context.Context())
        attributes = {"rpc.system": "grpc", "rpc.method": rpc}
        return CallSpan(self._tracer.start_span(rpc, parent, SpanKind.SERVER, attributes))

    def cause(self) -> SpanContext | None:
        """The span that asks for a commit."""
        current = trace.get_current_span().get_span_context()
        return current if current.is_valid else None

    def stored(self, causes: Sequence[object], began: float, error: Exception | None) -> None:
        """A batch was stored: a span of its own, with a link to each span that asked for a part of it."""
        asked = {cause.span_id: cause for cause in causes if isinstance(cause, SpanContext)}
        links = [Link(cause) for cause in asked.values()]
        end = time.time_ns()
        start = end - round((time.perf_counter() - began) * 1e9)
        attributes: dict[str, str | int] = {"db.system.name": "postgresql", "checkpointd.commits": len(causes)}
        span = self._tracer.start_span(
            "commit batch", context.Context(), SpanKind.CLIENT, attributes, links, start_time=start
        )
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        span.end(end)

    def stop(self) -> None:
        """Send what there is. Blocks for as long as that takes."""
        self._provider.shutdown()


class CallSpan:
    """The span of a call or an op."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def make_current(self) -> None:
        """For the rest of the task, which is about nothing else."""
        context.attach(trace.set_span_in_context(self._span))

    def run(self, act: Callable[..., Result], *arguments: Any) -> Result:
        """Call `act`, with this as the current span."""
        with trace.use_span(self._span, record_exception=False, set_status_on_exception=False):
            return act(*arguments)

    def end(self, code: str, error: BaseException | None) -> None:
        """It is answered with this code."""
        self._span.set_attribute("rpc.grpc.status_code", code)
        if code in _FAULTS:
            self._span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        self._span.end()
