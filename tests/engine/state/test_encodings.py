"""In which encoding an update writes: that of the thread, whatever it is given and whoever registered the graph."""

import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpointd.client.langgraph import PortableSerializer
from checkpointd.engine.state import values
from checkpointd.engine.state.next_checkpoint import Place
from checkpointd.engine.state.update import update
from checkpointd.v1.core_pb2 import Checkpoint, CheckpointTuple, Value
from checkpointd.v1.graph_pb2 import (
    Barrier,
    BinaryOperator,
    ChannelSpec,
    GraphSpec,
    Reducer,
    ReducerKind,
    StaticWrite,
    Topic,
    VersionStyle,
)
from checkpointd.v1.states_pb2 import Goto, GotoTarget, Send, StateUpdate, Superstep
from tests.engine.state.kinds import graph_spec, last_value, node

_ID = "1f0b6b1e-5a3c-6b7a-8001-000000000001"
_JOIN = "join:a+b:c"
_SENDS = "__pregel_tasks"
_SERIALISERS: dict[str, SerializerProtocol] = {"msgpack": JsonPlusSerializer(), "portable-json/1": PortableSerializer()}
_ENCODINGS = pytest.mark.parametrize("encoding", _SERIALISERS)


def _dumped(data: object, encoding: str) -> Value:
    encoding, content = _SERIALISERS[encoding].dumps_typed(data)
    return Value(encoding=encoding, data=content)


def _loaded(value: Value) -> Any:
    return PortableSerializer().loads_typed((value.encoding, value.data))


def _json(data: object) -> Value:
    return Value(encoding="json", data=json.dumps(data).encode())


def _folded(kind: str, initial: Value) -> ChannelSpec:
    return ChannelSpec(binop=BinaryOperator(reducer=Reducer(kind=ReducerKind.Value(kind)), initial=initial))


def _spec(encoding: str) -> GraphSpec:
    """A graph of one node `a`, registered by a client with this encoding."""
    empty = _dumped([], encoding)
    channels = {
        "x": last_value(),
        "log": _folded("REDUCER_KIND_ADD", empty),
        "messages": _folded("REDUCER_KIND_ADD_MESSAGES", empty),
        _SENDS: ChannelSpec(topic=Topic()),
        _JOIN: ChannelSpec(barrier=Barrier(names=["a", "b"])),
    }
    writer = node("a")
    writer.static_writes.append(StaticWrite(channel=_JOIN, value=_dumped("a", encoding)))
    writer.update.keys.names.extend(["log", "messages", "x"])
    return graph_spec(channels, [writer], ["x", "log", "messages"])


def _found(**held: Value) -> CheckpointTuple:
    found = CheckpointTuple(thread_id="t")
    found.checkpoint.id, found.checkpoint.v = _ID, 4
    for name, value in held.items():
        found.checkpoint.channel_versions[name] = f"{1:032}.0.5"
        found.checkpoint.channel_values[name].CopyFrom(value)
    return found


def _updated(spec: GraphSpec, found: CheckpointTuple | None, given: Value) -> Checkpoint:
    """The checkpoint of an update by `a`, which sends something too."""
    send = GotoTarget(send=Send(node="a", input=_json({"n": 1})))
    step = Superstep(updates=[StateUpdate(as_node="a", value=given, goto=Goto(targets=[send]))])
    place = Place(spec, "t", "", VersionStyle.VERSION_STYLE_TEXT, {})
    return update(place, found, {}, [step], superseded=False, newest_id=_ID).head.checkpoint


@_ENCODINGS
@pytest.mark.parametrize("registered", _SERIALISERS)
def test_the_threads(encoding: str, registered: str) -> None:
    given = _json({"log": ["b"], "messages": [{"role": "user", "content": "hi", "id": "1"}]})
    made = _updated(_spec(registered), _found(x=_dumped("x", encoding), log=_dumped(["a"], encoding)), given)
    assert {value.encoding for value in made.channel_values.values()} == {encoding}
    found = {name: _loaded(value) for name, value in made.channel_values.items()}
    (sent,) = found.pop(_SENDS)
    assert (sent.node, sent.arg) == ("a", {"n": 1})
    assert found == {"x": "x", "log": ["a", "b"], "messages": [HumanMessage("hi", id="1")], _JOIN: {"a"}}


@_ENCODINGS
def test_of_a_new_thread_that_of_who_registered_the_graph(encoding: str) -> None:
    made = _updated(_spec(encoding), None, _json({"log": ["b"]}))
    assert {made.channel_values[name].encoding for name in (_SENDS, _JOIN, "log")} == {encoding}


def test_where_nothing_tells_it_is_portable() -> None:
    spec = graph_spec({"x": last_value(), _SENDS: ChannelSpec(topic=Topic())}, [node("a")], ["x"])
    made = _updated(spec, _found(x=_json("x")), values.NULL)
    assert made.channel_values[_SENDS].encoding == "portable-json/1"
    assert made.channel_values["x"] == _json("x")


@_ENCODINGS
def test_a_value_that_a_channel_keeps_whole_stays_as_it_came(encoding: str) -> None:
    given = _dumped({"x": {"$": 1, "s": {2}}}, encoding)
    (other,) = _SERIALISERS.keys() - {encoding}
    made = _updated(_spec(other), _found(x=_dumped("x", other)), given)
    assert (made.channel_values["x"].encoding, _loaded(made.channel_values["x"])) == (encoding, {"$": 1, "s": {2}})


@_ENCODINGS
def test_of_both_it_is_portable_and_nothing_is_lost(encoding: str) -> None:
    (other,) = _SERIALISERS.keys() - {encoding}
    held, given = [{1: b"x"}, HumanMessage("hi", id="1")], [{"s"}, 2**60]
    found = _found(log=_dumped(held, encoding))
    made = _updated(_spec(encoding), found, _dumped({"log": given}, other)).channel_values["log"]
    assert made.encoding == "portable-json/1"
    assert _loaded(made) == held + given
