"""One state of 48 MiB: that it can be stored and read, and what the server's memory does meanwhile."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import psutil

from bench.pairs import say
from bench.row import Row, ours_at_most
from bench.sides import Bench, Side
from bench.superstep import Supersteps
from bench.supersteps import superstep
from bench.workflow import at

MIB = 1 << 20
SIZE = 48 * MIB
COME_BACK = 0.5  # of the value: what may stay, for an allocator that keeps some for the next time

ROUNDS = 5

_SAMPLING = 0.005  # seconds between looks
PATIENCE = 3.0  # seconds for the memory to come back in


@dataclass
class Memory:
    """Resident memory of a process, in bytes."""

    peak: int = 0
    after: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def sample(self, process: psutil.Process) -> None:
        while not self.ended.wait(_SAMPLING):
            self.peak = max(self.peak, _resident(process))

    def told(self) -> str:
        return f"{self.peak / MIB:.0f} at its peak, {self.after / MIB:.0f} after"


def large(bench: Bench) -> Iterator[Row]:
    """A put and a get, several times: memory that grows by the same again each time would be a leak."""
    with bench.fresh() as sides:
        process = psutil.Process(sides.server.process.pid)
        with sides.ours.saver() as saver:
            steps = Supersteps(saver, "small")
            for _ in range(50):  # all that a server loads with its first calls is there
                superstep(saver, steps)
        before = _resident(process)
        rounds = []
        count, patience = (1, 1.0) if bench.effort.quick else (ROUNDS, PATIENCE)
        for number in range(1, count + 1):
            with _watched(process, before, patience) as memory:
                took = _through(sides.ours)
            rounds.append(memory)
            say(f"  48 MiB: stored and read, {number} of {count}; {memory.told()}", end="")
        theirs_took = _through(sides.theirs)
    first, last = rounds[0], rounds[-1]
    told = "; ".join(memory.told() for memory in rounds)
    note = f"times the value. The server's RSS in MiB, {before / MIB:.0f} before: {told}"
    peak = "memory for 48 MiB, at its peak"
    yield Row(peak, "x", (first.peak - before) / SIZE, target=ours_at_most(6), note=note)
    stays = (first.after - before) / SIZE
    note = f"within {patience:.0f} s"
    yield Row("memory for 48 MiB, that stays", "x", stays, target=ours_at_most(COME_BACK), note=note)
    if count > 1:
        stays = (last.after - before) / SIZE
        note = f"after {count} of them, one after the other"
        yield Row("memory for 48 MiB, that stays in the end", "x", stays, target=ours_at_most(COME_BACK), note=note)
    for name, ours_s, theirs_s in zip(("put", "get"), took, theirs_took, strict=True):
        yield Row(f"{name} of 48 MiB", "s", ours_s, theirs_s, ours_s / theirs_s, note="one call each")


def _through(side: Side) -> tuple[float, float]:
    """Put a state with a new value, and get it by another saver, which does not know it; the seconds that both took."""
    value = os.urandom(SIZE)
    thread_id = f"large-{uuid4()}"
    with side.saver() as saver, side.saver() as other:
        other.get_tuple(at("nothing"))  # it is connected
        steps = Supersteps(saver, thread_id)
        config, checkpoint, metadata, versions = steps.checkpoint()
        checkpoint["channel_values"]["file"] = value
        checkpoint["channel_versions"]["file"] = versions["file"] = versions["messages"]
        began = time.perf_counter()
        saver.put(config, checkpoint, metadata, versions)
        put = time.perf_counter() - began
        found = other.get_tuple(at(thread_id))
        got = time.perf_counter() - began - put
    assert found is not None
    assert found.checkpoint["channel_values"]["file"] == value
    return put, got


@contextmanager
def _watched(process: psutil.Process, before: int, patience: float) -> Iterator[Memory]:
    memory = Memory()
    sampling = threading.Thread(target=memory.sample, args=(process,))
    sampling.start()
    try:
        yield memory
        end = time.monotonic() + patience
        while (now := time.monotonic()) < end:
            memory.after = _resident(process)
            if memory.after <= before + COME_BACK * SIZE:
                break
            time.sleep(min(0.1, end - now))
    finally:
        memory.ended.set()
        sampling.join()


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)
