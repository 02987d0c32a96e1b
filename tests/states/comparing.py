"""Comparing two snapshots field by field, and counting what was compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from langgraph.pregel import Pregel
from langgraph.pregel.protocol import PregelProtocol
from langgraph.types import PregelTask, StateSnapshot

from checkpointd.client.langgraph.snapshots import RemoteSnapshot
from tests.states.allowed import Expected, Problem, allowed

Subgraph = PregelProtocol[Any, Any, Any, Any]


# Characters of a value that a difference shows.
_LONGEST = 600


class Difference(NamedTuple):
    """Where two snapshots differ, as LangGraph has it and as the server has it."""

    field: str
    expected: object
    actual: object

    def __str__(self) -> str:
        return f"{self.field}\n    LangGraph: {_short(self.expected)}\n    server:    {_short(self.actual)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


class Tally:
    """What was compared, over all tests."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.allowed: Counter[str] = Counter()

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] += number

    def add(self, counts: Mapping[str, int], allowed: Mapping[str, int]) -> None:
        """Add what another process has counted."""
        self.counts.update(counts)
        self.allowed.update(allowed)

    def __str__(self) -> str:
        counted = ", ".join(f"{number} {what}" for what, number in self.counts.items())
        lines = [f"compared: {counted}", *(f"allowed: {number} x {name}" for name, number in self.allowed.items())]
        return "\n".join(lines)


def compare(graph: Subgraph, expected: Expected, actual: RemoteSnapshot, tally: Tally) -> list[Difference]:
    """The differences between LangGraph's snapshot, or what it raised, and the server's, but for those allowed."""
    differences = []
    for problem in _problems(graph, "", expected, actual, tally):
        if name := allowed(problem):
            tally.allowed[name] += 1
        else:
            differences.append(Difference(problem.field, problem.expected, problem.actual))
    return differences


def _problems(
    graph: Subgraph | None, at: str, expected: Expected, actual: RemoteSnapshot, tally: Tally
) -> Iterator[Problem]:
    tally.count("snapshots")
    if isinstance(expected, Exception):
        yield Problem("raised", graph, f"{at}*", expected, actual, actual)
        return
    explained = bool(actual.unresolved)
    for name in expected._fields:
        if name == "tasks":
            continue
        tally.count("fields")
        mine, theirs = getattr(expected, name), getattr(actual, name)
        if name == "values" and isinstance(mine, dict) and isinstance(theirs, dict):
            yield from _differing(graph, f"{at}values", mine, theirs, actual)
        elif not same(mine, theirs):
            yield Problem(name, graph, f"{at}{name}", mine, theirs, actual)
    if actual.warnings and not explained:
        yield Problem("warnings", graph, f"{at}warnings", (), actual.warnings, actual)
    tally.count("fields")
    if len(expected.tasks) != len(actual.tasks):
        yield Problem("tasks", graph, f"{at}tasks", expected.tasks, actual.tasks, actual)
        return
    subgraphs = dict(graph.get_subgraphs()) if isinstance(graph, Pregel) else {}
    for place, (task, theirs) in enumerate(zip(expected.tasks, actual.tasks, strict=True)):
        yield from _task_problems(subgraphs.get(task.name), f"{at}tasks[{place}].", task, theirs, actual, tally)


def _differing(
    graph: Subgraph | None, at: str, mine: Mapping[str, Any], theirs: Mapping[str, Any], actual: RemoteSnapshot
) -> Iterator[Problem]:
    """One problem for each channel that differs."""
    nothing = object()
    for channel in sorted({*mine, *theirs, *actual.unresolved}):
        one, other = mine.get(channel, nothing), theirs.get(channel, nothing)
        if channel in actual.unresolved or not same(one, other):
            yield Problem("values", graph, f"{at}[{channel!r}]", one, other, actual, channel)


def _task_problems(
    subgraph: Subgraph | None, at: str, task: PregelTask, theirs: PregelTask, actual: RemoteSnapshot, tally: Tally
) -> Iterator[Problem]:
    tally.count("tasks")
    for what in ("error", "interrupts", "result", "state"):
        if getattr(task, what):
            tally.count(f"tasks with {what}")
    if task.path[0] == "__pregel_push":
        tally.count("tasks sent")
    for name in task._fields:
        mine, other = getattr(task, name), getattr(theirs, name)
        if isinstance(mine, StateSnapshot) and isinstance(other, RemoteSnapshot):
            tally.count("snapshots within snapshots")
            yield from _problems(subgraph, f"{at}state.", mine, other, tally)
            continue
        tally.count("fields")
        if not same(mine, other):
            yield Problem(f"task.{name}", subgraph, f"{at}{name}", mine, other, actual)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types all the way down, as 1, 1.0 and True are not."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    return bool(one == other)
