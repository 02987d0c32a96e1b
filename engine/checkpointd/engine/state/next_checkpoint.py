"""The checkpoint after a superstep: what it holds, and what there is to store (Pregel.bulk_update_state,
langgraph.pregel._checkpoint.create_checkpoint). Pure."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from checkpointd.engine.errors import InvalidUpdate, NeedsCode
from checkpointd.engine.state import deltas, ids, values
from checkpointd.engine.state.apply import TaskPath, TaskWrites, apply_writes, path_text
from checkpointd.engine.state.channels import Channel
from checkpointd.engine.state.errors import Opaque, Refused
from checkpointd.engine.state.folded import Folded
from checkpointd.engine.state.hydrate import hydrate, style_of
from checkpointd.engine.state.metadata import Origin, metadata_text, origin
from checkpointd.engine.state.seen import Seen, mark_bumps
from checkpointd.engine.state.task_status import Written
from checkpointd.engine.state.versions import greatest, successor
from checkpointd.v1.checkpoints_pb2 import CheckpointPut, WritesPut
from checkpointd.v1.core_pb2 import Checkpoint, CheckpointTuple, Value, Write
from checkpointd.v1.graph_pb2 import GraphSpec, VersionStyle

VERSION = 4
"""The version of a checkpoint's shape that is made here."""

# What one request may make, all its values together, each with about as much around it.
_MOST_BYTES = 256 << 20
_AROUND = 500

