"""The clock of a client, which the nemesis steps, and the counts that the client shows meanwhile.

Both lie in a small file that two processes map: the nemesis writes the offset, the client's `time.time` adds it. What
measures durations is left alone: CLOCK_MONOTONIC never steps on a real machine either.
"""

import mmap
import struct
import time
from pathlib import Path
from types import ModuleType

from grpc import _channel

_CELLS = ("offset", "calls", "ops", "refused", "unknown")
_CELL = struct.Struct("=q")


class Panel:
    """Numbers that a client and the run share. Each has one writer."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it with zeros."""
        if not path.exists():
            path.write_bytes(bytes(_CELL.size * len(_CELLS)))
        with path.open("r+b") as file:
            self._cells = mmap.mmap(file.fileno(), 0)

    def get(self, name: str) -> int:
        """The number in a cell."""
        value: int = _CELL.unpack_from(self._cells, _CELL.size * _CELLS.index(name))[0]
        return value

    def set(self, name: str, value: int) -> None:
        """Put a number in a cell."""
        _CELL.pack_into(self._cells, _CELL.size * _CELLS.index(name), value)

    def add(self, name: str, more: int) -> None:
        """Add to the number in a cell. The threads of a process take turns by themselves."""
        self.set(name, self.get(name) + more)

    def close(self) -> None:
        """Let the file go."""
        self._cells.close()


def install(panel: Panel) -> None:
    """Let this process's wall clock be the panel's. To be called before anything that takes the functions by name.

    gRPC's Python part keeps the true one: it says deadlines to its C part as times of day, and on a machine whose clock
    steps both have the same.
    """
    seconds, nanoseconds = time.time, time.time_ns
    cells, unpack = panel._cells, _CELL.unpack_from  # once, because clocks are read often

    def stepped() -> float:
        return seconds() + float(unpack(cells)[0]) / 1e9

    def stepped_ns() -> int:
        return nanoseconds() + int(unpack(cells)[0])

    true = ModuleType("time")
    true.__dict__.update(time.__dict__)
    _channel.__dict__["time"] = true
    time.time, time.time_ns = stepped, stepped_ns
