"""Reducers: known and unknown, with and without a first value, in channels stored whole and stored as changes."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired, Optional, TypedDict

from langchain_core.messages import AnyMessage, HumanMessage, RemoveMessage
from langgraph.channels import BinaryOperatorAggregate
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, StateGraph
from langgraph.graph.message import _messages_delta_reducer
from langgraph.types import Overwrite, interrupt

from tests.states.corpus.playing import Graph, Play, scenario


def extend(state: list[str], writes: Sequence[list[str]]) -> list[str]:
    """A delta channel's reducer of the user's own."""
    return [*state, *(line for lines in writes for line in lines)]


class Folded(TypedDict, total=False):
    strings: Annotated[list[str], operator.add]
    number: Annotated[int, operator.add]
    maybe: Annotated[Optional[int], operator.add]  # noqa: UP045 - `int | None` is another type, not callable either
    text: Annotated[str, operator.add]
    ratio: Annotated[float, operator.mul]
    greatest: Annotated[int, BinaryOperatorAggregate(int, max)]  # by itself, max has no signature to look at
    least: Annotated[int, BinaryOperatorAggregate(int, min)]
    names: Annotated[set[str], operator.or_]
    common: Annotated[set[int], operator.and_]
    table: Annotated[Mapping[str, int], operator.or_]
    flags: Annotated[int, operator.or_]
    own: Annotated[list[str], lambda old, new: sorted([*old, *new])]
    needed: NotRequired[Annotated[Sequence[int], operator.add]]


WRITES: dict[str, Any] = {
    "strings": ["b"],
    "number": 3,
    "maybe": 4,
    "text": "x",
    "ratio": 1.5,
    "greatest": 5,
    "least": -5,
    "names": {"n"},
    "common": {1, 2},
    "table": {"t": 1, "u": 2},
    "flags": 6,
    "own": ["z", "a"],
    "needed": [7],
}


def folding(saver: Any) -> Graph:
    """Two nodes side by side write every key; a third asks, so that their work waits."""

    def left(state: Folded) -> Any:
        return WRITES

    def right(state: Folded) -> Any:
        return {**WRITES, "strings": ["c", "d"], "greatest": 2, "table": {"t": 9}, "common": {2}}

    def ask(state: Folded) -> Any:
        return {"strings": [interrupt("?")]}

    graph: StateGraph[Any] = StateGraph(Folded)
    for node in (left, right, ask):
        graph.add_node(node)
        graph.add_edge(START, node.__name__)
    return graph.compile(checkpointer=saver)


@scenario(folding)
def folds(play: Play) -> None:
    play.invoke({"strings": ["a"]})
    play.resume("answered")
    play.invoke(WRITES)


@scenario(folding)
def folds_what_is_put(play: Play) -> None:
    play.invoke(WRITES)
    play.resume("answered")
    play.update({**WRITES, "strings": Overwrite(["over"]), "number": {"__overwrite__": 1}}, as_node="left")
    play.update({"own": ["m"], "maybe": 1}, as_node="right")


def overwriting(saver: Any) -> Graph:
    """One of two nodes overwrites; a third asks."""

    def left(state: Folded) -> Any:
        return {"strings": ["left"], "own": ["left"], "maybe": Overwrite(1)}

    def right(state: Folded) -> Any:
        return {"strings": Overwrite(["right"]), "own": Overwrite(["right"]), "number": Overwrite(value=8)}

    def ask(state: Folded) -> Any:
        return {"strings": [interrupt("?")]}

    graph: StateGraph[Any] = StateGraph(Folded)
    for node in (left, right, ask):
        graph.add_node(node)
        graph.add_edge(START, node.__name__)
    return graph.compile(checkpointer=saver)


@scenario(overwriting)
def overwrites(play: Play) -> None:
    play.invoke({"strings": ["a"], "own": ["b"], "number": 1})
    play.resume("answered")


class Changes(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], DeltaChannel(_messages_delta_reducer)]
    log: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=3)]
    plain: Annotated[list[str], operator.add]
    stop: bool


def changing(saver: Any) -> Graph:
    """A state stored as changes: one reducer that is known, one that is not."""

    def write(word: str) -> Any:
        def node(state: Changes) -> Changes:
            turn = len(state.get("plain", []))
            return {"messages": [HumanMessage(word, id=f"{word}-{turn}")], "log": [word], "plain": [word]}

        return node

    def ask(state: Changes) -> Changes:
        return {"log": [interrupt("?")]} if state.get("stop") else {}

    graph: StateGraph[Any] = StateGraph(Changes)
    for name in ("a", "b", "c"):
        graph.add_node(name, write(name))
    graph.add_node("ask", ask)
    for start, end in ((START, "a"), ("a", "b"), ("a", "c"), ("a", "ask")):
        graph.add_edge(start, end)
    return graph.compile(checkpointer=saver)


@scenario(changing)
def changes(play: Play) -> None:
    for turn in range(3):
        play.invoke({"log": [f"turn {turn}"], "plain": [f"turn {turn}"]})


@scenario(changing)
def changes_and_waits(play: Play) -> None:
    play.invoke({"messages": [HumanMessage("in", id="in")], "log": ["in"]})
    play.invoke({"stop": True, "messages": [HumanMessage("replaced", id="in"), RemoveMessage(id="a-0")]})


@scenario(changing)
def changes_are_put(play: Play) -> None:
    play.invoke({"log": ["in"], "messages": [HumanMessage("in", id="in")]})
    play.update({"log": ["put"], "messages": [HumanMessage("put", id="put")]}, as_node="a")
    play.invoke(None)
    fork = play.update({"log": ["forked"]}, as_node="a", at=play.before("b", "c", "ask"))
    play.invoke(None, fork)
    play.update({"log": Overwrite(["over"]), "messages": Overwrite([HumanMessage("over", id="o")])}, as_node="b")
    play.invoke({"stop": True})
