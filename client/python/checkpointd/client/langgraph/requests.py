"""From the arguments of a checkpointer's methods to requests of the contract."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpointd.client import operations, rpcs
from checkpointd.client.build import build, unsendable
from checkpointd.client.langgraph.checkpoints import write_checkpoint, write_writes
from checkpointd.client.langgraph.configs import Place, checkpoint_id_of, place_of
from checkpointd.client.langgraph.held import Entry
from checkpointd.client.langgraph.metadata import write_metadata
from checkpointd.client.langgraph.sending import PUT_CHECKPOINT, Sending
from checkpointd.client.rpcs import Listing, Operation, Rpc
from checkpointd.v1.checkpoints_pb2 import (
    ChannelHistory,
    CheckpointPut,
    GetCheckpointRequest,
    GetCheckpointResponse,
    PutCheckpointRequest,
    PutCheckpointResponse,
    PutWritesRequest,
    WritesPut,
)
from checkpointd.v1.core_pb2 import CheckpointTuple
from checkpointd.v1.threads_pb2 import PRUNE_STRATEGY_DELETE, PRUNE_STRATEGY_KEEP_LATEST

_STRATEGIES = {"keep_latest": PRUNE_STRATEGY_KEEP_LATEST, "delete": PRUNE_STRATEGY_DELETE}

# How many threads or runs one request may name.
_MOST_IDS = 1000


def _as_it_came(response: GetCheckpointResponse) -> GetCheckpointResponse:
    return response


# Its answer is needed whole: it says which values were left out of it.
_GET_CHECKPOINT = cast(
    Rpc[GetCheckpointRequest, GetCheckpointResponse, GetCheckpointResponse],
    cast(Any, rpcs.GET_CHECKPOINT)._replace(read=_as_it_came),
)


def put_checkpoint(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    new_versions: ChannelVersions,
    serde: SerializerProtocol,
    graph_hash: str = "",
    sending: Sending | None = None,
) -> tuple[Operation[PutCheckpointResponse], Place]:
    """Store a checkpoint, and where it will stand. The checkpoint that the config names is its parent.

    All values are in the request, whole unless `sending` is there to send them in another way.
    """
    thread_id, checkpoint_ns, parent_checkpoint_id = place_of(config)
    put = build(
        CheckpointPut,
        checkpoint_ns=checkpoint_ns,
        parent_checkpoint_id=parent_checkpoint_id,
        graph_hash=graph_hash,
    )
    request = build(PutCheckpointRequest, thread_id=thread_id, put=put)
    # The rest is filled in place: values can be large, and a message that is put into another one is copied.
    tell = None if sending is None else partial(sending.tell, into=request)
    write_checkpoint(checkpoint, new_versions, serde, request.put.checkpoint, tell)
    whole = get_serializable_checkpoint_metadata(config, metadata)
    write_metadata(cast(dict[str, Any], whole), serde, request.put.metadata)
    return PUT_CHECKPOINT.of(request), Place(thread_id, checkpoint_ns, checkpoint["id"])


def put_writes(
    config: RunnableConfig,
    writes: Iterable[tuple[str, Any]],
    task_id: str,
    task_path: str,
    serde: SerializerProtocol,
    *,
    may_wait: bool = False,
) -> Operation[None]:
    """Store what a task wrote on the checkpoint that the config names."""
    thread_id, checkpoint_ns, checkpoint_id = place_of(config)
    put = build(
        WritesPut, checkpoint_ns=checkpoint_ns, checkpoint_id=checkpoint_id, task_id=task_id, task_path=task_path
    )
    request = build(PutWritesRequest, thread_id=thread_id, put=put)
    write_writes(writes, serde, request.put)
    return rpcs.PUT_WRITES.of(request, may_wait=may_wait)


def list_checkpoints(
    config: RunnableConfig | None,
    matching: dict[str, Any] | None,
    before: RunnableConfig | None,
    limit: int | None,
) -> Listing[CheckpointTuple]:
    """List what the config leaves open: a thread's checkpoints, or with no config those of all threads."""
    thread_id, checkpoint_ns, checkpoint_id = place_of(config) if config else Place("", "", "")
    return operations.list_checkpoints(
        thread_id=thread_id,
        # Unlike everywhere else, a config without a namespace means all of them here.
        checkpoint_ns=checkpoint_ns if config and config["configurable"].get("checkpoint_ns") is not None else None,
        checkpoint_id=checkpoint_id,
        before_checkpoint_id=checkpoint_id_of(before),
        metadata_filter=filter_of(matching),
        limit=limit,
    )


def filter_of(matching: dict[str, Any] | None) -> str:
    """The contract's form of a metadata filter. Raises InvalidRequest for values that are not JSON's."""
    try:
        return json.dumps(matching, allow_nan=False) if matching else ""
    except (TypeError, ValueError) as error:
        raise unsendable("filter", error) from error


def prune(thread_ids: Collection[str], strategy: str) -> Iterator[Operation[int]]:
    """Prune threads, in as many requests as it takes. Raises ValueError for a strategy that is not known."""
    if strategy not in _STRATEGIES:
        raise ValueError(f"unknown prune strategy {strategy!r}; the known ones are {', '.join(map(repr, _STRATEGIES))}")
    return (
        operations.prune_threads(thread_ids=batch, strategy=_STRATEGIES[strategy])
        for batch in _batches(thread_ids, "thread_ids")
    )


def get_tuple(place: Place, held: Mapping[str, Entry]) -> Operation[GetCheckpointResponse]:
    """Get a checkpoint, or the head of a namespace, without those of its values that are held, by channel."""
    request = build(GetCheckpointRequest, **place._asdict())
    for channel, entry in held.items():
        request.held_values.add(channel=channel, version=entry.version, hash=entry.hash, encoding=entry.encoding)
    return _GET_CHECKPOINT.of(request)


def channel_history(config: RunnableConfig, channels: Iterable[str]) -> Operation[Mapping[str, ChannelHistory]]:
    """Get what rebuilds channels at the checkpoint that the config names, or at the head of its namespace."""
    return operations.get_channel_history(**place_of(config)._asdict(), channels=channels)


def copy_thread(source_thread_id: str, target_thread_id: str) -> Operation[None]:
    """Copy a thread."""
    return operations.copy_thread(source_thread_id=str(source_thread_id), target_thread_id=str(target_thread_id))


def delete_thread(thread_id: str) -> Operation[None]:
    """Delete a thread."""
    return operations.delete_thread(thread_id=str(thread_id))


def delete_runs(run_ids: Sequence[str]) -> Iterator[Operation[int]]:
    """Delete runs, in as many requests as it takes."""
    return (operations.delete_runs(run_ids=batch) for batch in _batches(run_ids, "run_ids"))


def _batches(ids: Collection[str], name: str) -> Iterator[list[str]]:
    if isinstance(ids, str):
        raise TypeError(f"{name} is a sequence of ids, not one string; give it [{ids!r}]")
    texts = [str(one) for one in ids]
    return (texts[start : start + _MOST_IDS] for start in range(0, len(texts), _MOST_IDS))
