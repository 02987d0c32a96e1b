"""A thousand clients at once, each doing one superstep a second."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
import psutil
import psycopg

from bench.pairs import say
from bench.row import Row, ours_at_most
from bench.sides import Bench, Ours, Saver, Theirs
from bench.superstep import Supersteps
from bench.supersteps import superstep
from bench.workers import Block, Workers, percentile
from bench.workflow import at
from checkpointd.client import connection
from checkpointd.client.langgraph import RemoteSaver, requests
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub

CLIENTS, PROCESSES = 1000, 4
MOST_DATABASE_CONNECTIONS = 20

Load = Callable[[Ours, int], AbstractContextManager[Block["Clients"]]]

# Within a process, gRPC gives channels of equal options one connection, unless they say this.
_APART = ("grpc.use_local_subchannel_pool", 1)
_TIMEOUT = 60.0  # seconds: RemoteSaver's own
_METADATA = (("checkpointd-tenant", "default"),)


@dataclass
class Clients:
    """What became of one process's clients."""

    connected: int = 0
    errors: int = 0
    failed_with: str = ""
    took: tuple[float, ...] = ()
    """Seconds, of each superstep that succeeded."""
    elapsed: float = 0.0
    """Seconds, until the last one was done."""

    def fail(self, error: str) -> None:
        self.errors += 1
        self.failed_with = self.failed_with or error[:160]


