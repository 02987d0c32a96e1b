"""What raw clients store: checkpoints and writes of random bytes. And the digests by which all that is stored is known.

The digest of a checkpoint covers all that a reader gets back of it, the values too that were stored with an ancestor.
"""

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from checkpointd.changes import change, hash_of
from checkpointd.v1.checkpoints_pb2 import CheckpointPut, CommitOp, WritesPut
from checkpointd.v1.core_pb2 import Checkpoint, CheckpointTuple, Metadata, Value
from checkpointd.v1.core_pb2 import Write as WriteMessage
from tests.robustness.history import Put, Write, digest

_CHANNELS = ("plan", "messages", "notes")
_SMALLEST, _LARGEST = 10, 3000  # bytes of a new value; small ones are the most
_LONGEST = 30_000  # bytes that a value grows to


def checkpoint_digest(checkpoint: Checkpoint, metadata: Metadata, carried: Mapping[str, str] | None = None) -> str:
    """The digest of a checkpoint with all its values.

    `carried` has the digests of those values that are in an ancestor's put and not in this one, by channel.
    """
    parts = [checkpoint.id, str(checkpoint.v), checkpoint.ts, metadata.json, value_digest(metadata.native)]
    for channel in sorted(checkpoint.channel_versions):
        value = checkpoint.channel_values[channel] if channel in checkpoint.channel_values else Value()
        known = value_digest(value) if carried is None or channel not in carried else carried[channel]
        parts += ["channel", channel, checkpoint.channel_versions[channel], known]
    for node in sorted(checkpoint.versions_seen):
        parts += ["node", node]
        for channel, version in sorted(checkpoint.versions_seen[node].versions.items()):
            parts += [channel, version]
    if checkpoint.HasField("updated_channels"):
        parts += ["updated", *checkpoint.updated_channels.names]
    for key in sorted(checkpoint.extra):
        parts += ["extra", key, value_digest(checkpoint.extra[key])]
    return digest(*[part.encode() for part in parts])


def value_digest(value: Value) -> str:
    """The digest of a value; that of an empty one says that there is none."""
    return hashed_digest(value.encoding, hash_of(value.data))


def hashed_digest(encoding: str, number: int) -> str:
    """The same, of a value that is known by its hash."""
    return digest(encoding.encode(), number.to_bytes(8))


def write_digest(write: WriteMessage) -> str:
    """The digest of one write of a task."""
    return stored_write_digest(write.channel, write.value.encoding, write.value.data)


def stored_write_digest(channel: str, encoding: str, data: bytes) -> str:
    """The same, from the columns of the database."""
    return digest(channel.encode(), encoding.encode(), data)


@dataclass(frozen=True, slots=True)
class Known:
    """A checkpoint that a client knows to be stored; without an id, that there is none."""

    checkpoint_id: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)

    @classmethod
    def of(cls, found: CheckpointTuple) -> "Known":
        """What a reader found."""
        checkpoint = found.checkpoint
        return cls(checkpoint.id, dict(checkpoint.channel_versions), dict(checkpoint.channel_values))


@dataclass(slots=True)
class Change:
    """Ops that are sent together, and what the history says of them."""

    checkpoint_ns: str
    ops: list[CommitOp] = field(default_factory=list)
    puts: list[Put] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    # By the places of ops that put checkpoints and by channel: the version and the value that a value grew from.
    bases: dict[tuple[int, str], tuple[str, Value]] = field(default_factory=dict)

    def as_changes(self) -> list[CommitOp]:
        """The same ops, with values said by their changes where that is less."""
        ops = [CommitOp.FromString(op.SerializeToString()) for op in self.ops]
        for (place, channel), (version, base) in self.bases.items():
            put = ops[place].put_checkpoint
            value = put.checkpoint.channel_values[channel]
            pieces = change(base.data, value.data)
            if pieces is not None:
                said = put.channel_changes[channel]
                said.base_version, said.base_hash = version, hash_of(base.data)
                said.encoding, said.hash = value.encoding, hash_of(value.data)
                said.pieces.extend(pieces)
                del put.checkpoint.channel_values[channel]
        return ops


