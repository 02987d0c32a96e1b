"""Large values that barely change: kept in memory for a while, and stored as changes of each other.

A value is stored whole, or as the change of one that is stored. Most are changes of the version before; every 32nd is
one of the 32nd before it, so that a value is built from few steps however many versions there are. The last values of
each thread are kept here, so that the next one can be compared with them, and a read need not fetch them.

Another server, or a removal, may meanwhile have changed what is stored. So a commit names the thread's epoch in which
its bases were there, and is stored whole when that has passed.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace

from checkpointd.changes import apply, change, hash_of
from checkpointd.engine import validate
from checkpointd.engine.batch import Commit, Link, NewValue
from checkpointd.engine.committer import Stored
from checkpointd.engine.errors import BaseMismatch, InvalidField
from checkpointd.engine.stored_values import MOST_BYTES, StoredValue, build, chain
from checkpointd.engine.tally import CacheTally
from checkpointd.v1.checkpoints_pb2 import CheckpointPut
from checkpointd.v1.core_pb2 import ValueChange

# Bytes. Smaller ones are stored whole: a change would hardly be less. The statement `stored` has it too.
LEAST_BYTES = 2048

# Bytes. Comparing larger ones would hold up everybody else.
_MOST_COMPARED = 8 << 20

# Steps from one version to the next before one skips back to where they began, and skips before a value is whole again.
_MOST_LINKS = 31
_MOST_SKIPS = 127

# Bytes that an entry takes beside its data: names, objects.
_BESIDE = 2048

_Place = tuple[str, str, str]  # tenant, thread_id, checkpoint_ns


@dataclass(frozen=True, slots=True)
class KnownValue:
    """A value that is stored."""

    version: str
    encoding: str
    data: bytes
    hash: int
    epoch: int  # the thread's, in which it was there
    links: int = 0
    skips: int = 0
    skip_to: "KnownValue | None" = None  # where its links began; None: it is that itself

    @property
    def size(self) -> int:
        """What it takes to keep, in bytes."""
        return len(self.data) + (len(self.skip_to.data) if self.skip_to is not None else 0) + _BESIDE

    def linked(self, value: NewValue, base: "KnownValue") -> "KnownValue":
        """A new value, stored as the change of this base, which is this value or the one to skip to."""
        new = KnownValue(value.key[2], value.encoding, value.data, value.hash, self.epoch)
        if base is self and self.links < _MOST_LINKS:
            return replace(new, links=self.links + 1, skips=self.skips, skip_to=self.skip_to or self)
        return replace(new, skips=base.skips + 1)


class Memory:
    """The last values of threads, up to a number of bytes; those that were not used for longest go first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._places: OrderedDict[_Place, dict[str, KnownValue]] = OrderedDict()
        self.tally = CacheTally()

    def at(self, place: _Place) -> dict[str, KnownValue]:
        """What is known of a namespace, by channel."""
        known = self._places.get(place)
        if known is None:
            return {}
        self._places.move_to_end(place)
        return known

    def last(self, place: _Place, channel: str) -> KnownValue | None:
        """The last value of a channel, to compare with; what is found, and what not, is counted."""
        known = self.at(place).get(channel)
        if known is None:
            self.tally.misses += 1
        else:
            self.tally.hits += 1
        return known

    def keep(self, place: _Place, channel: str, known: KnownValue) -> None:
        """Keep a value as the last one of its channel."""
        if len(known.data) < LEAST_BYTES or known.size > self._capacity // 4:
            return
        channels = self._places.setdefault(place, {})
        self._places.move_to_end(place)
        if (before := channels.get(channel)) is not None:
            self.tally.bytes -= before.size
        channels[channel] = known
        self.tally.bytes += known.size
        while self.tally.bytes > self._capacity:
            self._forget(next(iter(self._places)))

    def forget_thread(self, tenant: str, thread_id: str) -> None:
        """Forget what is known of a thread."""
        for place in [place for place in self._places if place[:2] == (tenant, thread_id)]:
            self._forget(place)

    def _forget(self, place: _Place) -> None:
        self.tally.bytes -= sum(known.size for known in self._places.pop(place).values())


Planned = list[tuple[NewValue, KnownValue]]
"""What will be known when a commit is stored."""