@contextmanager
def channels(side: Ours, number: int) -> Iterator[Block[Clients]]:
    """Channels, each with a TCP connection of its own, and one call for each thing to store: a client of the protocol
    that is in no hurry. This machine can run a thousand of those and give each its superstep a second."""
    with asyncio.Runner() as runner, RemoteSaver(side.address) as saver:

        async def connected() -> list[grpc.aio.Channel]:
            found = [grpc.aio.insecure_channel(side.address, [_APART]) for _ in range(CLIENTS // PROCESSES)]
            await asyncio.wait_for(asyncio.gather(*(one.channel_ready() for one in found)), _TIMEOUT)
            return found

        async def close() -> None:
            await asyncio.gather(*(one.close() for one in found))

        found = runner.run(connected())
        yield lambda seconds: runner.run(_all_channels(found, saver, seconds))
        runner.run(close())


async def _all_channels(found: Sequence[grpc.aio.Channel], saver: RemoteSaver, seconds: float) -> Clients:
    clients = Clients(len(found))
    took: list[float] = []
    begin = time.perf_counter()

    async def one(channel: grpc.aio.Channel) -> None:
        stub: Any = CheckpointsStub(channel)
        steps = Supersteps(saver, f"client-{uuid4()}")
        first = begin + random.random()
        for second in range(round(seconds)):
            await asyncio.sleep(first + second - time.perf_counter())
            began = time.perf_counter()
            put, _ = requests.put_checkpoint(*steps.checkpoint(), saver.serde)
            writes = requests.put_writes(steps.config, *steps.writes(), saver.serde)
            try:
                await stub.PutCheckpoint(put.request, timeout=_TIMEOUT, metadata=_METADATA)
                await stub.PutWrites(writes.request, timeout=_TIMEOUT, metadata=_METADATA)
                took.append(time.perf_counter() - began)
            except grpc.aio.AioRpcError as error:
                clients.fail(f"{error.code().name}: {error.details()}")

    await asyncio.gather(*(one(channel) for channel in found))
    clients.took, clients.elapsed = tuple(took), time.perf_counter() - begin
    return clients


@contextmanager
def apart(side: Ours, number: int) -> Iterator[Block[Clients]]:
    """RemoteSavers, each with TCP connections and threads of its own, as those of other processes have."""
    connection._OPTIONS = (*connection._OPTIONS, _APART)
    with ExitStack() as stack:
        found = [stack.enter_context(side.saver()) for _ in range(CLIENTS // PROCESSES)]
        with ThreadPoolExecutor(50) as pool:
            list(pool.map(lambda saver: saver.get_tuple(at("nothing")), found))
        yield lambda seconds: _all(found, Clients(len(found)), seconds)


@contextmanager
def savers(side: Theirs, number: int) -> Iterator[Block[Clients]]:
    """PostgresSavers, each with a connection of its own, as clients that know nothing of each other have. One that gets
    none is an error, and does no supersteps."""
    refused = Clients()
    with ExitStack() as stack:
        found: list[Saver] = []
        for _ in range(CLIENTS // PROCESSES):
            try:
                found.append(stack.enter_context(side.saver()))
            except psycopg.OperationalError as error:
                refused.fail(str(error).splitlines()[0].rpartition("failed: ")[2])
        yield lambda seconds: _all(found, Clients(len(found), refused.errors, refused.failed_with), seconds)


def _all(found: Sequence[Saver], clients: Clients, seconds: float) -> Clients:
    """Let each take a superstep a second, at a moment of its own, and the next one late if one took longer."""
    threads_of = [Supersteps(saver, f"client-{uuid4()}") for saver in found]
    took: list[float] = []
    begin = time.perf_counter()

    def one(saver: Saver, steps: Supersteps) -> None:
        first = begin + random.random()
        for second in range(round(seconds)):
            time.sleep(max(0.0, first + second - time.perf_counter()))
            began = time.perf_counter()
            try:
                superstep(saver, steps)
                took.append(time.perf_counter() - began)
            except Exception as error:
                clients.fail(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=one, args=pair) for pair in zip(found, threads_of, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clients.took, clients.elapsed = tuple(took), time.perf_counter() - begin
    return clients


def thousand(bench: Bench) -> Iterator[Row]:
    """Both sides' clients, one side after the other. It is counted, not timed."""
    seconds = 3.0 if bench.effort.quick else 10.0
    ours, ours_used, tcp = _run_ours(bench, channels, seconds)
    say(f"  {CLIENTS} clients, ours: {ours.errors} errors, {len(ours.took)} supersteps", end="")
    with _observer(bench, bench.sides.theirs.conninfo) as used, Workers(PROCESSES, savers, [bench.sides.theirs]) as w:
        theirs = _sum(w.results("theirs", seconds))
    note = (
        f"{tcp:,} TCP connections to our server; ours did {_told(ours)}, theirs, of the {theirs.connected} that "
        f"connected, {_told(theirs)}. Theirs: {theirs.failed_with or 'no error'}"
    )
    yield Row(f"errors of {CLIENTS:,} clients", "", ours.errors, theirs.errors, target=ours_at_most(0), note=note)
    rates = [len(one.took) / one.elapsed if one.took else 0.0 for one in (ours, theirs)]
    note = "each asked for one a second"
    yield Row(f"supersteps of {CLIENTS:,} clients", "/s", rates[0], rates[1], note=note)
    note = "the most that pg_stat_activity showed of each side's database; theirs may have 100 with our idle server's"
    target = ours_at_most(MOST_DATABASE_CONNECTIONS)
    yield Row(f"database connections of {CLIENTS:,} clients", "", ours_used, max(used), target=target, note=note)
    if not bench.effort.quick:  # connecting these takes a while
        whole, used_too, tcp = _run_ours(bench, apart, seconds / 2)
        note = (
            f"whole RemoteSavers with all their threads, in {PROCESSES} processes, as fast as this machine can: "
            f"{_told(whole)}; {tcp:,} TCP connections to our server, {used_too} of it to the database"
        )
        yield Row(f"errors of {CLIENTS:,} RemoteSavers", "", whole.errors, target=ours_at_most(0), note=note)


def _run_ours(bench: Bench, load: Load, seconds: float) -> tuple[Clients, int, int]:
    """What became of our clients, the most database connections meanwhile, and the TCP connections to the server."""
    with _observer(bench, bench.sides.ours_conninfo) as used, Workers(PROCESSES, load, [bench.sides.ours]) as workers:
        tcp = len(psutil.Process(bench.sides.server.process.pid).net_connections("tcp"))
        assert tcp > CLIENTS, f"{tcp} TCP connections are not those of {CLIENTS} clients"
        return _sum(workers.results("ours", seconds)), max(used), tcp


def _told(clients: Clients) -> str:
    if not clients.took:
        return "nothing"
    slow = percentile(clients.took, 0.99) * 1000
    return f"{len(clients.took):,} supersteps in {clients.elapsed:.1f} s (p99 {slow:.0f} ms)"


def _sum(found: list[Clients]) -> Clients:
    whole = Clients()
    for one in found:
        whole.connected += one.connected
        whole.errors += one.errors
        whole.failed_with = whole.failed_with or one.failed_with
        whole.took += one.took
        whole.elapsed = max(whole.elapsed, one.elapsed)
    return whole


@contextmanager
def _observer(bench: Bench, conninfo: str) -> Iterator[list[int]]:
    """Counts the connections to a database for as long as it is open."""
    counts = [0]
    ended = threading.Event()
    name = str(psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"])
    postgres = psycopg.connect(bench.postgres.conninfo, autocommit=True)

    def count() -> None:
        while not ended.wait(0.1):
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
            row = postgres.execute(query, (name,)).fetchone()
            counts.append(int(row[0]) if row else 0)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield counts
    finally:
        ended.set()
        thread.join()
        postgres.close()
