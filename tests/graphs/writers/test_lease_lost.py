"""writers="lease": a lease is renewed while its run lasts; a run that has lost it stores nothing any more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from checkpointd.client import LeaseHeld, LeaseLost
from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.processes import Processes
from tests.graphs.writers.lines import (
    LONG,
    WAYS,
    Durability,
    Hold,
    Mode,
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
from tests.server_process import ServerProcess, eventually


def test_it_is_renewed_while_a_node_runs(savers: Savers, leases: StoredLeases) -> None:
    hold = Hold("first")
    app = line(savers("lease", lease_ttl=2), hold)
    with held(hold, lambda: app.invoke(said("first"), T)) as first:
        begun, holder = leases.expires_at(), leases.holder()
        assert begun
        eventually("the lease would have ended", lambda: leases.now() > begun)
        assert (leases.holder(), first.done()) == (holder, False)
        hold.go.set()
        first.result()
    assert log(savers("fork")) == lines("first")
    given_back(leases)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_has_lost_it_stores_nothing(
    leasing: RemoteSaver, impatient: RemoteSaver, leases: StoredLeases, way: str, durability: Durability
) -> None:
    line(impatient).invoke(said("seed"), T)
    hold = Hold("first")
    begun = lines("seed") if durability == "exit" else [*lines("seed"), "first", "first a"]
    with held(hold, lambda: WAYS[way](line(leasing, hold), said("first"), T, durability)) as first:
        eventually("what came before is stored", lambda: log(impatient) == begun)
        leases.expire()
        before = stored(impatient)
        hold.go.set()
        with pytest.raises(LeaseLost):
            first.result()
    assert stored(impatient) == before
    line(impatient).invoke(said("second"), T)
    assert log(impatient) == [*begun, *lines("second")]


def test_somebody_else_has_it(leasing: RemoteSaver, impatient: RemoteSaver, leases: StoredLeases) -> None:
    hold, hold_second = Hold("first"), Hold("second")
    with held(hold, lambda: line(leasing, hold).invoke(said("first"), T, durability="sync")) as first:
        leases.expire()
        second_app = line(impatient, hold_second)
        with held(hold_second, lambda: second_app.invoke(said("second"), T, durability="sync")) as second:
            holder, before = leases.holder(), stored(impatient)
            hold.go.set()
            with pytest.raises(LeaseLost) as lost:
                first.result()
            assert lost.value.metadata["holder"] == holder
            assert leases.holder() == holder, "who has lost it does not give it back"
            assert stored(impatient) == before
            hold_second.go.set()
            second.result()
    assert log(impatient) == ["first", "first a", *lines("second")]
    assert not forks(impatient)


def test_a_renewal_that_finds_it_lost(
    savers: Savers, impatient: RemoteSaver, leases: StoredLeases, caplog: pytest.LogCaptureFixture
) -> None:
    hold = Hold("first")
    with held(hold, lambda: line(savers("lease", lease_ttl=2), hold).invoke(said("first"), T)) as first:
        leases.expire()
        eventually("the renewal is refused", lambda: "LEASE_LOST" in caplog.text)
        hold.go.set()
        with pytest.raises(LeaseLost):
            first.result()
    line(impatient).invoke(said("second"), T)


def test_a_waiter_gets_what_expires(savers: Savers, leasing: RemoteSaver, leases: StoredLeases) -> None:
    """Of a holder that does not come back, at the latest a moment after its time."""
    hold = Hold("first")
    with held(hold, lambda: line(leasing, hold).invoke(said("first"), T)) as first, ThreadPoolExecutor(1) as pool:
        attempt = leases.attempt()
        waiting = pool.submit(line(savers("lease", lease_ttl=LONG)).invoke, said("second"), T)
        eventually("the second one has asked for the lease", lambda: leases.attempt() != attempt)
        leases.expire()
        waiting.result()
        hold.go.set()
        with pytest.raises(LeaseLost):
            first.result()
    assert log(leasing)[-4:] == lines("second")


def test_a_killed_process_keeps_it_until_the_time_is_over(
    processes: Processes, impatient: RemoteSaver, leases: StoredLeases
) -> None:
    there = processes.holding_at("b").start(in_a_process, processes.address, processes.tenant, "there", 0)
    there.wait_until_told("b")
    there.kill()
    with pytest.raises(LeaseHeld, match=f":{there.process.pid}:"):
        line(impatient).invoke(None, T)
    leases.expire()
    assert line(impatient).invoke(None, T)["log"] == lines("there")


@pytest.mark.parametrize("mode", ["refuse", "lease"])
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_run_outlasts_the_server(database: str, tenant: str, tmp_path: Path, mode: Mode, way: str) -> None:
    """Heads and leases are the database's: a server that comes back knows them."""
    leases, hold = StoredLeases(database, tenant), Hold("first")
    server = ServerProcess(tmp_path / "first", "--database-url", database)
    savers = Savers(server, tenant)
    try:
        app = line(savers(mode, lease_ttl=LONG, lease_wait=0), hold)
        with held(hold, lambda: WAYS[way](app, said("first"), T, "async")) as first:
            server.kill()
            hold.go.set()
            server = ServerProcess(tmp_path / "second", "--database-url", database, listen=server.address)
            first.result()
        assert log(savers("fork")) == lines("first")
        assert not forks(savers("fork"))
        given_back(leases)
    finally:
        savers.close()
        server.stop()
