"""Updates that are refused: each with its status, its reason, and words of what it says to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
from langchain_core.messages import RemoveMessage
from langgraph.channels import EphemeralValue, LastValue, NamedBarrierValue
from langgraph.pregel import NodeBuilder, Pregel
from langgraph.pregel._read import PregelNode
from langgraph.types import Command, Overwrite, Send

from tests.states.corpus import bare, flow, folding, mapping, nested, shapes
from tests.states.corpus.playing import Build, Graph, Play
from tests.states.updates import shaped
from tests.states.updates.cases import Told, Way, before, invoked, nothing, one, steps

INVALID = grpc.StatusCode.INVALID_ARGUMENT
MISSING = grpc.StatusCode.NOT_FOUND
FAILED = grpc.StatusCode.FAILED_PRECONDITION
ABORTED = grpc.StatusCode.ABORTED

RUN = invoked({"log": ["in"]})
ID = "1f1e53ed-9ede-622b-8003-9d1be3f99e09"


class Refused(NamedTuple):
    name: str
    build: Build
    prepare: Callable[[Play], None]
    update: Way
    code: grpc.StatusCode
    reason: str
    advice: str
    """What the message says, among other things: what is wrong, or what to do."""

    options: dict[str, Any] = {}  # noqa: RUF012 - a default of a NamedTuple, never changed


def at(**configurable: Any) -> Callable[[Play], Any]:
    return lambda play: {"configurable": {"thread_id": "", **configurable}}


def chat(play: Play) -> None:
    play.invoke({"messages": [("user", "hello")]})


class Mine(LastValue[Any]):
    """A channel of the user's own class."""


def by_hand(saver: Any) -> Graph:
    """One node writes any value to a barrier, one to a channel of the user's own class, and one writes nothing."""

    def think(given: str) -> str:
        return given

    nodes: dict[str, Any] = {
        "arm": NodeBuilder().subscribe_only("given").do(think).write_to("both"),
        "custom": NodeBuilder().subscribe_only("given").do(think).write_to("mine"),
        "silent": PregelNode(channels="given", triggers=["given"]),
    }
    channels: dict[str, Any] = {
        "given": EphemeralValue(str),
        "both": NamedBarrierValue(str, {"one", "two"}),
        "mine": Mine(str),
    }
    return Pregel(nodes=nodes, channels=channels, input_channels="given", output_channels="mine", checkpointer=saver)


