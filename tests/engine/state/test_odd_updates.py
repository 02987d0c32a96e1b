"""Updates of threads that hold what LangGraph does not write, and of values that can't be what they say: a refusal that
says why, or a checkpoint that is right; never another exception."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import ormsgpack
import pytest

from checkpointd.engine.batch import prepare
from checkpointd.engine.errors import EngineError, InvalidUpdate, NeedsCode
from checkpointd.engine.state import next_checkpoint, objects, values
from checkpointd.engine.state.next_checkpoint import Place
from checkpointd.engine.state.packed import pack
from checkpointd.engine.state.update import Outcome, update
from checkpointd.v1.core_pb2 import CheckpointTuple, PendingWrite, Value, Write
from checkpointd.v1.graph_pb2 import (
    Barrier,
    ChannelSpec,
    Delta,
    GraphSpec,
    LastValueAfterFinish,
    Reducer,
    ReducerKind,
    StaticWrite,
    Topic,
    VersionStyle,
)
from checkpointd.v1.states_pb2 import ChannelWrites, Goto, GotoTarget, Send, StateUpdate, Superstep
from tests.engine.state.kinds import folded, graph_spec, last_value, node, trigger
from tests.engine.state.langgraph_values import dumped, loaded

_ID = "1f0b6b1e-5a3c-6b7a-8001-000000000001"
_FIRST = f"{1:032}.0.5"


def _spec(**channels: ChannelSpec) -> GraphSpec:
    """A graph of one node `a`, which writes `x` and these channels."""
    described = {"x": last_value(), "to": trigger(), **channels}
    writer = node("a", "to")
    writer.update.keys.names.extend(sorted(described))
    return graph_spec(described, [writer], ["x"])


def _delta(kind: str = "ADD", frequency: int = 1000) -> ChannelSpec:
    reducer = Reducer(kind=ReducerKind.Value(f"REDUCER_KIND_{kind}"))
    return ChannelSpec(delta=Delta(reducer=reducer, initial=dumped([]), snapshot_frequency=frequency))


def _found(
    versions: Mapping[str, str], stored: Mapping[str, Value] | None = None, metadata: str = "", checkpoint_id: str = _ID
) -> CheckpointTuple:
    found = CheckpointTuple(thread_id="t")
    found.checkpoint.id = checkpoint_id
    found.checkpoint.v = 4
    found.checkpoint.channel_versions.update(versions)
    for name, value in (stored or {}).items():
        found.checkpoint.channel_values[name].CopyFrom(value)
    found.metadata.json = metadata
    return found


def _as_a(task_id: str = "", /, **writes: Value) -> StateUpdate:
    given = [ChannelWrites(channel=name, values=[value]) for name, value in writes.items()]
    return StateUpdate(as_node="a", task_id=task_id, writes=given)


def _updated(
    spec: GraphSpec,
    found: CheckpointTuple | None,
    *updates: StateUpdate,
    more: Mapping[str, Any] | None = None,
    newest: str = _ID,
) -> Outcome:
    place = Place(spec, "t", "", VersionStyle.VERSION_STYLE_TEXT, more or {})
    return update(place, found, {}, [Superstep(updates=updates)], superseded=False, newest_id=newest)


def _refused(error: type[EngineError], says: str, spec: GraphSpec, found: CheckpointTuple | None, **to: Value) -> None:
    with pytest.raises(error) as caught:
        _updated(spec, found, _as_a(**to))
    assert says in caught.value.message


@pytest.mark.parametrize(
    "version", ["abc", "9", "-5", "1_0", "9" * 255, "##", "#abc", "#nan", "#1e999", "#-1e999", "#1e16"]
)
@pytest.mark.parametrize("channel", ["x", "d"])
def test_versions_that_nothing_comes_after(version: str, channel: str) -> None:
    """Not even where only a snapshot gets a new one."""
    metadata = json.dumps({"counters_since_delta_snapshot": {"d": [5, 5]}})
    found = _found({channel: version}, {"d": dumped([1])}, metadata)
    _refused(NeedsCode, "is not one of LangGraph's", _spec(d=_delta(frequency=1)), found, x=dumped(1))


def test_a_snapshot_of_a_channel_with_an_odd_version_of_its_own() -> None:
    metadata = json.dumps({"counters_since_delta_snapshot": {"d": [5, 5]}})
    found = _found({"x": _FIRST, "d": " 0"}, {"d": dumped([1])}, metadata)
    _refused(NeedsCode, "channel 'd'", _spec(d=_delta(frequency=1)), found, x=dumped(1))


@pytest.mark.parametrize("value", [Value(encoding="aes", data=b"1"), Value(encoding="msgpack", data=b"\xc1")])
def test_what_can_not_be_stored_without_being_read(value: Value) -> None:
    spec = _spec(late=ChannelSpec(last_value_after_finish=LastValueAfterFinish()))
    _refused(NeedsCode, "can't store channel 'late'", spec, None, late=value)


@pytest.mark.parametrize("newest", ["ffffffff-ffff-6fff-bfff-ffffffffffff", "zzz", ""])
def test_ids_that_no_time_comes_after(newest: str) -> None:
    assert _updated(_spec(), None, _as_a(x=dumped(1)), newest=newest).head.checkpoint.id > "1f"


@pytest.mark.parametrize("number", ["9" * 4300, "-" + "9" * 4299, "1e30", '"7"', "[]"])
def test_steps_and_counters_that_count_nothing(number: str) -> None:
    metadata = f'{{"step":{number},"counters_since_delta_snapshot":{{"d":[{number},{number}]}}}}'
    made = _updated(_spec(d=_delta()), _found({"x": "#1"}, metadata=metadata), _as_a(x=dumped(1))).head
    told = json.loads(made.metadata.json)
    assert (told["step"], told["counters_since_delta_snapshot"]) == (0, {"d": [0, 1]})


@pytest.mark.parametrize(
    ("kind", "before", "written", "error", "says"),
    [
        ("ADD", "9" * 400, "1.5", InvalidUpdate, "too large"),
        ("MUL", "1.5", "9" * 400, InvalidUpdate, "too large"),
        ("OR", str(2**14284), str(2**14283), NeedsCode, "can't be folded without the graph's code"),
    ],
)
def test_numbers_that_are_too_large(kind: str, before: str, written: str, error: type[EngineError], says: str) -> None:
    found = _found({"n": "#1"}, {"n": Value(encoding="json", data=before.encode())})
    value = Value(encoding="json", data=written.encode())
    _refused(error, says, _spec(n=folded(kind)), found, n=value)


@pytest.mark.parametrize("kind", [[], {}, None, 1.5, "x"])
def test_message_objects_of_no_type(kind: Any) -> None:
    message = objects.model_of("m", "M", {"type": kind, "id": None}, ["m"])
    written = Value(encoding="msgpack", data=pack([message]))
    _refused(NeedsCode, "channel 'm'", _spec(m=folded("ADD_MESSAGES", [])), None, m=written)
    _refused(NeedsCode, "channel 'm'", _spec(m=_delta("MESSAGES_DELTA")), None, m=written)


def _nested_objects(levels: int) -> bytes:
    data: Any = []
    for _ in range(levels):
        fields = {"value": data}
        data = ormsgpack.Ext(2, ormsgpack.packb(["langgraph.types", "Overwrite", fields]))
    return ormsgpack.packb(data)


# The first by hand, as the encoder has a limit that the decoder has not.
@pytest.mark.parametrize("written", [b"\x81\xad__overwrite__" * 990 + b"\x90", _nested_objects(3000)])
@pytest.mark.parametrize("channel", [_delta("MESSAGES_DELTA"), folded("ADD_MESSAGES", [])])
def test_overwrites_within_overwrites(written: bytes, channel: ChannelSpec) -> None:
    with suppress(InvalidUpdate, NeedsCode):
        _updated(_spec(m=channel), None, _as_a(m=Value(encoding="msgpack", data=written)))


@pytest.mark.parametrize("after_finish", [False, True])
@pytest.mark.parametrize("seen", [[[1]], [{}], [1]])
def test_joins_of_things_that_are_no_names(seen: list[Any], after_finish: bool) -> None:
    spec = _spec(join=ChannelSpec(barrier=Barrier(names=["p"], after_finish=after_finish)))
    found = _found({"join": "#1"}, {"join": dumped([seen, True] if after_finish else seen)})
    _refused(NeedsCode, "channel 'join' is not a set of names", spec, found, x=dumped(1))


@pytest.mark.parametrize("taken", ["by the other update", "on the checkpoint"])
def test_writes_whose_place_is_taken_are_not_lost(taken: str) -> None:
    """One task's id for two updates, or for one beside what the task wrote: such a write is not stored, so the new
    checkpoint holds the outcome itself."""
    found = _found({"x": "#1", "d": "#1"}, metadata='{"counters_since_delta_snapshot":{"d":[1,1]}}')
    updates = [_as_a("T", d=dumped([2]))]
    if taken == "on the checkpoint":
        found.pending_writes.append(PendingWrite(task_id="T", write=Write(idx=0, channel="x", value=dumped(1))))
    else:
        updates.append(_as_a("T", d=dumped([3])))
    held = _updated(_spec(d=_delta()), found, *updates).head.checkpoint.channel_values["d"]
    assert loaded(values.unwrapped(held)) == ([[2]] if taken == "on the checkpoint" else [[2], [3]])


def test_metadata_is_not_longer_than_it_was_given() -> None:
    more = {"numbers": [0] * 500_000}
    prepare("tenant", "t", _updated(_spec(), None, _as_a(x=dumped(1)), more=more).ops)


def _sent(text: str, found: CheckpointTuple | None) -> Value:
    spec = _spec(__pregel_tasks=ChannelSpec(topic=Topic()))
    send = Send(node="a", input=Value(encoding="json", data=text.encode()))
    update = StateUpdate(as_node="a", goto=Goto(targets=[GotoTarget(send=send)]))
    return _updated(spec, found, update).head.checkpoint.channel_values["__pregel_tasks"]


@pytest.mark.parametrize("text", ['{"\\ud800":1}', "[" * 400 + "]" * 400, "9" * 30])
def test_what_msgpack_can_not_hold_is_not_sent(text: str) -> None:
    with pytest.raises(InvalidUpdate, match="can't be written as msgpack") as caught:
        _sent(text, _found({"x": "#1"}, {"x": dumped(1)}))
    assert caught.value.metadata["field"] == "supersteps[0].updates[0].goto.targets[0].send.input"


def test_what_portable_json_can_not_hold_is_not_sent() -> None:
    with pytest.raises(InvalidUpdate, match="250 levels deep, which portable-json/1 can't hold") as caught:
        _sent("[" * 400 + "]" * 400, None)
    assert caught.value.metadata["field"] == "supersteps[0].updates[0].goto.targets[0].send.input"
    number = "9" * 30
    assert json.loads(_sent(number, None).data) == [
        {"$": "send", "v": {"node": "a", "args": {"$": "int", "v": number}}}
    ]


def test_short_requests_that_make_very_much() -> None:
    spec = _spec(sum=folded("ADD", []))
    spec.nodes[0].static_writes.extend(StaticWrite(channel="to", value=values.NULL) for _ in range(1000))
    with pytest.raises(InvalidUpdate, match="bytes to be stored; give less in one request"):
        _updated(spec, None, *[_as_a()] * 1000)
    del spec.nodes[0].static_writes[:]
    found = _found({"sum": _FIRST}, {"sum": dumped([b"x" * (8 << 20)])})
    place = Place(spec, "t", "", VersionStyle.VERSION_STYLE_TEXT, {})
    supersteps = [Superstep(updates=[_as_a(sum=dumped([1]))])] * 100
    with pytest.raises(InvalidUpdate, match="bytes to be stored; give less in one request") as caught:
        update(place, found, {}, supersteps, superseded=False, newest_id=_ID)
    assert caught.value.metadata["field"].startswith("supersteps[")


def test_work_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_checkpoint, "_LONGEST", -1.0)
    with pytest.raises(InvalidUpdate, match="give less in one request"):
        _updated(_spec(), None, _as_a(x=dumped(1)))


def test_many_updates_of_a_graph_with_many_names() -> None:
    """Names are read once for a request, not once for an update."""
    names = [f"n{number}" for number in range(20_000)]
    spec = graph_spec({name: last_value() for name in names}, [node(name) for name in names], [])
    spec.nodes[0].update.keys.names.extend(names)
    spec.nodes[0].branches.add(name="route").ends.names.extend(names)
    step = StateUpdate(as_node=names[0], goto=Goto(targets=[GotoTarget(node="__end__")]))
    assert _updated(spec, None, *[step] * 1000).head.checkpoint.id
