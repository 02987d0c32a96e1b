"""Runs that stop on the way: before and after nodes, at questions, at failures."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.errors import InvalidUpdateError
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from tests.states.corpus.flow import graph_of, hush, say
from tests.states.corpus.playing import Broken, Graph, Play, scenario


class Asked(TypedDict, total=False):
    log: Annotated[list[str], add]
    answers: Annotated[dict[str, Any], lambda old, new: {**old, **new}]
    name: str
    allowed: bool


def stopping(saver: Any) -> Graph:
    """a -> b -> c, stopping before b and after c, and d after that."""
    edges: list[tuple[Any, str]] = [(START, "a"), ("a", "b"), ("b", "c"), ("c", "d")]
    graph = graph_of({word: say(word) for word in "abcd"}, edges)
    return graph.compile(checkpointer=saver, interrupt_before=["b"], interrupt_after=["c"])


@scenario(stopping)
def stops_and_goes_on(play: Play) -> None:
    play.invoke({"log": []})
    play.invoke(None)
    play.invoke(None)


@scenario(stopping)
def stops_and_is_changed(play: Play) -> None:
    play.invoke({"log": []})
    play.update({"log": ["changed"]})
    play.invoke(None)
    play.update({"log": ["anew"]}, as_node="a")
    play.invoke({"log": ["other input"]})


def asking(saver: Any) -> Graph:
    """One node asks twice."""

    def ask(state: Asked) -> Asked:
        name = interrupt("name?")
        age = interrupt({"age of": name, "units": ("years", 1.5), "none": None})
        return {"answers": {name: age}, "log": ["asked"]}

    return graph_of(
        {"a": hush("a"), "ask": ask, "b": hush("b")}, [(START, "a"), ("a", "ask"), ("ask", "b")], Asked
    ).compile(checkpointer=saver)


@scenario(asking)
def asks(play: Play) -> None:
    play.invoke({"log": []})


@scenario(asking)
def asks_again(play: Play) -> None:
    play.invoke({"log": []})
    play.resume("Ada")


@scenario(asking)
def is_answered(play: Play) -> None:
    play.invoke({"log": []})
    play.resume("Ada")
    play.resume(36)
    play.invoke(None, play.before("ask"))


@scenario(asking)
def is_answered_with_a_change(play: Play) -> None:
    play.invoke({"log": []})
    play.invoke(Command(resume="Ada", update={"log": ["meanwhile"], "name": "changed"}))


@scenario(asking)
def is_changed_when_it_asks(play: Play) -> None:
    play.invoke({"log": []})
    play.update({"log": ["changed"]}, as_node="a")
    play.invoke(None)
    play.update({"answers": {"by": "hand"}}, as_node="ask")


def asking_together(saver: Any) -> Graph:
    """Three nodes side by side: two ask, one does not; then they join."""

    def ask(name: str) -> Any:
        def node(state: Asked) -> Asked:
            return {"answers": {name: interrupt(f"{name}?")}, "log": [name]}

        return node

    nodes = {"a": hush("a"), "x": ask("x"), "y": ask("y"), "z": hush("z"), "end": hush("end")}
    edges: list[tuple[Any, str]] = [(START, "a"), ("a", "x"), ("a", "y"), ("a", "z"), (["x", "y", "z"], "end")]
    return graph_of(nodes, edges, Asked).compile(checkpointer=saver)


@scenario(asking_together)
def all_wait(play: Play) -> None:
    play.invoke({"log": [], "answers": {"given": 0}})


@scenario(asking_together)
def one_is_answered(play: Play) -> None:
    play.invoke({"log": []})
    play.resume({play.asked()[0]: 1})


@scenario(asking_together)
def all_are_answered(play: Play) -> None:
    play.invoke({"log": []})
    first, second = play.asked()
    play.resume({second: 2})
    play.resume({first: 1})


@scenario(asking_together)
def one_is_answered_and_the_state_is_changed(play: Play) -> None:
    play.invoke({"log": []})
    play.resume({play.asked()[0]: 1})
    play.update({"log": ["changed"]}, as_node="a")
    play.invoke(None)


def failing(saver: Any) -> Graph:
    """Three nodes side by side, of which the last fails until it is allowed not to."""

    def fail(state: Asked) -> Asked:
        if not state.get("allowed"):
            raise Broken("not allowed")
        return {"log": ["allowed"]}

    def mark(state: Asked) -> Asked:
        return {"name": "marked", "log": ["marked", "twice"]}

    def nothing(state: Asked) -> None:
        return None

    nodes = {"a": hush("a"), "mark": mark, "nothing": nothing, "zz": fail, "end": hush("end")}
    sides = ("mark", "nothing", "zz")
    edges: list[tuple[Any, str]] = [(START, "a"), *(("a", side) for side in sides), ("zz", "end")]
    return graph_of(nodes, edges, Asked).compile(checkpointer=saver)


@scenario(failing)
def fails(play: Play) -> None:
    play.breaks({"log": []})


@scenario(failing)
def fails_again(play: Play) -> None:
    play.breaks({"log": []})
    play.breaks(None)


@scenario(failing)
def fails_and_is_helped(play: Play) -> None:
    play.breaks({"log": []})
    play.update({"allowed": True}, as_node="a")
    play.invoke(None)


@scenario(failing)
def fails_and_begins_anew(play: Play) -> None:
    play.breaks({"log": ["one"]})
    play.invoke({"allowed": True, "log": ["two"]})
    play.breaks({"allowed": False}, play.before("a"))


def handled(saver: Any) -> Graph:
    """A node whose failure another node takes care of."""

    def fail(state: Asked) -> Asked:
        raise Broken("handled")

    def handle(state: Asked) -> Asked:
        return {"log": ["handled"]}

    graph: StateGraph[Any] = StateGraph(Asked)
    graph.add_node("a", hush("a"))
    graph.add_node("fail", fail, error_handler=handle)
    graph.add_node("end", hush("end"))
    for start, end in ((START, "a"), ("a", "fail"), ("fail", "end")):
        graph.add_edge(start, end)
    return graph.compile(checkpointer=saver)


@scenario(handled)
def is_handled(play: Play) -> None:
    play.invoke({"log": []})


def colliding(saver: Any) -> Graph:
    """Two nodes side by side that write one key when the state's name is "same", and a third that asks."""

    def ask(state: Asked) -> Asked:
        return {"log": [str(interrupt("may they collide?", response_schema=bool))]}

    def write(name: str) -> Any:
        def node(state: Asked) -> Asked:
            return {"log": [name], "name": name} if state.get("name") in ("same", name) else {"log": [name]}

        return node

    edges: list[tuple[Any, str]] = [(START, side) for side in ("left", "right", "ask")]
    nodes = {"left": write("left"), "right": write("right"), "ask": ask}
    return graph_of(nodes, edges, Asked).compile(checkpointer=saver)


@scenario(colliding)
def asks_beside_the_finished(play: Play) -> None:
    play.invoke({"log": ["in"], "name": "left"})
    play.invoke(Command(resume="yes"))
    play.invoke({"log": ["in"], "name": "right"})


@scenario(colliding)
def collides(play: Play) -> None:
    play.breaks({"log": ["in"], "name": "same"}, error=InvalidUpdateError)
