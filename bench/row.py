"""What a measurement says: one row of the table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Sense = Literal["at least", "at most"]


@dataclass(frozen=True)
class Target:
    """What a row is held to: a limit of its ratio, or of our own figure where a ratio would say nothing."""

    sense: Sense
    limit: float
    of: Literal["ratio", "ours"] = "ratio"

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.sense == "at least" else value <= self.limit

    def margin(self, value: float) -> float:
        """How far on the good side of the limit a value is: 1 at the limit, 2 if twice as good."""
        good, bad = (value, self.limit) if self.sense == "at least" else (self.limit, value)
        return good / bad if bad else float("inf")


def at_least(limit: float) -> Target:
    """For rows of which more is better."""
    return Target("at least", limit)


def at_most(limit: float) -> Target:
    """For rows of which less is better."""
    return Target("at most", limit)


def ours_at_most(limit: float) -> Target:
    """For rows that are held to a figure of ours, whatever theirs is."""
    return Target("at most", limit, of="ours")


@dataclass(frozen=True)
class Row:
    """One figure of ours and theirs. What is missing was not measured; `error` says why a whole row is missing."""

    name: str
    unit: str = ""
    ours: float | None = None
    theirs: float | None = None
    ratio: float | None = None
    target: Target | None = None
    ratios: Sequence[float] = ()
    """Of each pair of blocks, when there were pairs."""
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    """For the JSON alone."""
    error: str = ""
    commit_ms: float | None = None
    """What a small commit took at the time, which the ratio depends on."""

    @property
    def judged(self) -> float | None:
        """The figure that the target is for."""
        if self.target is None:
            return None
        return self.ratio if self.target.of == "ratio" else self.ours

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one. A row that failed has met nothing."""
        if self.error:
            return False
        if self.target is None or self.judged is None:
            return None
        return self.target.is_met(self.judged)


def ratio_of(ours: float, theirs: float) -> float | None:
    """None where theirs is nothing."""
    return ours / theirs if theirs else None
