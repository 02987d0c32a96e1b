"""Subgraphs: their checkpoints have a namespace of their own, and their questions are answered by other processes."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, StateSnapshot, interrupt

from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import id_of, thread
from tests.graphs.processes import Processes, tell


class Order(TypedDict):
    items: Annotated[list[str], add]
    approved_by: str


class Review(TypedDict):
    items: list[str]
    notes: Annotated[list[str], add]
    approved_by: str


class Signed(TypedDict):
    approved_by: str


def look(state: Review) -> dict[str, Any]:
    tell("look")
    return {"notes": [f"{len(state['items'])} items"]}


def sign(state: Review) -> dict[str, Any]:
    tell("sign")
    return {"approved_by": interrupt({"sign": state["notes"]}), "notes": ["signed"]}


def pack(state: Order) -> dict[str, Any]:
    tell("pack")
    return {"items": ["paper"]}


def ship(state: Order) -> dict[str, Any]:
    tell("ship")
    return {"items": [f"a letter from {state['approved_by']}"]}


def shop(saver: RemoteSaver) -> CompiledStateGraph[Order]:
    """pack -> review (look -> sign, which asks a person) -> ship."""
    review = StateGraph(Review, output_schema=Signed)
    review.add_sequence([look, sign])
    review.add_edge(START, "look")
    order = StateGraph(Order)
    order.add_node("pack", pack)
    order.add_node("review", review.compile())
    order.add_node("ship", ship)
    for start, end in ((START, "pack"), ("pack", "review"), ("review", "ship")):
        order.add_edge(start, end)
    return order.compile(checkpointer=saver)


def order(saver: RemoteSaver) -> Any:
    given: Order = {"items": ["tea"], "approved_by": ""}
    return shop(saver).invoke(given, thread("t"), durability="sync")


def answer(saver: RemoteSaver, name: str) -> Any:
    return shop(saver).invoke(Command(resume=name), thread("t"))


def with_subgraphs(saver: RemoteSaver) -> StateSnapshot:
    return shop(saver).get_state(thread("t"), subgraphs=True)


def inner(saver: RemoteSaver) -> StateSnapshot:
    """The state of the subgraph that waits."""
    state = with_subgraphs(saver).tasks[0].state
    assert isinstance(state, StateSnapshot)
    return state


def test_another_process_answers_inside_the_subgraph(processes: Processes, saver: RemoteSaver) -> None:
    result, asked = processes.ran(order)
    done, answered = processes.ran(answer, "Ada")

    assert asked == ["pack", "look", "sign"]
    assert [question.value for question in result["__interrupt__"]] == [{"sign": ["2 items"]}]
    assert answered == ["sign", "ship"], "the subgraph goes on at its own checkpoint"
    assert done == {"items": ["tea", "paper", "a letter from Ada"], "approved_by": "Ada"}
    assert shop(saver).get_state(thread("t")).next == ()


def test_the_question_is_seen_from_outside(processes: Processes, saver: RemoteSaver) -> None:
    result = processes.run(order)

    state = shop(saver).get_state(thread("t"))
    assert state.next == ("review",)
    assert list(state.interrupts) == result["__interrupt__"]
    assert state.values == {"items": ["tea", "paper"], "approved_by": ""}
    assert processes.run(with_subgraphs) == with_subgraphs(saver)
    assert inner(saver).next == ("sign",)
    assert inner(saver).values == {"items": ["tea", "paper"], "notes": ["2 items"], "approved_by": ""}


def test_the_subgraph_has_a_namespace_of_its_own(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(order)

    namespace = inner(saver).config["configurable"]["checkpoint_ns"]
    task = shop(saver).get_state(thread("t")).tasks[0]
    assert namespace == f"review:{task.id}"
    everywhere = list(saver.list(thread("t")))
    assert {item.config["configurable"]["checkpoint_ns"] for item in everywhere} == {"", namespace}
    only_there = list(saver.list({"configurable": {"thread_id": "t", "checkpoint_ns": namespace}}))
    assert [item.checkpoint["channel_values"].get("notes") for item in only_there] == [["2 items"], None, None]
    only_root = list(saver.list({"configurable": {"thread_id": "t", "checkpoint_ns": ""}}))
    assert len(only_there) + len(only_root) == len(everywhere)


def test_the_subgraphs_history_is_read_elsewhere(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(order)

    namespace = inner(saver).config["configurable"]["checkpoint_ns"]
    states = list(shop(saver).get_state_history({"configurable": {"thread_id": "t", "checkpoint_ns": namespace}}))
    assert [(state.next, state.values.get("notes")) for state in states] == [
        (("sign",), ["2 items"]),
        (("look",), []),
        (("__start__",), []),
    ]
    root = shop(saver).get_state(thread("t"))
    parents = [(state.metadata or {}).get("parents") for state in states]
    assert parents == [{"": id_of(root)}] * len(states)


def test_the_subgraphs_state_is_changed_by_another_process(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(order)
    shop(saver).update_state(inner(saver).config, {"notes": ["fragile"]}, as_node="look")

    asked = inner(saver).tasks[0]
    assert (asked.name, inner(saver).values["notes"]) == ("sign", ["2 items", "fragile"])
    again, told = processes.ran(go_on)
    assert told == ["sign"]
    assert [question.value for question in again["__interrupt__"]] == [{"sign": ["2 items", "fragile"]}]
    assert processes.run(answer, "Ada")["approved_by"] == "Ada"


def go_on(saver: RemoteSaver) -> Any:
    return shop(saver).invoke(None, thread("t"))


def replay_from(saver: RemoteSaver, node: str, name: str) -> tuple[Any, Any]:
    """Go back to before a node, and sign again when asked."""
    app = shop(saver)
    start = next(state for state in app.get_state_history(thread("t")) if state.next == (node,))
    return app.invoke(None, start.config), app.invoke(Command(resume=name), thread("t"))


@pytest.mark.parametrize(("node", "ran"), [("review", ["look", "sign"]), ("pack", ["pack", "look", "sign"])])
def test_a_replay_asks_again(processes: Processes, saver: RemoteSaver, node: str, ran: list[str]) -> None:
    processes.run(order)
    processes.run(answer, "Ada")

    (asked, done), told = processes.ran(replay_from, node, "Grace")

    assert told == [*ran, "sign", "ship"]
    assert [question.value for question in asked["__interrupt__"]] == [{"sign": ["2 items"]}]
    assert done["approved_by"] == "Grace"
    approvals = {state.values.get("approved_by") for state in shop(saver).get_state_history(thread("t"))}
    assert {"Ada", "Grace"} <= approvals, "the first branch is still there"


def test_a_process_killed_inside_the_subgraph_loses_only_that_node(processes: Processes, saver: RemoteSaver) -> None:
    running = processes.holding_at("sign").start(order)
    running.wait_until_told("sign")
    running.kill()

    asked, told = processes.ran(go_on)
    assert running.told == ["pack", "look", "sign"]
    assert told == ["sign"]
    assert [question.value for question in asked["__interrupt__"]] == [{"sign": ["2 items"]}]
    assert processes.run(answer, "Ada")["items"] == ["tea", "paper", "a letter from Ada"]
