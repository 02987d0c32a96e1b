"""Plain counts of what the engine does, for whoever wants to know. The engine does nothing with them."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

# Upper bounds in seconds. A commit to a fast disk takes one to three milliseconds.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_COMMITS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Histogram:
    """How many of the values seen lie at or under each bound and above the one before; and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` ascend; what is above the last one has a count of its own."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many values were seen."""
        return sum(self.counts)


@dataclass(slots=True)
class CommitTally:
    """Of the batches that the committer stored, or tried to."""

    commits: Histogram = field(default_factory=lambda: Histogram(_COMMITS))
    """How many commits each batch had."""

    seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    """From when each batch was begun until it was answered."""

    failed: int = 0
    """Batches that the database refused or broke off. What is stored in halves then counts again."""


@dataclass(slots=True)
class CacheTally:
    """Of the values kept in memory."""

    hits: int = 0
    misses: int = 0
    bytes: int = 0


@dataclass(slots=True)
class RetentionTally:
    """Of what retention has removed in the background."""

    rounds: int = 0
    threads: int = 0
    checkpoints: int = 0
    bytes: int = 0


class Pool(NamedTuple):
    """A pool of connections, at this moment."""

    name: str
    size: int  # connections that there are
    in_use: int  # of them, how many run something or are held for who does
    waiting: int  # callers that wait for one


class BatchObserver(Protocol):
    """Is told of every batch. It must not take long."""

    def cause(self) -> object:
        """What stands for who asks for a commit; called when it is taken."""

    def stored(self, causes: Sequence[object], began: float, error: Exception | None) -> None:
        """A batch of commits with these causes, begun at this time.perf_counter(), was just stored, or failed."""
