"""The calls that clients make: from parameters to a request of the contract.

Client and AsyncClient have a method for each function here, with the same parameters. Their names, limits and zero
meanings are those of the contract's fields (protos/checkpointd/v1). Every one may raise the errors of
`checkpointd.client.errors`; those named here belong to the call itself.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from checkpointd.client import rpcs
from checkpointd.client.build import build, duration
from checkpointd.client.rpcs import Listing, Operation
from checkpointd.v1 import checkpoints_pb2 as checkpoints
from checkpointd.v1 import core_pb2 as core
from checkpointd.v1 import graph_pb2 as graphs
from checkpointd.v1 import leases_pb2 as leases
from checkpointd.v1 import limits_pb2 as limits
from checkpointd.v1 import states_pb2 as states
from checkpointd.v1 import threads_pb2 as threads
from checkpointd.v1.core_pb2 import Precondition


def put_checkpoint(
    *,
    thread_id: str,
    checkpoint: core.Checkpoint,
    metadata: core.Metadata | None = None,
    checkpoint_ns: str = "",
    parent_checkpoint_id: str = "",
    precondition: Precondition | None = None,
) -> Operation[int]:
    """Store a checkpoint, which becomes the head of its namespace. Returns the sequence of the commit.

    Only the values of channels with a new version need to be in it. Raises HeadMoved or LeaseLost when the precondition
    does not hold.
    """
    put = build(
        checkpoints.CheckpointPut,
        checkpoint_ns=checkpoint_ns,
        checkpoint=checkpoint,
        metadata=metadata,
        parent_checkpoint_id=parent_checkpoint_id,
    )
    return rpcs.PUT_CHECKPOINT.of(
        build(checkpoints.PutCheckpointRequest, thread_id=thread_id, put=put, precondition=precondition)
    )


def put_writes(
    *,
    thread_id: str,
    checkpoint_id: str,
    task_id: str,
    writes: Iterable[core.Write],
    checkpoint_ns: str = "",
    task_path: str = "",
    precondition: Precondition | None = None,
) -> Operation[None]:
    """Store what one task wrote, on the checkpoint that it started from, which may come later.

    Raises HeadMoved, LeaseLost or AlreadyWritten when the precondition does not hold.
    """
    put = build(
        checkpoints.WritesPut,
        checkpoint_ns=checkpoint_ns,
        checkpoint_id=checkpoint_id,
        task_id=task_id,
        task_path=task_path,
        writes=writes,
    )
    return rpcs.PUT_WRITES.of(
        build(checkpoints.PutWritesRequest, thread_id=thread_id, put=put, precondition=precondition)
    )


def commit(
    *, thread_id: str, ops: Iterable[checkpoints.CommitOp], precondition: Precondition | None = None
) -> Operation[list[int]]:
    """Store several checkpoints and writes of one thread, in this order, all or nothing.

    Returns the sequences of the checkpoints put, in the order of their ops. Raises HeadMoved, LeaseLost or
    AlreadyWritten when the precondition does not hold.
    """
    return rpcs.COMMIT.of(build(checkpoints.CommitRequest, thread_id=thread_id, ops=ops, precondition=precondition))


def get_checkpoint(
    *, thread_id: str, checkpoint_ns: str = "", checkpoint_id: str = ""
) -> Operation[core.CheckpointTuple]:
    """One checkpoint with its values and pending writes: the head of the namespace, or the one named.

    Raises NotFound when there is no such thread, namespace or checkpoint.
    """
    return rpcs.GET_CHECKPOINT.of(
        build(
            checkpoints.GetCheckpointRequest,
            thread_id=thread_id,
            checkpoint_ns=checkpoint_ns,
            checkpoint_id=checkpoint_id,
        )
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
) -> Listing[core.CheckpointTuple]:
    """Checkpoints, newest commit first within a thread; without a thread_id all threads', greatest id first.

    The timeout bounds the wait for the first one. A list of one namespace without `before_checkpoint_id` is carried on
    after a failure, and may be read as slowly as you like; any other one raises what broke it off.
    """
    return rpcs.LIST_CHECKPOINTS.of(
        build(
            checkpoints.ListCheckpointsRequest,
            thread_id=thread_id,
            checkpoint_ns=checkpoint_ns,
            checkpoint_id=checkpoint_id,
            before_checkpoint_id=before_checkpoint_id,
            metadata_filter=metadata_filter,
            limit=limit,
            view=view,
        )
    )


def get_channel_history(
    *, thread_id: str, channels: Iterable[str], checkpoint_ns: str = "", checkpoint_id: str = ""
) -> Operation[Mapping[str, checkpoints.ChannelHistory]]:
    """What rebuilds, at a checkpoint, channels that are stored as changes: a history for every channel asked for.

    Raises NotFound when there is no such thread, namespace or checkpoint.
    """
    return rpcs.GET_CHANNEL_HISTORY.of(
        build(
            checkpoints.GetChannelHistoryRequest,
            thread_id=thread_id,
            checkpoint_ns=checkpoint_ns,
            checkpoint_id=checkpoint_id,
            channels=channels,
        )
    )


def get_thread(*, thread_id: str, with_size: bool = False) -> Operation[threads.GetThreadResponse]:
    """A thread and the heads of its namespaces; its size, if it is asked for, costs a look at all that it has.

    Raises NotFound when nothing is stored under this id.
    """
    return rpcs.GET_THREAD.of(build(threads.GetThreadRequest, thread_id=thread_id, with_size=with_size))


def list_threads(
    *,
    thread_id_prefix: str = "",
    order: threads.ThreadOrder.ValueType = threads.THREAD_ORDER_THREAD_ID,
    page_size: int = 0,
    labels: Mapping[str, str] | None = None,
    owner: str = "",
    status: threads.ThreadStatus.ValueType = threads.THREAD_STATUS_UNSPECIFIED,
    updated_from: datetime | None = None,
    updated_before: datetime | None = None,
    min_sequence: int = 0,
) -> Callable[[str], Operation[threads.ListThreadsResponse]]:
    """The tenant's threads for which all that is given holds, fetched page by page while they are read."""
    request = build(
        threads.ListThreadsRequest,
        page_size=page_size,
        thread_id_prefix=thread_id_prefix,
        order=order,
        labels=labels,
        owner=owner,
        status=status,
        updated_from=updated_from,
        updated_before=updated_before,
        min_sequence=min_sequence,
    )

    def page(token: str) -> Operation[threads.ListThreadsResponse]:
        request.page_token = token
        return rpcs.LIST_THREADS.of(request)

    return page


