"""States: the contract's snapshots, made into LangGraph's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.types import Interrupt, PregelTask, StateSnapshot

from checkpointd.client.langgraph.configs import read_config
from checkpointd.client.langgraph.metadata import read_metadata
from checkpointd.client.langgraph.values import load
from checkpointd.v1 import states_pb2 as states

_PULL = "__pregel_pull"
_PUSH = "__pregel_push"


class Unresolved(NamedTuple):
    """A channel whose value only the graph's own code can compute: by folding `writes`, in order, into the base."""

    has_base: bool
    base: Any
    """What the channel holds without the writes; None when it holds nothing."""
    writes: tuple[Any, ...]


class RemoteSnapshot(StateSnapshot):
    """A StateSnapshot that was made without the graph's code, and says what it could not tell.

    It is equal to the one that the graph's own `get_state` gives when `unresolved` is empty.
    """

    unresolved: Mapping[str, Unresolved] = MappingProxyType({})
    """By channel. In `values` such a channel has its base."""

    warnings: tuple[str, ...] = ()
    """What else is missing, and why, in words."""


def read_snapshot(
    message: states.StateSnapshot, serde: SerializerProtocol, asked: RunnableConfig | None = None
) -> RemoteSnapshot:
    """The snapshot in a message. `asked` is the config that it answers, which a thread without checkpoints echoes.

    Raises UnreadableValue, naming the channel or the task, for a value that the serialiser can't make.
    """
    if not message.exists:
        snapshot = RemoteSnapshot({}, (), _echo(asked, message.config), None, None, None, (), ())
    else:
        tasks = tuple(_read_task(task, message.HasField("root_value"), serde) for task in message.tasks)
        snapshot = RemoteSnapshot(
            _read_values(message, serde),
            tuple(message.next),
            read_config(message.config),
            cast(CheckpointMetadata, read_metadata(message.metadata, serde)),
            message.created_at,
            read_config(message.parent_config) if message.HasField("parent_config") else None,
            tasks,
            tuple(_read_interrupt(interrupt, serde) for interrupt in message.interrupts),
        )
    snapshot.unresolved = {
        one.channel: Unresolved(
            one.HasField("base"),
            load(serde, one.base, one.channel) if one.HasField("base") else None,
            tuple(load(serde, write, one.channel) for write in one.writes),
        )
        for one in message.unresolved
    }
    snapshot.warnings = tuple(message.warnings)
    return snapshot


def _echo(asked: RunnableConfig | None, message: states.StateConfig) -> RunnableConfig:
    """What LangGraph shows as the config where there is no checkpoint: the one asked with.

    But it names the namespace that was looked into: a subgraph that keeps its state has no task ids in its own.
    """
    if asked is None:
        return read_config(message)
    configurable: dict[str, Any] = {**asked["configurable"], "thread_id": message.thread_id}
    if "checkpoint_ns" in configurable:
        configurable["checkpoint_ns"] = message.checkpoint_ns
    return {**asked, "configurable": configurable}


def _read_values(message: states.StateSnapshot, serde: SerializerProtocol) -> Any:
    if message.HasField("root_value"):
        return load(serde, message.root_value, "__root__")
    # A map has no order; sorted, the same state always looks the same.
    return {channel: load(serde, value, channel) for channel, value in sorted(message.values.items())}


def _read_task(message: states.StateTask, bare: bool, serde: SerializerProtocol) -> PregelTask:
    """One task. `bare`: the graph's state is one bare value, and so is what its tasks give."""
    name = f"task {message.name!r}"
    return PregelTask(
        message.id,
        message.name,
        (_PUSH, message.path.push, False) if message.path.HasField("push") else (_PULL, message.path.pull),
        load(serde, message.error, f"the error of {name}") if message.HasField("error") else None,
        tuple(_read_interrupt(interrupt, serde) for interrupt in message.interrupts),
        _read_subgraph(message, serde),
        _read_result(message.result, bare, serde) if message.HasField("result") else None,
    )


def _read_subgraph(message: states.StateTask, serde: SerializerProtocol) -> StateSnapshot | RunnableConfig | None:
    if message.HasField("subgraph_state"):
        return read_snapshot(message.subgraph_state, serde)
    return read_config(message.subgraph) if message.HasField("subgraph") else None


def _read_result(message: states.TaskResult, bare: bool, serde: SerializerProtocol) -> Any:
    if message.HasField("value"):
        return load(serde, message.value, "the result of a task")
    writes = fold_writes(
        (one.channel, load(serde, value, one.channel)) for one in message.writes for value in one.values
    )
    return next(iter(writes.values()), None) if bare else writes


def fold_writes(writes: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A task's writes by channel; several to one channel as `{"$writes": [...]}`, as LangGraph shows them.

    As there, a null is overwritten by what follows it.
    """
    folded: dict[str, Any] = {}
    for channel, value in writes:
        before = folded.get(channel)
        if before is None:
            folded[channel] = value
        elif isinstance(before, dict) and isinstance(before.get("$writes"), list):
            before["$writes"].append(value)
        else:
            folded[channel] = {"$writes": [before, value]}
    return folded


def _read_interrupt(message: states.StateInterrupt, serde: SerializerProtocol) -> Interrupt[Any]:
    return Interrupt(
        value=load(serde, message.value, "an interrupt"),
        id=message.id,
        response_schema=load(serde, message.response_schema, "the schema of an interrupt's answer")
        if message.HasField("response_schema")
        else None,
    )
