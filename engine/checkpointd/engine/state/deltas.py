"""Channels that are stored as changes, in an update: message ids before they are stored, and when a snapshot is due
(langgraph.pregel._checkpoint, create_checkpoint_plan_for_update_state_api)."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from checkpointd.engine.state import objects, values
from checkpointd.engine.state.channels import Channel
from checkpointd.engine.state.errors import Opaque
from checkpointd.engine.state.messages import identified
from checkpointd.engine.state.task_status import Written
from checkpointd.v1.core_pb2 import Value
from checkpointd.v1.graph_pb2 import GraphSpec, ReducerKind

Counters = dict[str, tuple[int, int]]  # by channel: updates and supersteps since its last snapshot

# Supersteps after which every channel is due (_config.DELTA_MAX_SUPERSTEPS_SINCE_SNAPSHOT).
_MOST_SUPERSTEPS = 5000


def delta_channels(spec: GraphSpec) -> set[str]:
    """The names of the channels that are stored as changes."""
    return {channel.name for channel in spec.channels if channel.WhichOneof("kind") == "delta"}


def overwritten(spec: GraphSpec, written: Iterable[Written]) -> set[str]:
    """The delta channels that writes set with an Overwrite: a walk through history must stop at them."""
    names = delta_channels(spec)
    return {name for name, value in written if name in names and _overwriting(value) is not None}


def _overwriting(value: Value) -> Value | None:
    try:
        return values.overwriting(value)
    except Opaque:
        return None


class Plan:
    """Which delta channels a new checkpoint holds whole, and what its metadata counts."""

    def __init__(
        self,
        spec: GraphSpec,
        channels: Mapping[str, Channel],
        versions: Mapping[str, str],
        *,
        counters: Counters | None,
        updated: Collection[str],
        forked: Collection[str],
    ) -> None:
        """`counters` are the base's, None without one; `updated` the channels written; `forked` those whose history
        must not be walked past the new checkpoint."""
        self.counters: Counters = {}
        self.snapshots: set[str] = set()
        frequencies = {
            channel.name: channel.delta.snapshot_frequency
            for channel in spec.channels
            if channel.WhichOneof("kind") == "delta"
        }
        if counters is None:
            self.snapshots = {name for name in frequencies if name in versions and channels[name].available()}
            return
        for name, frequency in frequencies.items():
            updates, supersteps = counters.get(name, (0, 0))
            counted = (updates + (name in updated), supersteps + 1)
            due = counted[0] >= frequency or counted[1] >= _MOST_SUPERSTEPS
            if name in forked or (due and name in versions and _whole(channels[name])):
                self.snapshots.add(name)
            else:
                self.counters[name] = counted


def _whole(channel: Channel) -> bool:
    """Whether a snapshot can be made. One that is due and can't is left to the graph's own next one."""
    return channel.available() and not channel.unresolved


class MessageIds:
    """Gives messages to delta channels their ids."""

    def __init__(self, spec: GraphSpec) -> None:
        self._strict = {
            channel.name: channel.delta.reducer.kind == ReducerKind.REDUCER_KIND_MESSAGES_DELTA
            for channel in spec.channels
            if channel.WhichOneof("kind") == "delta"
        }

    def given(self, written: list[Written], style: str) -> list[Written]:
        """The writes with an id for every message to a delta channel (_messages.ensure_message_ids): its history is
        folded at every read, and would give a message without one another id each time.

        `style` is the encoding of messages that are given in other forms (values.encode).
        """
        return [
            (name, self._with_ids(name, value, style) if name in self._strict else value) for name, value in written
        ]

    def _with_ids(self, name: str, value: Value, style: str) -> Value:
        """A write with ids. What can't be looked into holds no message that the server could give one."""
        try:
            data = values.decode(value)
            given = _identified(data, strict=self._strict[name])
            return value if given is data else values.encode(given, value, style=style)
        except (Opaque, RecursionError):  # Overwrites can be nested without end
            return value


def _identified(data: Any, *, strict: bool) -> Any:
    if (content := objects.overwrite_content(data)) is not None:
        given = _identified(content[0], strict=strict)
        return data if given is content[0] else objects.overwrite_of(data, given)
    if isinstance(data, list):
        items = [identified(item, strict=strict) for item in data]
        return data if all(new is old for new, old in zip(items, data, strict=True)) else items
    return identified(data, strict=strict)
