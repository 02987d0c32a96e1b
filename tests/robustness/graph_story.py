"""The graph that the graph clients run, and what must hold of its state whoever ran it.

A run is named by a marker, which its nodes add to lists: one at the beginning, three at once in the middle, of which
one is a subgraph, and one at the end. What runs at once is one superstep, and so it is there as a whole or not at all.
"""

import operator
import random
import time
from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import interrupt

Graph = CompiledStateGraph[Any, Any, Any, Any]

NOT, AT_THE_END, INSIDE = range(3)
"""Where a run asks a person: nowhere, in its last node, in the subgraph while its neighbours are done."""

AT_ONCE = ("noted", "parts")
"""Lists that one superstep adds to; `count` counts with them."""
LISTS = ("begun", *AT_ONCE, "joined")
"""The lists that a run adds its marker to, in this order."""
UPDATED = "updated"
"""The list that updates from outside of runs add their marker to."""

_SLOWEST = 0.01  # seconds that a node takes, so that neighbours end in any order


_LENGTH = 40  # of what a run tells, beside its name


class Story(TypedDict, total=False):
    run: str
    asks: int
    begun: Annotated[list[str], operator.add]
    noted: Annotated[list[str], operator.add]
    count: Annotated[int, operator.add]
    parts: Annotated[list[str], operator.add]
    joined: Annotated[list[str], operator.add]
    updated: Annotated[list[str], operator.add]
    told: Annotated[list[str], operator.add]  # long: it travels and is stored as its changes


class Given(TypedDict, total=False):
    """What the subgraph is given."""

    run: str
    asks: int


class Part(TypedDict, total=False):
    """What the subgraph gives back."""

    parts: list[str]


class Inner(Given, Part, total=False):
    """The state of the subgraph."""

    steps: Annotated[list[str], operator.add]


def story(saver: BaseCheckpointSaver[str]) -> Graph:
    """The graph."""
    builder = StateGraph(Story)
    builder.add_node("begin", _begin)
    builder.add_node("note", _note)
    builder.add_node("count_up", _count_up)
    builder.add_node("inner", _inner())
    builder.add_node("join", _join)
    builder.add_edge(START, "begin")
    for node in ("note", "count_up", "inner"):
        builder.add_edge("begin", node)
    builder.add_edge(["note", "count_up", "inner"], "join")
    builder.add_edge("join", END)
    return builder.compile(checkpointer=saver)


def _inner() -> Graph:
    builder = StateGraph(Inner, input_schema=Given, output_schema=Part)
    builder.add_node("first", _first)
    builder.add_node("second", _second)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    builder.add_edge("second", END)
    return builder.compile()


class NobodyAsked(Exception):
    """There is no run to go on with: LangGraph takes an answer for the input of an empty thread."""


def _begin(state: Story) -> Story:
    if "run" not in state:
        raise NobodyAsked
    return {"begun": [state["run"]], "told": [state["run"] * _LENGTH]}


def _note(state: Story) -> Story:
    time.sleep(random.uniform(0, _SLOWEST))
    return {"noted": [state["run"]]}


def _count_up(state: Story) -> Story:
    time.sleep(random.uniform(0, _SLOWEST))
    return {"count": 1}


def _first(state: Inner) -> Inner:
    return {"steps": [state["run"]]}


def _second(state: Inner) -> Inner:
    if state["asks"] == INSIDE:
        interrupt(state["run"])
    return {"steps": ["second"], "parts": [state["run"]]}


def _join(state: Story) -> Story:
    if state["asks"] == AT_THE_END:
        interrupt(state["run"])
    return {"joined": [state["run"]]}


def wrong_state(state: Mapping[str, Any]) -> str:
    """What is wrong with a state, of which it does not matter where in a run it is; "" for nothing."""
    lists = {name: list(state.get(name, [])) for name in (*LISTS, UPDATED)}
    for name, markers in lists.items():
        if len(set(markers)) < len(markers):
            return f"{name} has a run twice"
    noted, parts, count = lists["noted"], lists["parts"], state.get("count", 0)
    if noted != parts or count != len(noted):
        return f"half a superstep: {len(noted)} runs noted, {len(parts)} with a part, {count} counted"
    for earlier, later in (("begun", "noted"), ("noted", "joined")):
        if set(lists[later]) - set(lists[earlier]):
            return f"{later} has a run that {earlier} has not"
    return ""
