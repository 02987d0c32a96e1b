"""writers="lease": what happens inside a run: graphs, updates, other threads, and forks of the process."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from checkpointd.client import HeadMoved, LeaseHeld
from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import thread
from tests.graphs.processes import Processes
from tests.graphs.writers.lines import (
    LONG,
    WAYS,
    Log,
    Mode,
    Savers,
    StoredLeases,
    T,
    given_back,
    line,
    lines,
    log,
    said,
    stored,
)


def nested(saver: RemoteSaver, inner: Any) -> CompiledStateGraph[Log]:
    """inner -> subgraph -> called, which calls graphs itself."""
    below = line(saver)

    def called(state: Log, config: RunnableConfig) -> Log:
        found = below.invoke(said("called"), config)
        below.invoke(said("ambient"))
        return {"log": found["log"]}

    graph = StateGraph(Log)
    graph.add_node("inner", inner)
    graph.add_node("subgraph", line(saver))
    graph.add_node("called", called)
    for before, after in ((START, "inner"), ("inner", "subgraph"), ("subgraph", "called")):
        graph.add_edge(before, after)
    return graph.compile(checkpointer=saver)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_what_runs_inside_shares_it(impatient: RemoteSaver, leases: StoredLeases, asynchronous: bool) -> None:
    seen: list[str | None] = []

    def inner(state: Log) -> Log:
        seen.append(leases.holder())
        return {"log": ["inner"]}

    app = nested(impatient, inner)
    found = asyncio.run(app.ainvoke(said("one"), T)) if asynchronous else app.invoke(said("one"), T)
    assert found["log"][:2] == ["one", "inner"]
    assert found["log"][-4:] == lines("called")
    assert seen[0]
    given_back(leases)


@pytest.mark.parametrize("graph", [True, False], ids=["graph", "saver"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_an_update_of_another_thread_inside_a_node(
    impatient: RemoteSaver, leases: StoredLeases, graph: bool, asynchronous: bool
) -> None:
    other = line(impatient)
    impatient.register(other, "line")

    def inner(state: Log) -> Log:
        (other if graph else impatient).update_state(
            {"configurable": {"thread_id": "other", "checkpoint_ns": ""}}, said("update"), "c"
        )
        return {"log": ["inner"]}

    app = nested(impatient, inner)
    asyncio.run(app.ainvoke(said("one"), T)) if asynchronous else app.invoke(said("one"), T)
    assert log(impatient, "other") == ["update"]
    given_back(leases)
    given_back(leases, "other")


@pytest.mark.parametrize("kind", ["graph", "saver", "run"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", ["refuse", "lease"])
def test_a_node_that_changes_its_own_thread(savers: Savers, mode: Mode, way: str, kind: str) -> None:
    """It need not wait for itself; but its run is then one whose thread has moved."""
    saver = savers(mode, lease_wait=0)
    other = line(saver)
    saver.register(other, "line")
    after: list[Any] = []

    def inner(state: Log) -> Log:
        if kind == "run":
            other.invoke(said("inner"), T)
        else:
            (other if kind == "graph" else saver).update_state(T, {"log": ["inner"]}, "c")
        after.extend(stored(saver))
        return {"log": ["too late"]}

    with pytest.raises(HeadMoved):
        WAYS[way](nested(saver, inner), said("one"), T, "sync")
    assert stored(saver) == after
    assert log(saver) == ["one", *(lines("inner") if kind == "run" else ["inner"])]
    line(saver).invoke(said("two"), T)
    assert log(saver)[-4:] == lines("two")


def test_a_run_of_another_thread_inside_a_node(impatient: RemoteSaver, leases: StoredLeases) -> None:
    other, seen = line(impatient), []

    def inner(state: Log) -> Log:
        other.invoke(said("there"), {"configurable": {"thread_id": "other", "checkpoint_ns": ""}})
        seen.append(leases.holder())
        return {"log": ["inner"]}

    nested(impatient, inner).invoke(said("one"), T)
    assert log(impatient, "other") == lines("there")
    assert seen[0]
    given_back(leases)
    given_back(leases, "other")


def forking(_: RemoteSaver, address: str, tenant: str) -> list[int]:
    """Forks inside a run: the child ends, and runs on a thread of its own, while its parent goes on."""
    saver = RemoteSaver(address, tenant=tenant, writers="lease", lease_ttl=LONG, lease_wait=0)
    found = line(saver).stream(said("parent"), T, durability="sync")
    next(found)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            line(saver).invoke(said("child"), thread("of the child"))
            try:
                line(saver).invoke(said("child"), T)
            except LeaseHeld:
                code = 0
            found.close()  # type: ignore[attr-defined]
            saver.close()
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    list(found)
    saver.close()
    return [os.waitstatus_to_exitcode(status)]


def test_a_lease_is_not_the_childs(processes: Processes, impatient: RemoteSaver, leases: StoredLeases) -> None:
    assert processes.run(forking, processes.address, processes.tenant) == [0]
    assert log(impatient) == lines("parent")
    assert log(impatient, "of the child") == lines("child")
    given_back(leases)
    given_back(leases, "of the child")
