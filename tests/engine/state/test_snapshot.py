"""Snapshots of checkpoints that LangGraph's own graphs don't make: contradictions, corruption, and other writers."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langgraph.types import Interrupt, Send

from checkpointd.engine.state import bare
from checkpointd.engine.state.snapshot import snapshot
from checkpointd.engine.state.task_status import NULL_TASK_ID
from checkpointd.engine.state.tasks import SENDS
from checkpointd.v1.core_pb2 import CheckpointTuple, PendingWrite, Value, Write
from checkpointd.v1.graph_pb2 import Barrier, ChannelSpec, GraphSpec
from checkpointd.v1.graph_pb2 import Topic as TopicSpec
from checkpointd.v1.states_pb2 import StateSnapshot
from tests.engine.state.kinds import KINDS, folded, graph_spec, last_value, node, opaque, trigger
from tests.engine.state.langgraph_values import dumped, loaded

_ID = "1f0b6b1e-5a3c-6b7a-8001-0123456789ab"


def _spec() -> GraphSpec:
    """A graph with every kind of channel: `a` and `b` are next when their triggers hold something."""
    channels = {name: kind.spec for name, kind in KINDS.items()}
    channels |= {"to:a": trigger(), "to:b": trigger(), "opaque": opaque(), SENDS: ChannelSpec(topic=TopicSpec())}
    channels["own"] = folded("OPAQUE", initial=[])
    inner = graph_spec({"x": last_value()}, [node("inner", "x")])
    nodes = [node("a", "to:a", "barrier"), node("b", "to:b", "after_finish", subgraph=inner)]
    return graph_spec(channels, nodes, [name for name in channels if not name.startswith(("to:", "__"))])


def _found(values: dict[str, Any] | None = None, **metadata: Any) -> CheckpointTuple:
    """A checkpoint with these values; a Value is taken as it is."""
    found = CheckpointTuple(thread_id="t", checkpoint_ns="", parent_checkpoint_id="p")
    found.checkpoint.id, found.checkpoint.v, found.checkpoint.ts = _ID, 4, "now"
    for name, value in (values or {}).items():
        found.checkpoint.channel_versions[name] = "#1"
        found.checkpoint.channel_values[name].CopyFrom(value if isinstance(value, Value) else dumped(value))
    found.metadata.json = json.dumps({"step": 1, **metadata})
    return found


def _write(found: CheckpointTuple, task_id: str, channel: str, value: Any) -> None:
    value = value if isinstance(value, Value) else dumped(value)
    write = Write(idx=len(found.pending_writes), channel=channel, value=value)
    found.pending_writes.append(PendingWrite(task_id=task_id, write=write))


def _task_id(found: CheckpointTuple, name: str) -> str:
    made = snapshot(_spec(), found, {}, live=False)
    return next(task.id for task in made.tasks if task.name == name)


def _values(made: StateSnapshot) -> dict[str, Any]:
    return {name: loaded(value) for name, value in made.values.items()}


def test_a_finished_task_counts_in_the_present_and_not_in_the_record() -> None:
    found = _found({"last_value": 1, "binop": ["x"], "to:a": None, "to:b": None})
    task_id = _task_id(found, "a")
    _write(found, task_id, "last_value", 2)
    _write(found, task_id, "binop", ["y"])
    _write(found, NULL_TASK_ID, "binop", ["aside"])
    live, record = snapshot(_spec(), found, {}, live=True), snapshot(_spec(), found, {}, live=False)
    assert (list(live.next), list(record.next)) == (["b"], ["a", "b"])
    assert (_values(live)["last_value"], _values(record)["last_value"]) == (2, 1)
    assert (_values(live)["binop"], _values(record)["binop"]) == (["x", "aside", "y"], ["x", "aside"])
    for made in (live, record):
        result = made.tasks[0].result
        assert {one.channel: [loaded(value) for value in one.values] for one in result.writes} == {
            "last_value": [2],
            "binop": [["y"]],
        }
        assert not made.warnings


def test_what_langgraph_could_not_apply_leaves_the_values_before_and_a_warning() -> None:
    found = _found({"last_value": 1, "binop": [], "to:a": None, "to:b": None})
    for name in ("a", "b"):
        _write(found, _task_id(found, name), "last_value", 2)
    _write(found, NULL_TASK_ID, "binop", ["aside"])
    made = snapshot(_spec(), found, {}, live=True)
    assert (_values(made)["last_value"], _values(made)["binop"], list(made.next)) == (1, ["aside"], [])
    (warning,) = made.warnings
    assert "channel 'last_value' can receive only one value per step" in warning
    _write(found, NULL_TASK_ID, "last_value", 1)
    _write(found, NULL_TASK_ID, "last_value", 2)
    made = snapshot(_spec(), found, {}, live=True)
    assert (_values(made)["last_value"], _values(made)["binop"]) == (1, [])


def test_writes_that_take_the_users_code_are_handed_on() -> None:
    found = _found({"own": ["x"], "opaque": {"held": 1}, "to:a": None})
    _write(found, NULL_TASK_ID, "own", ["y"])
    _write(found, _task_id(found, "a"), "own", ["z"])
    _write(found, _task_id(found, "a"), "opaque", 2)
    made = snapshot(_spec(), found, {}, live=True)
    assert _values(made)["own"] == ["x"]
    unresolved = {one.channel: (loaded(one.base), [loaded(write) for write in one.writes]) for one in made.unresolved}
    assert unresolved == {"own": (["x"], [["y"], ["z"]]), "opaque": ({"held": 1}, [2])}
    assert len(made.warnings) == 2


def test_a_description_of_another_version_of_the_graph_is_noticed() -> None:
    found = _found({"last_value": 1, "to:renamed": None, "__start__": 1})
    found.checkpoint.versions_seen["renamed"].versions["to:renamed"] = "#1"
    found.checkpoint.versions_seen["__input__"].versions["x"] = "#1"
    found.checkpoint.versions_seen["called"].SetInParent()
    nodes, channels = snapshot(_spec(), found, {}, live=True).warnings
    assert "nodes that the graph's description does not have (renamed)" in nodes
    assert "channels that the graph's description does not have (to:renamed)" in channels


def test_stored_values_of_another_kind_count_as_empty_and_are_named() -> None:
    found = _found({"barrier": 1, "topic": "x", "after_finish": Value(encoding="pickle", data=b"x")})
    made = snapshot(_spec(), found, {}, live=True)
    assert sorted(warning.split("'")[1] for warning in made.warnings) == ["after_finish", "barrier", "topic"]
    assert not {"barrier", "topic", "after_finish"} & made.values.keys()


def test_a_checkpoint_whose_id_is_not_langgraphs_says_what_is_not_told() -> None:
    found = _found({"to:a": None, "to:b": None})
    found.checkpoint.id = "not-hexadecimal"
    _write(found, "task", "__interrupt__", [Interrupt("?", id="i")])
    made = snapshot(_spec(), found, {}, live=True)
    assert [(task.id, task.name, task.HasField("subgraph")) for task in made.tasks] == [
        ("", "a", False),
        ("", "b", False),
    ]
    assert list(made.next) == ["a", "b"]
    assert "'not-hexadecimal'" in made.warnings[0]


def test_sends_of_a_checkpoint_of_the_third_version() -> None:
    found = _found({"last_value": 1})
    found.checkpoint.extra["pending_sends"].CopyFrom(dumped([Send("a", 1)]))
    assert not snapshot(_spec(), found, {}, live=True).next
    found.checkpoint.v = 3
    assert list(snapshot(_spec(), found, {}, live=True).next) == ["a"]


def test_the_place_of_a_subgraphs_checkpoint_names_those_around_it() -> None:
    found = _found({}, parents={"": "r", "a:1": "m", "odd": 1})
    found.checkpoint_ns = "a:1|b:2"
    made = snapshot(_spec(), found, {}, live=True)
    assert dict(made.config.checkpoint_map) == {"": "r", "a:1": "m", "a:1|b:2": _ID}
    assert dict(made.parent_config.checkpoint_map) == {"": "r", "a:1": "m", "a:1|b:2": "p"}


def test_a_state_of_one_bare_value() -> None:
    spec = graph_spec({"binop": folded("ADD", initial=[]), "to:a": trigger()}, [node("a", "to:a")], ["binop"])
    spec.stream_channels.single = True
    found = _found({"binop": [1], "to:a": None})
    task_id = snapshot(spec, found, {}, live=True).tasks[0].id
    _write(found, task_id, "__no_writes__", None)
    made = snapshot(spec, found, {}, live=True)
    assert (loaded(made.root_value), dict(made.values), loaded(made.tasks[0].result.value)) == ([1], {}, None)
    _write(found, task_id, "binop", [2])
    assert loaded(snapshot(spec, found, {}, live=True).tasks[0].result.value) == [2]
    _write(found, task_id, "binop", [3])
    made = snapshot(spec, found, {}, live=True)
    assert loaded(made.tasks[0].result.value) == {"$writes": [[2], [3]]}
    assert loaded(made.root_value) == [1, 2, 3]
    spec.channels[0].ClearField("kind")
    spec.channels[0].MergeFrom(last_value())
    assert loaded(snapshot(spec, _found({}), {}, live=True).root_value) is None


def test_a_warning_names_some_of_very_many() -> None:
    found = _found({"last_value": 1})
    for number in range(1000):
        found.checkpoint.channel_versions[f"unknown {number:04}"] = "#1"
    (warning,) = snapshot(_spec(), found, {}, live=True).warnings
    assert "(unknown 0000, unknown 0001, " in warning
    assert "unknown 0009 and 990 more)" in warning


def test_very_many_nodes_may_wait_for_a_very_large_barrier() -> None:
    names = [f"{number:x}" for number in range(10_000)]
    spec = graph_spec({"join": ChannelSpec(barrier=Barrier(names=names))}, [node(name, "join") for name in names], [])
    found = _found({"join": set(names[1:])})
    assert not snapshot(spec, found, {}, live=True).next
    _write(found, NULL_TASK_ID, "join", names[0])
    assert not snapshot(spec, found, {}, live=True).next, "tasks are those of before"
    assert len(snapshot(spec, _found({"join": set(names)}), {}, live=True).next) == len(names)


def test_without_a_description_values_and_interrupts_are_told() -> None:
    found = _found({"x": 1, "branch:to:a": None, "__start__": 2, "join:a+b:c": {"a"}, "__root__": "bare"})
    _write(found, "waits", "__interrupt__", [Interrupt("?", id="i")])
    _write(found, "done", "__interrupt__", [Interrupt("!", id="j")])
    _write(found, "done", "x", 5)
    live, record = bare.snapshot(found, "nobody knows", live=True), bare.snapshot(found, "nobody knows", live=False)
    assert (_values(live), loaded(live.root_value), list(live.next), list(live.tasks)) == ({"x": 1}, "bare", [], [])
    assert ([one.id for one in live.interrupts], [one.id for one in record.interrupts]) == (["i"], ["i", "j"])
    assert live.warnings[0].startswith("nobody knows: next and tasks are not known")
    assert live.exists
    assert live.parent_config.checkpoint_id == "p"


def test_without_a_description_channels_that_are_stored_as_changes_are_named() -> None:
    found = _found({"x": 1}, counters_since_delta_snapshot={"log": [1, 2], "x": [0, 1]})
    assert "'log'" in bare.snapshot(found, "why", live=True).warnings[1]
    assert "'x'" not in bare.snapshot(found, "why", live=True).warnings[1]


_BYTES = st.binary(max_size=12) | st.sampled_from(
    [dumped(data).data for data in ({"a"}, [1], [None, True], [{"a"}, False], {"__overwrite__": 1}, [Send("a", 1)])]
)
_ODD_VALUES = st.builds(Value, encoding=st.sampled_from(["msgpack", "msgpack", "json", "null", "odd"]), data=_BYTES)
_CHANNELS = st.sampled_from(
    [channel.name for channel in _spec().channels] + ["__interrupt__", "__error__", "__return__", "unknown"]
)
_VERSIONS = st.sampled_from(["#1", "#2", "#x", "", "text", "#nan", "##", "#1.5"])


@given(data=st.data())
def test_whatever_a_checkpoint_holds_there_is_an_answer(data: st.DataObject) -> None:
    found = _found(data.draw(st.dictionaries(_CHANNELS, _ODD_VALUES, max_size=8)))
    found.checkpoint.channel_values["to:a"].CopyFrom(dumped(None))
    found.checkpoint.channel_versions.update(data.draw(st.dictionaries(_CHANNELS, _VERSIONS, max_size=4)))
    for name, seen in data.draw(
        st.dictionaries(st.sampled_from(["a", "b", "x"]), st.dictionaries(_CHANNELS, _VERSIONS))
    ).items():
        found.checkpoint.versions_seen[name].versions.update(seen)
    found.checkpoint.id = data.draw(st.sampled_from([_ID, "c1", "x"]))
    found.checkpoint.v = data.draw(st.integers(0, 5))
    found.metadata.json = data.draw(
        st.sampled_from(
            ["", "{}", "[]", '{"step":"x","parents":[]}', '{"step":1e3,"parents":{"a":1}}', '{"step":true}']
        )
    )
    tasks = [NULL_TASK_ID, "other", *[task.id for task in snapshot(_spec(), found, {}, live=True).tasks if task.id]]
    for task_id, channel, value in data.draw(
        st.lists(st.tuples(st.sampled_from(tasks), _CHANNELS, _ODD_VALUES), max_size=8)
    ):
        _write(found, task_id, channel, value)
    for live in (True, False):
        made = snapshot(_spec(), found, {}, live=live)
        assert made.exists
        bare.snapshot(found, "why", live=live).SerializeToString()
        made.SerializeToString()
