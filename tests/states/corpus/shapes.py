"""What a state can be: messages, one bare value, pydantic models, dataclasses, a function's return value."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import add
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage, ToolMessage
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages
from langgraph.types import Command, interrupt
from pydantic import BaseModel, Field

from tests.states.corpus.playing import Graph, Play, scenario


def chatting(saver: Any) -> Graph:
    """A model calls a tool, beside a node that asks."""

    def model(state: MessagesState) -> dict[str, Any]:
        turn = len(state["messages"])
        call = {"name": "look", "args": {"at": turn}, "id": f"call-{turn}"}
        return {"messages": AIMessage(content="", tool_calls=[call], id=f"ai-{turn}")}

    def tool(state: MessagesState) -> dict[str, Any]:
        last = state["messages"][-1]
        assert isinstance(last, AIMessage)
        return {"messages": [ToolMessage("seen", tool_call_id=last.tool_calls[0]["id"] or "", id=f"{last.id}-tool")]}

    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [HumanMessage(interrupt(state["messages"][-1]), id="human-answer")]}

    graph: StateGraph[Any] = StateGraph(MessagesState)
    for node in (model, tool, ask):
        graph.add_node(node)
    for start, end in ((START, "model"), ("model", "tool"), ("model", "ask")):
        graph.add_edge(start, end)
    return graph.compile(checkpointer=saver)


@scenario(chatting)
def chats(play: Play) -> None:
    play.invoke({"messages": [HumanMessage("hello", id="human-1")]})
    play.resume("yes")
    play.invoke({"messages": ("user", "a message without an id")})


@scenario(chatting)
def chat_is_rewritten(play: Play) -> None:
    play.invoke({"messages": [HumanMessage("hello", id="human-1"), HumanMessage("again", id="human-2")]})
    play.resume("yes")
    play.update({"messages": [HumanMessage("replaced", id="human-1"), RemoveMessage(id="human-2")]}, as_node="tool")
    play.update({"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), HumanMessage("anew", id="new")]}, as_node="model")


class Formatted(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages(format="langchain-openai")]


def formatted(saver: Any) -> Graph:
    """Messages are brought into OpenAI's form, while a node asks."""

    def say(state: Formatted) -> dict[str, Any]:
        return {"messages": [HumanMessage([{"type": "text", "text": "hi"}], id="said")]}

    def ask(state: Formatted) -> dict[str, Any]:
        return {"messages": [HumanMessage(interrupt("what?"), id="asked")]}

    graph: StateGraph[Any] = StateGraph(Formatted)
    graph.add_node(say)
    graph.add_node(ask)
    graph.add_edge(START, "say")
    graph.add_edge(START, "ask")
    return graph.compile(checkpointer=saver)


@scenario(formatted)
def formats(play: Play) -> None:
    play.invoke({"messages": [HumanMessage("hello", id="first")]})


def bare_list(saver: Any) -> Graph:
    """The state is one list."""

    def more(state: Any) -> list[str]:
        return [f"{len(state)} so far"]

    def ask(state: Any) -> list[str]:
        return [interrupt(state)]

    root: Any = Annotated[list[str], add]
    graph: StateGraph[Any] = StateGraph(root)
    graph.add_node("more", more)
    graph.add_node("ask", ask)
    graph.add_edge(START, "more")
    graph.add_edge(START, "ask")
    return graph.compile(checkpointer=saver)


@scenario(bare_list)
def grows(play: Play) -> None:
    play.invoke(["in"])
    play.resume("answered")
    play.update(["changed"], as_node="more")


def bare_number(saver: Any) -> Graph:
    """The state is one number, which nothing gives a first value."""

    def double(state: Any) -> int:
        return 2 * int(state)

    def ask(state: Any) -> Any:
        return [Command(update=interrupt(state))]

    graph: StateGraph[Any] = StateGraph(int)
    graph.add_node("double", double)
    graph.add_node("ask", ask)
    graph.add_edge(START, "double")
    graph.add_edge("double", "ask")
    return graph.compile(checkpointer=saver)


@scenario(bare_number)
def doubles(play: Play) -> None:
    play.invoke(3)
    play.update(5, as_node="double")
    play.update(None, as_node="ask")


class Part(BaseModel):
    name: str
    size: float = 1.5


class Model(BaseModel):
    parts: Annotated[list[Part], add] = Field(default_factory=list)
    title: str = "untitled"
    count: int | None = None


def modelled(saver: Any) -> Graph:
    """The state is a pydantic model, with models in it."""

    def first(state: Model) -> Model:
        return Model(parts=[Part(name="first")], count=len(state.parts))

    def second(state: Model) -> dict[str, Any]:
        return {"title": interrupt(state.parts[0]), "parts": [Part(name="second", size=2)]}

    graph: StateGraph[Any] = StateGraph(Model)
    graph.add_sequence([first, second])
    graph.add_edge(START, "first")
    return graph.compile(checkpointer=saver)


@scenario(modelled)
def models(play: Play) -> None:
    play.invoke(Model(parts=[Part(name="given")]))
    play.update(Model(title="changed"), as_node="first")
    play.invoke(None)
    play.resume("titled")


@dataclass
class Point:
    x: int
    y: int = 0


@dataclass
class Drawing:
    points: Annotated[list[Point], add] = field(default_factory=list)
    name: str = ""


def drawn(saver: Any) -> Graph:
    """The state is a dataclass, with dataclasses in it."""

    def first(state: Drawing) -> Drawing:
        return Drawing([Point(len(state.points))], "named")

    def second(state: Drawing) -> Drawing:
        return Drawing([Point(9, 9)])

    graph: StateGraph[Any] = StateGraph(Drawing)
    graph.add_sequence([first, second])
    graph.add_edge(START, "first")
    return graph.compile(checkpointer=saver)


@scenario(drawn)
def draws(play: Play) -> None:
    play.invoke(Drawing([Point(1)], "given"))
    play.update({"points": [Point(4)]}, as_node="first")


def functional(saver: Any) -> Graph:
    """An entrypoint with tasks, of which one asks."""

    @task
    def measure(word: str) -> int:
        return len(word)

    @task
    def confirm(lengths: list[int]) -> str:
        return str(interrupt({"lengths": lengths}))

    @entrypoint(checkpointer=saver)
    def flow(words: list[str], *, previous: Any = None) -> dict[str, Any]:
        lengths = [measure(word) for word in words]
        results = [future.result() for future in lengths]
        return {"answer": confirm(results).result(), "previous": previous, "lengths": results}

    return flow


@scenario(functional)
def computes(play: Play) -> None:
    play.one_by_one = False
    play.invoke(["a", "bb"])
    play.resume("yes")
    play.invoke(["ccc"])
    play.resume("again")
    play.invoke(["waits"])


def functional_final(saver: Any) -> Graph:
    """An entrypoint that keeps something else than it returns."""

    @entrypoint(checkpointer=saver)
    def flow(number: int, *, previous: Any = None) -> entrypoint.final[int, int | None]:
        return entrypoint.final(value=previous or 0, save=None if number == 0 else 2 * number)

    return flow


@scenario(functional_final)
def keeps(play: Play) -> None:
    play.one_by_one = False
    for number in (3, 1, 0, 4):
        play.invoke(number)
    play.update(7, as_node="flow")
