"""Nodes whose input is made into a model or a dataclass, and states that these do not take."""

from __future__ import annotations

from dataclasses import dataclass
from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from pydantic import BaseModel, ValidationError

from tests.states.corpus.nested import Outer, around
from tests.states.corpus.playing import Graph, Play, scenario


class Strict(BaseModel):
    log: Annotated[list[str], add]
    count: int = 0


def strict(saver: Any) -> Graph:
    """The state is a model: a -> b."""

    def a(state: Strict) -> dict[str, Any]:
        return {"log": [f"a at {state.count}"]}

    def b(state: Strict) -> dict[str, Any]:
        return {"log": [interrupt(state.count)], "count": state.count + 1}

    graph: StateGraph[Any] = StateGraph(Strict)
    graph.add_sequence([a, b])
    graph.add_edge(START, "a")
    return graph.compile(checkpointer=saver)


@scenario(strict)
def is_given_what_it_refuses(play: Play) -> None:
    play.breaks({"log": ["in"], "count": "many"}, error=ValidationError)


@scenario(strict)
def is_changed_to_what_it_refuses(play: Play) -> None:
    play.invoke({"log": ["in"], "count": 1})
    play.update({"count": "many"}, as_node="a")


@scenario(strict)
def is_changed_to_what_it_takes_again(play: Play) -> None:
    play.invoke({"log": ["in"], "count": 1})
    taken = play.update({"count": 2}, as_node="a")
    play.update({"count": "many"}, as_node="a")
    play.invoke(None, taken)
    play.resume("answered")


@dataclass
class Sized:
    size: int


class Loose(TypedDict, total=False):
    log: Annotated[list[str], add]
    size: int


def demanding(saver: Any) -> Graph:
    """Of the nodes side by side one demands what the state need not have, and one asks."""

    def any_size(state: Loose) -> Loose:
        return {"log": [interrupt("size?")]}

    def sized(state: Sized) -> Loose:
        return {"log": [f"size {state.size}"]}

    graph: StateGraph[Any] = StateGraph(Loose)
    graph.add_node("any_size", any_size)
    graph.add_node("sized", sized, input_schema=Sized)
    graph.add_edge(START, "any_size")
    graph.add_edge(START, "sized")
    return graph.compile(checkpointer=saver)


@scenario(demanding)
def lacks_what_is_demanded(play: Play) -> None:
    play.breaks({"log": ["in"]}, error=TypeError)


@scenario(demanding)
def has_what_is_demanded(play: Play) -> None:
    play.invoke({"log": ["in"], "size": 1})


class Mood(BaseModel):
    mood: int


def strict_inside(saver: Any) -> Graph:
    """The graph that refuses is within one that takes anything, and is called in it."""

    def inner(state: Outer) -> Outer:
        return {"log": [interrupt(state.get("mood"))]}

    def moody(state: Mood) -> Outer:
        return {"log": [str(state.mood)]}

    graph: StateGraph[Any] = StateGraph(Outer)
    graph.add_node("inner", inner)
    graph.add_node("moody", moody, input_schema=Mood)
    graph.add_edge(START, "inner")
    graph.add_edge("inner", "moody")
    return around(graph.compile(), saver)


@scenario(strict_inside)
def refuses_inside(play: Play) -> None:
    play.invoke({"log": ["in"], "mood": "bad"})
    play.breaks(Command(resume="answered"), error=ValidationError)