def update_thread(
    *,
    thread_id: str,
    set_labels: Mapping[str, str] | None = None,
    remove_labels: Iterable[str] = (),
    owner: str | None = None,
) -> Operation[threads.Thread]:
    """Change what people say of a thread: its labels and its owner ("" for none, None as it was). Returns the thread.

    Raises NotFound when nothing is stored under this id.
    """
    return rpcs.UPDATE_THREAD.of(
        build(
            threads.UpdateThreadRequest,
            thread_id=thread_id,
            set_labels=set_labels,
            remove_labels=remove_labels,
            owner=owner,
        )
    )


def delete_thread(*, thread_id: str, request_id: str = "") -> Operation[None]:
    """Delete a thread with everything in it, its lease too. One that does not exist is deleted already.

    The `request_id` is a new one unless it is given.
    """
    return rpcs.DELETE_THREAD.of(
        build(threads.DeleteThreadRequest, thread_id=thread_id, request_id=request_id or new_request_id())
    )


def copy_thread(*, source_thread_id: str, target_thread_id: str, request_id: str = "") -> Operation[None]:
    """Copy a thread, complete and as of one moment, to another id. The `request_id` is a new one unless it is given.

    Raises NotFound when the source does not exist, AlreadyExists when the target has checkpoints that it does not.
    """
    return rpcs.COPY_THREAD.of(
        build(
            threads.CopyThreadRequest,
            source_thread_id=source_thread_id,
            target_thread_id=target_thread_id,
            request_id=request_id or new_request_id(),
        )
    )


def prune_threads(
    *, thread_ids: Iterable[str], strategy: threads.PruneStrategy.ValueType, request_id: str = ""
) -> Operation[int]:
    """Remove old checkpoints of at most 1000 threads. Returns how many checkpoints this call removed.

    The `request_id` is a new one unless it is given.
    """
    return rpcs.PRUNE_THREADS.of(
        build(
            threads.PruneThreadsRequest,
            thread_ids=thread_ids,
            strategy=strategy,
            request_id=request_id or new_request_id(),
        )
    )


def delete_runs(*, run_ids: Iterable[str], request_id: str = "") -> Operation[int]:
    """Delete, in all threads, the checkpoints of at most 1000 runs. Returns how many checkpoints this call removed.

    The `request_id` is a new one unless it is given.
    """
    return rpcs.DELETE_RUNS.of(
        build(threads.DeleteRunsRequest, run_ids=run_ids, request_id=request_id or new_request_id())
    )


def register_graph(*, graph_name: str, spec: graphs.GraphSpec) -> Operation[states.RegisterGraphResponse]:
    """Store the description of a graph under a name. The same one again changes nothing."""
    return rpcs.REGISTER_GRAPH.of(build(states.RegisterGraphRequest, graph_name=graph_name, spec=spec))


def get_state(
    *,
    thread_id: str,
    checkpoint_ns: str = "",
    checkpoint_id: str | None = None,
    subgraphs: bool = False,
    graph: states.GraphRef | None = None,
) -> Operation[states.StateSnapshot]:
    """The state of a thread at a checkpoint, with None at the head of the namespace, with "" at the head as it was.

    Raises NotFound when the checkpoint named does not exist, or the graph named is not registered.
    """
    return rpcs.GET_STATE.of(
        build(
            states.GetStateRequest,
            thread_id=thread_id,
            checkpoint_ns=checkpoint_ns,
            checkpoint_id=checkpoint_id,
            subgraphs=subgraphs,
            graph=graph,
        )
    )