class Author:
    """Makes content from dice. Of one thread of execution."""

    def __init__(self, name: str, dice: random.Random) -> None:
        self._name = name
        self._dice = dice
        self._count = 0

    def new_id(self) -> str:
        """A name that nothing else has. It sorts by this process's clock, which may step."""
        self._count += 1
        return f"{time.time_ns():020}-{self._name}-{self._count}"

    def supersteps(self, head: Known, checkpoint_ns: str, count: int, *, most_tasks: int = 5) -> tuple[Change, Known]:
        """Supersteps on top of each other, each with the writes of its tasks; returns the last checkpoint too."""
        change = Change(checkpoint_ns)
        for _ in range(count):
            if head.checkpoint_id:
                for _ in range(self._dice.randint(1, most_tasks)):
                    self.task(change, head.checkpoint_id)
            head = self.checkpoint(change, head)
        return change, head

    def checkpoint(self, into: Change, parent: Known) -> Known:
        """Add a checkpoint. Some channels keep the parent's version, whose value is not sent again."""
        checkpoint = Checkpoint(id=self.new_id(), v=4, ts=f"{time.time():.6f}")
        carried = [channel for channel in parent.values if self._dice.random() < 0.4]
        for channel in carried:
            checkpoint.channel_versions[channel] = parent.versions[channel]
            checkpoint.channel_values[channel].CopyFrom(parent.values[channel])
        for channel in self._dice.sample(_CHANNELS, self._dice.randint(1, 2)):
            if channel not in carried:
                checkpoint.channel_versions[channel] = checkpoint.id
                value = self._value()
                if (base := parent.values.get(channel)) is not None and self._dice.random() < 0.8:
                    value.data = self._edited(base.data, value.data)
                    into.bases[len(into.ops), channel] = (parent.versions[channel], base)
                checkpoint.channel_values[channel].CopyFrom(value)
        metadata = Metadata(json=json.dumps({"source": "loop", "by": self._name, "count": self._count}))
        known = Known(checkpoint.id, dict(checkpoint.channel_versions), dict(checkpoint.channel_values))
        into.puts.append(Put(checkpoint.id, parent.checkpoint_id, checkpoint_digest(checkpoint, metadata)))
        for channel in carried:
            del checkpoint.channel_values[channel]
        put = CheckpointPut(
            checkpoint_ns=into.checkpoint_ns,
            checkpoint=checkpoint,
            metadata=metadata,
            parent_checkpoint_id=parent.checkpoint_id,
        )
        into.ops.append(CommitOp(put_checkpoint=put))
        return known

    def task(self, change: Change, checkpoint_id: str) -> None:
        """Add the writes of a task that started from a checkpoint."""
        self._count += 1
        task_id = f"{self._name}-task-{self._count}"
        put = WritesPut(checkpoint_ns=change.checkpoint_ns, checkpoint_id=checkpoint_id, task_id=task_id)
        for idx in range(self._dice.choice((1, 1, 2, 3))):
            write = put.writes.add(idx=idx, channel=self._dice.choice(_CHANNELS), value=self._value())
            change.writes.append(Write(checkpoint_id, task_id, idx, write_digest(write)))
        change.ops.append(CommitOp(put_writes=put))

    def _edited(self, base: bytes, new: bytes) -> bytes:
        """A value with something new in it: mostly at its end, as a list grows."""
        at = len(base) if self._dice.random() < 0.7 else self._dice.randint(0, len(base))
        edited = base[:at] + new + base[at:]
        return edited[-self._dice.randint(1, _LONGEST) :] if len(edited) > _LONGEST else edited

    def _value(self) -> Value:
        size = int(_SMALLEST * (_LARGEST / _SMALLEST) ** (self._dice.random() ** 2))
        return Value(encoding="bytes", data=self._dice.randbytes(size))
