"""The graphs, in Python. `graphs.mjs` in `client/typescript/test/languages` has the same ones in JavaScript."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send, interrupt

Ran = list[str]
Graph = CompiledStateGraph[Any, Any, Any, Any]


class Log(TypedDict, total=False):
    """What the nodes said, in order."""

    log: Annotated[list[str], operator.add]
    item: int


class Chat(TypedDict):
    """A conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


def says(ran: Ran, name: str, *questions: str) -> Callable[[Any], dict[str, Any]]:
    """A node that asks its questions and says its name, with the answers."""

    def node(state: Any) -> dict[str, Any]:
        ran.append(name)
        item = state.get("item") if isinstance(state, dict) else None
        asked = [f"{question}{'' if item is None else item}" for question in questions]
        answers = [str(interrupt(question)) for question in asked]
        label = name if item is None else f"{name}{item}"
        return {"log": [" ".join((label, *answers))]}

    return node


def questions(ran: Ran) -> Any:
    """One task finishes while its sibling asks twice."""
    graph: Any = StateGraph(Log)
    graph.add_node("note", says(ran, "note"))
    graph.add_node("ask", says(ran, "ask", "first?", "second?"))
    graph.add_node("done", says(ran, "done"))
    graph.add_edge(START, "note")
    graph.add_edge(START, "ask")
    graph.add_edge(["note", "ask"], "done")
    graph.add_edge("done", END)
    return graph


def choices(ran: Ran) -> Any:
    """Two tasks ask at the same time."""
    graph: Any = StateGraph(Log)
    graph.add_node("left", says(ran, "left", "left?"))
    graph.add_node("right", says(ran, "right", "right?"))
    graph.add_edge(START, "left")
    graph.add_edge(START, "right")
    return graph


def sends(ran: Ran) -> Any:
    """Three sent tasks, of which the second one asks; their work is collected."""

    def work(state: Any) -> dict[str, Any]:
        ran.append(f"work{state['item']}")
        answer = f" {interrupt('item 2?')}" if state["item"] == 2 else ""
        return {"log": [f"work{state['item']}{answer}"]}

    graph: Any = StateGraph(Log)
    graph.add_node("plan", says(ran, "plan"))
    graph.add_node("work", work)
    graph.add_node("collect", says(ran, "collect"))
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", lambda _: [Send("work", {"item": n}) for n in (1, 2, 3)], ["work"])
    graph.add_edge("work", "collect")
    return graph


def nested(ran: Ran) -> Any:
    """A graph in a graph, interrupted inside."""
    inner: Any = StateGraph(Log)
    inner.add_node("first", says(ran, "first"))
    inner.add_node("ask", says(ran, "ask", "inside?"))
    inner.add_node("last", says(ran, "last", "at last?"))
    inner.add_edge(START, "first")
    inner.add_edge("first", "ask")
    inner.add_edge("ask", "last")
    graph: Any = StateGraph(Log)
    graph.add_node("before", says(ran, "before"))
    graph.add_node("inner", inner.compile())
    graph.add_node("after", says(ran, "after"))
    graph.add_edge(START, "before")
    graph.add_edge("before", "inner")
    graph.add_edge("inner", "after")
    return graph


def barrier(ran: Ran) -> Any:
    """A join that waits: one side has arrived, the other one asks in its second step."""
    graph: Any = StateGraph(Log)
    for name in ("quick", "slow", "join"):
        graph.add_node(name, says(ran, name))
    graph.add_node("ask", says(ran, "ask", "slow?"))
    graph.add_edge(START, "quick")
    graph.add_edge(START, "slow")
    graph.add_edge("slow", "ask")
    graph.add_edge(["quick", "ask"], "join")
    return graph


def steps(ran: Ran) -> Any:
    """Three steps, to travel in."""
    graph: Any = StateGraph(Log)
    for name in ("one", "two", "three"):
        graph.add_node(name, says(ran, name))
    graph.add_edge(START, "one")
    graph.add_edge("one", "two")
    graph.add_edge("two", "three")
    return graph


def chat(ran: Ran) -> Any:
    """An agent that calls a tool for what it is told, until it has nothing more to ask."""

    def agent(state: Any) -> dict[str, Any]:
        ran.append("agent")
        last = state["messages"][-1]
        if last.type == "human":
            call = {"name": "look", "args": {"for": last.content}, "id": f"call-{len(state['messages'])}"}
            return {"messages": [AIMessage("", tool_calls=[call])]}
        return {"messages": [AIMessage(f"found {last.content}")]}

    def tools(state: Any) -> dict[str, Any]:
        ran.append("tools")
        (call,) = state["messages"][-1].tool_calls
        return {"messages": [ToolMessage(call["args"]["for"], tool_call_id=call["id"])]}

    graph: Any = StateGraph(Chat)
    graph.add_node("agent", agent)
    graph.add_node("tools", tools)
    graph.add_edge(START, "agent")
    graph.add_conditional_edges(
        "agent", lambda state: "tools" if state["messages"][-1].tool_calls else END, ["tools", END]
    )
    graph.add_edge("tools", "agent")
    return graph


GRAPHS = {build.__name__: build for build in (questions, choices, sends, nested, barrier, steps, chat)}


def compiled(name: str, saver: BaseCheckpointSaver[str], ran: Ran) -> Graph:
    """A graph by its name. `ran` is told the nodes that run."""
    graph: Graph = GRAPHS[name](ran).compile(checkpointer=saver, interrupt_before=["tools"] if name == "chat" else None)
    return graph
