"""The calls of the contract: for each one its method, its request and how its response is read.

Client and AsyncClient have a method for each function here, with the same parameters. Their names, limits and zero
meanings are those of the contract's fields (protos/checkpointd/v1). Every one may raise the errors of
`checkpointd.client.errors`; those named here are the ones that belong to the call itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

import grpc

from checkpointd.client.build import build
from checkpointd.client.connection import Stubs
from checkpointd.v1 import checkpoints_pb2 as checkpoints
from checkpointd.v1 import core_pb2 as core
from checkpointd.v1 import threads_pb2 as threads

Request = TypeVar("Request")
Response = TypeVar("Response")
Result = TypeVar("Result")


class Operation(NamedTuple, Generic[Request, Response, Result]):
    """One call that has one answer."""

    method: Callable[[Stubs], grpc.UnaryUnaryMultiCallable[Request, Response]]
    request: Request
    read: Callable[[Response], Result]


def put_checkpoint(
    *,
    thread_id: str,
    checkpoint: core.Checkpoint,
    metadata: core.Metadata | None = None,
    checkpoint_ns: str = "",
    parent_checkpoint_id: str = "",
) -> Operation[checkpoints.PutCheckpointRequest, checkpoints.PutCheckpointResponse, int]:
    """Store a checkpoint, which becomes the head of its namespace. Returns the commit's sequence, as the contract says.

    Only the values of channels with a new version need to be in it.
    """
    put = build(
        checkpoints.CheckpointPut,
        checkpoint_ns=checkpoint_ns,
        checkpoint=checkpoint,
        metadata=metadata,
        parent_checkpoint_id=parent_checkpoint_id,
    )
    return Operation(
        lambda stubs: stubs.checkpoints.PutCheckpoint,
        build(checkpoints.PutCheckpointRequest, thread_id=thread_id, put=put),
        lambda response: response.sequence,
    )


def put_writes(
    *,
    thread_id: str,
    checkpoint_id: str,
    task_id: str,
    writes: Iterable[core.Write],
    checkpoint_ns: str = "",
    task_path: str = "",
) -> Operation[checkpoints.PutWritesRequest, checkpoints.PutWritesResponse, None]:
    """Store what one task wrote, on the checkpoint that it started from, which may come later."""
    put = build(
        checkpoints.WritesPut,
        checkpoint_ns=checkpoint_ns,
        checkpoint_id=checkpoint_id,
        task_id=task_id,
        task_path=task_path,
        writes=writes,
    )
    return Operation(
        lambda stubs: stubs.checkpoints.PutWrites,
        build(checkpoints.PutWritesRequest, thread_id=thread_id, put=put),
        lambda response: None,
    )


def commit(
    *, thread_id: str, ops: Iterable[checkpoints.CommitOp]
) -> Operation[checkpoints.CommitRequest, checkpoints.CommitResponse, list[int]]:
    """Store several checkpoints and writes of one thread, in this order, all or nothing.

    Returns the sequences of the checkpoints put, in the order of their ops.
    """
    return Operation(
        lambda stubs: stubs.checkpoints.Commit,
        build(checkpoints.CommitRequest, thread_id=thread_id, ops=ops),
        lambda response: list(response.checkpoint_sequences),
    )


def get_checkpoint(
    *, thread_id: str, checkpoint_ns: str = "", checkpoint_id: str = ""
) -> Operation[checkpoints.GetCheckpointRequest, checkpoints.GetCheckpointResponse, core.CheckpointTuple]:
    """One checkpoint with its values and pending writes: the head of the namespace, or the one named.

    Raises NotFound when there is no such thread, namespace or checkpoint.
    """
    return Operation(
        lambda stubs: stubs.checkpoints.GetCheckpoint,
        build(
            checkpoints.GetCheckpointRequest,
            thread_id=thread_id,
            checkpoint_ns=checkpoint_ns,
            checkpoint_id=checkpoint_id,
        ),
        lambda response: response.checkpoint_tuple,
    )


def list_checkpoints(
    *,
    thread_id: str = "",
    checkpoint_ns: str | None = None,
    checkpoint_id: str = "",
    before_checkpoint_id: str = "",
    metadata_filter: str = "",
    limit: int | None = None,
    view: checkpoints.CheckpointView.ValueType = checkpoints.CHECKPOINT_VIEW_FULL,
) -> checkpoints.ListCheckpointsRequest:
    """Checkpoints, newest commit first within a thread; without a thread_id all threads', greatest checkpoint id first.

    The timeout bounds the wait for the first one. A list of one namespace without `before_checkpoint_id` is carried on
    after a failure, and may be read as slowly as you like; any other one raises what broke it off.
    """
    return build(
        checkpoints.ListCheckpointsRequest,
        thread_id=thread_id,
        checkpoint_ns=checkpoint_ns,
        checkpoint_id=checkpoint_id,
        before_checkpoint_id=before_checkpoint_id,
        metadata_filter=metadata_filter,
        limit=limit,
        view=view,
    )


def get_channel_history(
    *, thread_id: str, channels: Iterable[str], checkpoint_ns: str = "", checkpoint_id: str = ""
) -> Operation[
    checkpoints.GetChannelHistoryRequest,
    checkpoints.GetChannelHistoryResponse,
    Mapping[str, checkpoints.ChannelHistory],
]:
    """What rebuilds, at a checkpoint, channels that are stored as changes: a history for every channel asked for.

    Raises NotFound when there is no such thread, namespace or checkpoint.
    """
    return Operation(
        lambda stubs: stubs.checkpoints.GetChannelHistory,
        build(
            checkpoints.GetChannelHistoryRequest,
            thread_id=thread_id,
            checkpoint_ns=checkpoint_ns,
            checkpoint_id=checkpoint_id,
            channels=channels,
        ),
        lambda response: response.histories,
    )


def get_thread(
    *, thread_id: str
) -> Operation[threads.GetThreadRequest, threads.GetThreadResponse, threads.GetThreadResponse]:
    """A thread and the heads of its namespaces. Raises NotFound when nothing is stored under this id."""
    return Operation(
        lambda stubs: stubs.threads.GetThread, build(threads.GetThreadRequest, thread_id=thread_id), _as_it_came
    )


def list_threads(
    *,
    thread_id_prefix: str = "",
    order: threads.ThreadOrder.ValueType = threads.THREAD_ORDER_THREAD_ID,
    page_size: int = 0,
) -> Callable[[str], Operation[threads.ListThreadsRequest, threads.ListThreadsResponse, threads.ListThreadsResponse]]:
    """The tenant's threads, asked for page by page while they are read."""
    request = build(threads.ListThreadsRequest, page_size=page_size, thread_id_prefix=thread_id_prefix, order=order)

    def page(
        token: str,
    ) -> Operation[threads.ListThreadsRequest, threads.ListThreadsResponse, threads.ListThreadsResponse]:
        request.page_token = token
        return Operation(lambda stubs: stubs.threads.ListThreads, request, _as_it_came)

    return page


