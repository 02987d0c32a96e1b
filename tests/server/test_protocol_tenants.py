"""Tenants: how a call names its own, and that they see nothing of each other."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from checkpointd.v1 import checkpoints_pb2 as messages
from checkpointd.v1.threads_pb2 import (
    CopyThreadRequest,
    DeleteRunsRequest,
    DeleteThreadRequest,
    ListThreadsRequest,
    PruneStrategy,
    PruneThreadsRequest,
)
from tests.messages import checkpoint_put, commit, put_checkpoint, put_writes, writes_put
from tests.server.everything import everything
from tests.server.whole_requests import whole_request
from tests.server.wire import METHODS, TENANT, Metadata, ids, invalid, invoke, of_tenant, refused

pytestmark = pytest.mark.usefixtures("stays_well")


@pytest.fixture
def other_channel(grpc_create_channel: Callable[..., grpc.Channel], tenant: str) -> grpc.Channel:
    """The channel of another tenant, whose name begins with ours."""
    return of_tenant(grpc_create_channel(), f"{tenant}.other")


def _fill(channel: grpc.Channel) -> None:
    for number in range(3):
        values = {"a": f"{number}"}
        invoke(channel, "PutCheckpoint", put_checkpoint("t", f"c{number}", values=values, metadata={"run_id": "r"}))
        invoke(channel, "PutWrites", put_writes("t", f"c{number}", "task", [(0, "a", "1")]))


@pytest.mark.parametrize(
    "request_",
    [
        put_checkpoint("t", "c1", values={"a": "other", "b": "other"}),
        put_writes("t", "c1", "task", [(0, "a", "other"), (-1, "a", "other")]),
        commit("t", checkpoint_put("c1"), writes_put("c1", "task", [(-1, "a", "other")])),
        DeleteThreadRequest(thread_id="t"),
        PruneThreadsRequest(thread_ids=["t"], strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST),
        PruneThreadsRequest(thread_ids=["t"], strategy=PruneStrategy.PRUNE_STRATEGY_DELETE),
        DeleteRunsRequest(run_ids=["r"]),
    ],
    ids=lambda request: request.DESCRIPTOR.name,
)
def test_what_one_tenant_changes_is_not_the_others(
    grpc_channel: grpc.Channel, other_channel: grpc.Channel, request_: Any
) -> None:
    _fill(grpc_channel)
    before = everything(grpc_channel)
    (answer,) = invoke(other_channel, request_.DESCRIPTOR.name.removesuffix("Request"), request_)
    assert getattr(answer, "removed_checkpoints", 0) == 0
    assert everything(grpc_channel) == before


def test_what_one_tenant_has_is_nothing_to_another(grpc_channel: grpc.Channel, other_channel: grpc.Channel) -> None:
    _fill(grpc_channel)
    for rpc in ("GetCheckpoint", "GetChannelHistory"):
        for checkpoint_id in ("", "c1"):
            request = whole_request(rpc)
            request.thread_id, request.checkpoint_ns, request.checkpoint_id = "t", "", checkpoint_id
            assert invoke(grpc_channel, rpc, request)
            with refused(grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND"):
                invoke(other_channel, rpc, request)
    for request in (messages.ListCheckpointsRequest(), messages.ListCheckpointsRequest(thread_id="t")):
        assert not invoke(other_channel, "ListCheckpoints", request)
    request = whole_request("GetThread")
    request.thread_id = "t"
    with refused(grpc.StatusCode.NOT_FOUND, "THREAD_NOT_FOUND") as found:
        invoke(other_channel, "GetThread", request)
    assert found.metadata == {"thread_id": "t"}
    with refused(grpc.StatusCode.NOT_FOUND, "THREAD_NOT_FOUND"):
        invoke(other_channel, "CopyThread", CopyThreadRequest(source_thread_id="t", target_thread_id="u"))
    assert not invoke(other_channel, "ListThreads", ListThreadsRequest())[0].threads


def test_the_same_ids_are_two_threads(grpc_channel: grpc.Channel, other_channel: grpc.Channel) -> None:
    for channel, data in ((grpc_channel, "mine"), (other_channel, "the other's")):
        invoke(channel, "PutCheckpoint", put_checkpoint("t", "c", values={"a": data}))
    for channel, data in ((grpc_channel, "mine"), (other_channel, "the other's")):
        (answer,) = invoke(channel, "GetCheckpoint", messages.GetCheckpointRequest(thread_id="t"))
        assert answer.checkpoint_tuple.checkpoint.channel_values["a"].data == data.encode()
        assert answer.checkpoint_tuple.sequence == 1


def test_a_call_without_a_tenant_is_the_default_tenants(
    grpc_create_channel: Callable[..., grpc.Channel], tenant: str
) -> None:
    # `tenant` serves as a thread's name that no other test uses.
    with grpc_create_channel() as channel:
        invoke(channel, "PutCheckpoint", put_checkpoint(tenant, "c"))
        request = messages.ListCheckpointsRequest(thread_id=tenant)
        assert ids(invoke(channel, "ListCheckpoints", request, ((TENANT, "default"),))) == ["c"]
        invoke(channel, "DeleteThread", DeleteThreadRequest(thread_id=tenant))


@pytest.mark.parametrize("name", ["a", "x" * 64, "A-Z.a_z0-9", "..", "-"])
def test_good_names(grpc_channel: grpc.Channel, name: str) -> None:
    invoke(grpc_channel, "ListThreads", b"", ((TENANT, name),))


_BAD_NAMES: dict[str, Metadata] = {
    "empty": ((TENANT, ""),),
    "too long": ((TENANT, "x" * 65),),
    "far too long": ((TENANT, "x" * 4000),),
    "space": ((TENANT, "a b"),),
    "slash": ((TENANT, "a/b"),),
    "quote": ((TENANT, "a'b"),),
    "percent": ((TENANT, "a%00"),),
    "two names": ((TENANT, "a"), (TENANT, "b")),
    "binary": ((f"{TENANT}-bin", b"a\0b"),),
    "binary beside a good one": ((TENANT, "a"), (f"{TENANT}-bin", b"b")),
}


@pytest.mark.parametrize("metadata", _BAD_NAMES.values(), ids=_BAD_NAMES.keys())
@pytest.mark.parametrize("rpc", METHODS)
def test_bad_names_are_refused_by_every_rpc(grpc_channel: grpc.Channel, rpc: str, metadata: Metadata) -> None:
    with invalid(TENANT):
        invoke(grpc_channel, rpc, whole_request(rpc), metadata)
