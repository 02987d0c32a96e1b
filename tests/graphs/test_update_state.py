"""Changing a thread's state from outside: one process runs the graph, another changes the state, a third goes on."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph, add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot

from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import checkpoint, id_of, parent_of, thread
from tests.graphs.processes import Processes, tell


class Ticket(TypedDict, total=False):
    priority: str
    error: str | None
    steps: Annotated[list[str], add]
    messages: Annotated[list[AnyMessage], add_messages]


def step(name: str, **changes: Any) -> Ticket:
    tell(name)
    changed: Ticket = {"steps": [name], **changes}  # type: ignore[typeddict-item]
    return changed


def read(state: Ticket) -> Ticket:
    return step("read", error="unreadable" if state["priority"] == "?" else None)


def error_handler(state: Ticket) -> Ticket:
    return step("error_handler")


def router(state: Ticket) -> Ticket:
    return step("router")


def fast(state: Ticket) -> Ticket:
    return step("fast", messages=[AIMessage("At once.", id="reply")])


def thorough(state: Ticket) -> Ticket:
    return step("thorough", messages=[AIMessage("We are looking into it.", id="reply")])


def readable(state: Ticket) -> Literal["router", "__end__"]:
    return "__end__" if state.get("error") else "router"


def way(state: Ticket) -> Literal["fast", "thorough"]:
    return "fast" if state["priority"] == "high" else "thorough"


def desk(saver: RemoteSaver) -> CompiledStateGraph[Ticket]:
    """read -> router -> fast or thorough; what cannot be read ends, and error_handler brings it to the router."""
    graph = StateGraph(Ticket)
    for node in (read, error_handler, router, fast, thorough):
        graph.add_node(node)
    graph.add_edge(START, "read")
    graph.add_edge("error_handler", "router")
    graph.add_conditional_edges("read", readable)
    graph.add_conditional_edges("router", way)
    return graph.compile(checkpointer=saver)


def run(saver: RemoteSaver, priority: str = "low", stop_after: str | None = None) -> Any:
    given: Ticket = {"priority": priority, "messages": [HumanMessage("It is broken", id="question")]}
    return desk(saver).invoke(given, thread("t"), interrupt_after=[stop_after] if stop_after else None)


def go_on(saver: RemoteSaver, at: RunnableConfig | None = None) -> Any:
    return desk(saver).invoke(None, at or thread("t"))


def update(
    saver: RemoteSaver, values: Ticket, as_node: str | None = None, checkpoint_id: str | None = None
) -> RunnableConfig:
    at = checkpoint("t", checkpoint_id) if checkpoint_id else thread("t")
    return desk(saver).update_state(at, values, as_node=as_node)


def history(saver: RemoteSaver) -> list[StateSnapshot]:
    return list(desk(saver).get_state_history(thread("t")))


def test_a_reducer_adds_and_a_plain_channel_is_replaced(processes: Processes, saver: RemoteSaver) -> None:
    before = processes.run(run)
    processes.run(update, {"priority": "high", "steps": ["called back"]})

    after = desk(saver).get_state(thread("t")).values
    assert before["steps"] == ["read", "router", "thorough"]
    assert after == {**before, "priority": "high", "steps": [*before["steps"], "called back"]}


def test_an_update_is_a_checkpoint_of_its_own(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(run)
    head = history(saver)[0]
    made = processes.run(update, {"priority": "high"})

    changed = history(saver)[0]
    assert changed.config == made
    assert parent_of(changed) == id_of(head)
    assert (changed.metadata or {}).get("source") == "update"
    assert (changed.metadata or {}).get("step") == (head.metadata or {}).get("step", 0) + 1


def test_as_node_decides_where_the_run_goes_on(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(run)
    processes.run(update, {"priority": "high"}, "router")
    assert desk(saver).get_state(thread("t")).next == ("fast",)

    result, told = processes.ran(go_on)

    assert told == ["fast"]
    assert [message.text for message in result["messages"]] == ["It is broken", "At once."]


def test_an_error_is_corrected_as_the_error_handler(processes: Processes, saver: RemoteSaver) -> None:
    _, told = processes.ran(run, "?")
    assert (told, desk(saver).get_state(thread("t")).values["error"]) == (["read"], "unreadable")
    note = HumanMessage("corrected by hand", id="note")
    processes.run(update, {"error": None, "priority": "low", "messages": [note]}, "error_handler")

    result, told = processes.ran(go_on)

    assert told == ["router", "thorough"]
    assert result["error"] is None
    assert [message.id for message in result["messages"]] == ["question", "note", "reply"]


def test_without_as_node_the_update_comes_from_the_node_that_ran_last(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(run, stop_after="router")
    assert desk(saver).get_state(thread("t")).next == ("thorough",)
    processes.run(update, {"priority": "high"})

    assert desk(saver).get_state(thread("t")).next == ("fast",)
    assert processes.ran(go_on)[1] == ["fast"]


def with_feedback(saver: RemoteSaver, feedback: str) -> Any:
    """Read all messages, append to them, write all of them back, go on."""
    app = desk(saver)
    messages = app.get_state(thread("t")).values["messages"]
    app.update_state(thread("t"), {"messages": [*messages, HumanMessage(feedback, id="feedback")]}, as_node="router")
    return app.invoke(None, thread("t"))


def test_feedback_joins_the_messages_once(processes: Processes) -> None:
    processes.run(run)

    result, told = processes.ran(with_feedback, "Any news?")

    assert told == ["thorough"]
    assert [message.id for message in result["messages"]] == ["question", "reply", "feedback"]


def test_an_update_of_an_older_checkpoint_forks_the_thread(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(run)
    before = history(saver)
    routed = next(state for state in before if state.next == ("thorough",))
    made = processes.run(update, {"priority": "high", "steps": ["forked"]}, "router", id_of(routed))

    result, told = processes.ran(go_on, made)

    assert told == ["fast"]
    assert result["steps"] == ["read", "router", "forked", "fast"]
    after = history(saver)
    assert after[-len(before) :] == before, "the branch that was left is untouched"
    fork = next(state for state in after if state.config == made)
    assert parent_of(fork) == id_of(routed)
    assert desk(saver).get_state(thread("t")).values == result, "the fork is the head"


def test_two_processes_fork_the_same_checkpoint(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(run)
    routed = next(state for state in history(saver) if state.next == ("thorough",))

    running = [processes.start(update, {"steps": [name]}, "router", id_of(routed)) for name in ("one", "two")]
    forks = [process.result() for process in running]

    assert [desk(saver).get_state(fork).values["steps"] for fork in forks] == [
        ["read", "router", "one"],
        ["read", "router", "two"],
    ]
    assert [processes.run(go_on, fork)["steps"][-2:] for fork in forks] == [["one", "thorough"], ["two", "thorough"]]
