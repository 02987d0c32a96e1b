"""Runs that end badly, killed or by an error: what was finished is on the server and does not run again."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, Literal, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot

from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import thread
from tests.graphs.processes import Processes, tell
from tests.server_process import eventually

Durability = Literal["sync", "async", "exit"]


class State(TypedDict):
    steps: Annotated[list[str], add]


class Unlucky:
    """A node that tells its name and fails as often as it is told to."""

    def __init__(self, name: str, failures: int) -> None:
        self._name = name
        self._failures = failures

    def __call__(self, state: State) -> State:
        tell(self._name)
        if self._failures:
            self._failures -= 1
            raise ConnectionError(f"{self._name} failed")
        return {"steps": [self._name]}


def pipeline(saver: RemoteSaver, failures: int = 0) -> CompiledStateGraph[State]:
    """one -> two_a and two_b side by side -> three, which fails so often -> four."""
    graph = StateGraph(State)
    for name in ("one", "two_a", "two_b", "three", "four"):
        graph.add_node(name, Unlucky(name, failures if name == "three" else 0))
    graph.add_edge(START, "one")
    for name in ("two_a", "two_b"):
        graph.add_edge("one", name)
    graph.add_edge(["two_a", "two_b"], "three")
    graph.add_edge("three", "four")
    graph.add_edge("four", END)
    return graph.compile(checkpointer=saver)


ALL = ["one", "two_a", "two_b", "three", "four"]


def run(saver: RemoteSaver, durability: Durability) -> list[str]:
    return list(pipeline(saver).invoke({"steps": []}, thread("t"), durability=durability)["steps"])


def go_on(saver: RemoteSaver) -> list[str]:
    return list(pipeline(saver).invoke(None, thread("t"))["steps"])


def state(saver: RemoteSaver) -> StateSnapshot:
    return pipeline(saver).get_state(thread("t"))


def length(saver: RemoteSaver) -> int:
    return len(list(saver.list(thread("t"))))


def safe_invoke(saver: RemoteSaver, given: State | None, failures: int, tries: int) -> Any:
    """Try again from the last checkpoint after an error; the result, or the last error's text."""
    app = pipeline(saver, failures)
    last = ""
    for _ in range(tries):
        try:
            return app.invoke(given, thread("t"))["steps"]
        except ConnectionError as error:
            given, last = None, str(error)
    return last


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_killed_run_goes_on_in_another_process(
    processes: Processes, saver: RemoteSaver, durability: Durability
) -> None:
    running = processes.holding_at("three").start(run, durability)
    running.wait_until_told("three")
    if durability == "async":  # the checkpoint is on its way while the next node runs; with "sync" it is there
        eventually("the checkpoint before three is stored", lambda: state(saver).next == ("three",))
    running.kill()

    assert (state(saver).next, state(saver).values) == (("three",), {"steps": ["one", "two_a", "two_b"]})
    steps, told = processes.ran(go_on)
    assert told == ["three", "four"]
    assert steps == ALL


def test_a_run_killed_beside_a_finished_neighbour_keeps_its_writes(processes: Processes, saver: RemoteSaver) -> None:
    running = processes.holding_at("two_b").start(run, "sync")
    running.wait_until_told("two_b")
    eventually("what two_a wrote is stored", lambda: state(saver).next == ("two_b",))
    running.kill()

    assert [(task.name, task.result) for task in state(saver).tasks] == [
        ("two_a", {"steps": ["two_a"]}),
        ("two_b", None),
    ]
    steps, told = processes.ran(go_on)
    assert sorted(running.told) == ["one", "two_a", "two_b"]
    assert told == ["two_b", "three", "four"], "two_a is not run again"
    assert steps == ALL


def test_what_exit_durability_has_not_stored_is_run_again(processes: Processes, saver: RemoteSaver) -> None:
    running = processes.holding_at("three").start(run, "exit")
    running.wait_until_told("three")
    running.kill()

    assert length(saver) == 0
    assert processes.run(run, "exit") == ALL


@pytest.mark.parametrize(("durability", "checkpoints"), [("sync", 6), ("async", 6), ("exit", 1)])
def test_a_finished_run_is_stored_when_invoke_returns(
    processes: Processes, saver: RemoteSaver, durability: Durability, checkpoints: int
) -> None:
    running = processes.start(run, durability)
    assert running.result() == ALL

    assert (state(saver).values, state(saver).next) == ({"steps": ALL}, ())
    assert length(saver) == checkpoints


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_failed_run_is_stored_too(processes: Processes, saver: RemoteSaver, durability: Durability) -> None:
    error, told = processes.ran(fail, durability)

    assert error == "three failed"
    assert sorted(told) == ["one", "three", "two_a", "two_b"]
    assert state(saver).next == ("three",)
    assert [str(task.error) for task in state(saver).tasks] == ["ConnectionError('three failed')"]
    assert processes.ran(go_on) == (ALL, ["three", "four"])


def fail(saver: RemoteSaver, durability: Durability) -> str:
    with pytest.raises(ConnectionError) as caught:
        pipeline(saver, failures=1).invoke({"steps": []}, thread("t"), durability=durability)
    return str(caught.value)


def test_safe_invoke_tries_again_from_the_last_checkpoint(processes: Processes) -> None:
    steps, told = processes.ran(safe_invoke, {"steps": []}, failures=2, tries=3)

    assert steps == ALL
    assert sorted(told[:3]) == ["one", "two_a", "two_b"]
    assert told[3:] == ["three", "three", "three", "four"], "only the node that failed runs again"


def test_what_safe_invoke_gave_up_another_process_finishes(processes: Processes, saver: RemoteSaver) -> None:
    error, _ = processes.ran(safe_invoke, {"steps": []}, failures=5, tries=2)
    assert error == "three failed"

    steps, told = processes.ran(safe_invoke, None, failures=1, tries=3)

    assert steps == ALL
    assert told == ["three", "three", "four"]
    assert state(saver).next == ()
