"""The floor: the same bytes by one bare statement. What a superstep costs beyond it is what a checkpointer does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from uuid import uuid4

import psycopg

from bench.pairs import in_turn, paired
from bench.row import Row
from bench.sides import Bench, Side
from bench.superstep import Supersteps
from bench.supersteps import sequential
from bench.workers import Block, Workers
from checkpointd.client.langgraph import RemoteSaver, requests

_VARIETY = 40  # different rows, inserted over and over


@contextmanager
def inserting(side: Side, number: int, conninfo: str) -> Iterator[Block[int]]:
    """One row a superstep, each committed, by a statement that is prepared."""
    with psycopg.connect(conninfo, autocommit=True, prepare_threshold=0) as connection, RemoteSaver() as saver:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS floor (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, content bytea)"
        )
        steps = Supersteps(saver, f"floor-{uuid4()}")
        contents = [as_bytes(saver, steps) for _ in range(_VARIETY)]

        def block(seconds: float) -> int:
            done, end = 0, time.perf_counter() + seconds
            while time.perf_counter() < end:
                content = contents[done % _VARIETY]
                connection.execute("INSERT INTO floor (content) VALUES (%b)", (content,))
                done += 1
            return done

        yield block


def as_bytes(saver: RemoteSaver, steps: Supersteps) -> bytes:
    """All that a superstep sends, as our client sends it."""
    put, _ = requests.put_checkpoint(*steps.checkpoint(), saver.serde)
    writes = requests.put_writes(steps.config, *steps.writes(), saver.serde)
    return bytes(put.request.SerializeToString() + writes.request.SerializeToString())


def floor(bench: Bench) -> Iterator[Row]:
    """Supersteps of each side beside bare inserts of the same bytes."""
    seconds, name = bench.effort.seconds, "supersteps by bare inserts"
    with (
        Workers(1, sequential, bench.sides.both) as steps,
        Workers(1, inserting, [bench.sides.theirs], bench.sides.theirs.conninfo) as inserts,
    ):
        # A quick run leaves theirs out, which follows from the first row too.
        for side, label in (("ours", "ours"), ("theirs", "PostgresSaver's"))[: 1 if bench.effort.quick else 2]:

            def superstep(side: str = side) -> float:
                return steps.rate(side, seconds)

            superstep()
            inserts.rate("theirs", bench.effort.warm)
            pairs = in_turn(f"{label} {name}", superstep, lambda: inserts.rate("theirs", seconds), bench.effort, float)
            note = "second column: inserts a second, one row each with the bytes of a superstep, each committed"
            yield paired(f"the floor: {label} {name}", "/s", pairs, None, note)


def commit_ms(conninfo: str) -> float:
    """How long one small commit takes now."""
    with psycopg.connect(conninfo, autocommit=True, prepare_threshold=0) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS commit_probe (number int)")
        took = []
        for number in range(25):
            began = time.perf_counter()
            connection.execute("INSERT INTO commit_probe VALUES (%s)", (number,))
            took.append(time.perf_counter() - began)
    return median(took[5:]) * 1000
