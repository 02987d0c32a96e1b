"""Two runs that go on from one head: what the refused one has written is no part of what the other one makes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import add
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Send, interrupt

from checkpointd.client import AlreadyWritten, HeadMoved
from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.delta import extend
from tests.graphs.processes import PATIENCE
from tests.graphs.writers.lines import Durability, Mode, Savers, T, forks

DURABILITIES: list[Durability] = ["sync", "async", "exit"]


class Both(TypedDict):
    """`log` is stored as changes and `plain` whole: at every checkpoint they must be equal."""

    log: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=1000)]
    plain: Annotated[list[str], add]


def both(line: str) -> Both:
    return {"log": [line], "plain": [line]}


def graph(
    saver: RemoteSaver, *, asks: str | None = None, inside: Callable[[], object] = lambda: None
) -> CompiledStateGraph[Both]:
    def node(state: Both) -> Both:
        if asks is None:
            return both("node")
        answer = interrupt(asks)
        inside()
        return both(f"node {answer}")

    builder = StateGraph(Both)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder.compile(checkpointer=saver)


class Late(RemoteSaver):
    """Something else happens before its first checkpoint is put."""

    def __init__(self, *arguments: Any, before: Callable[[], object], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._before = [before]

    def put(self, *arguments: Any) -> RunnableConfig:
        while self._before:
            self._before.pop()()
        return super().put(*arguments)


def _log_and_plain(saver: RemoteSaver) -> tuple[list[str], list[str]]:
    values = graph(saver).get_state(T).values
    return values["log"], values["plain"]


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("first", [True, False], ids=["the first run", "a later run"])
def test_a_run_that_comes_too_late_leaves_no_writes(savers: Savers, durability: Durability, first: bool) -> None:
    other = savers("refuse")
    if not first:
        graph(other).invoke(both("before"), T)
    before = [] if first else ["before", "node"]
    told: list[Any] = []

    def meanwhile() -> None:
        told.append(graph(other).invoke(both("other"), T, durability=durability))

    with (
        Late(savers.server.address, tenant=savers.tenant, writers="refuse", before=meanwhile) as late,
        pytest.raises(HeadMoved),
    ):
        graph(late).invoke(both("late"), T, durability=durability)
    expected = [*before, "other", "node"]
    assert told[0]["log"] == told[0]["plain"] == expected
    assert _log_and_plain(other) == (expected, expected)
    assert not forks(other)
    after = graph(other).invoke(both("after"), T, durability=durability)
    assert after["log"] == after["plain"] == [*expected, "after", "node"]


@pytest.mark.parametrize("mode", ["refuse", "lease"])
def test_a_run_that_writes_more_than_one_commit_takes(savers: Savers, mode: Mode) -> None:
    """What does not fit goes by itself; all of it is there."""

    def grow(state: Both) -> Both:
        return both("grown")

    def many(state: Both) -> list[Send]:
        return [Send("grow", {}) for _ in range(1000)]

    builder = StateGraph(Both)
    builder.add_node("grow", grow)
    builder.add_conditional_edges(START, many, ["grow"])
    saver = savers(mode)
    told = builder.compile(checkpointer=saver).invoke(both("in"), T, durability="exit")
    assert len(told["plain"]) == 1001
    # Not the log too: LangGraph itself, with any saver, loses some of so many writes to a delta channel.
    assert graph(saver).get_state(T).values["plain"] == told["plain"]


class Stopping(RemoteSaver):
    """Before its first checkpoint is put it says so, and waits."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.arrived, self.go = threading.Event(), threading.Event()

    def put(self, *arguments: Any) -> RunnableConfig:
        self.arrived.set()
        assert self.go.wait(PATIENCE)
        return super().put(*arguments)


@pytest.fixture
def stopping(savers: Savers) -> Iterator[Stopping]:
    with Stopping(savers.server.address, tenant=savers.tenant, writers="refuse") as saver:
        saver.go.set()
        graph(saver, asks="which?").invoke(both("in"), T)
        saver.arrived.clear()
        saver.go.clear()
        yield saver


@pytest.mark.parametrize("durability", DURABILITIES)
def test_who_goes_on_from_an_answered_question(savers: Savers, stopping: Stopping, durability: Durability) -> None:
    """One run has answered and not put its checkpoint yet; another one answers otherwise, and does."""
    other = savers("refuse")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(graph(stopping, asks="which?").invoke, Command(resume="slow"), T, durability=durability)
        assert stopping.arrived.wait(PATIENCE)
        told = graph(other, asks="which?").invoke(Command(resume="other"), T, durability=durability)
        stopping.go.set()
        assert isinstance(slow.exception(PATIENCE), HeadMoved)
    # What the slow one's task has written is there to go on from, unless runs save at their end.
    done = ["in", "node other" if durability == "exit" else "node slow"]
    assert told["log"] == told["plain"] == done
    assert _log_and_plain(other) == (done, done)
    assert not forks(other)


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_who_answers_the_same_question_too_late(savers: Savers, stopping: Stopping, durability: Durability) -> None:
    """Both runs execute the same task, with other results; the one that writes it second is refused."""
    late = savers("refuse")
    entered, go = threading.Event(), threading.Event()

    def inside() -> None:
        entered.set()
        assert go.wait(PATIENCE)

    with ThreadPoolExecutor(2) as pool:
        second = pool.submit(
            graph(late, asks="which?", inside=inside).invoke, Command(resume="late"), T, durability=durability
        )
        assert entered.wait(PATIENCE)
        first = pool.submit(graph(stopping, asks="which?").invoke, Command(resume="first"), T, durability=durability)
        assert stopping.arrived.wait(PATIENCE)
        go.set()
        assert isinstance(second.exception(PATIENCE), AlreadyWritten)
        stopping.go.set()
        told = first.result(PATIENCE)
    done = ["in", "node first"]
    assert told["log"] == told["plain"] == done
    assert _log_and_plain(late) == (done, done)
    assert not forks(late)
