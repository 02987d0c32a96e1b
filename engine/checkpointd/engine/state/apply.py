"""Applying what tasks wrote to the channels, as the end of a superstep does (langgraph.pregel._algo.apply_writes)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from checkpointd.engine.state.channels import Channel
from checkpointd.engine.state.errors import Opaque, Refused
from checkpointd.engine.state.task_status import Written
from checkpointd.v1.core_pb2 import Value

PUSH = "__pregel_push"
PULL = "__pregel_pull"

# Channels that hold no state: what is written to them is for others to read.
_NO_STATE = frozenset(
    ("__no_writes__", PUSH, "__resume__", "__interrupt__", "__return__", "__error__", "__error_source_node__")
)

# Triggers that are no channels to consume (_constants.RESERVED, as far as a task can be triggered by them).
_RESERVED = frozenset((*_NO_STATE, "__input__"))

TaskPath = tuple[str | int | bool, ...]


@dataclass(frozen=True, slots=True)
class TaskWrites:
    """What one task wrote, and what triggered it."""

    path: TaskPath
    name: str
    triggers: Sequence[str]
    writes: Sequence[Written]


def path_text(path: TaskPath) -> str:
    """A path as text that sorts as tasks do (_algo.task_path_str)."""
    return "~" + ", ".join(f"{part:010d}" if isinstance(part, int) else part for part in path)


def apply_writes(
    channels: Mapping[str, Channel],
    tasks: Iterable[TaskWrites],
    versions: dict[str, str],
    seen: dict[str, dict[str, str]],
    *,
    next_version: str | None,
    triggers: Collection[str],
) -> set[str]:
    """Apply writes; returns the channels that were updated and can be read.

    `versions` and `seen` are the checkpoint's, and change with the channels. Without `next_version`, as when a snapshot
    is made, no version changes and no channel counts as updated. `triggers` are all channels that trigger a node.

    Raises:
        Refused, Opaque: see Channel.update; the message names the channel. The channels are then half changed.
    """
    ordered = sorted(tasks, key=lambda task: path_text(task.path))
    # Writes without a task behind them, such as input, change their channels and nothing else.
    is_step = any(task.triggers for task in ordered)
    for task in ordered:
        consumed = {name: versions[name] for name in task.triggers if name in versions}
        seen.setdefault(task.name, {}).update(consumed)

    updated: set[str] = set()

    def changed(name: str) -> None:
        if next_version is not None:
            versions[name] = next_version
            if channels[name].available():
                updated.add(name)

    for name in {name for task in ordered for name in task.triggers if name in channels and name not in _RESERVED}:
        if channels[name].consume() and next_version is not None:
            versions[name] = next_version
    for name, written in _by_channel(ordered, channels).items():
        if _update(name, channels[name], written):
            changed(name)
    if is_step:
        for name, channel in channels.items():
            if channel.available() and name not in updated and _update(name, channel, ()):
                changed(name)
        if updated.isdisjoint(triggers):
            for name, channel in channels.items():
                if channel.finish():
                    changed(name)
    return updated


def _by_channel(tasks: Iterable[TaskWrites], channels: Mapping[str, Channel]) -> dict[str, list[Value]]:
    grouped: dict[str, list[Value]] = {}
    for task in tasks:
        for name, value in task.writes:
            if name in channels and name not in _NO_STATE:
                grouped.setdefault(name, []).append(value)
    return grouped


def _update(name: str, channel: Channel, written: Sequence[Value]) -> bool:
    try:
        return channel.update(written)
    except (Refused, Opaque) as error:
        raise type(error)(f"channel {name!r} {error}") from None
