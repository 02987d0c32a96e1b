"""The service States on the wire: what it refuses and how."""

from typing import cast

import grpc
import pytest

from checkpointd.v1.core_pb2 import Value
from checkpointd.v1.graph_pb2 import GraphSpec
from checkpointd.v1.states_pb2 import (
    GetStateHistoryRequest,
    GetStateRequest,
    GraphRef,
    RegisterGraphRequest,
    StateUpdate,
    Superstep,
    UpdateStateRequest,
)
from checkpointd.v1.states_pb2_grpc import StatesStub
from tests.engine.state.kinds import folded, graph_spec, last_value, node, trigger
from tests.engine.state.langgraph_values import dumped
from tests.messages import put_checkpoint
from tests.server.wire import error_reason, invalid, invoke, refused

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


_NOT_PORTABLE = {
    "cut off": b'{"x":[1',
    "nothing": b"",
    "not UTF-8": b'"\xff"',
    "NaN": b'{"x":NaN}',
    "too large a number": b'{"x":1e999}',
    "too many digits": b'{"x":' + b"9" * 5000 + b"}",
    "a key twice": b'{"x":1,"x":2}',
    "lists within lists": b'{"x":' + b"[" * 251 + b"]" * 251 + b"}",
    "lists without end": b"[" * 200_000,
    "tags without end": b'{"$":"overwrite","v":' * 50_000,
}
_ODDLY_TAGGED = {
    "unknown": b'{"$":"future","v":{"$":"int","v":"1"}}',
    "no text": b'{"$":["int"],"v":"1"}',
    "digits": b'{"$":"int","v":"' + b"9" * 100_000 + b'"}',
    "a number": b'{"$":"int","v":5}',
    "base64": b'{"$":"bytes","v":"===="}',
    "a set": b'{"$":"set","v":{"a":1}}',
    "a send": b'{"$":"send","v":{"node":{},"args":[]}}',
    "a message": b'{"$":"msg","v":{"type":"ai","content":5}}',
    "an overwrite": b'{"$":"overwrite","v":1,"w":null}',
    "a program": b'{"$":"opaque","lang":"python","enc":"pickle","type":"os:system","v":"Y29zCnN5c3RlbQo="}',
}


def _portable(data: bytes) -> Value:
    return Value(encoding="portable-json/1", data=data)


@pytest.mark.parametrize(
    "data", [*_NOT_PORTABLE.values(), *_ODDLY_TAGGED.values()], ids=[*_NOT_PORTABLE, *_ODDLY_TAGGED]
)
def test_portable_values_that_are_not_what_they_say(
    grpc_channel: grpc.Channel, grpc_stub: StatesStub, data: bytes
) -> None:
    """Where they are stored they are shown as they came; where they have to be looked into, that is refused."""
    spec = graph_spec(
        {"x": last_value(), "to": trigger(), "sum": folded("ADD", []), "m": folded("ADD_MESSAGES", [])},
        [node("a", "to")],
        ["x", "sum", "m"],
    )
    spec.nodes[0].update.keys.names.extend(["m", "sum", "x"])
    answer = grpc_stub.RegisterGraph(RegisterGraphRequest(graph_name="g", spec=spec))
    request = put_checkpoint("t", "c1", metadata={"step": 1})
    for channel in ("x", "to", "sum"):
        request.put.checkpoint.channel_versions[channel] = f"{1:032}.0.5"
        request.put.checkpoint.channel_values[channel].CopyFrom(_portable(data))
    request.put.graph_hash = answer.graph_hash
    request.put.checkpoint.id = "1f0b6b1e-5a3c-6b7a-8001-000000000001"
    invoke(grpc_channel, "PutCheckpoint", request)

    snapshot = grpc_stub.GetState(GetStateRequest(thread_id="t")).snapshot
    assert (snapshot.values["x"], snapshot.values["sum"]) == (_portable(data), _portable(data))
    (record,) = grpc_stub.GetStateHistory(GetStateHistoryRequest(thread_id="t"))
    assert record.snapshot.values == snapshot.values

    with refused(grpc.StatusCode.FAILED_PRECONDITION, "NEEDS_CODE") as needed:
        grpc_stub.UpdateState(_update(_portable(b'{"sum":[1]}')))
    assert "sum" in needed.message
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_UPDATE") as invalid_update:
        grpc_stub.UpdateState(_update(_portable(data)))
    assert invalid_update.metadata["field"] == "supersteps[0].updates[0].value"
    by_key = _update(Value())
    by_key.supersteps[0].updates[0].ClearField("value")
    by_key.supersteps[0].updates[0].writes.add(channel="m", values=[_portable(data)])
    with pytest.raises(grpc.RpcError) as by_reducer:
        grpc_stub.UpdateState(by_key)
    assert error_reason(cast(grpc.Call, by_reducer.value)) in ("INVALID_UPDATE", "NEEDS_CODE")
    assert grpc_stub.GetState(GetStateRequest(thread_id="t")).snapshot == snapshot

    # What is only passed on is not looked into.
    by_key.supersteps[0].updates[0].writes[0].channel = "x"
    grpc_stub.UpdateState(by_key)
    assert grpc_stub.GetState(GetStateRequest(thread_id="t")).snapshot.values["x"] == _portable(data)


