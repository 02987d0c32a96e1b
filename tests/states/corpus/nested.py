"""Graphs within graphs: as nodes, called by nodes, with a memory of their own, several levels deep."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt

from tests.states.corpus.playing import Broken, Graph, Play, scenario


class Outer(TypedDict, total=False):
    log: Annotated[list[str], add]
    mood: str


class Inner(TypedDict, total=False):
    log: Annotated[list[str], add]
    mine: Annotated[list[str], add]
    mood: str


class Leaving(TypedDict, total=False):
    log: Annotated[list[str], add]


def think(state: Inner) -> Inner:
    if state.get("mood") == "broken":
        raise Broken("in the subgraph")
    return {"mine": [f"thinks {len(state.get('mine', []))}"]}


def ask(state: Inner) -> Inner:
    if state.get("mood") == "sure":
        return {"log": ["sure"]}
    return {"log": [interrupt({"thoughts": state.get("mine", [])})], "mine": ["asked"]}


def inner_graph(**options: Any) -> Graph:
    """think -> ask."""
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Inner, output_schema=Leaving)
    graph.add_sequence([think, ask])
    graph.add_edge(START, "think")
    return graph.compile(**options)


def around(node: Any, saver: Any, **options: Any) -> Graph:
    """before -> the node -> after."""

    def before(state: Outer) -> Outer:
        return {"log": ["before"]}

    def after(state: Outer) -> Outer:
        return {"log": ["after"]}

    graph: StateGraph[Any] = StateGraph(Outer)
    graph.add_node("before", before)
    graph.add_node("inside", node)
    graph.add_node("after", after)
    for start, end in ((START, "before"), ("before", "inside"), ("inside", "after")):
        graph.add_edge(start, end)
    return graph.compile(checkpointer=saver, **options)


def as_node(saver: Any) -> Graph:
    """The subgraph is a node."""
    return around(inner_graph(), saver)


def called(saver: Any) -> Graph:
    """A node's function calls the subgraph."""
    subgraph = inner_graph()

    def call(state: Outer) -> Outer:
        given = {"log": ["given"], "mood": state.get("mood", "")}
        return {"log": subgraph.invoke(given)["log"]}

    return around(call, saver)


def hidden(saver: Any) -> Graph:
    """A node's function calls a subgraph that LangGraph can't see: it comes as a default."""

    def call(state: Outer, subgraph: Any = inner_graph()) -> Outer:  # noqa: B008 - that it is a default is the point
        return {"log": subgraph.invoke({"log": ["given"], "mood": state.get("mood", "")})["log"]}

    return around(call, saver)


def remembering(saver: Any) -> Graph:
    """The subgraph is a node and keeps its state from call to call."""
    return around(inner_graph(checkpointer=True), saver)


def called_remembering(saver: Any) -> Graph:
    """A node's function calls a subgraph that keeps its state."""
    subgraph = inner_graph(checkpointer=True)

    def call(state: Outer) -> Outer:
        return {"log": subgraph.invoke({"log": ["given"], "mood": state.get("mood", "")})["log"]}

    return around(call, saver)


def two_levels(saver: Any) -> Graph:
    """A subgraph within a subgraph."""
    return around(around(inner_graph(), None), saver)


def two_levels_remembering(saver: Any) -> Graph:
    """The inner one of two levels keeps its state, and so does the one around it."""
    return around(around(inner_graph(checkpointer=True), True), saver)


def forgetting(saver: Any) -> Graph:
    """A subgraph that stores nothing."""
    return around(inner_graph(checkpointer=False), saver)


def stopping_inside(saver: Any) -> Graph:
    """The subgraph stops before a node of its own."""
    return around(inner_graph(interrupt_before=["ask"]), saver)


def stopping_outside(saver: Any) -> Graph:
    """The graph around stops before the subgraph has begun."""
    return around(around(inner_graph(), None), saver, interrupt_before=["inside"])


def stopping_outside_remembering(saver: Any) -> Graph:
    """The same with a subgraph that keeps its state."""
    return around(inner_graph(checkpointer=True), saver, interrupt_before=["inside"])


def several(saver: Any) -> Graph:
    """Two subgraphs side by side, and one that tasks are sent to."""

    def start(state: Outer) -> Command[Any]:
        sends = [Send("sent", {"log": [], "mood": mood}) for mood in ("sure", "unsure")]
        return Command(goto=sends if state.get("mood") == "sending" else [])

    graph: StateGraph[Any] = StateGraph(Outer)
    graph.add_node("start", start, destinations=("sent",))
    for node in ("left", "right", "sent"):
        graph.add_node(node, inner_graph())
    graph.add_edge(START, "start")
    graph.add_edge("start", "left")
    graph.add_edge("start", "right")
    return graph.compile(checkpointer=saver)


@scenario(as_node)
@scenario(called)
@scenario(hidden)
@scenario(remembering)
@scenario(called_remembering)
@scenario(two_levels)
@scenario(two_levels_remembering)
@scenario(stopping_inside)
def waits_inside(play: Play) -> None:
    play.invoke({"log": ["in"]})


@scenario(as_node)
@scenario(called)
@scenario(remembering)
@scenario(called_remembering)
@scenario(two_levels)
@scenario(two_levels_remembering)
def runs_and_waits_again(play: Play) -> None:
    play.invoke({"log": ["in"]})
    play.resume("answered")
    play.invoke({"log": ["again"], "mood": "sure"})
    play.invoke({"log": ["once more"], "mood": "unsure"})


@scenario(as_node)
@scenario(remembering)
@scenario(two_levels)
def breaks_inside(play: Play) -> None:
    play.breaks({"log": ["in"], "mood": "broken"})


@scenario(as_node)
@scenario(called)
@scenario(remembering)
@scenario(two_levels)
def is_replayed(play: Play) -> None:
    play.invoke({"log": ["in"]})
    play.resume("answered")
    play.invoke(None, play.before("inside"))
    play.resume("otherwise")
    play.update({"log": ["changed"]}, at=play.before("before"))


@scenario(as_node)
@scenario(two_levels)
@scenario(stopping_inside)
def is_changed_inside(play: Play) -> None:
    play.invoke({"log": ["in"]})
    place = play.inner()
    play.graph.update_state(place, {"log": ["changed inside"]})
    play.invoke(None)


@scenario(stopping_outside)
@scenario(stopping_outside_remembering)
def has_never_been_inside(play: Play) -> None:
    play.invoke({"log": ["in"]})


@scenario(stopping_outside)
@scenario(stopping_outside_remembering)
def has_not_begun_inside(play: Play) -> None:
    play.invoke({"log": ["in"], "mood": "sure"})
    play.invoke(None)
    play.invoke({"log": ["again"], "mood": "sure"})


@scenario(forgetting)
def forgets(play: Play) -> None:
    play.invoke({"log": ["in"], "mood": "sure"}, durability="async")


@scenario(stopping_inside)
def goes_on_inside(play: Play) -> None:
    play.invoke({"log": ["in"]})
    play.invoke(None)
    play.resume("answered")


@scenario(several)
def both_wait(play: Play) -> None:
    play.invoke({"log": ["in"]})


@scenario(several)
def one_of_both_is_answered(play: Play) -> None:
    play.invoke({"log": ["in"]})
    play.resume({play.asked()[0]: "answered"})


@scenario(several)
def the_sent_wait_too(play: Play) -> None:
    play.invoke({"log": ["in"], "mood": "sending"})
    first, *_ = play.asked()
    play.resume({first: "answered"})
