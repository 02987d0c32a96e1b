"""What a caller may give as an update, and the messages that it becomes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command, Overwrite, Send, StateUpdate
from pydantic import BaseModel, ConfigDict

from checkpointd.client import InvalidRequest
from checkpointd.client.langgraph.updates import Told, update_state, write_update
from checkpointd.v1 import states_pb2 as states
from checkpointd.v1.core_pb2 import Precondition, Value

SERDE = JsonPlusSerializer(allowed_msgpack_modules=None)


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")

    needed: int | None
    unset: str | None = None
    preset: list[int] = [1]
    nullable: str | None = "x"


@dataclass
class Data:
    x: Any
    y: int | None = None


def value(thing: object) -> Value:
    encoding, data = SERDE.dumps_typed(thing)
    return Value(encoding=encoding, data=data)


def writes(*pairs: tuple[str, Any]) -> states.StateUpdate:
    """An update with values by key."""
    return states.StateUpdate(writes=[states.ChannelWrites(channel=key, values=[value(one)]) for key, one in pairs])


def going(update: states.StateUpdate, *targets: str | Send) -> states.StateUpdate:
    """The same update, leading to these."""
    update.goto.SetInParent()
    for target in targets:
        if isinstance(target, str):
            update.goto.targets.add(node=target)
        else:
            update.goto.targets.add(send=states.Send(node=target.node, input=value(target.arg)))
    return update


def one(thing: object) -> states.StateUpdate:
    """An update with one bare value."""
    return states.StateUpdate(value=value(thing))


def written(*told: Any) -> states.StateUpdate:
    message = states.StateUpdate()
    write_update(Told(*told), SERDE, message, "update")
    return message


MESSAGE = HumanMessage("hello", id="m")
SEND = Send("a", {"x": [1]})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, states.StateUpdate()),
        ({"b": 1, "a": None}, writes(("b", 1), ("a", None))),
        ({"a": Overwrite([1])}, writes(("a", Overwrite([1])))),
        ({}, one({})),
        ({"a": 1, 2: 3}, one({"a": 1, 2: 3})),
        ("text", one("text")),
        (0, one(0)),
        ([], one([])),
        ([1, {"a": 2}], one([1, {"a": 2}])),
        ((1, 2), one((1, 2))),
        (MESSAGE, one(MESSAGE)),
        ([MESSAGE], one([MESSAGE])),
        (Overwrite([1]), one(Overwrite([1]))),
        (Data(x={"deep": Data(1)}), writes(("x", {"deep": Data(1)}), ("y", None))),
        (Model(needed=None), writes(("needed", None), ("preset", [1]), ("nullable", "x"))),
        (
            Model(needed=1, unset=None, nullable=None, more=2),  # type: ignore[call-arg]
            writes(("needed", 1), ("unset", None), ("preset", [1]), ("nullable", None), ("more", 2)),
        ),
        (Command(), states.StateUpdate()),
        (Command(update={}), states.StateUpdate()),
        (Command(update={"a": 1}), writes(("a", 1))),
        (Command(update=[("a", 1), ("b", 2), ("a", 3)]), writes(("a", 1), ("b", 2), ("a", 3))),
        (Command(update=Data(1)), writes(("x", 1), ("y", None))),
        (Command(update=5), one(5)),
        (Command(update=MESSAGE), one(MESSAGE)),
        (Command(goto="a"), going(states.StateUpdate(), "a")),
        (Command(update={"a": 1}, goto=["b", SEND]), going(writes(("a", 1)), "b", SEND)),
        (Command(goto="__end__"), going(states.StateUpdate(), "__end__")),
        (SEND, going(states.StateUpdate(), SEND)),
        (
            [Command(update={"a": 1}, goto="b"), None, {"a": 2}, {}, Data(3), Command(goto=SEND)],
            going(writes(("a", 1), ("a", 2), ("x", 3), ("y", None)), "b", SEND),
        ),
        ((Command(goto="b"), 5), going(one(5), "b")),
        ([[Command(update={"a": 1})], Command(update={"b": 2})], writes(("a", 1), ("b", 2))),
    ],
    ids=repr,
)
def test_values(values: Any, message: states.StateUpdate) -> None:
    assert written(values) == message


@pytest.mark.parametrize("as_node", ["__input__", "__end__"])
@pytest.mark.parametrize("values", [{"a": 1}, {}, Data(1), Command(goto="a"), MESSAGE])
def test_values_of_no_node_are_taken_as_they_are(as_node: str, values: Any) -> None:
    assert written(values, as_node) == states.StateUpdate(as_node=as_node, value=value(values))
    assert written(None, as_node) == states.StateUpdate(as_node=as_node)


@pytest.mark.parametrize(
    ("goto", "targets"),
    [
        ((), ()),
        ([], ()),
        ("a", ("a",)),
        (SEND, (SEND,)),
        (["a", SEND], ("a", SEND)),
        (Send("a", None), (Send("a", None),)),
    ],
    ids=repr,
)
def test_where_the_node_leads_to(goto: Any, targets: tuple[str | Send, ...]) -> None:
    assert written({"a": 1}, None, None, goto) == going(writes(("a", 1)), *targets)
    assert written(Command(goto="first"), None, None, goto) == going(states.StateUpdate(), "first", *targets)


def test_a_copy_and_what_follows_it() -> None:
    nothings: tuple[Any, ...] = (None, [], {})
    for nothing in nothings:
        assert written(nothing, "__copy__") == states.StateUpdate(as_node="__copy__")
    then = [({"a": 1}, "n"), StateUpdate({}, "n", "task"), (Command(goto="m"), "n"), [5], (None, "n", None, ())]
    expected = [writes(("a", 1)), one({}), going(states.StateUpdate(), "m"), one(5), going(states.StateUpdate())]
    for place, update in enumerate(expected):
        update.as_node = "" if place == 3 else "n"
    assert written(then, "__copy__") == states.StateUpdate(as_node="__copy__", then=expected)


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ((Command(graph=Command.PARENT, update={"a": 1}),), "update.values"),
        (([{"a": 1}, Command(graph=Command.PARENT)],), "update.values[1]"),
        ((Command(resume=1),), "update.values"),
        (([Command(update=1), 2],), "update.values"),
        ((Command(goto=[1]),), "update.goto.targets[0]"),
        ((None, None, None, 1), "update.goto.targets[0]"),
        ((None, None, None, [SEND, Send("a", 1, timeout=3)]), "update.goto.targets[1]"),
        (({"a": 1}, "__copy__"), "update.values"),
        (("text", "__copy__"), "update.values"),
        (([{"a": 1}], "__copy__"), "update.then[0]"),
        ((["ab"], "__copy__"), "update.then[0]"),
        (({"a": dir},), "update.values['a']"),
        (({"\ud800": 1},), "channel"),
        ((None, 5), "as_node"),
        ((None, "a", 5), "task_id"),
        ((None, None, None, "\ud800"), "node"),
    ],
    ids=repr,
)
def test_what_can_not_be_said_is_refused(told: tuple[Any, ...], field: str) -> None:
    with pytest.raises(InvalidRequest, match="this call stored nothing") as raised:
        written(*told)
    assert raised.value.metadata == {"field": field}
    assert field in str(raised.value)


def test_a_refused_value_is_shown_briefly() -> None:
    with pytest.raises(InvalidRequest) as raised:
        written(["x" * 100_000], "__copy__")
    assert len(str(raised.value)) < 500


def request(config: Any, *supersteps: Any, graph: Any = None, expected_head: str | None = None) -> Any:
    sent = update_state(config, supersteps, SERDE, graph=graph, expected_head=expected_head).request
    assert sent.request_id
    sent.ClearField("request_id")  # each has its own
    return sent


def test_a_request() -> None:
    config = {
        "configurable": {
            "thread_id": 7,
            "checkpoint_ns": "n",
            "checkpoint_id": "c1",
            "checkpoint_map": {"": "c0"},
            "user": "u\0",
            "thing": object(),
            "__secret": 1,
        },
        "metadata": {"ratio": 0.5, "list": [1], "user": "first", "bad": float("nan")},
        "tags": ["t"],
    }
    updates = [({"a": 1}, "n", "task"), StateUpdate(None, "m")], [(5,)]
    first = states.StateUpdate(as_node="n", task_id="task")
    first.MergeFrom(writes(("a", 1)))
    assert request(config, *updates, graph=states.GraphRef(name="g"), expected_head="c2") == states.UpdateStateRequest(
        thread_id="7",
        checkpoint_ns="n",
        checkpoint_id="c1",
        supersteps=[
            states.Superstep(updates=[first, states.StateUpdate(as_node="m")]),
            states.Superstep(updates=[one(5)]),
        ],
        metadata='{"ratio":0.5,"user":"first"}',
        graph=states.GraphRef(name="g"),
        precondition=Precondition(expected_head="c2"),
    )


def test_a_request_leaves_out_what_was_not_said() -> None:
    config = {"configurable": {"thread_id": "t"}}
    empty = states.UpdateStateRequest(thread_id="t", supersteps=[states.Superstep(updates=[states.StateUpdate()])])
    assert request(config, [(None,)]) == empty
    assert request(config, [(None,)], expected_head="").precondition.HasField("expected_head")
    with pytest.raises(InvalidRequest, match="names no thread"):
        request({}, [(None,)])


@pytest.mark.parametrize("update", [{"a": 1}, (), (None, "n", "task", "goto", 5), "text", None], ids=repr)
def test_what_is_no_update_is_refused(update: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"supersteps\[0\]\.updates\[1\] is .*; give a tuple \(values, as_node,"):
        request({"configurable": {"thread_id": "t"}}, [(None,), update])


def test_updates_need_no_langgraph() -> None:
    program = """
        import sys
        sys.modules.update(dict.fromkeys(("langgraph.types", "langgraph.pregel", "langgraph.graph")))
        from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
        from checkpointd.client.langgraph.updates import update_state
        config = {"configurable": {"thread_id": "t"}}
        for values in ({"a": 1}, None, [1], 5):
            update_state(config, [[(values, "n", None, "b")]], JsonPlusSerializer(), graph=None, expected_head=None)
        print("done")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "done\n", done.stderr
