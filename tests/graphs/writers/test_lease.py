"""writers="lease": a run has its thread for itself; others wait, or are told who has it."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpointd.client import LeaseHeld
from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import checkpoint, thread
from tests.graphs.processes import Processes
from tests.graphs.writers.lines import (
    LONG,
    WAYS,
    Hold,
    Savers,
    StoredLeases,
    T,
    forks,
    given_back,
    held,
    in_a_process,
    line,
    lines,
    log,
    said,
    stored,
)
from tests.server_process import eventually


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("same", [True, False], ids=["one saver", "two savers"])
def test_a_second_run_waits_and_builds_on_the_first(
    leasing: RemoteSaver, savers: Savers, leases: StoredLeases, way: str, same: bool
) -> None:
    hold = Hold("first")
    app = line(leasing, hold)
    second = line(leasing if same else savers("lease", lease_ttl=LONG), hold)
    with held(hold, lambda: WAYS[way](app, said("first"), T, "async")) as first, ThreadPoolExecutor(1) as pool:
        attempt = leases.attempt()
        waiting = pool.submit(WAYS[way], second, said("second"), T, "async")
        eventually("the second one has asked for the lease", lambda: leases.attempt() != attempt)
        hold.go.set()
        first.result()
        waiting.result()
    assert log(leasing) == [*lines("first"), *lines("second")]
    assert not forks(leasing)
    given_back(leases)


@pytest.mark.parametrize("way", WAYS)
def test_who_does_not_wait_is_told_who_has_it(
    leasing: RemoteSaver, impatient: RemoteSaver, leases: StoredLeases, way: str
) -> None:
    hold = Hold("first")
    app = line(leasing, hold)
    with held(hold, lambda: WAYS[way](app, said("first"), T, "sync")) as first:
        before = stored(impatient)
        with pytest.raises(LeaseHeld) as refused:
            WAYS[way](line(impatient), said("second"), T, "sync")
        assert refused.value.metadata["holder"] == leases.holder()
        assert f":{os.getpid()}:" in refused.value.metadata["holder"]
        with pytest.raises(LeaseHeld):
            line(impatient).update_state(T, {"log": ["update"]}, as_node="c")
        with pytest.raises(LeaseHeld):
            line(impatient).invoke(None, checkpoint("t", before[-1].checkpoint["id"]))
        assert stored(impatient) == before
        line(impatient).invoke(said("other"), thread("another"))
        hold.go.set()
        first.result()
    given_back(leases)
    line(impatient).invoke(said("second"), T)
    assert log(leasing) == [*lines("first"), *lines("second")]


def test_reading_needs_no_lease(leasing: RemoteSaver, impatient: RemoteSaver) -> None:
    hold = Hold("first")
    app = line(leasing, hold)
    with held(hold, lambda: app.invoke(said("first"), T, durability="sync")):
        assert line(impatient).get_state(T).values["log"] == ["first", "first a"]
        assert len(list(line(impatient).get_state_history(T))) == 3
        assert asyncio.run(line(impatient).aget_state(T)).next == ("b",)


def test_processes_wait_for_each_other(processes: Processes, impatient: RemoteSaver, leases: StoredLeases) -> None:
    address, tenant = processes.address, processes.tenant
    first = processes.holding_at("b").start(in_a_process, address, tenant, "first", 0)
    first.wait_until_told("b")
    with pytest.raises(LeaseHeld, match=f":{first.process.pid}:"):
        line(impatient).invoke(said("here"), T)
    attempt = leases.attempt()
    second = processes.start(in_a_process, address, tenant, "second", 60)
    eventually("the second one has asked for the lease", lambda: leases.attempt() != attempt)
    assert not second.told
    first.let_go()
    assert first.result() == lines("first")
    assert second.result() == [*lines("first"), *lines("second")]
    given_back(leases)


def test_ten_runs_on_one_thread(leasing: RemoteSaver, savers: Savers, leases: StoredLeases) -> None:
    apps = [line(leasing), line(savers("lease", lease_ttl=LONG))]
    with ThreadPoolExecutor(10) as pool:
        for _ in pool.map(lambda number: apps[number % 2].invoke(said(f"run{number}"), T), range(10)):
            pass
    found = log(leasing)
    for number in range(10):
        begin = found.index(f"run{number}")
        assert found[begin : begin + 4] == lines(f"run{number}")
    assert not forks(leasing)
    given_back(leases)


def test_thirty_runs_on_threads_of_their_own(leasing: RemoteSaver, leases: StoredLeases) -> None:
    app = line(leasing)
    with ThreadPoolExecutor(30) as pool:
        for _ in pool.map(lambda number: app.invoke(said("run"), thread(f"t{number}")), range(30)):
            pass
    for number in range(30):
        given_back(leases, f"t{number}")
        assert log(leasing, f"t{number}") == lines("run")


async def test_a_hundred_runs_in_one_loop(leasing: RemoteSaver, leases: StoredLeases) -> None:
    app = line(leasing)
    await asyncio.gather(*(app.ainvoke(said("run"), thread(f"t{number}")) for number in range(100)))
    for number in range(100):
        await asyncio.to_thread(given_back, leases, f"t{number}")
    assert log(leasing, "t99") == lines("run")


def test_threads_may_have_numbers(impatient: RemoteSaver, leases: StoredLeases) -> None:
    at: RunnableConfig = {"configurable": {"thread_id": 7}}
    for who in ("one", "two"):
        line(impatient).invoke(said(who), at)
        given_back(leases, "7")
        asyncio.run(line(impatient).ainvoke(said(who), at))
        given_back(leases, "7")
    assert log(impatient, "7") == [*lines("one"), *lines("one"), *lines("two"), *lines("two")]


def test_clones_share_leases(savers: Savers, impatient: RemoteSaver, leases: StoredLeases) -> None:
    leasing = savers("lease", lease_ttl=LONG, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
    clone = leasing.with_allowlist([("tests", "Some")])
    assert isinstance(clone, RemoteSaver)
    assert clone is not leasing
    hold = Hold("first")
    with held(hold, lambda: line(clone, hold).invoke(said("first"), T)) as first:
        with pytest.raises(LeaseHeld):
            line(impatient).invoke(said("second"), T)
        hold.go.set()
        first.result()
    line(leasing).invoke(said("second"), T)
    assert log(leasing) == [*lines("first"), *lines("second")]
    given_back(leases)