def get_state_history(
    *,
    thread_id: str,
    checkpoint_ns: str = "",
    checkpoint_id: str = "",
    before_checkpoint_id: str = "",
    metadata_filter: str = "",
    limit: int | None = None,
    graph: states.GraphRef | None = None,
) -> Listing[states.StateSnapshot]:
    """The states of a namespace, newest commit first.

    Raises NotFound when the graph named is not registered. A failure on the way is met as by `list_checkpoints`.
    """
    return rpcs.GET_STATE_HISTORY.of(
        build(
            states.GetStateHistoryRequest,
            thread_id=thread_id,
            checkpoint_ns=checkpoint_ns,
            checkpoint_id=checkpoint_id,
            before_checkpoint_id=before_checkpoint_id,
            metadata_filter=metadata_filter,
            limit=limit,
            graph=graph,
        )
    )


def update_state(
    *,
    thread_id: str,
    supersteps: Iterable[states.Superstep],
    checkpoint_ns: str = "",
    checkpoint_id: str = "",
    metadata: str = "",
    graph: states.GraphRef | None = None,
    precondition: Precondition | None = None,
    request_id: str = "",
) -> Operation[states.UpdateStateResponse]:
    """Change a thread's state as if nodes of its graph had written it: supersteps on top of each other, all or nothing.

    It is carried out once, however often it is sent; the `request_id` is a new one unless it is given.

    Raises InvalidRequest when the graph does not take the update, NotFound when the checkpoint or the graph named does
    not exist or no node leads to the namespace, GraphUnknown when no graph is known for the thread, NeedsCode when the
    outcome depends on code that the server does not have, FailedPrecondition when there is nothing to copy, HeadMoved
    or LeaseLost when the precondition does not hold.
    """
    return rpcs.UPDATE_STATE.of(
        build(
            states.UpdateStateRequest,
            thread_id=thread_id,
            checkpoint_ns=checkpoint_ns,
            checkpoint_id=checkpoint_id,
            supersteps=supersteps,
            metadata=metadata,
            graph=graph,
            precondition=precondition,
            request_id=request_id or new_request_id(),
        )
    )


def acquire_lease(*, thread_id: str, holder: str, ttl: float, wait: float = 0.0) -> Operation[leases.Lease]:
    """Take the lease of a thread, which need not exist. Who holds it already gets the same token, and the time anew.

    The `holder` is a name that no other run uses; `ttl` and `wait` are seconds, of which the wait ends with the
    client's timeout too. Raises LeaseHeld when somebody else holds it, and still does after the wait.
    """
    return rpcs.ACQUIRE_LEASE.of(
        build(
            leases.AcquireLeaseRequest,
            thread_id=thread_id,
            holder=holder,
            ttl=duration("ttl", ttl),
            wait=duration("wait", wait),
        )
    )


def renew_lease(*, thread_id: str, holder: str, fencing_token: int, ttl: float) -> Operation[leases.Lease]:
    """Let a lease last for `ttl` seconds from now. Raises LeaseLost when it has ended."""
    return rpcs.RENEW_LEASE.of(
        build(
            leases.RenewLeaseRequest,
            thread_id=thread_id,
            holder=holder,
            fencing_token=fencing_token,
            ttl=duration("ttl", ttl),
        )
    )


def release_lease(*, thread_id: str, holder: str, fencing_token: int) -> Operation[None]:
    """End a lease. One that has ended is released already. Raises LeaseHeld when it is somebody else's."""
    return rpcs.RELEASE_LEASE.of(
        build(leases.ReleaseLeaseRequest, thread_id=thread_id, holder=holder, fencing_token=fencing_token)
    )


def set_quota(
    *, max_threads: int | None = None, max_bytes: int | None = None, max_ops_per_second: int | None = None
) -> Operation[None]:
    """Say what the tenant may use from now on, in place of what was said before; None is no limit. For operators."""
    quota = build(limits.Quota, max_threads=max_threads, max_bytes=max_bytes, max_ops_per_second=max_ops_per_second)
    return rpcs.SET_QUOTA.of(limits.SetQuotaRequest(quota=quota))


def get_quota() -> Operation[limits.GetQuotaResponse]:
    """What the tenant may use, and what it uses."""
    return rpcs.GET_QUOTA.of(limits.GetQuotaRequest())


def list_quotas(*, page_size: int = 0, page_token: str = "") -> Operation[limits.ListQuotasResponse]:
    """A page of the quotas of all tenants that have one, by the tenants' names. For operators."""
    return rpcs.LIST_QUOTAS.of(build(limits.ListQuotasRequest, page_size=page_size, page_token=page_token))


def new_request_id() -> str:
    """A name that no other request has."""
    return uuid.uuid4().hex