ROWS = (
    Refused(
        "an arm that the join does not wait for",
        by_hand,
        invoked("one"),
        one("three", "arm"),
        INVALID,
        "INVALID_UPDATE",
        "'both' waits for ['one', 'two']",
    ),
    Refused(
        "a channel of the user's own class",
        by_hand,
        invoked("one"),
        one("three", "custom"),
        FAILED,
        "NEEDS_CODE",
        "channel 'mine'",
    ),
    Refused(
        "a node without writers",
        by_hand,
        invoked("one"),
        one("three", "silent"),
        INVALID,
        "INVALID_UPDATE",
        "writes nothing; name another node",
    ),
    Refused(
        "who wrote last is ambiguous",
        flow.side_by_side,
        invoked({}, interrupt_before=["e"]),
        one({"log": []}),
        INVALID,
        "INVALID_UPDATE",
        "name one of __start__, a, b, c, d, e",
    ),
    Refused(
        "no such node",
        flow.sequential,
        RUN,
        one({"log": []}, "nobody"),
        INVALID,
        "INVALID_UPDATE",
        "name one of __start__, a, b, c",
    ),
    Refused(
        "several updates and a node missing",
        flow.sequential,
        RUN,
        steps([Told({}, "a"), Told({})]),
        INVALID,
        "INVALID_UPDATE",
        "name the node of each",
    ),
    Refused(
        "values that are no object",
        flow.sequential,
        RUN,
        one(["log"], "a"),
        INVALID,
        "INVALID_UPDATE",
        "give the values by key",
    ),
    Refused(
        "an end with values",
        flow.sequential,
        RUN,
        one({"log": []}, "__end__"),
        INVALID,
        "INVALID_UPDATE",
        "name one of",
    ),
    Refused(
        "an end and more",
        flow.sequential,
        RUN,
        steps([Told(None, "__end__"), Told({}, "a")]),
        INVALID,
        "INVALID_UPDATE",
        "stands alone in its superstep",
    ),
    Refused(
        "an input and more",
        flow.sequential,
        RUN,
        steps([Told({"log": []}, "__input__"), Told({}, "a")]),
        INVALID,
        "INVALID_UPDATE",
        "stands alone in its superstep",
    ),
    Refused(
        "two values for one key",
        flow.sequential,
        RUN,
        steps([Told({"last": "1"}, "a"), Told({"last": "2"}, "b")]),
        INVALID,
        "INVALID_UPDATE",
        "'last' can receive only one value per step",
    ),
    Refused(
        "two values for a guarded key",
        shaped.kinds,
        RUN,
        steps([Told({"once": "1"}, "a"), Told({"once": "2"}, "b")]),
        INVALID,
        "INVALID_UPDATE",
        "'once' can receive only one value per step",
    ),
    Refused(
        "two Overwrites",
        flow.sequential,
        RUN,
        steps([Told({"log": Overwrite([])}, "a"), Told({"log": {"__overwrite__": []}}, "b")]),
        INVALID,
        "INVALID_UPDATE",
        "only one Overwrite per step",
    ),
    Refused(
        "a type that the reducer does not take",
        flow.sequential,
        RUN,
        one({"log": "text"}, "a"),
        INVALID,
        "INVALID_UPDATE",
        "channel 'log' can't compute list + str",
    ),
    Refused(
        "a type that the reducer does not take, in the last of several supersteps",
        flow.sequential,
        RUN,
        steps([Told({"log": ["1"]}, "a")], [Told({"log": ["2"]}, "b")], [Told({"log": "text"}, "c")]),
        INVALID,
        "INVALID_UPDATE",
        "supersteps[2].updates",
    ),
    Refused(
        "a message that is not there",
        shapes.chatting,
        chat,
        one({"messages": RemoveMessage(id="no")}, "ask"),
        INVALID,
        "INVALID_UPDATE",
        "can't remove the message 'no'",
    ),
    Refused(
        "a goto to no node",
        flow.commanding,
        RUN,
        one(Command(goto="nobody"), "b"),
        INVALID,
        "INVALID_UPDATE",
        "name one of",
    ),
    Refused(
        "a Send to no node",
        flow.commanding,
        RUN,
        one(Command(goto=Send("nobody", 1)), "b"),
        INVALID,
        "INVALID_UPDATE",
        "name one of",
    ),
    Refused(
        "a goto where the conditions do not lead",
        flow.conditional,
        RUN,
        one({}, "c", goto="b"),
        INVALID,
        "INVALID_UPDATE",
        "lead to __end__, d",
    ),
    Refused(
        "a goto of an end",
        flow.sequential,
        RUN,
        one(None, "__end__", goto="a"),
        INVALID,
        "INVALID_UPDATE",
        "leave it out",
    ),
    Refused(
        "input that is nothing",
        flow.sequential,
        RUN,
        one(None, "__input__"),
        INVALID,
        "INVALID_UPDATE",
        "give some for __start__",
    ),
    Refused(
        "input of other keys",
        bare.by_hand_several,
        invoked({"given": "in"}),
        one({"out": 1}, "__input__"),
        INVALID,
        "INVALID_UPDATE",
        "give some for given, other",
    ),
    Refused(
        "a copy of nothing",
        flow.sequential,
        nothing,
        one(None, "__copy__"),
        FAILED,
        "NOTHING_TO_COPY",
        "has no checkpoint",
    ),
    Refused(
        "a subgraph that is none",
        nested.as_node,
        RUN,
        one({}, "think", at=at(checkpoint_ns=f"after:{ID}")),
        MISSING,
        "SUBGRAPH_NOT_FOUND",
        "name that of a task's subgraph",
    ),
    Refused(
        "a checkpoint that does not exist",
        flow.sequential,
        RUN,
        one({}, "a", at=at(checkpoint_id=ID)),
        MISSING,
        "CHECKPOINT_NOT_FOUND",
        ID,
    ),
    Refused(
        "a checkpoint of a thread that does not exist",
        flow.sequential,
        nothing,
        one({}, "a", at=at(checkpoint_id=ID)),
        MISSING,
        "CHECKPOINT_NOT_FOUND",
        ID,
    ),
    Refused(
        "conditions without a goto",
        flow.conditional,
        RUN,
        one({"count": 1}, "a"),
        FAILED,
        "NEEDS_CODE",
        "name the nodes that it leads to",
    ),
    Refused(
        "conditions that send, without a goto",
        mapping.map_reduce,
        invoked({"words": ["a"]}),
        one({}, "start"),
        FAILED,
        "NEEDS_CODE",
        "name the nodes that it leads to",
    ),
    Refused(
        "a reducer of the user's own",
        folding.folding,
        invoked({"own": ["a"]}),
        one({"own": ["b"]}, "left"),
        FAILED,
        "NEEDS_CODE",
        "send an Overwrite with the precondition expected_head",
    ),
    Refused(
        "changes of the user's own on a fork",
        folding.changing,
        invoked({"log": ["in"], "plain": ["p"]}),
        one({"log": ["x"]}, "a", at=before("b", "c", "ask")),
        FAILED,
        "NEEDS_CODE",
        "whose reducer is the graph's own",
    ),
    Refused(
        "a node that writes by code of its own",
        bare.by_hand,
        invoked("in"),
        one("x", "four"),
        FAILED,
        "NEEDS_CODE",
        "update it where the graph's code is",
    ),
    Refused(
        "a head that has moved",
        flow.sequential,
        RUN,
        one({}, "a"),
        ABORTED,
        "HEAD_MOVED",
        "read the state again",
        {"expected_head": ID},
    ),
    Refused(
        "a head where none was expected",
        flow.sequential,
        RUN,
        one({}, "a"),
        ABORTED,
        "HEAD_MOVED",
        "read the state again",
        {"expected_head": ""},
    ),
    Refused(
        "no head where one was expected",
        flow.sequential,
        nothing,
        one({}, "a"),
        ABORTED,
        "HEAD_MOVED",
        "read the state again",
        {"expected_head": ID},
    ),
    Refused(
        "a graph that is not registered",
        flow.sequential,
        RUN,
        one({}, "a"),
        MISSING,
        "GRAPH_NOT_FOUND",
        "another",
        {"graph_name": "another"},
    ),
)
