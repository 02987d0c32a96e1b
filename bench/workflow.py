"""A real graph of five nodes, of the kind that people keep in a checkpointer."""

from operator import add
from typing import Annotated, Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from bench.sides import Saver

NODES = 5


class State(MessagesState):
    notes: Annotated[list[str], add]
    plan: list[str]
    score: float


def research(state: State) -> dict[str, Any]:
    return {"notes": [f"note {number}: {'what a source says ' * 5}" for number in range(5)]}


def outline(state: State) -> dict[str, Any]:
    if len(state["messages"]) > 2:  # the second run stops here
        interrupt({"question": "which plan?", "notes": state["notes"][:2]})
    return {"plan": [f"section {number}" for number in range(8)]}


def draft(state: State) -> dict[str, Any]:
    return {"messages": [AIMessage("a paragraph of the text " * 40, id="draft")]}


def review(state: State) -> dict[str, Any]:
    return {"score": 0.75}


def publish(state: State) -> dict[str, Any]:
    return {"notes": ["published"]}


def workflow(saver: Saver) -> Any:
    graph: StateGraph[Any] = StateGraph(State)
    graph.add_sequence([research, outline, draft, review, publish])
    graph.add_edge(START, "research")
    return graph.compile(checkpointer=saver)


def question(number: int) -> dict[str, Any]:
    """The input of a run."""
    return {"messages": [HumanMessage(f"question {number}", id=f"question-{number}")]}


def at(thread_id: str) -> RunnableConfig:
    """The config of a thread."""
    return {"configurable": {"thread_id": thread_id}}


def run(graph: Any, thread_id: str, number: int) -> None:
    graph.invoke(question(number), at(thread_id))