def _update(value: Value) -> UpdateStateRequest:
    """An update of `t` by the node `a` of `g`."""
    supersteps = [Superstep(updates=[StateUpdate(as_node="a", value=value)])]
    return UpdateStateRequest(thread_id="t", graph=GraphRef(name="g"), supersteps=supersteps)


def test_a_refusal_of_a_part_with_a_very_long_name(grpc_stub: StatesStub) -> None:
    """The path of the part is cut off, rather than to go beyond what headers hold."""
    grpc_stub.RegisterGraph(RegisterGraphRequest(graph_name="g", spec=_written(_spec())))
    name = "k" * 50_000
    # Nested deeper than msgpack is written, though not than it is read.
    key = b"\xda" + len(name).to_bytes(2, "big") + name.encode()
    value = Value(encoding="msgpack", data=b"\x81" + key + b"\x91" * 300 + b"\xc0")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_UPDATE") as found:
        grpc_stub.UpdateState(_update(value))
    assert found.metadata["field"].startswith("supersteps[0].updates[0].value['kkk")


def _written(spec: GraphSpec) -> GraphSpec:
    """The description, with a first node that writes x."""
    spec.nodes[0].update.keys.names.append("x")
    return spec


def test_what_grows_too_long_to_be_stored(grpc_channel: grpc.Channel, grpc_stub: StatesStub) -> None:
    answer = grpc_stub.RegisterGraph(RegisterGraphRequest(graph_name="g", spec=_written(_spec())))
    request = put_checkpoint("t", "c1", versions={"x": "#" + "9" * 254})
    request.put.graph_hash = answer.graph_hash
    request.put.checkpoint.id = "1f0b6b1e-5a3c-6b7a-8001-000000000001"
    invoke(grpc_channel, "PutCheckpoint", request)
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_UPDATE") as found:
        grpc_stub.UpdateState(_update(Value(encoding="json", data=b'{"x":1}')))
    assert "can't be stored" in found.message


def test_a_run_that_metadata_names_too_long(grpc_stub: StatesStub) -> None:
    grpc_stub.RegisterGraph(RegisterGraphRequest(graph_name="g", spec=_spec()))
    request = _update(Value(encoding="null"))
    request.metadata = f'{{"run_id":"{"r" * 256}"}}'
    with invalid("metadata run_id"):
        grpc_stub.UpdateState(request)


def test_others_are_answered_while_a_large_update_is_worked_out(grpc_stub: StatesStub) -> None:
    spec = graph_spec({"x": last_value(), "to": trigger(), "sum": folded("ADD", [])}, [node("a", "to")], ["x"])
    spec.nodes[0].update.keys.names.extend(["sum", "x"])
    grpc_stub.RegisterGraph(RegisterGraphRequest(graph_name="g", spec=spec))
    grpc_stub.UpdateState(_update(dumped({"sum": [1] * 1_000_000})))
    request = _update(dumped({"sum": [1]}))
    request.supersteps.extend([request.supersteps[0]] * 30)
    # Refused at its end, so that all the time goes into working it out.
    request.supersteps.add(updates=[StateUpdate(as_node="nobody")])
    answered = 0
    under_way = grpc_stub.UpdateState.future(request)
    while not under_way.done():
        grpc_stub.GetState(GetStateRequest(thread_id="another"))
        answered += 1
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_UPDATE"):
        under_way.result()
    assert answered > 10
