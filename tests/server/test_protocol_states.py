"""The service States on the wire: what it refuses and how."""

import grpc
import pytest

from checkpointd.v1.graph_pb2 import GraphSpec
from checkpointd.v1.states_pb2 import GetStateHistoryRequest, GetStateRequest, GraphRef, RegisterGraphRequest
from checkpointd.v1.states_pb2_grpc import StatesStub
from tests.engine.state.kinds import graph_spec, last_value, node, trigger
from tests.messages import put_checkpoint
from tests.server.wire import invalid, invoke, refused

pytestmark = pytest.mark.usefixtures("stays_well")


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[StatesStub]:
    return StatesStub


def _spec() -> GraphSpec:
    return graph_spec({"x": last_value(), "to": trigger()}, [node("a", "to")], ["x"])


def test_a_graph_that_is_not_registered(grpc_stub: StatesStub) -> None:
    with refused(grpc.StatusCode.NOT_FOUND, "GRAPH_NOT_FOUND") as found:
        grpc_stub.GetState(GetStateRequest(thread_id="t", graph=GraphRef(name="agent")))
    assert found.metadata == {"graph": "agent"}
    assert "register it with RegisterGraph" in found.message
    with refused(grpc.StatusCode.NOT_FOUND, "GRAPH_NOT_FOUND"):
        list(grpc_stub.GetStateHistory(GetStateHistoryRequest(thread_id="t", graph=GraphRef(hash="f" * 64))))


def test_a_checkpoint_that_is_not_there(grpc_stub: StatesStub) -> None:
    with refused(grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND") as found:
        grpc_stub.GetState(GetStateRequest(thread_id="t", checkpoint_id="c"))
    assert found.metadata == {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "c"}


def test_a_reference_to_no_graph(grpc_stub: StatesStub) -> None:
    with invalid("graph"):
        grpc_stub.GetState(GetStateRequest(thread_id="t", graph=GraphRef()))


def test_a_malformed_description_is_refused_and_not_stored(grpc_stub: StatesStub) -> None:
    spec = _spec()
    spec.nodes[0].triggers.append("nowhere")
    with invalid("spec.nodes[0].triggers[1]"):
        grpc_stub.RegisterGraph(RegisterGraphRequest(graph_name="g", spec=spec))
    with refused(grpc.StatusCode.NOT_FOUND, "GRAPH_NOT_FOUND"):
        grpc_stub.GetState(GetStateRequest(thread_id="t", graph=GraphRef(name="g")))


def test_a_description_that_is_too_large(grpc_stub: StatesStub) -> None:
    spec = _spec()
    for number in range(1200):
        spec.managed.append(f"{number}-" + "x" * 1000)
    with invalid("spec") as found:
        grpc_stub.RegisterGraph(RegisterGraphRequest(graph_name="g", spec=spec))
    assert "give it at most 1048576" in found.message


def test_graphs_within_graphs_without_end(grpc_channel: grpc.Channel) -> None:
    spec = _spec()
    for _ in range(30):
        spec = graph_spec({}, [node("n", subgraph=spec)])
    with invalid("subgraph"):
        invoke(grpc_channel, "RegisterGraph", RegisterGraphRequest(graph_name="g", spec=spec))
    # Deeper than protobuf reads at all: {nodes: {subgraph: ...}}.
    data = b""
    for _ in range(200):
        inner = b"\x52" + _length(data) + data
        data = b"\x1a" + _length(inner) + inner
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST"):
        invoke(grpc_channel, "RegisterGraph", b"\x0a\x01g\x12" + _length(data) + data)


def _length(data: bytes) -> bytes:
    """A length as protobuf writes it."""
    number, encoded = len(data), bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes((*encoded, number))


def test_values_that_are_no_values_make_no_trouble(grpc_channel: grpc.Channel, grpc_stub: StatesStub) -> None:
    answer = grpc_stub.RegisterGraph(RegisterGraphRequest(graph_name="g", spec=_spec()))
    request = put_checkpoint("t", "c1", values={"x": "1", "to": "2"}, metadata={"step": "?", "parents": 5})
    for value in request.put.checkpoint.channel_values.values():
        value.encoding, value.data = "msgpack", b"\xc1"
    request.put.graph_hash = answer.graph_hash
    invoke(grpc_channel, "PutCheckpoint", request)
    snapshot = grpc_stub.GetState(GetStateRequest(thread_id="t", subgraphs=True)).snapshot
    assert snapshot.values["x"].data == b"\xc1"
    assert list(snapshot.next) == ["a"]
    (record,) = grpc_stub.GetStateHistory(GetStateHistoryRequest(thread_id="t"))
    assert record.snapshot == snapshot