def plan(memory: Memory, commit: Commit) -> Planned:
    """Choose how the large values of a commit are stored, and say so in it."""
    planned: Planned = []
    for value in commit.values:
        checkpoint_ns, channel, version = value.key
        if not LEAST_BYTES <= len(value.data) <= _MOST_COMPARED:
            continue
        new = KnownValue(version, value.encoding, value.data, value.hash, 0)
        last = memory.last((commit.tenant, commit.thread_id, checkpoint_ns), channel)
        usable = last is not None and last.encoding == value.encoding and last.version != version
        if last is not None and usable and commit.epoch in (None, last.epoch):
            base = last if last.links < _MOST_LINKS else last.skip_to or last
            pieces = change(base.data, value.data) if base.skips < _MOST_SKIPS else None
            if pieces is not None:
                new = last.linked(value, base)
                value.link = Link(base.version, base.hash, ValueChange(pieces=pieces).SerializeToString(), new.links)
                commit.epoch = last.epoch
                commit.size -= len(value.data) - len(value.link.pieces)
        planned.append((value, new))
    return planned


def store_whole(commit: Commit) -> Planned:
    """Let a commit store its values whole after all."""
    commit.epoch = None
    for value in commit.values:
        if value.link is not None:
            commit.size += len(value.data) - len(value.link.pieces)
            value.link = None
    return [
        (value, KnownValue(value.key[2], value.encoding, value.data, value.hash, 0))
        for value in commit.values
        if LEAST_BYTES <= len(value.data) <= _MOST_COMPARED
    ]


def remember(memory: Memory, commit: Commit, planned: Planned, stored: Stored) -> None:
    """Keep what was planned and is stored now. What is there already, or came first in a batch, may be another value
    of the same version: that is not known."""
    for value, new in planned:
        first, epoch = stored.values.get((commit.tenant, commit.thread_id, value.key), (None, 0))
        if first is value:
            checkpoint_ns, channel, _ = value.key
            memory.keep((commit.tenant, commit.thread_id, checkpoint_ns), channel, replace(new, epoch=epoch))


def loaded(stored: dict[str, StoredValue], version: str, epoch: int) -> KnownValue | None:
    """A value as it is stored, from the rows of all that it is built from; None when there is none."""
    if (found := stored.get(version)) is None:
        return None
    steps = chain(stored, version)
    data = build(stored, version)
    known = KnownValue(version, found.encoding, data, hash_of(data), epoch, found.links)
    skips = [step for step in steps if stored[step].links == 0]
    known = replace(known, skips=len(skips) - 1)
    if found.links == 0:
        return known
    skip_to = loaded(stored, skips[0], epoch)
    return replace(known, skip_to=skip_to)


def whole(put: CheckpointPut, channel: str, base: KnownValue | None, thread_id: str) -> None:
    """Put the value that a change makes of its base in the change's place.

    Raises:
        BaseMismatch: the base is not stored, or is not as the change says.
        InvalidField: the change is not well formed.
    """
    said = put.channel_changes[channel]
    if base is None or base.hash != said.base_hash:
        raise BaseMismatch(thread_id, put.checkpoint_ns, channel, said.base_version)
    try:
        data = apply(base.data, said.pieces, MOST_BYTES)
    except ValueError as problem:
        raise InvalidField("put.channel_changes.pieces", f"can't be applied: {problem}") from None
    if hash_of(data) != said.hash:
        raise InvalidField("put.channel_changes.hash", f"is not that of what the pieces of channel {channel!r} give")
    value = put.checkpoint.channel_values[channel]
    value.encoding, value.data = said.encoding, data


def check(put: CheckpointPut) -> int:
    """Check what must hold of changes before their bases are looked for; returns how many bytes they give."""
    size = 0
    for channel, said in put.channel_changes.items():
        if channel in put.checkpoint.channel_values:
            raise InvalidField(
                "put.channel_changes", f"has channel {channel!r}, whose whole value is sent too; send one"
            )
        validate.text("put.channel_changes key", channel, validate.CHANNEL_BYTES)
        validate.text("put.channel_changes.base_version", said.base_version, validate.VERSION_BYTES)
        validate.text("put.channel_changes.encoding", said.encoding, validate.ENCODING_BYTES)
        size += sum(piece.length + len(piece.literal) for piece in said.pieces)
    return size
