"""Send: tasks made by what a node returned, several of one node at once."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt

from tests.states.corpus.playing import Broken, Graph, Play, scenario


class Words(TypedDict, total=False):
    words: list[str]
    lengths: Annotated[list[int], add]
    total: int


class Word(TypedDict):
    word: str


def measure(state: Word) -> Words:
    word = state["word"]
    if word == "ask":
        word = interrupt({"which word": len(word)})
    if word == "break":
        raise Broken(word)
    return {"lengths": [len(word)]}


def each(state: Words) -> list[Send]:
    return [Send("measure", {"word": word}) for word in state.get("words", [])]


def map_reduce(saver: Any) -> Graph:
    """Each word is measured by a task of its own; then all are added up."""

    def start(state: Words) -> Words:
        return {"total": 0}

    def finish(state: Words) -> Words:
        return {"total": sum(state.get("lengths", []))}

    graph: StateGraph[Any] = StateGraph(Words)
    graph.add_sequence([start])
    graph.add_node("measure", measure)
    graph.add_node("finish", finish)
    graph.add_edge(START, "start")
    graph.add_conditional_edges("start", each, ["measure"])
    graph.add_edge("measure", "finish")
    return graph.compile(checkpointer=saver)


@scenario(map_reduce)
def maps_and_reduces(play: Play) -> None:
    play.invoke({"words": ["a", "bb", "a"]})
    play.invoke({"words": []})
    play.update({"words": ["c"]}, as_node="finish")
    play.update({"lengths": [9]}, as_node="measure")
    play.invoke(None)


@scenario(map_reduce)
def asks_in_several_and_one_is_answered(play: Play) -> None:
    play.invoke({"words": ["a", "ask", "bb", "ask"]})
    play.resume({play.asked()[1]: "answered"})


@scenario(map_reduce)
def asks_in_several_and_all_are_answered(play: Play) -> None:
    play.invoke({"words": ["ask", "a", "ask"]})
    play.resume(dict.fromkeys(play.asked(), "answered"))
    play.invoke(None, play.before("measure", "measure", "measure"))


@scenario(map_reduce)
def breaks_in_one(play: Play) -> None:
    play.breaks({"words": ["a", "break", "bb"]})


def sent_by_command(saver: Any) -> Graph:
    """A node sends by command, beside an edge; one task goes to a node that edges start as well."""

    def start(state: Words) -> Command[Any]:
        return Command(goto=[Send("measure", {"word": "sent"}), "other"], update={"total": 1})

    def other(state: Words) -> Words:
        return {"lengths": [1]}

    graph: StateGraph[Any] = StateGraph(Words)
    graph.add_node("start", start, destinations=("measure", "other"))
    graph.add_node("measure", measure)
    graph.add_node("other", other)
    graph.add_edge(START, "start")
    graph.add_edge("start", "other")
    return graph.compile(checkpointer=saver)


@scenario(sent_by_command)
def sends(play: Play) -> None:
    play.invoke({"words": []})
    play.invoke(Command(goto=Send("measure", {"word": "from outside"})))
    play.update(Command(goto=[Send("measure", {"word": "x"}), Send("other", {"total": 3})]), as_node="other")
    play.invoke(Command(goto=Send("measure", {"word": "ask"})))
