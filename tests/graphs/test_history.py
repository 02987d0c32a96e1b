"""The states of a run as another process reads them, and going back to one of them."""

from __future__ import annotations

from datetime import datetime
from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot

from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import checkpoint, id_of, parent_of, thread
from tests.graphs.processes import Processes, tell


class State(TypedDict):
    foo: str
    bar: Annotated[list[str], add]


def node_a(state: State) -> State:
    tell("a")
    return {"foo": "a", "bar": ["a"]}


def node_b(state: State) -> State:
    tell("b")
    return {"foo": "b", "bar": ["b"]}


def two_nodes(saver: RemoteSaver) -> CompiledStateGraph[State]:
    graph = StateGraph(State)
    graph.add_sequence([node_a, node_b])
    graph.add_edge(START, "node_a")
    return graph.compile(checkpointer=saver)


def run(saver: RemoteSaver, thread_id: str) -> Any:
    return two_nodes(saver).invoke({"foo": "", "bar": []}, thread(thread_id))


def run_from(saver: RemoteSaver, thread_id: str, checkpoint_id: str) -> Any:
    return two_nodes(saver).invoke(None, checkpoint(thread_id, checkpoint_id))


def history(saver: RemoteSaver, thread_id: str) -> list[StateSnapshot]:
    return list(two_nodes(saver).get_state_history(thread(thread_id)))


def test_every_superstep_is_a_snapshot(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(run, "t")

    states = history(saver, "t")
    assert [(state.values, state.next) for state in states] == [
        ({"foo": "b", "bar": ["a", "b"]}, ()),
        ({"foo": "a", "bar": ["a"]}, ("node_b",)),
        ({"foo": "", "bar": []}, ("node_a",)),
        ({"bar": []}, ("__start__",)),
    ]
    assert [(state.metadata or {}).get("source") for state in states] == ["loop", "loop", "loop", "input"]
    assert [(state.metadata or {}).get("step") for state in states] == [2, 1, 0, -1]
    assert [task.result for state in states for task in state.tasks] == [
        {"foo": "b", "bar": ["b"]},
        {"foo": "a", "bar": ["a"]},
        {"foo": "", "bar": []},
    ]


def test_snapshots_form_a_chain_in_time(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(run, "t")

    states = history(saver, "t")
    assert [parent_of(state) for state in states] == [*(id_of(state) for state in states[1:]), None]
    times = [datetime.fromisoformat(state.created_at or "") for state in states]
    assert times == sorted(times, reverse=True)
    assert {state.config["configurable"]["thread_id"] for state in states} == {"t"}


def test_all_processes_read_the_same(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(run, "t")

    states = history(saver, "t")
    assert processes.run(history, "t") == states
    app = two_nodes(saver)
    assert app.get_state(thread("t")) == states[0]
    assert [app.get_state(state.config).values for state in states] == [state.values for state in states]


def test_history_is_filtered_limited_and_continued(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(run, "t")
    newest, after_a, start, given = history(saver, "t")

    app = two_nodes(saver)
    assert list(app.get_state_history(thread("t"), filter={"source": "input"})) == [given]
    assert list(app.get_state_history(thread("t"), filter={"source": "loop", "step": 1})) == [after_a]
    assert list(app.get_state_history(thread("t"), limit=2)) == [newest, after_a]
    assert list(app.get_state_history(thread("t"), before=after_a.config)) == [start, given]
    assert list(app.get_state_history(thread("t"), before=newest.config, limit=1)) == [after_a]


def test_a_process_travels_in_time_from_a_history_entry(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(run, "t")
    before = history(saver, "t")
    after_a = before[1]

    result, told = processes.ran(run_from, "t", id_of(after_a))

    assert told == ["b"], "what lies before the checkpoint is read, not run again"
    assert result == {"foo": "b", "bar": ["a", "b"]}
    after = history(saver, "t")
    assert after[-len(before) :] == before, "the first branch stays as it was"
    new = after[: -len(before)]
    assert new[-1].values == after_a.values
    assert parent_of(new[-1]) == id_of(after_a)
    assert two_nodes(saver).get_state(thread("t")) == new[0], "the new branch is the head"


def test_travel_to_the_first_state_runs_the_whole_graph(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(run, "t")
    given = history(saver, "t")[-1]

    result, told = processes.ran(run_from, "t", id_of(given))

    assert told == ["a", "b"]
    assert result == {"foo": "b", "bar": ["a", "b"]}
