"""Every rpc that writes may be sent twice: the same answer, and the same is stored."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from checkpointd.v1.core_pb2 import Precondition
from checkpointd.v1.leases_pb2 import ReleaseLeaseRequest
from checkpointd.v1.limits_pb2 import GetQuotaRequest, Quota, SetQuotaRequest
from checkpointd.v1.retention_pb2 import (
    ApplyRetentionPolicyRequest,
    DeleteRetentionPolicyRequest,
    ListRetentionPoliciesRequest,
    RetentionPolicy,
    SetRetentionPolicyRequest,
)
from checkpointd.v1.states_pb2 import GetStateRequest, GraphRef
from checkpointd.v1.threads_pb2 import (
    CopyThreadRequest,
    DeleteRunsRequest,
    DeleteThreadRequest,
    PruneStrategy,
    PruneThreadsRequest,
    UpdateThreadRequest,
)
from tests.messages import checkpoint_put, commit, put_checkpoint, put_writes, writes_put
from tests.server.conditional import conditioned, graph, head_of, send, update, whole
from tests.server.conftest import TwoServers
from tests.server.everything import everything
from tests.server.leasing import StoredLeases, acquire, acquisition, renew, renewal
from tests.server.wire import METHODS, error_reason, invalid, of_tenant, refused
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("stays_well")

_READS = {
    *("GetCheckpoint", "ListCheckpoints", "GetChannelHistory", "GetState", "GetStateHistory"),
    *("GetThread", "ListThreads", "GetQuota", "ListQuotas", "ListRetentionPolicies"),
}
# The rpcs whose requests can have names, but for the one whose threads are those of the runs that it names (see
# test_runs_are_deleted_once).
_NAMED = [
    name
    for name, method in METHODS.items()
    if "request_id" in method.input_type.fields_by_name and name != "DeleteRuns"
]
_REMOVE = ("DeleteThread", "PruneThreads")  # which need something to remove
_each_named = pytest.mark.parametrize("rpc", _NAMED)


@pytest.fixture(scope="module")
def server(two_servers: TwoServers) -> ServerProcess:
    return two_servers.first


@pytest.fixture
def channel(grpc_channel: grpc.Channel) -> grpc.Channel:
    """A channel to a tenant that has the graph `g`, and threads: `t` of three checkpoints, `u` of one update."""
    for number in range(3):
        name = f"c{number}"
        put = put_checkpoint("t", name, parent=f"c{number - 1}", values={"a": name}, metadata={"run_id": f"r{number}"})
        send(grpc_channel, put)
        send(grpc_channel, put_writes("t", name, "task", [(0, "a", name), (-1, "a", name)]))
    send(grpc_channel, graph())
    send(grpc_channel, update("u", "begins"))
    return grpc_channel


def _graph_of_its_own(_: grpc.Channel) -> Any:
    request = graph()
    request.graph_name = "new"
    return request


def _named(rpc: str, name: str = "once", thread_id: str = "u") -> Any:
    """A request of that name that changes the thread."""
    match rpc:
        case "UpdateState":
            request: Any = update(thread_id, "changed")
        case "DeleteThread":
            request = DeleteThreadRequest(thread_id=thread_id)
        case "CopyThread":
            request = CopyThreadRequest(source_thread_id="t", target_thread_id=thread_id)
        case "PruneThreads":
            request = PruneThreadsRequest(thread_ids=[thread_id], strategy=PruneStrategy.PRUNE_STRATEGY_DELETE)
        case _:
            raise AssertionError(f"{rpc} is new: say how it is named")
    request.request_id = name
    return request


def _then(channel: grpc.Channel, first: Any, request: Any) -> Any:
    send(channel, first)
    return request


_POLICY = SetRetentionPolicyRequest(policy=RetentionPolicy(name="p", keep_last=2))

_Case = tuple[str, Callable[[grpc.Channel], Any]]

# Each rpc that writes, and requests of it, which may need something first.
_WRITES: dict[str, _Case] = {
    "PutCheckpoint": (
        "PutCheckpoint",
        lambda _: put_checkpoint("t", "c9", parent="c2", values={"a": "9"}, metadata={"run_id": "r9"}),
    ),
    "PutWrites": ("PutWrites", lambda _: put_writes("t", "c2", "task9", [(0, "a", "1"), (-3, "b", "2")])),
    "Commit": ("Commit", lambda _: commit("t", checkpoint_put("c9"), writes_put("c9", "task9", [(0, "a", "1")]))),
    "UpdateState": ("UpdateState", lambda _: _named("UpdateState")),
    "UpdateState of a new thread": ("UpdateState", lambda _: _named("UpdateState", "once", "new")),
    "RegisterGraph": ("RegisterGraph", _graph_of_its_own),
    "UpdateThread": (
        "UpdateThread",
        lambda _: UpdateThreadRequest(thread_id="t", set_labels={"a": "1"}, remove_labels=["b"], owner="ann"),
    ),
    "SetRetentionPolicy": (
        "SetRetentionPolicy",
        lambda _: _POLICY,
    ),
    "DeleteRetentionPolicy": (
        "DeleteRetentionPolicy",
        lambda channel: _then(
            channel, _WRITES["SetRetentionPolicy"][1](channel), DeleteRetentionPolicyRequest(name="p")
        ),
    ),
    "ApplyRetentionPolicy": (
        "ApplyRetentionPolicy",
        lambda _: ApplyRetentionPolicyRequest(policy=RetentionPolicy(name="p", keep_last=1)),
    ),
    "DeleteThread": ("DeleteThread", lambda _: DeleteThreadRequest(thread_id="t")),
    "DeleteThread by name": ("DeleteThread", lambda _: _named("DeleteThread")),
    "CopyThread": ("CopyThread", lambda _: CopyThreadRequest(source_thread_id="t", target_thread_id="copy")),
    "CopyThread by name": ("CopyThread", lambda _: _named("CopyThread", "once", "copy")),
    "PruneThreads": (
        "PruneThreads",
        lambda _: PruneThreadsRequest(thread_ids=["t"], strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST),
    ),
    "PruneThreads that deletes": (
        "PruneThreads",
        lambda _: PruneThreadsRequest(thread_ids=["t"], strategy=PruneStrategy.PRUNE_STRATEGY_DELETE),
    ),
    "DeleteRuns": ("DeleteRuns", lambda _: DeleteRunsRequest(run_ids=["r1"])),
    "AcquireLease": ("AcquireLease", lambda _: acquisition("a")),
    "RenewLease": ("RenewLease", lambda channel: renewal("a", acquire(channel, "a"))),
    "ReleaseLease": (
        "ReleaseLease",
        lambda channel: ReleaseLeaseRequest(thread_id="t", holder="a", fencing_token=acquire(channel, "a")),
    ),
    "SetQuota": ("SetQuota", lambda _: SetQuotaRequest(quota=Quota(max_threads=1000))),
}


def test_every_rpc_that_writes_is_here() -> None:
    assert {rpc for rpc, _ in _WRITES.values()} == METHODS.keys() - _READS


def _state(channel: grpc.Channel, leases: StoredLeases) -> object:
    try:
        send(channel, GetStateRequest(thread_id="t", graph=GraphRef(name="new")))
    except grpc.RpcError as error:
        graph_is = error_reason(error)  # type: ignore[arg-type]
    else:
        graph_is = "registered"
    return (
        everything(channel),
        leases.holder(),
        graph_is,
        send(channel, GetQuotaRequest()).quota,
        send(channel, ListRetentionPoliciesRequest()),
    )


def _without_the_moment(answer: Any) -> Any:
    """An answer but for what it says of the time it was given, and of what this one call has found to do."""
    if "lease" in answer.DESCRIPTOR.fields_by_name:
        answer.lease.ClearField("expires_at")
        answer.lease.ClearField("remaining")
    if "removed_checkpoints" in answer.DESCRIPTOR.fields_by_name:
        answer.ClearField("removed_checkpoints")
    if "removed_bytes" in answer.DESCRIPTOR.fields_by_name:
        answer.ClearField("removed_bytes")
    return answer


@pytest.mark.parametrize(("rpc", "make"), _WRITES.values(), ids=_WRITES.keys())
def test_twice_is_the_same_as_once(
    channel: grpc.Channel, second_channel: grpc.Channel, stored_leases: StoredLeases, rpc: str, make: Any
) -> None:
    request = make(channel)
    assert METHODS[rpc].input_type is request.DESCRIPTOR
    before = _state(channel, stored_leases)
    first = _without_the_moment(send(channel, request))
    once = _state(channel, stored_leases)
    assert (once == before) == (rpc == "RenewLease")  # of which only the time is new
    for each in (channel, second_channel):
        assert _without_the_moment(send(each, request)) == first
    assert _state(channel, stored_leases) == once


@pytest.mark.parametrize("case", ["PruneThreads", "PruneThreads that deletes", "DeleteRuns"])
def test_the_second_one_has_removed_nothing(channel: grpc.Channel, case: str) -> None:
    request = _WRITES[case][1](channel)
    assert send(channel, request).removed_checkpoints > 0
    assert send(channel, request).removed_checkpoints == 0


# Requests with names.


def test_a_named_update_is_made_once(channel: grpc.Channel, second_channel: grpc.Channel) -> None:
    request = _named("UpdateState")
    answer = send(channel, request)
    assert answer.config.checkpoint_id == head_of(channel, "u")
    send(channel, update("u", "later"))
    before = whole(channel)
    for each in (channel, second_channel):
        assert send(each, request) == answer
    assert whole(channel) == before
    assert head_of(channel, "u") != answer.config.checkpoint_id
    assert send(channel, _named("UpdateState", "another")) != answer


@pytest.mark.parametrize("since", ["moved", "expired", "taken over"])
def test_a_named_update_whose_precondition_held(channel: grpc.Channel, stored_leases: StoredLeases, since: str) -> None:
    request = conditioned(_named("UpdateState"), head=head_of(channel, "u"), token=acquire(channel, "a", "u"))
    answer = send(channel, request)
    send(channel, update("u", "later"))
    if since != "moved":
        stored_leases.expire("u")
    if since == "taken over":
        acquire(channel, "b", "u")
    before = whole(channel)
    assert send(channel, request) == answer
    assert whole(channel) == before


@pytest.mark.parametrize("there", [True, False])
def test_a_named_delete_that_comes_late(channel: grpc.Channel, there: bool) -> None:
    thread_id = "u" if there else "new"
    request = _named("DeleteThread", "once", thread_id)
    send(channel, request)
    token = acquire(channel, "a", thread_id)
    send(channel, put_checkpoint(thread_id, "since", values={"a": "1"}))
    send(channel, put_writes(thread_id, "since", "task", [(0, "a", "1")]))
    before = whole(channel)
    send(channel, request)
    assert whole(channel) == before
    renew(channel, "a", token, thread_id)
    send(channel, _named("DeleteThread", "another", thread_id))
    assert whole(channel) != before


def test_a_named_copy_that_comes_late(channel: grpc.Channel) -> None:
    request = _named("CopyThread", "once", "copy")
    send(channel, request)
    send(channel, put_checkpoint("copy", "its own"))
    send(channel, put_checkpoint("t", "of the source"))
    before = whole(channel)
    send(channel, request)
    assert whole(channel) == before
    for other in (_named("CopyThread", "another", "copy"), _named("CopyThread", "", "copy")):
        with refused(grpc.StatusCode.ALREADY_EXISTS, "THREAD_EXISTS"):
            send(channel, other)
    for gone in ("t", "copy"):
        send(channel, DeleteThreadRequest(thread_id=gone))
        before = whole(channel)
        send(channel, request)
        assert whole(channel) == before


@_each_named
def test_what_is_answered_again_makes_no_thread(channel: grpc.Channel, rpc: str) -> None:
    request = _named(rpc, "once", "new")
    answer = send(channel, request)
    send(channel, DeleteThreadRequest(thread_id="new"))
    before = whole(channel)
    assert send(channel, request) == answer
    assert whole(channel) == before


@_each_named
def test_a_name_of_another_request(channel: grpc.Channel, second_channel: grpc.Channel, rpc: str) -> None:
    others = [_named(other, "once", "new") for other in _NAMED if other != rpc]
    if rpc == "UpdateState":
        others += [update("new", "other"), update("new", "changed"), update("new", "changed"), update("new", "changed")]
        others[-1].metadata = '{"a": 1}'
        others[-2].precondition.CopyFrom(Precondition(expected_head=""))
        others[-3].checkpoint_id = "c"
    elif rpc == "CopyThread":
        others.append(CopyThreadRequest(source_thread_id="u", target_thread_id="new"))
    request = _named(rpc, "once", "new")
    answer = send(channel, request)
    before = whole(channel)
    for other in others:
        other.request_id = "once"
        for each in (channel, second_channel):
            with invalid("request_id"):
                send(each, other)
    assert whole(channel) == before
    assert send(channel, request) == answer


@_each_named
def test_a_name_on_another_thread_is_no_repeat(channel: grpc.Channel, rpc: str) -> None:
    """It is refused, or carried out; it is not taken for the first one."""
    send(channel, _named(rpc, "once", "new"))
    before = whole(channel)
    try:
        send(channel, _named(rpc, "once", "new too" if rpc not in _REMOVE else "u"))
    except grpc.RpcError as error:
        assert error_reason(error) == "INVALID_FIELD"  # type: ignore[arg-type]  # noqa: PT017
        assert whole(channel) == before
    else:
        assert whole(channel) != before


@_each_named
def test_names_are_compared_whole(channel: grpc.Channel, rpc: str) -> None:
    send(channel, _named(rpc, "once", "new"))
    for name in ("Once", "once ", "onc", "öncé", "x" * 64):
        send(channel, DeleteThreadRequest(thread_id="new"))
        if rpc in _REMOVE:
            send(channel, put_checkpoint("new", "c"))
        before = whole(channel)
        send(channel, _named(rpc, name, "new"))
        assert whole(channel) != before


@_each_named
def test_tenants_have_names_of_their_own(channel: grpc.Channel, grpc_addr: str, tenant: str, rpc: str) -> None:
    request = _named(rpc)
    if rpc == "CopyThread":
        request.target_thread_id = "copy"
    with grpc.insecure_channel(grpc_addr) as plain:
        other = of_tenant(plain, f"{tenant}.other")
        send(other, graph())
        for thread_id in ("t", "u"):
            send(other, put_checkpoint(thread_id, "1f0b6b1e-5a3c-6b7a-8001-000000000001"))
        send(other, request)
        before = whole(channel)
        send(channel, request)
        assert whole(channel) != before


def test_a_refusal_is_not_remembered(channel: grpc.Channel) -> None:
    copy = CopyThreadRequest(source_thread_id="late", target_thread_id="copy", request_id="once")
    for _ in range(2):
        with refused(grpc.StatusCode.NOT_FOUND, "THREAD_NOT_FOUND"):
            send(channel, copy)
    send(channel, put_checkpoint("late", "c"))
    send(channel, copy)
    assert head_of(channel, "copy") == "c"
    request = conditioned(_named("UpdateState"), token=acquire(channel, "a", "u") + 1)
    for _ in range(2):
        with refused(grpc.StatusCode.ABORTED, "LEASE_LOST"):
            send(channel, request)
    request.precondition.fencing_token -= 1
    assert send(channel, request).config.checkpoint_id == head_of(channel, "u")


@_each_named
def test_at_once_it_is_carried_out_once(channel: grpc.Channel, second_channel: grpc.Channel, rpc: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        for number in range(10):
            request = _named(rpc, f"once {number}", f"of {number}")
            sent = [pool.submit(send, (channel, second_channel)[each % 2], request) for each in range(6)]
            answers = [each.result() for each in sent]
            assert answers == [answers[0]] * 6
            if rpc == "UpdateState":
                config = answers[0].config
                assert config.checkpoint_id == head_of(channel, f"of {number}")
                assert not answers[0].HasField("parent_config")


def test_runs_are_deleted_once(channel: grpc.Channel) -> None:
    request = DeleteRunsRequest(run_ids=["r1"], request_id="once")
    assert send(channel, request).removed_checkpoints == 1
    send(channel, put_checkpoint("t", "c9", parent="c2", metadata={"run_id": "r1"}))
    before = everything(channel)
    send(channel, request)
    assert everything(channel) == before
    assert send(channel, DeleteRunsRequest(run_ids=["r1"], request_id="another")).removed_checkpoints == 1


def test_a_prune_that_is_repeated_counts_as_it_did_then(channel: grpc.Channel) -> None:
    keep = PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST
    request = PruneThreadsRequest(thread_ids=["t", "t", "never"], strategy=keep, request_id="once")
    assert send(channel, request).removed_checkpoints == 2
    send(channel, put_checkpoint("t", "c9", parent="c2"))
    before = everything(channel)
    assert send(channel, request).removed_checkpoints == 2
    assert everything(channel) == before
