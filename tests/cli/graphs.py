"""Graphs whose threads the command is to show."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from checkpointd.client.langgraph import RemoteSaver

Graph = Any


class Counting(TypedDict, total=False):
    log: Annotated[list[str], add]
    count: int
    about: dict[str, Any]


def config(thread_id: str, checkpoint_id: str | None = None) -> RunnableConfig:
    """A thread's config."""
    configurable = {"thread_id": thread_id}
    return {"configurable": configurable | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}


def checkpoint_id(config: RunnableConfig | None) -> str:
    """The checkpoint that a config names."""
    assert config is not None
    return str(config["configurable"]["checkpoint_id"])


def counter(saver: RemoteSaver, *, register: bool = True) -> Graph:
    """first -> second, each of which counts and logs."""

    def first(state: Counting) -> Counting:
        return {"log": ["first"], "count": state.get("count", 0) + 1}

    def second(state: Counting) -> Counting:
        return {"log": ["second"], "count": state.get("count", 0) + 1}

    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Counting)
    graph.add_sequence([first, second])
    graph.add_edge(START, "first")
    compiled = graph.compile(checkpointer=saver)
    if register:
        saver.register(compiled, "counter")
    return compiled


def chat(saver: RemoteSaver) -> Graph:
    """An agent that answers, and asks a tool when it is asked to play; a choice leads to the tool."""

    def agent(state: MessagesState) -> dict[str, Any]:
        said = state["messages"][-1]
        if said.type == "human" and said.text.startswith("play"):
            calls = [{"name": "play", "args": {"song": said.text.removeprefix("play ")}, "id": "call"}]
            return {"messages": [AIMessage("", id="wish", tool_calls=calls)]}
        return {"messages": [AIMessage("Enjoy!", id="answer")]}

    def action(state: MessagesState) -> dict[str, Any]:
        return {"messages": [("assistant", "it plays")]}

    def wants(state: MessagesState) -> Literal["action", "__end__"]:
        last = state["messages"][-1]
        return "action" if isinstance(last, AIMessage) and last.tool_calls else "__end__"

    graph = StateGraph(MessagesState)
    graph.add_node("agent", agent)
    graph.add_node("action", action)
    graph.add_edge(START, "agent")
    graph.add_conditional_edges("agent", wants)
    graph.add_edge("action", "agent")
    compiled = graph.compile(checkpointer=saver)
    saver.register(compiled, "chat")
    return compiled


def asking(saver: RemoteSaver) -> Graph:
    """before -> inside, a graph of its own that asks a question -> after."""

    def before(state: Counting) -> Counting:
        return {"log": ["before"]}

    def ask(state: Counting) -> Counting:
        return {"log": [interrupt({"question": "go on?"})]}

    def after(state: Counting) -> Counting:
        return {"log": ["after"]}

    inner: StateGraph[Any, Any, Any, Any] = StateGraph(Counting)
    inner.add_sequence([ask])
    inner.add_edge(START, "ask")
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Counting)
    graph.add_node("before", before)
    graph.add_node("inside", inner.compile())
    graph.add_node("after", after)
    for start, end in ((START, "before"), ("before", "inside"), ("inside", "after")):
        graph.add_edge(start, end)
    compiled = graph.compile(checkpointer=saver)
    saver.register(compiled, "asking")
    return compiled
