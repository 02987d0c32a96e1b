"""The rpcs of the contract: how each is called and how its response, or each item of its stream, is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import grpc

from checkpointd.client.connection import Stubs
from checkpointd.v1 import api_keys_pb2 as api_keys
from checkpointd.v1 import checkpoints_pb2 as checkpoints
from checkpointd.v1 import core_pb2 as core
from checkpointd.v1 import leases_pb2 as leases
from checkpointd.v1 import limits_pb2 as limits
from checkpointd.v1 import retention_pb2 as retention
from checkpointd.v1 import states_pb2 as states
from checkpointd.v1 import threads_pb2 as threads
from checkpointd.v1 import watch_pb2 as watches

Request = TypeVar("Request")
Response = TypeVar("Response")
Result = TypeVar("Result")
Item = TypeVar("Item")


class Operation(NamedTuple, Generic[Result]):
    """A request and the rpc that it goes to."""

    rpc: Rpc[Any, Any, Result]
    request: Any
    # Whether nobody minds if it is sent a little later, with the next request of the process.
    may_wait: bool = False


class Listing(NamedTuple, Generic[Item]):
    """A request that is answered by a stream, and the rpc that it goes to."""

    rpc: ListRpc[Any, Any, Item]
    request: Any


class Rpc(NamedTuple, Generic[Request, Response, Result]):
    """One rpc."""

    method: Callable[[Stubs], grpc.UnaryUnaryMultiCallable[Request, Response]]
    read: Callable[[Response], Result]
    # The field of SessionOp and of SessionAnswer that is this rpc's; "" when a session has none.
    in_session: str = ""

    def of(self, request: Request, *, may_wait: bool = False) -> Operation[Result]:
        """The operation that sends this request."""
        return Operation(self, request, may_wait)


class ListRpc(NamedTuple, Generic[Request, Response, Item]):
    """One rpc that streams what there is of checkpoints, newest commit first.

    Its request has the fields `thread_id`, `checkpoint_ns`, `before_checkpoint_id` and `limit`, with the meanings that
    ListCheckpointsRequest gives them.
    """

    method: Callable[[Stubs], grpc.UnaryStreamMultiCallable[Request, Response]]
    read: Callable[[Response], Item]
    checkpoint_id: Callable[[Item], str]
    one_namespace: Callable[[Request], bool]

    def of(self, request: Request) -> Listing[Item]:
        """The listing that sends this request."""
        return Listing(self, request)


def _nothing(response: object) -> None:
    return None


def _as_it_came(response: Response) -> Response:
    return response


PUT_CHECKPOINT: Rpc[checkpoints.PutCheckpointRequest, checkpoints.PutCheckpointResponse, int] = Rpc(
    lambda stubs: stubs.checkpoints.PutCheckpoint, lambda response: response.sequence, "put_checkpoint"
)
PUT_WRITES: Rpc[checkpoints.PutWritesRequest, checkpoints.PutWritesResponse, None] = Rpc(
    lambda stubs: stubs.checkpoints.PutWrites, _nothing, "put_writes"
)
COMMIT: Rpc[checkpoints.CommitRequest, checkpoints.CommitResponse, list[int]] = Rpc(
    lambda stubs: stubs.checkpoints.Commit, lambda response: list(response.checkpoint_sequences), "commit"
)
GET_CHECKPOINT: Rpc[checkpoints.GetCheckpointRequest, checkpoints.GetCheckpointResponse, core.CheckpointTuple] = Rpc(
    lambda stubs: stubs.checkpoints.GetCheckpoint, lambda response: response.checkpoint_tuple, "get_checkpoint"
)
GET_CHANNEL_HISTORY: Rpc[
    checkpoints.GetChannelHistoryRequest,
    checkpoints.GetChannelHistoryResponse,
    Mapping[str, checkpoints.ChannelHistory],
] = Rpc(lambda stubs: stubs.checkpoints.GetChannelHistory, lambda response: response.histories)
GET_THREAD: Rpc[threads.GetThreadRequest, threads.GetThreadResponse, threads.GetThreadResponse] = Rpc(
    lambda stubs: stubs.threads.GetThread, _as_it_came
)
LIST_THREADS: Rpc[threads.ListThreadsRequest, threads.ListThreadsResponse, threads.ListThreadsResponse] = Rpc(
    lambda stubs: stubs.threads.ListThreads, _as_it_came
)
UPDATE_THREAD: Rpc[threads.UpdateThreadRequest, threads.UpdateThreadResponse, threads.Thread] = Rpc(
    lambda stubs: stubs.threads.UpdateThread, lambda response: response.thread
)
DELETE_THREAD: Rpc[threads.DeleteThreadRequest, threads.DeleteThreadResponse, None] = Rpc(
    lambda stubs: stubs.threads.DeleteThread, _nothing
)
COPY_THREAD: Rpc[threads.CopyThreadRequest, threads.CopyThreadResponse, None] = Rpc(
    lambda stubs: stubs.threads.CopyThread, _nothing
)
PRUNE_THREADS: Rpc[threads.PruneThreadsRequest, threads.PruneThreadsResponse, int] = Rpc(
    lambda stubs: stubs.threads.PruneThreads, lambda response: response.removed_checkpoints
)
DELETE_RUNS: Rpc[threads.DeleteRunsRequest, threads.DeleteRunsResponse, int] = Rpc(
    lambda stubs: stubs.threads.DeleteRuns, lambda response: response.removed_checkpoints
)
LIST_CHECKPOINTS: ListRpc[
    checkpoints.ListCheckpointsRequest, checkpoints.ListCheckpointsResponse, core.CheckpointTuple
] = ListRpc(
    lambda stubs: stubs.checkpoints.ListCheckpoints,
    lambda response: response.checkpoint_tuple,
    lambda found: found.checkpoint.id,
    lambda request: bool(request.thread_id and request.HasField("checkpoint_ns")),
)
WATCH: ListRpc[watches.WatchRequest, watches.WatchResponse, watches.WatchResponse] = ListRpc(
    lambda stubs: stubs.watches.Watch, _as_it_came, lambda response: response.token, lambda request: False
)
REGISTER_GRAPH: Rpc[states.RegisterGraphRequest, states.RegisterGraphResponse, states.RegisterGraphResponse] = Rpc(
    lambda stubs: stubs.states.RegisterGraph, _as_it_came
)
GET_STATE: Rpc[states.GetStateRequest, states.GetStateResponse, states.StateSnapshot] = Rpc(
    lambda stubs: stubs.states.GetState, lambda response: response.snapshot
)
GET_STATE_HISTORY: ListRpc[states.GetStateHistoryRequest, states.GetStateHistoryResponse, states.StateSnapshot] = (
    ListRpc(
        lambda stubs: stubs.states.GetStateHistory,
        lambda response: response.snapshot,
        lambda found: found.config.checkpoint_id,
        lambda request: True,
    )
)
UPDATE_STATE: Rpc[states.UpdateStateRequest, states.UpdateStateResponse, states.UpdateStateResponse] = Rpc(
    lambda stubs: stubs.states.UpdateState, _as_it_came
)
ACQUIRE_LEASE: Rpc[leases.AcquireLeaseRequest, leases.AcquireLeaseResponse, leases.Lease] = Rpc(
    lambda stubs: stubs.leases.AcquireLease, lambda response: response.lease
)
RENEW_LEASE: Rpc[leases.RenewLeaseRequest, leases.RenewLeaseResponse, leases.Lease] = Rpc(
    lambda stubs: stubs.leases.RenewLease, lambda response: response.lease
)
RELEASE_LEASE: Rpc[leases.ReleaseLeaseRequest, leases.ReleaseLeaseResponse, None] = Rpc(
    lambda stubs: stubs.leases.ReleaseLease, _nothing
)
CREATE_API_KEY: Rpc[api_keys.CreateApiKeyRequest, api_keys.CreateApiKeyResponse, api_keys.CreateApiKeyResponse] = Rpc(
    lambda stubs: stubs.api_keys.CreateApiKey, _as_it_came
)
LIST_API_KEYS: Rpc[api_keys.ListApiKeysRequest, api_keys.ListApiKeysResponse, list[api_keys.ApiKey]] = Rpc(
    lambda stubs: stubs.api_keys.ListApiKeys, lambda response: list(response.api_keys)
)
ROTATE_API_KEY: Rpc[api_keys.RotateApiKeyRequest, api_keys.RotateApiKeyResponse, api_keys.RotateApiKeyResponse] = Rpc(
    lambda stubs: stubs.api_keys.RotateApiKey, _as_it_came
)
REVOKE_API_KEY: Rpc[api_keys.RevokeApiKeyRequest, api_keys.RevokeApiKeyResponse, None] = Rpc(
    lambda stubs: stubs.api_keys.RevokeApiKey, _nothing
)
SET_QUOTA: Rpc[limits.SetQuotaRequest, limits.SetQuotaResponse, None] = Rpc(
    lambda stubs: stubs.limits.SetQuota, _nothing
)
GET_QUOTA: Rpc[limits.GetQuotaRequest, limits.GetQuotaResponse, limits.GetQuotaResponse] = Rpc(
    lambda stubs: stubs.limits.GetQuota, _as_it_came
)
LIST_QUOTAS: Rpc[limits.ListQuotasRequest, limits.ListQuotasResponse, limits.ListQuotasResponse] = Rpc(
    lambda stubs: stubs.limits.ListQuotas, _as_it_came
)
SET_RETENTION_POLICY: Rpc[retention.SetRetentionPolicyRequest, retention.SetRetentionPolicyResponse, None] = Rpc(
    lambda stubs: stubs.retention.SetRetentionPolicy, _nothing
)
LIST_RETENTION_POLICIES: Rpc[
    retention.ListRetentionPoliciesRequest, retention.ListRetentionPoliciesResponse, list[retention.RetentionPolicy]
] = Rpc(lambda stubs: stubs.retention.ListRetentionPolicies, lambda response: list(response.policies))
DELETE_RETENTION_POLICY: Rpc[retention.DeleteRetentionPolicyRequest, retention.DeleteRetentionPolicyResponse, None] = (
    Rpc(lambda stubs: stubs.retention.DeleteRetentionPolicy, _nothing)
)
APPLY_RETENTION_POLICY: Rpc[
    retention.ApplyRetentionPolicyRequest,
    retention.ApplyRetentionPolicyResponse,
    retention.ApplyRetentionPolicyResponse,
] = Rpc(lambda stubs: stubs.retention.ApplyRetentionPolicy, _as_it_came)
