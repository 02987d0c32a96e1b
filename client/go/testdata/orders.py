"""Graphs of LangGraph for Python that wait for answers: `orders.py ADDRESS TENANT GRAPH THREAD [begin]`.

Prints, as JSON, the values and the interrupts that it ends or stops with.
"""

import json
import operator
import sys
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from checkpointd.client.langgraph import RemoteSaver


class Order(TypedDict, total=False):
    text: str
    log: Annotated[list[str], operator.add]


def one(state: Order) -> Order:
    answer = interrupt({"question": f"ship {state['text']}?"})
    return {"log": [f"ship {answer}"]}


def twice(state: Order) -> Order:
    return {"log": [f"{interrupt('how many?')} cups", f"to {interrupt('where to?')}"]}


def left(state: Order) -> Order:
    return {"log": [f"left {interrupt('left?')}"]}


def right(state: Order) -> Order:
    return {"log": [f"right {interrupt('right?')}"]}


def graph_of(*nodes: Any) -> Any:
    builder = StateGraph(Order)
    for node in nodes:
        builder.add_node(node.__name__, node)
        builder.add_edge(START, node.__name__)
    return builder


def nested() -> Any:
    builder = graph_of(right)
    builder.add_node("inner", graph_of(left).compile())
    builder.add_edge(START, "inner")
    return builder


GRAPHS = {
    "one": graph_of(one),
    "twice": graph_of(twice),
    "both": graph_of(left, right),
    "nested": nested(),
}

if __name__ == "__main__":
    address, tenant, graph, thread, *begin = sys.argv[1:]
    with RemoteSaver(address, tenant=tenant) as saver:
        compiled = GRAPHS[graph].compile(checkpointer=saver)
        saver.register(compiled, "orders")
        values = compiled.invoke({"text": "8 cups"} if begin else None, {"configurable": {"thread_id": thread}})
        asked = {question.id: question.value for question in values.pop("__interrupt__", [])}
        print(json.dumps({"values": values, "interrupts": asked}))
