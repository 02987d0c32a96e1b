"""Updates of states of other shapes: one bare value, models, functions, graphs made by hand."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langgraph.channels import AnyValue, EphemeralValue, Topic, UntrackedValue
from langgraph.graph import START

from tests.states.corpus.bare import by_hand, by_hand_several, by_hand_single
from tests.states.corpus.flow import graph_of
from tests.states.corpus.playing import Graph, Play
from tests.states.corpus.shapes import (
    Drawing,
    Model,
    Part,
    Point,
    bare_list,
    bare_number,
    drawn,
    functional,
    functional_final,
    modelled,
)
from tests.states.updates.cases import Told, before, case, head, invoked, nothing, one, steps


class Kinds(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    any: Annotated[str, AnyValue]
    once: Annotated[str, EphemeralValue]
    never: Annotated[str, UntrackedValue]
    topic: Annotated[list[str], Topic(str)]
    all: Annotated[list[str], Topic(str, accumulate=True)]


ALL: dict[str, Any] = {"any": "a", "once": "o", "never": "n", "topic": "t", "all": ["x", "y"], "log": ["put"]}


def kinds(saver: Any) -> Graph:
    """A state of channels of every kind, all written by a; b and c write some."""

    def a(state: Kinds) -> Kinds:
        return {"log": [f"{sorted(state.items())}"], "any": "a", "once": "a", "topic": ["a"], "all": ["a", "a"]}

    def b(state: Kinds) -> Kinds:
        return {"log": [f"{sorted(state.items())}"], "all": ["b"]}

    def c(state: Kinds) -> Kinds:
        return {"log": [f"{sorted(state.items())}"]}

    edges = [(START, "a"), ("a", "b"), ("b", "c")]
    return graph_of({"a": a, "b": b, "c": c}, edges, Kinds).compile(checkpointer=saver)


KINDS = invoked({"log": ["in"], "never": "in"})
WAITING = invoked({"log": ["in"], "never": "in"}, interrupt_before=["b"])

case("channels of every kind", kinds, KINDS, one(ALL, "a"))
case("channels of every kind, while they hold something", kinds, WAITING, one(ALL, "a"))
case("channels of every kind, emptied", kinds, WAITING, one({"log": ["put"]}, "a"))
case("channels of every kind, emptied by nothing", kinds, WAITING, one(None, "b"))
case("channels of every kind, ended", kinds, WAITING, one(None, "__end__"))
case("channels of every kind, copied", kinds, WAITING, one(None, "__copy__"))
case("channels of every kind as input", kinds, WAITING, one(ALL, "__input__"))
case("channels of every kind as the start", kinds, WAITING, one(ALL, "__start__"))
case("channels of every kind on a fork", kinds, KINDS, one(ALL, "a", at=before("b")))
case("channels of every kind on a thread without checkpoints", kinds, nothing, one(ALL, "a"))
case("channels of every kind in turn", kinds, WAITING, steps([Told(ALL, "a")], [Told({"topic": ["z"]}, "b")]))
case("topics of two at once", kinds, WAITING, steps([Told({"topic": "1"}, "a"), Told({"topic": ["2", "3"]}, "b")]))
case("any of two values at once", kinds, WAITING, steps([Told({"any": "1"}, "a"), Told({"any": "2"}, "b")]))
for key in ("once", "never"):
    case(
        f"two values at once for {key}",
        kinds,
        WAITING,
        steps([Told({key: "1"}, "a"), Told({key: "2"}, "b")]),
        refused="INVALID_UPDATE",
    )

case("a bare value that is folded", bare_list, invoked(["in"]), one(["put"], "more"))
case("a bare value while one asks", bare_list, invoked(["in"]), one(["put"], "ask"))
case("a bare value on a thread without checkpoints", bare_list, nothing, one(["put"], "__start__"))
case("no bare value", bare_list, invoked(["in"]), one(None, "more"))
case("a bare number", bare_number, invoked(3), one(5, "double"))
case("a bare number, of whom is not said", bare_number, invoked(3), one(5))
case("a bare number on a fork", bare_number, invoked(3), one(5, "double", at=before("double")))
case("a bare number as input", bare_number, invoked(3), one(7, "__input__"))
case("a bare number, ended", bare_number, invoked(3), one(None, "__end__"))
case("a bare number, copied", bare_number, invoked(3), one(None, "__copy__", at=before("ask")))
case(
    "two bare numbers at once",
    bare_number,
    invoked(3),
    steps([Told(1, "double"), Told(2, "ask")]),
    refused="INVALID_UPDATE",
)

GIVEN = Model(parts=[Part(name="given")])

case("a model", modelled, invoked(GIVEN), one(Model(title="put", parts=[Part(name="p", size=3)]), "first"))
case("a model that is an object", modelled, invoked(GIVEN), one({"title": "put", "count": None}, "first"))
case("a model, of whom is not said", modelled, invoked(GIVEN), one({"title": "put"}))
case("a model with parts in an object", modelled, invoked(GIVEN), one({"parts": [Part(name="p")]}, "second"))
case("a model on a thread without checkpoints", modelled, nothing, one(GIVEN, "__start__"))
case("a dataclass", drawn, invoked(Drawing([Point(1)], "given")), one(Drawing([Point(4)], "put"), "first"))
case("a dataclass that is an object", drawn, invoked(Drawing([Point(1)])), one({"points": [Point(4)]}, "second"))


def computed(play: Play) -> None:
    play.one_by_one = False
    play.invoke(["a", "bb"])
    play.resume("yes")


def computing(play: Play) -> None:
    play.one_by_one = False
    play.invoke(["a", "bb"])


def final(play: Play) -> None:
    play.one_by_one = False
    for number in (3, 1):
        play.invoke(number)


case("what a function gave", functional, computed, one({"answer": "put"}, "flow"))
case("what a function gave, of whom is not said", functional, computed, one({"answer": "put"}))
case("what a function gives that waits", functional, computing, one({"answer": "put"}, "flow"))
case("what a function gave is nothing", functional, computed, one(None, "flow"))
case("a function's input", functional, computed, one(["ccc"], "__input__"))
case("a function's end while it waits", functional, computing, one(None, "__end__"))
case("a function's copy", functional, computed, one(None, "__copy__"))
case("a function's older checkpoint", functional, computed, one({"answer": "put"}, "flow", at=before("flow")))
case("a function on a thread without checkpoints", functional, nothing, one({"answer": "put"}, "flow"))
case("what a function that keeps something else gave", functional_final, final, one(7, "flow"))
case(
    "what a function that keeps something else gave, at the head by its id",
    functional_final,
    final,
    one(7, "flow", at=head),
)


def by_hand_ran(play: Play) -> None:
    play.invoke("hello")
    play.resume("answered")


for build in (by_hand, by_hand_single):
    kind = build.__name__
    case(f"input, {kind}", build, invoked("hello"), one("put", "__input__"))
    case(f"the end, {kind}", build, invoked("hello"), one(None, "__end__"))
    case(f"the end of a fork, {kind}", build, by_hand_ran, one(None, "__end__", at=before("three", "four")))
    case(f"a copy, {kind}", build, by_hand_ran, one(None, "__copy__"))
    case(f"input of a thread without checkpoints, {kind}", build, nothing, one("put", "__input__"))
case("two inputs", by_hand_several, invoked({"given": "hello"}), one({"given": "put", "other": "too"}, "__input__"))
case("one of two inputs", by_hand_several, invoked({"given": "hello"}), one({"other": "put"}, "__input__"))
case(
    "none of two inputs",
    by_hand_several,
    invoked({"given": "hello"}),
    one({"out": "put"}, "__input__"),
    refused="INVALID_UPDATE",
)
