"""The counter graph: what one process counted, another goes on from; threads know nothing of each other."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import thread
from tests.graphs.processes import Processes


class State(TypedDict, total=False):
    count: int
    messages: Annotated[list[str], add]


def increment(state: State) -> State:
    return {"count": state["count"] + 1, "messages": [f"counted to {state['count'] + 1}"]}


def counter(saver: RemoteSaver) -> CompiledStateGraph[State]:
    graph = StateGraph(State)
    graph.add_node("increment", increment)
    graph.add_edge(START, "increment")
    graph.add_edge("increment", END)
    return graph.compile(checkpointer=saver)


def count(saver: RemoteSaver, thread_id: str, given: State) -> Any:
    return counter(saver).invoke(given, thread(thread_id))


def test_another_process_counts_on(processes: Processes, saver: RemoteSaver) -> None:
    first = processes.run(count, "session", {"count": 0})
    second = processes.run(count, "session", {"messages": ["more, please"]})

    assert first == {"count": 1, "messages": ["counted to 1"]}
    assert second == {"count": 2, "messages": ["counted to 1", "more, please", "counted to 2"]}
    assert counter(saver).get_state(thread("session")).values == second


def test_an_invoke_with_input_starts_over_and_history_keeps_both(processes: Processes, saver: RemoteSaver) -> None:
    for _ in range(2):
        assert processes.run(count, "session", {"count": 0})["count"] == 1

    history = [(state.values.get("count"), state.next) for state in counter(saver).get_state_history(thread("session"))]
    one_run = [(1, ()), (0, ("increment",)), (None, ("__start__",))]
    assert history == [(1, ()), (0, ("increment",)), (1, ("__start__",)), *one_run]


def test_threads_are_separate(processes: Processes, saver: RemoteSaver) -> None:
    running = [processes.start(count, name, {"count": start}) for name, start in (("a", 0), ("b", 10))]

    assert [process.result()["count"] for process in running] == [1, 11]
    app = counter(saver)
    assert app.get_state(thread("a")).values == {"count": 1, "messages": ["counted to 1"]}
    assert app.get_state(thread("b")).values == {"count": 11, "messages": ["counted to 11"]}


def test_a_thread_that_nobody_wrote_is_empty(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(count, "written", {"count": 0})

    state = counter(saver).get_state(thread("unwritten"))
    assert (state.values, state.next, state.metadata, state.created_at) == ({}, (), None, None)
    assert list(counter(saver).get_state_history(thread("unwritten"))) == []


def count_in_namespace(saver: RemoteSaver, namespace: str) -> Any:
    config: RunnableConfig = {"configurable": {"thread_id": "session", "checkpoint_ns": namespace}}
    return counter(saver).invoke({"count": 0}, config)


def test_a_namespace_in_the_callers_config_is_still_the_root_graph(processes: Processes, saver: RemoteSaver) -> None:
    result = processes.run(count_in_namespace, "mine")

    assert counter(saver).get_state(thread("session")).values == result
    assert {item.config["configurable"]["checkpoint_ns"] for item in saver.list(thread("session"))} == {""}


def test_tenants_share_no_thread(processes: Processes, saver: RemoteSaver) -> None:
    stranger = Processes(processes.address, f"{processes.tenant}-stranger")
    try:
        assert stranger.run(count, "session", {"count": 100})["count"] == 101
    finally:
        stranger.end()
    assert processes.run(count, "session", {"count": 0})["messages"] == ["counted to 1"]
    assert counter(saver).get_state(thread("session")).values["count"] == 1
