"""Cleaning up after graphs from a process that runs none: old threads, old checkpoints."""

from __future__ import annotations

from datetime import datetime
from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import thread
from tests.graphs.processes import Processes, tell


class State(TypedDict, total=False):
    lines: Annotated[list[str], add]


def write(state: State) -> State:
    tell("write")
    return {"lines": ["written"]}


def sign(state: State) -> State:
    tell("sign")
    return {"lines": ["signed"]}


def letter(saver: RemoteSaver) -> CompiledStateGraph[State]:
    """Stops before it is signed."""
    graph = StateGraph(State)
    graph.add_sequence([write, sign])
    graph.add_edge(START, "write")
    return graph.compile(checkpointer=saver, interrupt_before=["sign"])


def run(saver: RemoteSaver, *threads: str) -> None:
    for name in threads:
        letter(saver).invoke({"lines": [name]}, thread(name))


def go_on(saver: RemoteSaver, name: str) -> Any:
    return letter(saver).invoke(None, thread(name))["lines"]


def delete_older(saver: RemoteSaver, than: datetime) -> list[str]:
    """Delete the threads whose last checkpoint is older."""
    latest: dict[str, datetime] = {}
    for item in saver.list(None):  # newest first
        latest.setdefault(item.config["configurable"]["thread_id"], datetime.fromisoformat(item.checkpoint["ts"]))
    old = sorted(name for name, written in latest.items() if written < than)
    for name in old:
        saver.delete_thread(name)
    return old


def prune(saver: RemoteSaver, *threads: str) -> None:
    saver.prune(threads, strategy="keep_latest")


def test_old_threads_are_deleted_by_another_process(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(run, "old-a", "old-b", "kept")
    processes.run(run, "new")
    app = letter(saver)
    new = app.get_state(thread("new")).created_at
    app.update_state(thread("kept"), {"lines": ["still in use"]})
    assert new is not None

    assert processes.run(delete_older, datetime.fromisoformat(new)) == ["old-a", "old-b"]

    assert {item.config["configurable"]["thread_id"] for item in saver.list(None)} == {"kept", "new"}
    assert app.get_state(thread("old-a")).values == {}
    assert app.get_state(thread("kept")).values["lines"] == ["kept", "written", "still in use"]


def test_a_deleted_thread_starts_anew(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(run, "a")
    saver.delete_thread("a")
    processes.run(run, "a")

    assert [state.next for state in letter(saver).get_state_history(thread("a"))] == [
        ("sign",),
        ("write",),
        ("__start__",),
    ]


def test_pruned_threads_go_on_where_they_stopped(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(run, "a", "b", "c")
    app = letter(saver)
    heads = {name: app.get_state(thread(name)) for name in ("a", "b")}
    processes.run(prune, "a", "b")

    for name, head in heads.items():
        [left] = app.get_state_history(thread(name))
        assert (left.config, left.values, left.next) == (head.config, head.values, ("sign",))
        assert processes.ran(go_on, name) == ([name, "written", "signed"], ["sign"])
    assert len(list(app.get_state_history(thread("c")))) == 3
