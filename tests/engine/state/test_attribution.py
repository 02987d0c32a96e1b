"""Checkpoints that LangGraph.js worked on, which knows tasks by other ids: whose its writes are."""

import json
from uuid import UUID

import pytest
from langgraph.checkpoint.base import WRITES_IDX_MAP

from checkpointd.client.langgraph.bridge.ids import PULL, PUSH, js_task_id, python_task_id
from checkpointd.engine.errors import NeedsCode
from checkpointd.engine.state import bare, ids, values
from checkpointd.engine.state.next_checkpoint import Place
from checkpointd.engine.state.snapshot import snapshot
from checkpointd.engine.state.tasks import SENDS
from checkpointd.engine.state.update import update
from checkpointd.v1.checkpoints_pb2 import WritesPut
from checkpointd.v1.core_pb2 import CheckpointTuple, PendingWrite, Value, Write
from checkpointd.v1.graph_pb2 import Barrier, ChannelSpec, GraphSpec, Topic, VersionStyle
from checkpointd.v1.states_pb2 import StateSnapshot, StateUpdate, Superstep
from tests.engine.state.kinds import folded, graph_spec, node, trigger

_ID = "1f0b6b1e-5a3c-6b7a-8001-0123456789ab"
_UUID = UUID(_ID)
_STEP = 2
_JOIN = "join:x+y:a"


def _portable(text: str) -> Value:
    return Value(encoding=values.PORTABLE, data=text.encode())


def _spec() -> GraphSpec:
    """`a` and `b` are led to by edges; `a` by a join too; and `c` is a graph."""
    channels = {"log": folded("ADD", []), SENDS: ChannelSpec(topic=Topic()), _JOIN: _join()}
    channels |= {f"branch:to:{name}": trigger() for name in "abc"}
    inner = graph_spec({"log": folded("ADD", [])}, [node("inner", "log")], ["log"])
    nodes = [node("a", "branch:to:a", _JOIN), node("b", "branch:to:b"), node("c", "branch:to:c", subgraph=inner)]
    return graph_spec(channels, nodes, ["log"])


def _join() -> ChannelSpec:
    return ChannelSpec(barrier=Barrier(names=["x", "y"]))


def _found(*triggered: str, checkpoint_ns: str = "") -> CheckpointTuple:
    """A checkpoint at which these nodes are next, in portable-json/1."""
    found = CheckpointTuple(thread_id="t", checkpoint_ns=checkpoint_ns)
    found.checkpoint.id, found.checkpoint.v = _ID, 4
    held = {"log": '["in"]', **{f"branch:to:{name}": "null" for name in triggered}}
    for name, text in held.items():
        found.checkpoint.channel_versions[name] = f"{_STEP:032}.0.5"
        found.checkpoint.channel_values[name].CopyFrom(_portable(text))
    found.metadata.json = json.dumps({"step": _STEP - 1})
    return found


def _js(name: str, checkpoint_ns: str = "", trigger: str = "") -> str:
    return js_task_id(_UUID, checkpoint_ns, _STEP, name, PULL, [trigger or f"branch:to:{name}"])


def _python(name: str, checkpoint_ns: str = "") -> str:
    triggers = [f"branch:to:{name}", *([_JOIN] if name == "a" else [])]
    return python_task_id(_UUID, checkpoint_ns, _STEP, name, PULL, *triggers)


def _write(found: CheckpointTuple, task_id: str, channel: str, text: str, *, path: str = "", idx: int = 0) -> None:
    """Writes get their sequences in the order of these calls."""
    write = Write(idx=WRITES_IDX_MAP.get(channel, idx), channel=channel, value=_portable(text))
    sequence = len(found.pending_writes) + 1
    found.pending_writes.append(PendingWrite(task_id=task_id, task_path=path, write=write, sequence=sequence))


def _path(name: str) -> str:
    return f"~{PULL}, {name}"


