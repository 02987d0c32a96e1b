"""writers="refuse": a run whose thread moved under it fails before it has stored anything on top."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph

from checkpointd.client import CheckpointdError, HeadMoved, InvalidRequest, LeaseLost
from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import checkpoint, id_of
from tests.graphs.processes import Processes
from tests.graphs.writers.lines import (
    WAYS,
    Durability,
    Hold,
    Log,
    Mode,
    Savers,
    T,
    forks,
    head,
    held,
    line,
    lines,
    log,
    said,
    stored,
)
from tests.server_process import eventually


def settled(saver: RemoteSaver, wanted: list[str]) -> None:
    """Wait until what a held run stores in the background is there."""
    eventually(f"the log is {wanted}", lambda: log(saver) == wanted)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("way", WAYS)
def test_the_run_that_comes_late_is_refused(
    refusing: RemoteSaver, saver: RemoteSaver, way: str, durability: Durability
) -> None:
    line(saver).invoke(said("seed"), T)
    hold = Hold("first")
    app = line(refusing, hold)
    with held(hold, lambda: WAYS[way](app, said("first"), T, durability)) as first:
        begun = lines("seed") if durability == "exit" else [*lines("seed"), "first", "first a"]
        settled(saver, begun)
        left = head(saver)
        WAYS[way](app, said("second"), T, durability)
        before = stored(saver)
        hold.go.set()
        with pytest.raises(HeadMoved) as refused:
            first.result()
    assert (refused.value.expected_head, refused.value.head) == (left, head(saver))
    assert left in str(refused.value)
    assert head(saver) in str(refused.value)
    assert stored(saver) == before, "nothing is stored by a run that is refused"
    assert log(saver) == [*begun, *lines("second")]
    assert not forks(saver)

    WAYS[way](app, said("first"), T, durability)
    assert log(saver) == [*begun, *lines("second"), *lines("first")]
    assert not forks(saver)


@pytest.mark.parametrize("way", WAYS)
def test_with_fork_the_same_two_fork(saver: RemoteSaver, way: str) -> None:
    hold = Hold("first")
    app = line(saver, hold)
    with held(hold, lambda: WAYS[way](app, said("first"), T, "async")) as first:
        settled(saver, ["first", "first a"])
        left = head(saver)
        WAYS[way](app, said("second"), T, "async")
        hold.go.set()
        first.result()
    assert forks(saver) == [left]
    assert log(saver) == lines("first"), "the second one's work is lost from the head"


def test_two_that_begin_a_thread(refusing: RemoteSaver, saver: RemoteSaver) -> None:
    hold = Hold("first", "c")
    app = line(refusing, hold)
    with held(hold, lambda: app.invoke(said("first"), T, durability="exit")) as first:
        app.invoke(said("second"), T, durability="exit")
        hold.go.set()
        with pytest.raises(HeadMoved) as refused:
            first.result()
    assert (refused.value.expected_head, refused.value.head) == ("", head(saver))
    assert log(saver) == lines("second")
    assert len(stored(saver)) == 1


def test_who_writes_is_another_saver_or_an_update(refusing: RemoteSaver, saver: RemoteSaver) -> None:
    hold = Hold("first")
    app = line(refusing, hold)
    with held(hold, lambda: app.invoke(said("first"), T)) as first:
        settled(saver, ["first", "first a"])
        line(saver).update_state(T, {"log": ["update"]}, as_node="c")
        before = stored(saver)
        hold.go.set()
        with pytest.raises(HeadMoved):
            first.result()
    assert stored(saver) == before


@pytest.mark.parametrize("remote", [False, True], ids=["graph", "saver"])
def test_an_update_of_its_own_state_within_the_run_comes_late_too(
    refusing: RemoteSaver, saver: RemoteSaver, remote: bool
) -> None:
    """The update is the one that wins: it found the head that it read."""
    hold = Hold("first")
    app = line(refusing, hold)
    refusing.register(app, "line")
    with held(hold, lambda: app.invoke(said("first"), T)) as first:
        settled(saver, ["first", "first a"])
        (refusing if remote else app).update_state(T, {"log": ["update"]}, as_node="c")
        before = stored(saver)
        hold.go.set()
        with pytest.raises(HeadMoved):
            first.result()
    assert stored(saver) == before
    assert log(saver) == ["first", "first a", "update"]
    assert not forks(saver)


def test_an_update_that_comes_late(refusing: RemoteSaver, saver: RemoteSaver) -> None:
    """An update reads the head and then stores: whoever stores in between makes it fail."""
    line(saver).invoke(said("seed"), T)
    entered, go = threading.Event(), threading.Event()
    put = refusing.put

    def held_put(*given: Any) -> Any:
        entered.set()
        assert go.wait(60)
        return put(*given)

    app = line(refusing)
    with ThreadPoolExecutor(1) as pool:
        refusing.put = held_put  # type: ignore[method-assign, assignment]
        updating = pool.submit(app.update_state, T, {"log": ["update"]}, "c")
        assert entered.wait(60)
        left = head(saver)
        line(saver).invoke(said("other"), T)
        go.set()
        with pytest.raises(HeadMoved) as refused:
            updating.result()
    assert (refused.value.expected_head, refused.value.head) == (left, head(saver))
    assert log(saver) == [*lines("seed"), *lines("other")]
    assert not forks(saver)


def test_time_travel_forks(refusing: RemoteSaver, saver: RemoteSaver) -> None:
    app = line(refusing)
    app.invoke(said("one"), T)
    past = next(state for state in app.get_state_history(T) if state.next == ("b",))
    app.invoke(said("two"), T)
    before = stored(saver)

    app.invoke(None, checkpoint("t", id_of(past)))

    assert stored(saver)[-len(before) :] == before
    assert log(saver) == lines("one")
    assert id_of(past) in forks(saver)
    app.invoke(said("three"), checkpoint("t", id_of(past)))
    assert log(saver) == ["one", "one a", *lines("three")]
    app.invoke(said("four"), T)
    assert log(saver) == ["one", "one a", *lines("three"), *lines("four")]


def test_time_travel_is_refused_when_its_branch_moves(refusing: RemoteSaver, saver: RemoteSaver) -> None:
    """That a run may leave the head for the past does not let it overtake who comes after it."""
    line(saver).invoke(said("seed"), T)
    past = next(state for state in line(saver).get_state_history(T) if state.next == ("b",))
    hold = Hold("first", "c")
    app = line(refusing, hold)
    with held(hold, lambda: app.invoke(said("first"), checkpoint("t", id_of(past)))) as first:
        settled(saver, ["seed", "seed a", "first", "first a", "first b"])
        app.invoke(said("second"), T)
        before = stored(saver)
        hold.go.set()
        with pytest.raises(HeadMoved):
            first.result()
    assert stored(saver) == before


def test_twenty_threads_of_a_process_race(refusing: RemoteSaver, saver: RemoteSaver) -> None:
    app = line(refusing)
    together = threading.Barrier(20)

    def run(number: int) -> str | None:
        together.wait(60)
        try:
            app.invoke(said(f"run{number}"), T)
        except HeadMoved:
            return None
        return f"run{number}"

    with ThreadPoolExecutor(20) as pool:
        won = [who for who in pool.map(run, range(20)) if who]
    assert won
    assert not forks(saver)
    found = log(saver)
    for who in won:
        begin = found.index(who)
        assert found[begin : begin + 4] == lines(who), "a run that succeeds had the thread for itself"


def again_and_again(app: Any, who: str, durability: Durability = "exit") -> int:
    """Run until it succeeds; how often it was refused. With one write a run, one of several always succeeds."""
    refused = 0
    while True:
        try:
            app.invoke(said(who), T, durability=durability)
        except HeadMoved:
            refused += 1
        else:
            return refused


def test_who_is_refused_runs_again(refusing: RemoteSaver, saver: RemoteSaver) -> None:
    app = line(refusing)
    together = threading.Barrier(10)

    def run(number: int) -> int:
        together.wait(60)
        return again_and_again(app, f"run{number}")

    with ThreadPoolExecutor(10) as pool:
        refused = sum(pool.map(run, range(10)))
    assert refused, "they were in each other's way"
    assert not forks(saver)
    assert sorted(log(saver)) == sorted(entry for number in range(10) for entry in lines(f"run{number}"))


def many(_: RemoteSaver, address: str, tenant: str, who: str) -> int:
    with RemoteSaver(address, tenant=tenant, writers="refuse") as saver:
        return sum(again_and_again(line(saver), f"{who}{number}") for number in range(8))


def test_two_processes_race(processes: Processes, saver: RemoteSaver) -> None:
    running = [processes.start(many, processes.address, processes.tenant, who) for who in ("one", "two")]
    for process in running:
        process.result()
    assert not forks(saver)
    wanted = [entry for who in ("one", "two") for number in range(8) for entry in lines(f"{who}{number}")]
    assert sorted(log(saver)) == sorted(wanted)


def refused_in_a_process(_: RemoteSaver, address: str, tenant: str) -> tuple[str, str] | None:
    with RemoteSaver(address, tenant=tenant, writers="refuse") as saver:
        try:
            line(saver).invoke(said("there"), T, durability="sync")
        except HeadMoved as error:
            return error.expected_head, error.head
    return None


def test_another_process_is_refused(processes: Processes, refusing: RemoteSaver, saver: RemoteSaver) -> None:
    there = processes.holding_at("b").start(refused_in_a_process, processes.address, processes.tenant)
    there.wait_until_told("b")
    left = head(saver)
    line(refusing).invoke(said("here"), T)
    before = stored(saver)
    there.let_go()
    assert there.result() == (left, head(saver))
    assert stored(saver) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("writers", "x"),
        ("writers", None),
        ("lease_ttl", 0),
        ("lease_ttl", 0.5),
        ("lease_ttl", 3601),
        ("lease_ttl", float("nan")),
        ("lease_ttl", "x"),
        ("lease_ttl", None),
        ("lease_wait", -1),
        ("lease_wait", float("nan")),
        ("lease_wait", float("inf")),
        ("lease_wait", "x"),
    ],
)
@pytest.mark.parametrize("make", [RemoteSaver, RemoteSaver.from_conn_string], ids=["init", "conn_string"])
def test_bad_arguments(make: Any, field: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field} is ") as refused:
        make("127.0.0.1:1", **{field: value})
    assert refused.value.metadata == {"field": field}


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_other_failures_of_a_node_are_its_own(
    refusing: RemoteSaver, saver: RemoteSaver, durability: Durability
) -> None:
    """A node that fails while its thread has moved: nothing is stored, not even the failure."""
    hold = Hold("first")

    class Failing(Hold):
        def visit(self, who: str, node: str) -> None:
            hold.visit(who, node)
            if (who, node) == ("first", "b"):
                raise RuntimeError("the node's own")

    app = line(refusing, Failing("first"))
    with held(hold, lambda: app.invoke(said("first"), T, durability=durability)) as first:
        settled(saver, ["first", "first a"])
        app.invoke(said("second"), T)
        before = stored(saver)
        hold.go.set()
        with pytest.raises((RuntimeError, CheckpointdError)) as failed:
            first.result()
    assert isinstance(failed.value, HeadMoved) or "the node's own" in str(failed.value)
    assert stored(saver) == before


def test_a_failed_run_goes_on_where_it_was(refusing: RemoteSaver, saver: RemoteSaver) -> None:
    broken = threading.Event()
    broken.set()

    class Breaking(Hold):
        def visit(self, who: str, node: str) -> None:
            if node == "b" and broken.is_set():
                raise RuntimeError("broken")

    app = line(refusing, Breaking("nobody"))
    with pytest.raises(RuntimeError, match="broken"):
        app.invoke(said("one"), T)
    broken.clear()
    state: Log = app.invoke(None, T)  # type: ignore[assignment]
    assert state["log"] == lines("one")
    assert not forks(saver)


@pytest.mark.parametrize("look", ["history", "state", "async history", "nothing"])
@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_what_a_node_looks_at_is_not_time_travel(
    refusing: RemoteSaver, saver: RemoteSaver, look: str, durability: Durability
) -> None:
    """A run that has read its own checkpoints does not mean to fork from them."""
    hold = Hold("first")
    below = line(refusing)

    def node(state: Log, config: RunnableConfig) -> Log:
        at: RunnableConfig = {"configurable": {**config["configurable"], "checkpoint_ns": ""}}
        if look == "history":
            assert list(below.get_state_history(at)) or durability == "exit"
        elif look == "async history":
            asyncio.run(_all(below.aget_state_history(at)))
        elif look == "state":
            at["configurable"]["checkpoint_id"] = head(saver) if stored(saver) else None
            below.get_state(at)
        hold.visit("first", "b")
        return {"log": ["b"]}

    graph = StateGraph(Log)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    app = graph.compile(checkpointer=refusing)
    with held(hold, lambda: app.invoke(said("first"), T, durability=durability)) as first:
        line(saver).invoke(said("second"), T)
        before = stored(saver)
        hold.go.set()
        with pytest.raises(HeadMoved):
            first.result()
    assert stored(saver) == before
    assert not forks(saver)


async def _all(states: AsyncIterator[Any]) -> list[Any]:
    return [state async for state in states]


@pytest.mark.parametrize("mode", ["refuse", "lease"])
@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_a_thread_that_is_deleted_stays_deleted(savers: Savers, mode: Mode, durability: Durability) -> None:
    saver, hold = savers(mode), Hold("first")
    line(saver).invoke(said("seed"), T)
    with held(hold, lambda: line(saver, hold).invoke(said("first"), T, durability=durability)) as first:
        saver.delete_thread("t")
        hold.go.set()
        with pytest.raises(HeadMoved if mode == "refuse" else LeaseLost):
            first.result()
    assert not stored(saver)
