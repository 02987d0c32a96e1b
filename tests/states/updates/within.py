"""Updates in the graphs within graphs, and of the graphs around them."""

from __future__ import annotations

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot

from tests.states.corpus.nested import (
    as_node,
    called,
    called_remembering,
    hidden,
    remembering,
    several,
    stopping_inside,
    stopping_outside,
    two_levels,
    two_levels_remembering,
)
from tests.states.corpus.playing import Play
from tests.states.updates.cases import Told, before, case, inside, invoked, one, steps

IN = invoked({"log": ["in"]})
PUT = {"log": ["put"], "mood": "sure"}
DONE = invoked({"log": ["in"]}, then=lambda play: play.resume("answered") and None)


def deep(play: Play) -> RunnableConfig:
    """The graph within the graph within."""
    (task,) = play.state(subgraphs=True).tasks
    assert isinstance(task.state, StateSnapshot)
    (inner,) = task.state.tasks
    assert isinstance(inner.state, StateSnapshot)
    return {"configurable": {"thread_id": "", "checkpoint_ns": inner.state.config["configurable"]["checkpoint_ns"]}}


def inner_head(play: Play) -> RunnableConfig:
    """The checkpoint inside, by its id, as the graph around tells it."""
    return play.inner()


def inner_first(play: Play) -> RunnableConfig:
    """The first checkpoint inside."""
    *_, first = play.graph.get_state_history(inside_thread(play))
    return first.config


def inside_thread(play: Play) -> RunnableConfig:
    return {"configurable": {**play.thread["configurable"], **inside(play)["configurable"]}}


def nowhere(play: Play) -> RunnableConfig:
    return {"configurable": {"thread_id": "", "checkpoint_ns": "nowhere:11111111-2222-3333-4444-555555555555"}}


def unbegun(play: Play) -> RunnableConfig:
    """The subgraph of a task that waits and has not begun."""
    (task,) = play.state().tasks
    assert isinstance(task.state, dict)
    return {"configurable": {"thread_id": "", **task.state["configurable"]}}


for build in (as_node, called, remembering, called_remembering, stopping_inside):
    name = build.__name__
    case(f"inside, {name}", build, IN, one(PUT, "think", at=inside))
    case(f"inside, of whom is not said, {name}", build, IN, one(PUT, at=inside))
    case(f"around what waits, {name}", build, IN, one({"log": ["around"]}, "before"))
    case(f"instead of what waits, {name}", build, IN, one({"log": ["instead"]}, "inside"))
for build in (as_node, remembering):
    name = build.__name__
    case(f"inside, as the one that asks, {name}", build, IN, one({"log": ["put"]}, "ask", at=inside))
    case(f"inside by its id, {name}", build, IN, one(PUT, "think", at=inner_head))
    case(f"inside, a fork, {name}", build, IN, one(PUT, "think", at=inner_first))
    case(f"inside, the end, {name}", build, IN, one(None, "__end__", at=inside))
    case(f"inside, a copy, {name}", build, IN, one(None, "__copy__", at=inside))
    case(f"inside, input, {name}", build, IN, one({"log": ["put"]}, "__input__", at=inside))
    case(
        f"inside, supersteps, {name}",
        build,
        IN,
        steps([Told({"mine": ["1"]}, "think")], [Told({"log": ["2"]}, "ask")], at=inside),
    )
    case(f"around what has run, {name}", build, DONE, one({"log": ["put"]}, "inside"))
    case(f"a fork around what has run, {name}", build, DONE, one({"log": ["put"]}, "before", at=before("inside")))
    case(f"a copy around what has run, {name}", build, DONE, one(None, "__copy__", at=before("inside")))
for build in (two_levels, two_levels_remembering):
    name = build.__name__
    case(f"the middle, {name}", build, IN, one({"log": ["put"]}, "before", at=inside))
    case(f"the innermost, {name}", build, IN, one(PUT, "think", at=deep))
    case(
        f"the innermost, several supersteps, {name}",
        build,
        IN,
        steps([Told(PUT, "think")], [Told({"log": ["2"]}, "ask")], at=deep),
    )
case("inside what has not begun", stopping_outside, IN, one({"log": ["put"]}, "before", at=unbegun))
case("inside one of two", several, IN, one(PUT, "think", at=inside))
case("inside nowhere", as_node, IN, one(PUT, "think", at=nowhere), refused="SUBGRAPH_NOT_FOUND")
case("inside what LangGraph does not find", hidden, IN, one(PUT, "think", at=nowhere), refused="SUBGRAPH_NOT_FOUND")
case("around what LangGraph does not find", hidden, IN, one({"log": ["put"]}, "before"))
