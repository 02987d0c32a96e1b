"""Traces: spans of calls, of ops and of transactions reach a collector, and join the caller's trace."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider

from checkpointd.client import Client, NotFound
from tests.messages import checkpoint_put
from tests.server_process import ServerProcess


class Collector(service_grpc.TraceServiceServicer):
    """Takes spans over OTLP."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._came = threading.Condition()
        self._server = grpc.server(ThreadPoolExecutor(1))
        service_grpc.add_TraceServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def Export(self, request: Any, context: object) -> Any:
        with self._came:
            for resource in request.resource_spans:
                attributes = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
                assert attributes["service.name"] == "checkpointd"
                self.spans += [span for scope in resource.scope_spans for span in scope.spans]
            self._came.notify_all()
        return service.ExportTraceServiceResponse()

    def stop(self) -> None:
        self._server.stop(0).wait()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.stop()


def _attributes(span: Span) -> dict[str, Any]:
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes}


def test_spans_join_the_callers(collector: Collector, database_url: str, tmp_path: Path) -> None:
    tracer = TracerProvider().get_tracer("a graph")
    to = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}"}
    options = ("--database-url", database_url, "--traces", "otlp")
    with ServerProcess(tmp_path / "log", *options, **to) as server, Client(server.address) as client:
        with tracer.start_as_current_span("a superstep") as superstep:
            client.put_checkpoint(thread_id="t", checkpoint=checkpoint_put("c").checkpoint)
            client.get_thread(thread_id="t")
            with pytest.raises(NotFound):
                client.get_thread(thread_id="nothing")
        client.get_checkpoint(thread_id="t")  # in no span
        assert server.stop() == 0  # it sends what it has
    caller = superstep.get_span_context()
    joined = [span for span in collector.spans if span.trace_id == caller.trace_id.to_bytes(16)]
    assert all(span.parent_span_id == caller.span_id.to_bytes(8) for span in joined)
    assert [(span.name, _attributes(span)["rpc.grpc.status_code"]) for span in joined] == [
        ("PutCheckpoint", "OK"),
        ("GetThread", "OK"),
        ("GetThread", "NOT_FOUND"),
    ]
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in collector.spans)
    (alone,) = [span for span in collector.spans if span.name == "GetCheckpoint"]
    assert not alone.parent_span_id
    (batch,) = [span for span in collector.spans if span.name == "commit batch"]
    assert _attributes(batch)["checkpointd.commits"] == 1
    assert [link.span_id for link in batch.links] == [joined[0].span_id]
