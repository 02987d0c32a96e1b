"""How nodes follow each other: one by one, side by side, joined, deferred, by conditions, by commands."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, Literal, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.managed import IsLastStep, RemainingSteps
from langgraph.types import Command

from tests.states.corpus.playing import Graph, Play, scenario


class Log(TypedDict, total=False):
    log: Annotated[list[str], add]
    last: str | None
    count: int


def say(word: str) -> Any:
    """A node that writes its word."""

    def speak(state: Log) -> Log:
        return {"log": [word], "last": word}

    speak.__name__ = word
    return speak


def hush(word: str) -> Any:
    """A node that writes its word, and may do so beside others."""

    def whisper(state: Log) -> Log:
        return {"log": [word]}

    whisper.__name__ = word
    return whisper


def graph_of(nodes: dict[str, Any], edges: list[tuple[Any, str]], schema: Any = Log) -> StateGraph[Any]:
    graph: StateGraph[Any] = StateGraph(schema)
    for name, node in nodes.items():
        graph.add_node(name, node)
    for start, end in edges:
        graph.add_edge(start, end)
    return graph


def sequential(saver: Any) -> Graph:
    """a -> b -> c."""
    edges = [(START, "a"), ("a", "b"), ("b", "c"), ("c", END)]
    return graph_of({word: say(word) for word in "abc"}, edges).compile(checkpointer=saver)


@scenario(sequential)
def runs_twice(play: Play) -> None:
    play.invoke({"log": ["one"]})
    play.invoke({"log": ["two"], "count": 2})


@scenario(sequential)
def is_stored_at_its_end_only(play: Play) -> None:
    play.invoke({"log": ["one"]}, durability="exit")
    play.invoke({"log": ["two"]}, durability="async")


@scenario(sequential)
def is_forked(play: Play) -> None:
    play.invoke({"log": ["one"]})
    fork = play.update({"log": ["changed"], "last": None}, at=play.before("b"))
    play.invoke(None, fork)
    play.invoke(None, play.before("c"))
    play.invoke({"count": 3}, play.before("a"))


@scenario(sequential)
def is_updated_as_every_node(play: Play) -> None:
    play.update({"log": ["first"]}, as_node=START)
    for node in "abc":
        play.update({"log": [f"as {node}"]}, as_node=node)
    play.update({"log": ["input"]}, as_node="__input__")
    play.update(None, as_node=END)
    play.update({"count": 1}, as_node="a")
    play.graph.update_state(play.before("b"), None, as_node="__copy__")


@scenario(sequential)
def has_no_checkpoint(play: Play) -> None:
    """Nothing happens on the thread."""


def side_by_side(saver: Any) -> Graph:
    """a -> (b, c, d) -> e."""
    edges = [(START, "a"), *(("a", side) for side in "bcd"), *((side, "e") for side in "bcd")]
    nodes = {"a": say("a"), **{side: hush(side) for side in "bcd"}, "e": say("e")}
    return graph_of(nodes, edges).compile(checkpointer=saver)


@scenario(side_by_side)
def fans_out_and_in(play: Play) -> None:
    play.invoke({"log": []})
    play.update({"log": ["as c"]}, as_node="c")
    play.update({"log": ["as a"]}, as_node="a")
    play.invoke(None)


def joined(saver: Any) -> Graph:
    """a -> (b -> bb, c) -> d, when both have run; d -> e."""
    edges: list[tuple[Any, str]] = [(START, "a"), ("a", "b"), ("a", "c"), ("b", "bb"), (["bb", "c"], "d"), ("d", "e")]
    nodes = {"e": say("e"), "d": say("d"), **{word: hush(word) for word in ("c", "bb", "b", "a")}}
    return graph_of(nodes, edges).compile(checkpointer=saver)


@scenario(joined)
def waits_for_both(play: Play) -> None:
    play.invoke({"log": []})
    play.invoke({"log": ["again"]})
    play.update({"log": ["as c"]}, as_node="c")
    play.update({"log": ["as bb"]}, as_node="bb")
    play.invoke(None)
    play.invoke(None, play.before("bb"))


def deferred(saver: Any) -> Graph:
    """a -> (b -> bb, c, last); last waits until nothing else is left, and so does the join of bb and c."""
    graph = graph_of({"a": say("a"), **{word: hush(word) for word in ("b", "bb", "c")}}, [(START, "a")])
    graph.add_node("last", hush("last"), defer=True)
    graph.add_node("both", hush("both"), defer=True)
    for start, end in (("a", "b"), ("a", "c"), ("a", "last"), ("b", "bb")):
        graph.add_edge(start, end)
    graph.add_edge(["bb", "c"], "both")
    return graph.compile(checkpointer=saver)


@scenario(deferred)
def defers(play: Play) -> None:
    play.invoke({"log": []})
    play.invoke({"log": ["again"]})
    play.update({"log": ["as a"]}, as_node="a")
    play.invoke(None)
    play.invoke(None, play.before("bb"))


def conditional(saver: Any) -> Graph:
    """a goes on to what the count says: b, c, both or the end; b loops back to a."""

    def count(state: Log) -> Log:
        return {"log": ["a"], "count": state.get("count", 0) + 1}

    def where(state: Log) -> list[str]:
        return {1: ["b"], 2: ["b", "c"], 3: ["c"]}.get(state.get("count", 0), [END])

    def whether(state: Log) -> Literal["d", "__end__"]:
        return "d" if state.get("count", 0) > 2 else "__end__"

    graph = graph_of({"a": count, **{word: hush(word) for word in "bcd"}}, [(START, "a"), ("b", "a")])
    graph.add_conditional_edges("a", where)
    graph.add_conditional_edges("c", whether)
    return graph.compile(checkpointer=saver)


@scenario(conditional)
def chooses(play: Play) -> None:
    play.invoke({"count": 0})
    play.invoke({"count": 2})
    play.invoke({"count": 7})
    play.invoke(None, play.before("b", "c"))


def commanding(saver: Any) -> Graph:
    """a says where to go: to b, to b and c, or nowhere, with an edge to d besides."""

    def choose(state: Log) -> Command[Literal["b", "c", "__end__"]]:
        ways: dict[str, Any] = {"one": ["b"], "two": ["b", "c"], "none": [END]}
        return Command(goto=ways[state.get("last") or "none"], update={"log": ["a"]})

    def several(state: Log) -> Any:
        return [Command(goto="c", update={"log": ["b1"]}), {"log": ["b2"]}]

    nodes = {"a": choose, "b": several, "c": hush("c"), "d": hush("d")}
    return graph_of(nodes, [(START, "a"), ("a", "d")]).compile(checkpointer=saver)


@scenario(commanding)
def commands(play: Play) -> None:
    for way in ("one", "two", "none"):
        play.invoke({"last": way})
    play.update(Command(update={"log": ["goto"]}, goto="c"), as_node="b")
    play.invoke(Command(goto="b"))
    play.invoke(Command(goto=["d", "c"], update={"log": ["from outside"]}))


class Managed(TypedDict):
    log: Annotated[list[str], add]
    left: RemainingSteps
    last: IsLastStep


class Narrow(TypedDict):
    hidden: str


def managed(saver: Any) -> Graph:
    """A state with values that LangGraph makes, and with a key that only one node's own schema has."""

    def first(state: Managed) -> Any:
        return {"log": [f"{state['left'] > 1} {state['last']}"], "left": 7, "hidden": "private"}

    def second(state: Narrow) -> Any:
        return {"log": [state["hidden"]]}

    return graph_of({"first": first, "second": second}, [(START, "first"), ("first", "second")], Managed).compile(
        checkpointer=saver
    )


@scenario(managed)
def manages(play: Play) -> None:
    play.invoke({"log": []})
    play.update({"log": ["as first"], "left": 3, "hidden": "changed"}, as_node="first")


class Given(TypedDict):
    question: str


class Got(TypedDict):
    answer: str


class Whole(Given, Got, total=False):
    nothing: None
    notes: Annotated[list[str], add]


def narrowed(saver: Any) -> Graph:
    """Its input and output are parts of its state, and it writes None to a key."""

    def think(state: Whole) -> Any:
        return {"notes": [state["question"]], "nothing": None}

    def reply(state: Whole) -> Any:
        return {"answer": state["notes"][-1].upper()}

    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Whole, input_schema=Given, output_schema=Got)
    graph.add_sequence([think, reply])
    graph.add_edge(START, "think")
    return graph.compile(checkpointer=saver)


@scenario(narrowed)
def answers(play: Play) -> None:
    play.invoke({"question": "why", "notes": ["not input"]})
    play.update({"notes": [], "nothing": None, "question": None}, as_node="reply")
    play.update({"unknown": 1, "answer": "none"}, as_node="think")
