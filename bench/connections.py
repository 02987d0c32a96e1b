"""A thousand clients at once, each doing one superstep a second."""

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
from checkpointd.client.langgraph import RemoteSaver, requests
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub

CLIENTS, PROCESSES = 1000, 4
MOST_DATABASE_CONNECTIONS = 20

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

    def fail(self, error: BaseException) -> None:
        self.errors += 1
        self.failed_with = (
            self.failed_with or f"{type(error).__name__}: {error}".splitlines()[0].rpartition("failed: ")[2][:120]
        )


@contextmanager
def channels(side: Ours, number: int) -> Iterator[Block[Clients]]:
    """Channels, each with a TCP connection of its own. What they send is what a RemoteSaver sends; a thousand of those,
    with a thread each, would measure this machine's threads."""
    with asyncio.Runner() as runner, RemoteSaver(side.address) as saver:

        async def connected() -> list[grpc.aio.Channel]:
            own = [("grpc.use_local_subchannel_pool", 1)]
            found = [grpc.aio.insecure_channel(side.address, own) for _ in range(CLIENTS // PROCESSES)]
            await asyncio.wait_for(asyncio.gather(*(one.channel_ready() for one in found)), _TIMEOUT)
            return found

        async def close(open_ones: list[grpc.aio.Channel]) -> None:
            await asyncio.gather(*(one.close() for one in open_ones))

        found = runner.run(connected())
        yield lambda seconds: runner.run(_all(found, saver, seconds))
        runner.run(close(found))


async def _all(found: list[grpc.aio.Channel], saver: RemoteSaver, seconds: float) -> Clients:
    clients = Clients(connected=len(found))
    took: list[float] = []

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
            except grpc.RpcError as error:
                clients.fail(error)

    begin = time.perf_counter()
    await asyncio.gather(*(one(channel) for channel in found))
    clients.took, clients.elapsed = tuple(took), time.perf_counter() - begin
    return clients


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
                refused.fail(error)

        def block(seconds: float) -> Clients:
            clients = Clients(len(found), refused.errors, refused.failed_with)
            took: list[float] = []

            def one(saver: Saver) -> None:
                steps = Supersteps(saver, f"client-{uuid4()}")
                first = begin + random.random()
                for second in range(round(seconds)):
                    time.sleep(max(0.0, first + second - time.perf_counter()))
                    began = time.perf_counter()
                    try:
                        superstep(saver, steps)
                        took.append(time.perf_counter() - began)
                    except psycopg.Error as error:
                        clients.fail(error)

            threads = [threading.Thread(target=one, args=(saver,)) for saver in found]
            begin = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            clients.took, clients.elapsed = tuple(took), time.perf_counter() - begin
            return clients

        yield block


def thousand(bench: Bench) -> Iterator[Row]:
    """Both sides' clients, one side after the other. It is counted, not timed."""
    seconds = 3.0 if bench.effort.quick else 10.0
    with (
        _observer(bench, bench.sides.ours_conninfo) as ours_used,
        Workers(PROCESSES, channels, [bench.sides.ours]) as w,
    ):
        tcp = len(psutil.Process(bench.sides.server.process.pid).net_connections("tcp"))
        ours = _sum(w.results("ours", seconds))
    say(f"  {CLIENTS} clients, ours: {ours.errors} errors, {len(ours.took)} supersteps", end="")
    with _observer(bench, bench.sides.theirs.conninfo) as used, Workers(PROCESSES, savers, [bench.sides.theirs]) as w:
        theirs = _sum(w.results("theirs", seconds))
    note = (
        f"{tcp} TCP connections to our server; ours did {_told(ours)}, theirs, of the {theirs.connected} that "
        f"connected, {_told(theirs)}. Theirs: {theirs.failed_with or 'no error'}"
    )
    if ours.errors:
        note += f". Ours: {ours.failed_with}"
    yield Row(f"errors of {CLIENTS:,} clients", "", ours.errors, theirs.errors, target=ours_at_most(0), note=note)
    rates = [len(one.took) / one.elapsed if one.took else 0.0 for one in (ours, theirs)]
    yield Row(f"supersteps of {CLIENTS:,} clients", "/s", rates[0], rates[1], note="each asked for one a second")
    note = "the most that pg_stat_activity showed of each side's database; theirs may have 100 with our idle server's"
    target = ours_at_most(MOST_DATABASE_CONNECTIONS)
    yield Row(f"database connections of {CLIENTS:,} clients", "", max(ours_used), max(used), target=target, note=note)


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
    connection = psycopg.connect(bench.postgres.conninfo, autocommit=True)

    def count() -> None:
        while not ended.wait(0.1):
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
            row = connection.execute(query, (name,)).fetchone()
            counts.append(int(row[0]) if row else 0)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield counts
    finally:
        ended.set()
        thread.join()
        connection.close()