def delete_thread(*, thread_id: str) -> Operation[threads.DeleteThreadRequest, threads.DeleteThreadResponse, None]:
    """Delete a thread with everything in it. One that does not exist is deleted already."""
    return Operation(
        lambda stubs: stubs.threads.DeleteThread,
        build(threads.DeleteThreadRequest, thread_id=thread_id),
        lambda response: None,
    )


def copy_thread(
    *, source_thread_id: str, target_thread_id: str
) -> Operation[threads.CopyThreadRequest, threads.CopyThreadResponse, None]:
    """Copy a thread, complete and as of one moment, to another id.

    Raises NotFound when the source does not exist, AlreadyExists when the target has checkpoints that it does not.
    """
    return Operation(
        lambda stubs: stubs.threads.CopyThread,
        build(threads.CopyThreadRequest, source_thread_id=source_thread_id, target_thread_id=target_thread_id),
        lambda response: None,
    )


def prune_threads(
    *, thread_ids: Sequence[str], strategy: threads.PruneStrategy.ValueType
) -> Operation[threads.PruneThreadsRequest, threads.PruneThreadsResponse, int]:
    """Remove old checkpoints of at most 1000 threads. Returns how many checkpoints this call removed."""
    return Operation(
        lambda stubs: stubs.threads.PruneThreads,
        build(threads.PruneThreadsRequest, thread_ids=thread_ids, strategy=strategy),
        lambda response: response.removed_checkpoints,
    )


def delete_runs(*, run_ids: Sequence[str]) -> Operation[threads.DeleteRunsRequest, threads.DeleteRunsResponse, int]:
    """Delete, in all threads, the checkpoints of at most 1000 runs. Returns how many checkpoints this call removed."""
    return Operation(
        lambda stubs: stubs.threads.DeleteRuns,
        build(threads.DeleteRunsRequest, run_ids=run_ids),
        lambda response: response.removed_checkpoints,
    )


def _as_it_came(response: Response) -> Response:
    return response
