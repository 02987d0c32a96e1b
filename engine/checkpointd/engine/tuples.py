"""From rows to the contract's messages. Pure.

The statements in read.sql return rows of several kinds in one result, the kind in the first column: checkpoints, values
that several of them may share, writes. Here they become CheckpointTuples and ChannelHistories again.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from checkpointd.engine.stored_values import StoredValue, build
from checkpointd.v1.checkpoints_pb2 import ChannelHistory
from checkpointd.v1.core_pb2 import CheckpointTuple, PendingWrite, Value, Write

Row = Sequence[Any]


@dataclass(slots=True)
class Known:
    """Values of one thread and namespace that the database need not send, by channel, version, hash and encoding."""

    values: dict[tuple[str, str, int, str], bytes | None] = field(default_factory=dict)
    """The data; None: of no use here either, because the caller has it."""

    left_out: list[str] = field(default_factory=list)
    """The channels whose values the caller has: filled when the rows are read."""

    def parameters(self) -> dict[str, object]:
        """What a statement takes. PostgreSQL's integers have a sign."""
        return {
            "known_channels": [channel for channel, _, _, _ in self.values],
            "known_versions": [version for _, version, _, _ in self.values],
            "known_hashes": [number - (1 << 64) if number >> 63 else number for _, _, number, _ in self.values],
            "known_encodings": [encoding for _, _, _, encoding in self.values],
        }


NOTHING_KNOWN = Known().parameters()


def checkpoint_tuples(
    rows: Iterable[Row], known: Known | None = None, make: Callable[[], CheckpointTuple] = CheckpointTuple
) -> list[CheckpointTuple]:
    """The checkpoints of one page, in the order of their rows; each with its values and its writes in order.

    `make` gives the messages to fill. Values can be large, and a message that is put into another one is copied.

    Raises ValueDamaged when a value is not what it was.
    """
    found: list[tuple[CheckpointTuple, dict[str, str]]] = []
    values = _Values(known)
    writes: defaultdict[tuple[str, str, str], list[PendingWrite]] = defaultdict(list)
    for kind, thread_id, checkpoint_ns, name, seq, text1, text2, text3, text4, idx, committed_at, data, more in rows:
        if kind == 0:
            checkpoint = make()
            _fill(checkpoint, thread_id, checkpoint_ns, name, seq, text1, text2, committed_at, data, more)
            found.append((checkpoint, json.loads(text3)))
        elif kind == 1:
            values.add((thread_id, checkpoint_ns, name), text1, _stored(text2, data, text3, more, idx, seq))
        else:
            writes[thread_id, checkpoint_ns, name].append(_pending(text1, text2, idx, text3, text4, data, seq))
    for checkpoint, versions in reversed(found):  # from the oldest on, since values are changes of older ones
        place = (checkpoint.thread_id, checkpoint.checkpoint_ns)
        checkpoint.checkpoint.channel_versions.update(versions)
        channel_values = checkpoint.checkpoint.channel_values
        for channel, version in versions.items():
            if (value := values.get((*place, channel), version)) is not None:
                message = channel_values[channel]
                message.encoding, message.data = value
        checkpoint.pending_writes.extend(sorted(writes[*place, checkpoint.checkpoint.id], key=_order))
    return [checkpoint for checkpoint, _ in found]


def _stored(
    encoding: str, data: bytes | None, base_version: str | None, pieces: bytes | None, links: int, number: int
) -> StoredValue:
    return StoredValue(encoding, data, base_version, pieces, links, None if links < 0 else number)


class _Values:
    """The values of a page, each built once."""

    def __init__(self, known: Known | None) -> None:
        self._known = known
        # By thread, namespace and channel, then by version.
        self._stored: defaultdict[tuple[str, str, str], dict[str, StoredValue]] = defaultdict(dict)
        self._built: defaultdict[tuple[str, str, str], dict[str, bytes]] = defaultdict(dict)

    def add(self, place: tuple[str, str, str], version: str, row: StoredValue) -> None:
        if row.data is None and row.pieces is None and self._known is not None and row.hash is not None:
            known = (place[2], version, row.hash % (1 << 64), row.encoding)
            if known in self._known.values:  # the database has it as it is known
                data = self._known.values[known]
                if data is None:
                    self._known.left_out.append(place[2])
                    return
                row = StoredValue(row.encoding, data, None, None, 0, None)
        self._stored[place][version] = row

    def get(self, place: tuple[str, str, str], version: str) -> tuple[str, bytes] | None:
        """The encoding and the data; None when it is not stored."""
        stored = self._stored[place]
        if (row := stored.get(version)) is None:
            return None
        return row.encoding, build(stored, version, self._built[place])


def _fill(
    found: CheckpointTuple,
    thread_id: str,
    checkpoint_ns: str,
    checkpoint_id: str,
    seq: int,
    parent_id: str,
    metadata: str,
    committed_at: datetime,
    body: bytes,
    native: bytes | None,
) -> None:
    found.thread_id, found.checkpoint_ns = thread_id, checkpoint_ns
    found.parent_checkpoint_id, found.sequence = parent_id, seq
    found.committed_at.FromDatetime(committed_at)
    found.checkpoint.ParseFromString(body)
    found.checkpoint.id = checkpoint_id
    found.metadata.json = metadata
    if native is not None:
        found.metadata.native.ParseFromString(native)


def _pending(
    task_id: str, task_path: str, idx: int, channel: str, encoding: str, data: bytes, seq: int
) -> PendingWrite:
    write = Write(idx=idx, channel=channel, value=Value(encoding=encoding, data=data))
    return PendingWrite(task_id=task_id, task_path=task_path, write=write, sequence=seq)


def _order(pending: PendingWrite) -> tuple[str, str, int]:
    """The order in which a superstep applies writes. Python compares strings as UTF-8 bytes compare."""
    return (pending.task_path, pending.task_id, pending.write.idx)


def channel_histories(rows: Iterable[Row], channels: Sequence[str]) -> dict[str, ChannelHistory] | None:
    """The histories of channels from the rows of the statement `history`; None when there is no target.

    Raises ValueDamaged when a value is not what it was.
    """
    target: str | None = None
    parents: dict[tuple[str, str], str] = {}
    seeds: dict[str, str] = {}
    stored: defaultdict[str, dict[str, StoredValue]] = defaultdict(dict)
    writes: defaultdict[tuple[str, str], list[PendingWrite]] = defaultdict(list)
    for kind, channel, checkpoint_id, text1, text2, seq, idx, encoding, data, pieces in rows:
        if kind == 0:
            target = checkpoint_id
        elif kind == 1:
            parents[channel, checkpoint_id] = text1
            if text2:
                seeds[channel] = text2
        elif kind == 2:
            stored[channel][text1] = _stored(encoding, data, text2, pieces, idx, seq)
        else:
            writes[channel, checkpoint_id].append(_pending(text1, text2, idx, channel, encoding, data, seq))
    if target is None:
        return None
    histories = {}
    for channel in channels:
        path: dict[str, None] = {}
        step = parents[channel, target]
        while (channel, step) in parents and step not in path:  # a parent that leads back to itself ends the path
            path[step] = None
            step = parents[channel, step]
        ordered = [write for ancestor in reversed(path) for write in sorted(writes[channel, ancestor], key=_order)]
        seed = _seed(stored[channel], seeds.get(channel))
        histories[channel] = ChannelHistory(seed=seed, writes=ordered)
    return histories


def _seed(stored: Mapping[str, StoredValue], version: str | None) -> Value | None:
    if version is None:
        return None
    return Value(encoding=stored[version].encoding, data=build(stored, version))
