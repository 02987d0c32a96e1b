"""Two things measured in turn, A B A B: what else the machine does meets both alike, and the median of the ratios of
neighbours says how they compare whatever a second was worth at the time."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

from bench.row import Row, Target

Figures = TypeVar("Figures")


BUSY = 2.0  # times the quickest commit of the run: then the disk is busy with other things


class Disk:
    """What a small commit costs, looked at around every pair.

    The machine's disk is shared, and a ratio is not that of another disk: who commits several supersteps at once gains
    by a slow one, who needs little CPU by a fast one. What can be repeated is the quiet disk.
    """

    def __init__(self, commit_ms: Callable[[], float]) -> None:
        self._commit_ms = commit_ms
        self.noted: list[float] = []
        """Of the pairs that counted."""
        self.quickest = float("inf")

    def look(self) -> float:
        """How many milliseconds a commit takes now."""
        took = self._commit_ms()
        self.quickest = min(self.quickest, took)
        return took

    def since(self) -> float | None:
        """The median of what was noted since it was last asked for; None without any."""
        noted, self.noted = self.noted, []
        return median(noted) if noted else None


@dataclass(frozen=True)
class Effort:
    """How much time a run takes: more pairs and longer blocks for surer figures."""

    pairs: int
    seconds: float  # of one block
    warm: float  # seconds of the block before, which does not count
    quick: bool
    disk: Disk = field(default_factory=lambda: Disk(lambda: 0.0))


FULL = Effort(pairs=5, seconds=1.5, warm=0.7, quick=False)
QUICK = Effort(pairs=3, seconds=0.4, warm=0.2, quick=True)


def say(text: str, end: str = "\n") -> None:
    """Let the human see how far it is. The table alone goes to stdout."""
    lead = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{lead}{text}", end=end if lead else "\n", file=sys.stderr, flush=True)


def in_turn(
    title: str,
    ours: Callable[[], Figures],
    theirs: Callable[[], Figures],
    effort: Effort,
    figure: Callable[[Figures], float],
) -> list[tuple[Figures, Figures]]:
    """Pairs of blocks. `figure` is what progress is told by.

    Pairs around which the disk was busy are measured again, as often as there are pairs; if too few were quiet even so,
    all count, and the row will say what a commit took. A quick run takes them as they come.
    """
    disk, most = effort.disk, effort.pairs * (1 if effort.quick else 2)
    found: list[tuple[float, tuple[Figures, Figures]]] = []
    quiet: list[tuple[float, tuple[Figures, Figures]]] = []
    while len(found) < most and len(quiet) < effort.pairs:
        commit = disk.look()
        pair = ours(), theirs()
        commit = max(commit, disk.look())
        found.append((commit, pair))
        quiet = [one for one in found if one[0] <= BUSY * disk.quickest]
        so_far = median(figure(one) / figure(other) for _, (one, other) in quiet or found)
        told = f"ratio so far {so_far:.3g} (a commit: {commit:.2f} ms)"
        say(f"  {title}: pair {len(found)}, {len(quiet)} of {effort.pairs} on a quiet disk, {told}", end="")
    used = quiet if len(quiet) >= effort.pairs else found
    disk.noted += [commit for commit, _ in used]
    return [pair for _, pair in used]


def paired(
    name: str,
    unit: str,
    pairs: list[tuple[float, float]],
    target: Target | None,
    note: str = "",
) -> Row:
    """The row of pairs of figures: the median of their ratios, and the medians of both sides to look at."""
    ratios = [ours / theirs for ours, theirs in pairs]
    ours, theirs = (median(figures) for figures in zip(*pairs, strict=True))
    return Row(name, unit, ours, theirs, median(ratios), target, sorted(ratios), note)


def milliseconds(seconds: float, act: Callable[[], object]) -> float:
    """How long an act takes, when it is done over and over for so many seconds."""
    done, began = 0, time.perf_counter()
    while (now := time.perf_counter()) < began + seconds:
        act()
        done += 1
    return (now - began) / done * 1000