def _ask(found: CheckpointTuple, task_id: str, question: str, path: str = "") -> None:
    text = json.dumps([{"$": "interrupt", "v": {"value": question, "id": f"id of {question}"}}])
    _write(found, task_id, "__interrupt__", text, path=path)


def _asked(made: StateSnapshot) -> list[object]:
    return [values.decode(interrupt.value) for interrupt in made.interrupts]


def _log(made: StateSnapshot) -> object:
    return values.decode(made.values["log"])


@pytest.mark.parametrize("trigger", ["branch:to:a", _JOIN])
def test_what_langgraph_js_left_half_done(trigger: str) -> None:
    found = _found("a", "b")
    _write(found, _js("a", trigger=trigger), "log", '["a"]')
    _ask(found, _js("b"), "why?")
    made = snapshot(_spec(), found, {}, live=True)
    assert [(task.name, task.id) for task in made.tasks] == [("a", _js("a", trigger=trigger)), ("b", _js("b"))]
    assert (list(made.next), _log(made), _asked(made)) == (["b"], ["in", "a"], ["why?"])
    assert not made.warnings
    assert made.values["log"].encoding == values.PORTABLE


def test_a_task_that_has_not_written_has_the_id_of_the_language_that_works_on_the_checkpoint() -> None:
    found = _found("b", "c")
    assert [task.id for task in snapshot(_spec(), found, {}, live=True).tasks] == [_python("b"), _python("c")]
    _ask(found, _js("b"), "why?")
    made = snapshot(_spec(), found, {}, live=True)
    assert [task.id for task in made.tasks] == [_js("b"), _js("c")]
    assert made.tasks[1].subgraph.checkpoint_ns == f"c:{_js('c')}"


def test_who_wrote_last_gives_a_task_its_id_and_who_wrote_first_its_namespace() -> None:
    found = _found("b", "c")
    for name in "bc":
        _ask(found, _python(name), f"{name}?", _path(name))
    _ask(found, _js("c"), "and now?")
    _write(found, _js("b"), "log", '["b"]')
    made = snapshot(_spec(), found, {}, live=True)
    assert [task.id for task in made.tasks] == [_js("b"), _js("c")]
    assert made.tasks[1].subgraph.checkpoint_ns == f"c:{_python('c')}"
    assert (list(made.next), _log(made), _asked(made)) == (["c"], ["in", "b"], ["and now?"])
    assert not made.warnings


def test_of_two_writes_at_one_place_the_first_stays() -> None:
    found = _found("b")
    _write(found, _js("b"), "log", '["first"]')
    _write(found, _python("b"), "log", '["second"]', path=_path("b"))
    assert _log(snapshot(_spec(), found, {}, live=True)) == ["in", "first"]


def test_sends() -> None:
    found = _found()
    send = '{"$":"send","v":{"node":"b","args":1}}'
    found.checkpoint.channel_versions[SENDS] = "#1"
    found.checkpoint.channel_values[SENDS].CopyFrom(_portable(f"[{send},{send}]"))
    first, second = (js_task_id(_UUID, "", _STEP, "b", PUSH, str(place)) for place in range(2))
    _write(found, second, "log", '["second"]')
    made = snapshot(_spec(), found, {}, live=True)
    assert [task.id for task in made.tasks] == [first, second]
    assert (list(made.next), _log(made)) == (["b"], ["in", "second"])


@pytest.mark.parametrize("below", ["", "|c:00000000-0000-4000-8000-000000000000"])
def test_a_namespace_that_langgraph_js_named(below: str) -> None:
    """Python hashes its own name of it, and says the path of a task with its writes."""
    js_ns, python_ns = f"c:{_js('c')}{below}", f"c:{_python('c')}{below}"
    found = _found("a", "b", checkpoint_ns=js_ns)
    _write(found, _python("a", python_ns), "log", '["a"]', path=_path("a"))
    _ask(found, _js("b", js_ns), "why?")
    made = snapshot(_spec(), found, {}, live=True)
    assert (list(made.next), _log(made), _asked(made)) == (["b"], ["in", "a"], ["why?"])
    assert not made.warnings


