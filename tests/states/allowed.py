"""The differences from LangGraph that are allowed, each by its name and with its reason; any other fails a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from langgraph._internal._typing import MISSING
from langgraph.channels import BinaryOperatorAggregate
from langgraph.channels.delta import DeltaChannel
from langgraph.errors import InvalidUpdateError
from langgraph.pregel import Pregel
from langgraph.pregel._read import PregelNode
from langgraph.pregel.protocol import PregelProtocol
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import StateSnapshot
from pydantic import ValidationError

from checkpointd.client.langgraph.snapshots import RemoteSnapshot, Unresolved

Expected = StateSnapshot | Exception


class Problem(NamedTuple):
    """A difference, with what it takes to judge it."""

    kind: str
    graph: PregelProtocol[Any, Any, Any, Any] | None  # that the snapshot is of
    field: str
    expected: Any
    actual: Any
    snapshot: RemoteSnapshot  # the server's, that it is in
    channel: str = ""


class Allowed(NamedTuple):
    name: str
    reason: str
    applies: Callable[[Problem], bool]


def _folded(problem: Problem) -> bool:
    """Whether the caller, who has the reducer, comes to LangGraph's value with what the server gave."""
    unresolved = problem.snapshot.unresolved.get(problem.channel)
    return (
        problem.kind == "values"
        and unresolved is not None
        and isinstance(problem.graph, Pregel)
        and bool(fold(problem.graph.channels[problem.channel], unresolved) == problem.expected)
    )


def fold(channel: Any, unresolved: Unresolved) -> Any:
    """What a channel holds after the writes that the server could not fold."""
    loaded = channel.from_checkpoint(unresolved.base if unresolved.has_base else MISSING)
    if isinstance(loaded, DeltaChannel):
        loaded.replay_writes([("", "", write) for write in unresolved.writes])
    else:
        assert isinstance(loaded, BinaryOperatorAggregate)
        loaded.update(unresolved.writes)
    return loaded.get()


def _owns_saver(problem: Problem) -> bool:
    if problem.kind not in ("config", "task.state") or not isinstance(problem.expected, dict):
        return False
    mine = problem.expected["configurable"]
    kept = {key: value for key, value in mine.items() if key != "__pregel_checkpointer"}
    return kept != mine and bool(kept == problem.actual["configurable"])


def _can_not_be_read(problem: Problem) -> bool:
    collided = problem.kind == "raised" and isinstance(problem.expected, InvalidUpdateError)
    return collided and bool(_warnings(problem.snapshot))


def _warnings(snapshot: RemoteSnapshot) -> list[str]:
    """Those of a snapshot and of the snapshots within it."""
    return [warning for _, state in _within(None, snapshot) for warning in state.warnings]


def _refuses_its_input(problem: Problem) -> bool:
    coerced = problem.kind == "raised" and isinstance(problem.expected, ValidationError | TypeError)
    return coerced and any(
        _refuses(graph.nodes[task.name], snapshot)
        for graph, snapshot in _within(problem.graph, problem.snapshot)
        if isinstance(graph, Pregel)
        for task in snapshot.tasks
    )


def _refuses(node: PregelNode, snapshot: RemoteSnapshot) -> bool:
    """Whether a node can't take the state that the server shows."""
    if node.mapper is None:
        return False
    try:
        node.mapper({channel: snapshot.values[channel] for channel in node.channels if channel in snapshot.values})
    except (ValidationError, TypeError):
        return True
    return False


def _runs_elsewhere(problem: Problem) -> bool:
    return problem.kind == "raised" and any(
        isinstance(graph, RemoteGraph) and snapshot.metadata is None
        for graph, snapshot in _within(problem.graph, problem.snapshot)
    )


def _within(graph: object, snapshot: RemoteSnapshot) -> Iterator[tuple[object, RemoteSnapshot]]:
    """A snapshot and those within it, each with the graph that it is of."""
    yield graph, snapshot
    subgraphs = dict(graph.get_subgraphs()) if isinstance(graph, Pregel) else {}
    for task in snapshot.tasks:
        if isinstance(task.state, RemoteSnapshot):
            yield from _within(subgraphs.get(task.name), task.state)


def _not_described(problem: Problem) -> bool:
    return problem.kind == "warnings" and "no node of the graph leads to the namespace" in problem.actual[-1]


ALLOWED = (
    Allowed(
        "folded by the caller",
        "a channel whose reducer is the user's own comes as its base and the writes; folded with that reducer they "
        "give exactly LangGraph's value",
        _folded,
    ),
    Allowed(
        "the saver within a config",
        "where a subgraph has no checkpoint, LangGraph echoes a config of its own that holds the saver object",
        _owns_saver,
    ),
    Allowed(
        "readable where LangGraph raises",
        "two finished tasks wrote one channel that takes one value: LangGraph can't show the thread any more; the "
        "server shows the values before and warns",
        _can_not_be_read,
    ),
    Allowed(
        "readable where a node refuses its input",
        "the model or dataclass that a ready node takes its input as refuses the state: LangGraph can't show the "
        "thread until that is mended; the server shows it",
        _refuses_its_input,
    ),
    Allowed(
        "a graph that runs elsewhere",
        "for the state of a RemoteGraph LangGraph asks the server that runs it, and raises when that does not answer; "
        "checkpointd has no checkpoints of it and says that there are none",
        _runs_elsewhere,
    ),
    Allowed(
        "a warning about a namespace that the graph does not know",
        "a subgraph that LangGraph does not find in its node has a namespace of its own all the same; LangGraph reads "
        "it with the root graph's channels and says nothing; the server does the same and warns",
        _not_described,
    ),
)


def allowed(problem: Problem) -> str | None:
    """The name of the allowed difference that this is."""
    return next((one.name for one in ALLOWED if one.applies(problem)), None)
