"""Supersteps a second, from one client to many, and how long one put takes."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

from bench.pairs import in_turn, paired
from bench.row import Row, Target, at_least, at_most
from bench.sides import Bench, Ours, Saver, Side
from bench.superstep import Supersteps
from bench.workers import Block, Workers, percentile, rates
from tests.server_process import ServerProcess

PROCESSES = 16
SHARING_PROCESSES, SHARING_THREADS = 2, 16


@contextmanager
def sequential(side: Side, number: int) -> Iterator[Block[int]]:
    """One thread of supersteps: put, then put_writes."""
    with side.saver() as saver:
        steps = Supersteps(saver, f"sequential-{number}-{uuid4()}")
        yield lambda seconds: _until(seconds, lambda: superstep(saver, steps))


def superstep(saver: Saver, steps: Supersteps) -> None:
    """One superstep: a checkpoint, and what its task writes."""
    saver.put(*steps.checkpoint())
    saver.put_writes(steps.config, *steps.writes())


@contextmanager
def driven(side: Side, number: int) -> Iterator[Block[int]]:
    """As a graph drives it: what a task wrote is stored by another thread, while this one puts the next checkpoint."""
    with side.saver() as saver, ThreadPoolExecutor(1) as background:
        steps = Supersteps(saver, f"driven-{number}-{uuid4()}")
        saver.put(*steps.checkpoint())

        def step() -> None:
            writing = background.submit(saver.put_writes, steps.config, *steps.writes())
            saver.put(*steps.checkpoint())
            writing.result()

        yield lambda seconds: _until(seconds, step)


@contextmanager
def sharing(side: Side, number: int) -> Iterator[Block[int]]:
    """Threads that share one checkpointer, each with a thread of its own."""
    with side.saver() as saver, ThreadPoolExecutor(SHARING_THREADS) as pool:
        threads = [Supersteps(saver, f"sharing-{number}-{place}-{uuid4()}") for place in range(SHARING_THREADS)]

        def block(seconds: float) -> int:
            def work(steps: Supersteps) -> int:
                return _until(seconds, lambda: superstep(saver, steps))

            return sum(pool.map(work, threads))

        yield block


@contextmanager
def putting(side: Side, number: int) -> Iterator[Block[list[float]]]:
    """One put after the other; says how long each took."""
    with side.saver() as saver:
        steps = Supersteps(saver, f"putting-{number}-{uuid4()}")

        def block(seconds: float) -> list[float]:
            took = []
            end = time.perf_counter() + seconds
            while (began := time.perf_counter()) < end:
                arguments = steps.checkpoint()
                began = time.perf_counter()
                saver.put(*arguments)
                took.append(time.perf_counter() - began)
            return took

        yield block


def _until(seconds: float, step: Callable[[], None]) -> int:
    """Take steps for so long, and say how many."""
    done = 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        step()
        done += 1
    return done


def one_client(bench: Bench) -> Iterator[Row]:
    """One client, one thread."""
    with Workers(1, sequential, bench.sides.both) as workers:
        yield rates("supersteps, 1 client", "/s", bench.effort, workers, at_least(0.8), "put, then put_writes")
    with Workers(1, driven, bench.sides.both) as workers:
        note = "put_writes in a background thread meanwhile, as LangGraph's executor calls it"
        yield rates("supersteps, 1 client, as a graph drives it", "/s", bench.effort, workers, at_least(0.8), note)


def many_processes(bench: Bench) -> Iterator[Row]:
    """Many processes, each with a checkpointer of its own."""
    with Workers(PROCESSES, sequential, bench.sides.both) as workers:
        note = "theirs: each with a connection of its own"
        yield rates(f"supersteps, {PROCESSES} processes", "/s", bench.effort, workers, at_least(1.0), note)


def several_servers(bench: Bench) -> Iterator[Row]:
    """Two servers on one database, beside one: the same clients. It says what one more server is worth on this machine,
    where it takes the cores that clients and PostgreSQL have otherwise."""
    first, database = bench.sides.ours, bench.sides.ours_conninfo
    with ServerProcess(bench.home / "second.log", CHECKPOINTD_DATABASE_URL=database) as second:
        sides = (Ours(f"ipv4:{first.address},{second.address}"), Ours(first.address, "theirs"))
        with Workers(PROCESSES, sequential, sides) as workers:
            name, note = f"supersteps, {PROCESSES} processes, two servers", "beside one server, in theirs' place"
            yield rates(name, "/s", bench.effort, workers, None, note)


def shared_saver(bench: Bench) -> Iterator[Row]:
    """A few processes with many threads that share one checkpointer."""
    name = f"supersteps, {SHARING_PROCESSES} processes x {SHARING_THREADS} threads"
    with Workers(SHARING_PROCESSES, sharing, bench.sides.both) as workers:
        note = "threads share their process's saver; theirs: on one connection, as from_conn_string gives"
        yield rates(name, "/s", bench.effort, workers, at_least(2.5), note)


def put_latency(bench: Bench) -> Iterator[Row]:
    """How long one put takes when nothing else happens."""
    with Workers(1, putting, bench.sides.both) as workers:
        for side in bench.sides.both:
            workers.results(side.name, bench.effort.warm)

        def block(side: str) -> list[float]:
            return [one * 1000 for one in workers.results(side, bench.effort.seconds)[0]]

        pairs = in_turn(
            "put",
            lambda: block("ours"),
            lambda: block("theirs"),
            bench.effort,
            lambda took: percentile(took, 0.5),
        )
    for part in (0.5, 0.99):
        figures = [(percentile(ours, part), percentile(theirs, part)) for ours, theirs in pairs]
        target: Target = at_most(1.5)
        calls = f"{min(len(one) for pair in pairs for one in pair)} calls a block at least"
        yield paired(f"put, p{part * 100:.0f}", "ms", figures, target, calls)
