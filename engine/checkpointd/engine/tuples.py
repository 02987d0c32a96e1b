"""From rows to the contract's messages. Pure.

The statements in read.sql return rows of several kinds in one result, the kind in the first column: checkpoints, values
that several of them may share, writes. Here they become CheckpointTuples and ChannelHistories again.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from checkpointd.v1.checkpoints_pb2 import ChannelHistory
from checkpointd.v1.core_pb2 import CheckpointTuple, PendingWrite, Value, Write

Row = Sequence[Any]


def checkpoint_tuples(rows: Iterable[Row]) -> list[CheckpointTuple]:
    """The checkpoints of one page, in the order of their rows; each with its values and its writes in order."""
    found: list[tuple[CheckpointTuple, dict[str, str]]] = []
    values: dict[tuple[str, str, str, str], tuple[str, bytes]] = {}
    writes: defaultdict[tuple[str, str, str], list[PendingWrite]] = defaultdict(list)
    for kind, thread_id, checkpoint_ns, name, seq, text1, text2, text3, text4, idx, committed_at, data, native in rows:
        if kind == 0:
            checkpoint = _checkpoint(thread_id, checkpoint_ns, name, seq, text1, text2, committed_at, data, native)
            found.append((checkpoint, json.loads(text3)))
        elif kind == 1:
            values[thread_id, checkpoint_ns, name, text1] = (text2, data)
        else:
            writes[thread_id, checkpoint_ns, name].append(_pending(text1, text2, idx, text3, text4, data, seq))
    for checkpoint, versions in found:
        place = (checkpoint.thread_id, checkpoint.checkpoint_ns)
        checkpoint.checkpoint.channel_versions.update(versions)
        channel_values = checkpoint.checkpoint.channel_values
        for channel, version in versions.items():
            if stored := values.get((*place, channel, version)):
                message = channel_values[channel]
                message.encoding, message.data = stored
        checkpoint.pending_writes.extend(sorted(writes[*place, checkpoint.checkpoint.id], key=_order))
    return [checkpoint for checkpoint, _ in found]


def _checkpoint(
    thread_id: str,
    checkpoint_ns: str,
    checkpoint_id: str,
    seq: int,
    parent_id: str,
    metadata: str,
    committed_at: datetime,
    body: bytes,
    native: bytes | None,
) -> CheckpointTuple:
    found = CheckpointTuple(
        thread_id=thread_id, checkpoint_ns=checkpoint_ns, parent_checkpoint_id=parent_id, sequence=seq
    )
    found.committed_at.FromDatetime(committed_at)
    found.checkpoint.ParseFromString(body)
    found.checkpoint.id = checkpoint_id
    found.metadata.json = metadata
    if native is not None:
        found.metadata.native.ParseFromString(native)
    return found


def _pending(
    task_id: str, task_path: str, idx: int, channel: str, encoding: str, data: bytes, seq: int
) -> PendingWrite:
    write = Write(idx=idx, channel=channel, value=Value(encoding=encoding, data=data))
    return PendingWrite(task_id=task_id, task_path=task_path, write=write, sequence=seq)


def _order(pending: PendingWrite) -> tuple[str, str, int]:
    """The order in which a superstep applies writes. Python compares strings as UTF-8 bytes compare."""
    return (pending.task_path, pending.task_id, pending.write.idx)


def channel_histories(rows: Iterable[Row], channels: Sequence[str]) -> dict[str, ChannelHistory] | None:
    """The histories of channels from the rows of the statement `history`; None when there is no target."""
    target: str | None = None
    parents: dict[tuple[str, str], str] = {}
    seeds: dict[str, Value] = {}
    writes: defaultdict[tuple[str, str], list[PendingWrite]] = defaultdict(list)
    for kind, channel, checkpoint_id, text1, text2, seq, idx, encoding, data in rows:
        if kind == 0:
            target = checkpoint_id
        elif kind == 1:
            parents[channel, checkpoint_id] = text1
        elif kind == 2:
            seeds[channel] = Value(encoding=encoding, data=data)
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
        histories[channel] = ChannelHistory(seed=seeds.get(channel), writes=ordered)
    return histories
