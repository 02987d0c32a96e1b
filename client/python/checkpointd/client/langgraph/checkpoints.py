"""Checkpoints, writes and histories: LangGraph's objects on one side, the contract's messages on the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpointd.client.build import UNSENDABLE, unsendable
from checkpointd.client.errors import InvalidRequest
from checkpointd.client.langgraph.configs import Place, config_of
from checkpointd.client.langgraph.metadata import read_metadata
from checkpointd.client.langgraph.values import Typed, dump, dumped, load, loaded, put_into
from checkpointd.client.langgraph.versions import decode_versions, encode_versions
from checkpointd.v1 import core_pb2 as core
from checkpointd.v1.checkpoints_pb2 import ChannelHistory, WritesPut

if TYPE_CHECKING:  # the first releases of langgraph-checkpoint 4 have no delta channels
    from langgraph.checkpoint.base import DeltaChannelHistory

# The keys of LangGraph's checkpoint that have a field of their own. All others travel in `extra`.
_FIELDS = frozenset(("id", "v", "ts", "channel_values", "channel_versions", "versions_seen", "updated_channels"))


# Says a channel's value, of this version, encoding and data, elsewhere than in the checkpoint, or returns False.
Tell = Callable[[str, str, str, bytes], bool]


def write_checkpoint(
    checkpoint: Checkpoint,
    new_versions: Collection[str],
    serde: SerializerProtocol,
    into: core.Checkpoint,
    tell: Tell | None = None,
) -> None:
    """Put a checkpoint into a message, with the values of those channels that have a new version.

    Values that `tell` says elsewhere stay out of the message.

    Raises InvalidRequest, naming the field or the channel, for what can't be sent.
    """
    field = "id"
    try:
        into.id = checkpoint["id"]
        field = "v"
        into.v = checkpoint.get("v", 0)
        field = "ts"
        into.ts = checkpoint.get("ts", "")
        field = "channel_versions"
        versions = checkpoint.get("channel_versions", {})
        _put_all(into.channel_versions, encode_versions(versions))
        field = "versions_seen"
        for node, seen in checkpoint.get("versions_seen", {}).items():
            _put_all(into.versions_seen[node].versions, encode_versions(seen))
        field = "updated_channels"
        if (updated := checkpoint.get("updated_channels")) is not None:
            into.updated_channels.SetInParent()
            into.updated_channels.names.extend(updated)
        field = "channel_values"
        values = checkpoint.get("channel_values", {})
        for channel in new_versions:
            if channel in values and channel in versions:
                name = f"the value of channel {channel!r}"
                encoding, data = dumped(serde, values[channel], name)
                if tell is None or not tell(channel, into.channel_versions[channel], encoding, data):
                    put_into(into.channel_values[channel], (encoding, data), name)
        field = "extra"
        for key, value in checkpoint.items():
            # The field can't say None, only that there is no such key.
            if key not in _FIELDS or (key == "updated_channels" and value is None):
                dump(serde, value, into.extra[key], f"checkpoint[{key!r}]")
    except InvalidRequest:
        raise
    except UNSENDABLE as error:
        raise unsendable(f"checkpoint.{field}", error) from error


def _put_all(into: MutableMapping[str, str], versions: Mapping[str, str]) -> None:
    """As `update`, which a message's map has from Python's library, and which takes half as long again."""
    for channel, version in versions.items():
        into[channel] = version


def read_checkpoint(
    message: core.Checkpoint, serde: SerializerProtocol, values: Mapping[str, Typed] | None = None
) -> Checkpoint:
    """The checkpoint in a message, with the channels' values from there unless they are given."""
    if values is None:
        values = {channel: (value.encoding, value.data) for channel, value in message.channel_values.items()}
    checkpoint: dict[str, Any] = {
        "v": message.v,
        "ts": message.ts,
        "id": message.id,
        "channel_values": {channel: loaded(serde, value, channel) for channel, value in values.items()},
        "channel_versions": decode_versions(message.channel_versions),
        "versions_seen": {node: decode_versions(seen.versions) for node, seen in message.versions_seen.items()},
    }
    if message.HasField("updated_channels"):
        checkpoint["updated_channels"] = list(message.updated_channels.names)
    for key, value in message.extra.items():
        checkpoint[key] = load(serde, value, key)
    return cast(Checkpoint, checkpoint)


def read_tuple(
    message: core.CheckpointTuple, serde: SerializerProtocol, values: Mapping[str, Typed] | None = None
) -> CheckpointTuple:
    """The tuple that LangGraph takes for a stored checkpoint, with the channels' values as in `read_checkpoint`."""
    thread_id, checkpoint_ns, parent = message.thread_id, message.checkpoint_ns, message.parent_checkpoint_id
    return CheckpointTuple(
        config_of(Place(thread_id, checkpoint_ns, message.checkpoint.id)),
        read_checkpoint(message.checkpoint, serde, values),
        cast(CheckpointMetadata, read_metadata(message.metadata, serde)),
        config_of(Place(thread_id, checkpoint_ns, parent)) if parent else None,
        read_writes(message.pending_writes, serde),
    )


def write_writes(writes: Iterable[tuple[str, Any]], serde: SerializerProtocol, into: WritesPut) -> None:
    """Put what a task wrote into a message. Raises InvalidRequest, naming the channel, for what can't be sent."""
    for place, (channel, value) in enumerate(writes):
        write = into.writes.add()
        try:
            write.idx = WRITES_IDX_MAP.get(channel, place)
            write.channel = channel
        except UNSENDABLE as error:
            raise unsendable(f"the channel of write {place}", error) from error
        dump(serde, value, write.value, f"the write to channel {channel!r}")


def read_writes(writes: Iterable[core.PendingWrite], serde: SerializerProtocol) -> list[PendingWrite]:
    """LangGraph's pending writes, in the order in which they came."""
    return [
        (pending.task_id, pending.write.channel, load(serde, pending.write.value, pending.write.channel))
        for pending in writes
    ]


def read_histories(
    histories: Mapping[str, ChannelHistory], channels: Sequence[str], serde: SerializerProtocol
) -> dict[str, DeltaChannelHistory]:
    """LangGraph's histories of the channels asked for; of a channel without one, an empty one."""
    found: dict[str, DeltaChannelHistory] = {}
    for channel in channels:
        history = histories.get(channel) or ChannelHistory()
        found[channel] = {"writes": read_writes(history.writes, serde)}
        if history.HasField("seed"):
            found[channel]["seed"] = load(serde, history.seed, channel)
    return found
