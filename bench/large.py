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
from bench.sides import Bench, Saver
from bench.superstep import Supersteps
from bench.supersteps import superstep
from bench.workflow import at

MIB = 1 << 20
SIZE = 48 * MIB
COME_BACK = 0.5  # of the value: what may stay, for an allocator that keeps some for the next time

_SAMPLING = 0.005  # seconds between looks
_PATIENCE = 5.0  # seconds for the memory to come back in


@dataclass
class Memory:
    """Resident memory of a process, in bytes."""

    before: int = 0
    peak: int = 0
    after: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    def sample(self, process: psutil.Process) -> None:
        while not self._ended.wait(_SAMPLING):
            self.peak = max(self.peak, _resident(process))


def large(bench: Bench) -> Iterator[Row]:
    """A put and a get, twice: memory that grows by the same again each time would be a leak."""
    value = os.urandom(SIZE)
    with bench.fresh() as sides, sides.ours.saver() as ours, sides.theirs.saver() as theirs:
        process = psutil.Process(sides.server.process.pid)
        steps = Supersteps(ours, "small")
        for _ in range(50):  # all that a server loads with its first calls is there
            superstep(ours, steps)
        with _watched(process) as memory:
            put, got = _through(ours, value)
            say("  48 MiB: stored and read", end="")
        with _watched(process) as again:
            _through(ours, value)
        their_put, their_get = _through(theirs, value)
    for name, part, limit in (
        ("memory for 48 MiB, at its peak", memory.peak - memory.before, 6.0),
        ("memory for 48 MiB, that stays", memory.after - memory.before, COME_BACK),
        ("memory for 48 MiB, that stays the second time", again.after - again.before, COME_BACK),
    ):
        note = (
            f"times the value. The server's RSS in MiB: {memory.before / MIB:.0f} before, {memory.peak / MIB:.0f} at its "
            f"peak, {memory.after / MIB:.0f} within {_PATIENCE:.0f} s; again: {again.peak / MIB:.0f}, "
            f"{again.after / MIB:.0f}. Put {put:.2f} s, get {got:.2f} s (theirs {their_put:.2f} s, {their_get:.2f} s)"
        )
        yield Row(name, "x", max(part, 0) / SIZE, target=ours_at_most(limit), note=note)


def _through(saver: Saver, value: bytes) -> tuple[float, float]:
    """Put a state with this value and get it again; the seconds that both took."""
    thread_id = f"large-{uuid4()}"
    steps = Supersteps(saver, thread_id)
    config, checkpoint, metadata, versions = steps.checkpoint()
    checkpoint["channel_values"]["file"] = value
    checkpoint["channel_versions"]["file"] = versions["file"] = versions["messages"]
    began = time.perf_counter()
    saver.put(config, checkpoint, metadata, versions)
    put = time.perf_counter() - began
    found = saver.get_tuple(at(thread_id))
    got = time.perf_counter() - began - put
    assert found is not None
    assert found.checkpoint["channel_values"]["file"] == value
    return put, got


@contextmanager
def _watched(process: psutil.Process) -> Iterator[Memory]:
    memory = Memory(before=_resident(process))
    memory.peak = memory.before
    sampling = threading.Thread(target=memory.sample, args=(process,))
    sampling.start()
    try:
        yield memory
        end = time.monotonic() + _PATIENCE
        memory.after = memory.peak
        while time.monotonic() < end and memory.after > memory.before + COME_BACK * SIZE:
            time.sleep(0.1)
            memory.after = _resident(process)
    finally:
        memory._ended.set()
        sampling.join()


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)
