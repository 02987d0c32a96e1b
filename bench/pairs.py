"""Two things measured in turn, A B A B: what else the machine does meets both alike, and the median of the ratios of
neighbours says how they compare whatever a second was worth at the time."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from bench.row import Row, Target

Figures = TypeVar("Figures")


@dataclass(frozen=True)
class Effort:
    """How much time a run takes: more pairs and longer blocks for surer figures."""

    pairs: int
    seconds: float  # of one block
    warm: float  # seconds of the block before, which does not count
    quick: bool


FULL = Effort(pairs=7, seconds=1.5, warm=0.7, quick=False)
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
    """Pairs of blocks. `figure` is what progress is told by."""
    pairs: list[tuple[Figures, Figures]] = []
    for number in range(1, effort.pairs + 1):
        pairs.append((ours(), theirs()))
        so_far = median(figure(one) / figure(other) for one, other in pairs)
        say(f"  {title}: pair {number} of {effort.pairs}, ratio so far {so_far:.3g}", end="")
    return pairs


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