def _unknown() -> CheckpointTuple:
    """In a namespace that Python named, LangGraph.js hashes another name, which nothing here tells."""
    python_ns = f"c:{_python('c')}"
    found = _found("b", checkpoint_ns=python_ns)
    _ask(found, _python("b", python_ns), "why?", _path("b"))
    _write(found, _js("b", f"c:{_js('c')}"), "log", '["b"]')
    return found


def test_what_can_not_be_told_is_said_and_not_guessed() -> None:
    made = snapshot(_spec(), _unknown(), {}, live=True)
    assert (list(made.next), _log(made), _asked(made)) == (["b"], ["in"], ["why?"])
    (warning,) = made.warnings
    assert "1 of its tasks" in warning


def test_a_superstep_is_not_ended_without_what_can_not_be_told() -> None:
    found = _unknown()
    place = Place(_spec(), "t", found.checkpoint_ns, VersionStyle.VERSION_STYLE_TEXT, {})
    supersteps = [Superstep(updates=[StateUpdate(as_node="__end__")])]
    with pytest.raises(NeedsCode, match="none of those known here") as caught:
        update(place, found, {}, supersteps, superseded=False, newest_id=_ID)
    assert caught.value.metadata["field"] == "supersteps[0].updates[0].as_node"
    del found.pending_writes[1]
    assert update(place, found, {}, supersteps, superseded=False, newest_id=_ID).ops


def test_updates_are_no_tasks_of_langgraph_js() -> None:
    """LangGraph for Python makes their ids the same way, and says no path with them."""
    found = _found("b")
    for task_id in (ids.update_task_id(_ID, 0), ids.update_task_id(_ID, 5), ids.input_task_id(_ID)):
        assert task_id is not None
        _write(found, task_id, "log", '["by hand"]')
    made = snapshot(_spec(), found, {}, live=True)
    assert (list(made.next), _log(made), list(made.warnings)) == (["b"], ["in"], [])


def test_without_the_graph_the_names_of_channels_tell() -> None:
    found = _found("a", "b")
    _ask(found, _python("a"), "a?", _path("a"))
    _ask(found, _python("b"), "b?", _path("b"))
    _write(found, _js("b"), "log", '["b"]')
    made = bare.snapshot(found, "no graph is known", live=True)
    assert (_asked(made), len(made.warnings)) == (["a?"], 1)


def test_without_the_graph_what_can_not_be_told_is_said() -> None:
    found = _found("a", "b", checkpoint_ns="c:other")
    _write(found, _python("a"), "log", '["a"]', path=_path("a"))
    _ask(found, _js("b", "c:unknown"), "b?")
    made = bare.snapshot(found, "no graph is known", live=True)
    assert _asked(made) == ["b?"]
    assert "may have been answered" in made.warnings[-1]
    del found.pending_writes[0]
    assert len(bare.snapshot(found, "no graph is known", live=True).warnings) == 1


def test_an_update_takes_the_place_of_the_task_and_is_written_as_the_thread_is() -> None:
    found = _found("b")
    _ask(found, _js("b"), "why?")
    spec = _spec()
    spec.nodes[1].update.keys.names.append("log")
    place = Place(spec, "t", "", VersionStyle.VERSION_STYLE_TEXT, {})
    given = StateUpdate(as_node="b", value=Value(encoding="json", data=b'{"log":["b"]}'))
    outcome = update(place, found, {}, [Superstep(updates=[given])], superseded=False, newest_id=_ID)
    put = outcome.ops[0]
    assert isinstance(put, WritesPut)
    assert put.task_id == _js("b")
    assert outcome.head.checkpoint.channel_values["log"] == _portable('["in","b"]')
