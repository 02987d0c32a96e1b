"""Real graphs: many processes that invoke one, and many tasks of one event loop."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

from bench.row import Row, at_least
from bench.sides import POOL, Bench, Side
from bench.workers import Block, Workers, rates
from bench.workflow import NODES, at, question, workflow

PROCESSES = 8
TASKS = 200


@contextmanager
def invoking(side: Side, number: int, durability: Any) -> Iterator[Block[int]]:
    """A run after the other, each on a new thread."""
    with side.saver() as saver:
        graph = workflow(saver)

        def block(seconds: float) -> int:
            done = 0
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                graph.invoke(question(1), at(str(uuid4())), durability=durability)
                done += 1
            return done

        yield block


@contextmanager
def gathering(side: Side, number: int) -> Iterator[Block[int]]:
    """Runs in one event loop, all at once, each on a new thread. A block is given their number in place of
    seconds, and takes as long as they take."""
    with asyncio.Runner() as runner:
        entered = side.asaver()
        graph = workflow(runner.run(entered.__aenter__()))

        async def crowd(count: int) -> int:
            runs = (graph.ainvoke(question(1), at(str(uuid4()))) for _ in range(count))
            return len(await asyncio.gather(*runs))

        try:
            yield lambda count: runner.run(crowd(int(count)))
        finally:
            runner.run(entered.__aexit__(None, None, None))


def invokes(bench: Bench) -> Iterator[Row]:
    """Many processes, each invoking a graph, for every durability."""
    for durability in ("sync", "async", "exit"):
        with Workers(PROCESSES, invoking, bench.sides.both, durability) as workers:
            name = f"invoke of {NODES} nodes, {PROCESSES} processes, {durability}"
            note = "a new thread each time; theirs: each process with a connection of its own"
            yield rates(name, "/s", bench.effort, workers, at_least(1.0), note)


def ainvokes(bench: Bench) -> Iterator[Row]:
    """Many concurrent runs in one event loop."""
    with Workers(1, gathering, bench.sides.both) as workers:
        name = f"ainvoke of {NODES} nodes, {TASKS} at once"
        crowds = replace(bench.effort, warm=TASKS / 10, seconds=TASKS)
        note = f"one process; theirs: AsyncPostgresSaver on a pool of {POOL}, of which its lock uses one at a time"
        yield rates(name, "/s", crowds, workers, at_least(2.5), note)