# And how long it may take, in seconds: the thread's writers wait meanwhile.
_LONGEST = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where an update is made."""

    spec: GraphSpec
    thread_id: str
    checkpoint_ns: str
    version_style: VersionStyle.ValueType  # of versions, where there are none yet
    metadata: Mapping[str, Any]  # the caller's, for each new checkpoint


@dataclass(slots=True)
class Base:
    """The checkpoint that a superstep builds on, or none; see `found.checkpoint.id`."""

    found: CheckpointTuple
    channels: dict[str, Channel]
    superseded: bool = False
    forked: set[str] = field(default_factory=set)  # delta channels whose walk must stop at the new checkpoint
    style: str = values.PORTABLE  # the encoding of what the server makes itself; see values.encode

    @property
    def exists(self) -> bool:
        return bool(self.found.checkpoint.id)

    def task_id(self, made: str | None, field_name: str) -> str:
        if made is None:
            raise NeedsCode(
                field_name, f"is on the checkpoint {self.found.checkpoint.id!r}, whose id is not LangGraph's (a UUID)"
            )
        return made


class Checkpoints:
    """Makes one checkpoint after another; `ops` is what there is to store of them, in order."""

    def __init__(self, place: Place, newest_id: str) -> None:
        """`newest_id` is the greatest id of a checkpoint in the namespace."""
        self._place = place
        self._newest_id = newest_id
        self._size = 0
        self._end = time.monotonic() + _LONGEST
        self.ops: list[CheckpointPut | WritesPut] = []

    def count(self, at: str, stored: Iterable[Value]) -> None:
        """Count values that are to be stored.

        Raises:
            InvalidUpdate: with all before, they are too large or too many. Short requests can make very much: a node
                that writes to each of many channels, a copy of a large value for each superstep.
        """
        self._size += sum(len(value.data) + _AROUND for value in stored)
        if self._size > _MOST_BYTES:
            raise InvalidUpdate(
                at,
                f"makes, with what is before it, more than {_MOST_BYTES} bytes to be stored; give less in one request",
            )

    def commit(
        self,
        at: str,
        base: Base,
        steps: Sequence[Sequence[TaskWrites]],
        ops: Sequence[WritesPut],
        kind: str,
        written: set[str] | None,
    ) -> Base:
        """Apply steps, one after the other, and make the checkpoint that holds the outcome. `written` are the channels
        that count as updated; None: those that the steps changed."""
        if time.monotonic() > self._end:
            raise InvalidUpdate(at, f"comes after {_LONGEST} seconds of what is before it; give less in one request")
        spec, before = self._place.spec, base.found.checkpoint
        channels, versions, seen = base.channels, dict(before.channel_versions), seen_by_node(before)
        triggers = {trigger for node in spec.nodes for trigger in node.triggers}
        changed: set[str] = set()
        try:
            for step in steps:
                following = successor(greatest(versions.values()), self._place.version_style)
                changed |= apply_writes(channels, step, versions, seen, next_version=following, triggers=triggers)
        except Refused as problem:
            raise InvalidUpdate(at, f"can't be applied: {problem}") from None
        except Opaque as problem:
            raise NeedsCode(at, f"can't be applied without the graph's code: {problem}") from None
        if base.exists:
            self._store_writes(base, ops)
        _refuse_unresolved(at, channels, {name for step in steps for task in step for name, _ in task.writes})
        source = origin(base.found)
        plan = deltas.Plan(
            spec,
            channels,
            versions,
            counters=source.counters if base.exists else None,
            updated=changed if written is None else written,
            forked=base.forked,
        )
        made = Checkpoint(v=VERSION)
        made.channel_versions.update(versions)
        self._add_values(at, made, channels, plan.snapshots, before, seen)
        for node, versions_seen in seen.items():
            made.versions_seen[node].versions.update(versions_seen)
        put = self.put(made, base.found.checkpoint.id, source, kind, plan.counters, exists=base.exists)
        for channel, version in before.channel_versions.items():
            # What the base stores under the same version is there already.
            if made.channel_versions.get(channel) == version:
                put.checkpoint.channel_values.pop(channel, None)
        self.count(at, put.checkpoint.channel_values.values())
        return Base(self.found(put, made), self._hydrated(made, channels), style=style_of(self._place.spec, made))

    def _store_writes(self, base: Base, ops: Sequence[WritesPut]) -> None:
        """Keep the writes on the base, where walks through history read them. Those on a checkpoint that others have
        built on would be read for them too: then the new checkpoint holds the channels whole instead."""
        names = deltas.delta_channels(self._place.spec)
        # A write whose place is taken is not stored either.
        taken = {(pending.task_id, pending.write.idx) for pending in base.found.pending_writes}
        for op in ops:
            places = {(op.task_id, write.idx): write.channel for write in op.writes}
            base.forked |= {
                channel for place, channel in places.items() if channel in names and (base.superseded or place in taken)
            }
            taken |= places.keys()
        if not base.superseded:
            self.ops.extend(op for op in ops if op.writes)

    def _add_values(
        self,
        at: str,
        made: Checkpoint,
        channels: Mapping[str, Channel],
        snapshots: set[str],
        before: Checkpoint,
        seen: Seen,
    ) -> None:
        """Add what the channels store (_checkpoint.create_checkpoint)."""
        bumped: dict[str, tuple[str | None, str]] = {}
        for name, channel in channels.items():
            version = made.channel_versions.get(name)
            if name in snapshots and (channel.unresolved or not channel.available()):
                raise NeedsCode(at, f"needs the whole value of channel {name!r}, whose reducer is the graph's own")
            try:
                if name not in snapshots:
                    stored = channel.stored() if version is not None else None
                else:
                    stored = values.wrapped(channel.value(), channel.style)
                    if version is None or version == before.channel_versions.get(name):
                        made.channel_versions[name] = following = successor(version, self._place.version_style)
                        bumped[name] = (version, following)
            except Opaque as problem:
                raise NeedsCode(at, f"can't store channel {name!r} without the graph's code: it {problem}") from None
            if stored is not None:
                made.channel_values[name].CopyFrom(stored)
        if bumped:
            mark_bumps(self._place.spec, seen, bumped)

    def put(
        self,
        made: Checkpoint,
        parent_id: str,
        source: Origin,
        kind: str,
        counters: deltas.Counters,
        *,
        exists: bool = True,
    ) -> CheckpointPut:
        """Number and date a checkpoint, and keep it to be stored."""
        # Input to a checkpoint that does not tell its step begins anew.
        step = -1 if kind == "input" and not (exists and source.tells_step) else source.step + 1
        self._newest_id = made.id = ids.checkpoint_id(self._newest_id, step)
        made.ts = datetime.now(UTC).isoformat()
        put = CheckpointPut(checkpoint_ns=self._place.checkpoint_ns, checkpoint=made, parent_checkpoint_id=parent_id)
        put.metadata.json = metadata_text(kind, step, source.told_parents, counters, self._place.metadata)
        if kind == "fork":
            put.checkpoint.ClearField("channel_values")  # of versions that are all stored
        self.ops.append(put)
        return put

    def found(self, put: CheckpointPut, made: Checkpoint) -> CheckpointTuple:
        """A checkpoint that is to be stored, as it will be read."""
        return CheckpointTuple(
            thread_id=self._place.thread_id,
            checkpoint_ns=self._place.checkpoint_ns,
            checkpoint=made,
            metadata=put.metadata,
            parent_checkpoint_id=put.parent_checkpoint_id,
        )

    def _hydrated(self, made: Checkpoint, live: Mapping[str, Channel]) -> dict[str, Channel]:
        """The channels of a checkpoint that is to be stored. What only its history will tell is known already."""
        channels, _ = hydrate(self._place.spec, made, {})
        return {
            name: live[name] if isinstance(channel, Folded) and name not in made.channel_values else channel
            for name, channel in channels.items()
        }


def seen_by_node(checkpoint: Checkpoint) -> Seen:
    """Which versions each node has seen, to be changed."""
    return {node: dict(seen.versions) for node, seen in checkpoint.versions_seen.items()}


def _refuse_unresolved(at: str, channels: Mapping[str, Channel], written: set[str]) -> None:
    """Refuse writes that only the graph's code can fold. A delta channel may keep them as they are."""
    for name in sorted(written & channels.keys()):
        channel = channels[name]
        if channel.unresolved and not channel.keeps_writes:
            raise NeedsCode(
                at,
                f"writes to channel {name!r}, which can't be folded without the graph's code: it {channel.problem}; "
                "read its value, fold it where that code is, and send an Overwrite with the precondition expected_head",
            )


def writes_put(base: Base, task_id: str, path: TaskPath | None, written: Sequence[Written]) -> WritesPut:
    """The writes of a task on the base, as its graph would have stored them."""
    return WritesPut(
        checkpoint_ns=base.found.checkpoint_ns,
        checkpoint_id=base.found.checkpoint.id,
        task_id=task_id,
        task_path=path_text(path) if path is not None else "",
        writes=[Write(idx=place, channel=name, value=value) for place, (name, value) in enumerate(written)],
    )
