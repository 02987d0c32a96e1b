"""Preconditions of every rpc that takes one: who loses stores nothing, and is told what the thread has come to."""

from typing import Any

import grpc
import pytest

from checkpointd.v1.checkpoints_pb2 import GetCheckpointRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.threads_pb2 import DeleteThreadRequest
from tests.messages import checkpoint_put, commit, put_checkpoint, put_writes, writes_put
from tests.server.conditional import C0, C1, CONDITIONAL, MOVING, conditioned, graph, head_of, send, whole, write
from tests.server.conftest import TwoServers
from tests.server.leasing import StoredLeases, acquire, release
from tests.server.wire import invalid, refused
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("stays_well")

_moved = (grpc.StatusCode.ABORTED, "HEAD_MOVED")
_lost = (grpc.StatusCode.ABORTED, "LEASE_LOST")
_each_conditional = pytest.mark.parametrize("rpc", CONDITIONAL)
_ABSENT = "11111111-1111-6111-8111-111111111111"


@pytest.fixture(scope="module")
def server(two_servers: TwoServers) -> ServerProcess:
    return two_servers.first


@pytest.fixture
def channel(grpc_channel: grpc.Channel) -> grpc.Channel:
    """A channel to a tenant that has the graph `g`, and a thread `t` with the checkpoints C0 and C1."""
    send(grpc_channel, graph())
    for name in (C0, C1):
        send(grpc_channel, put_checkpoint("t", name))
    return grpc_channel


@_each_conditional
def test_the_head_as_expected(channel: grpc.Channel, rpc: str) -> None:
    before = whole(channel)
    send(channel, conditioned(write(rpc, "n1"), head=C1))
    assert whole(channel) != before
    assert (head_of(channel) == C1) == (rpc not in MOVING)
    send(channel, conditioned(write(rpc, "n2"), head=head_of(channel)))


@_each_conditional
@pytest.mark.parametrize("expected", [C0, "", C1.upper(), f"{C1} ", _ABSENT])
def test_another_head_than_expected(channel: grpc.Channel, rpc: str, expected: str) -> None:
    before = whole(channel)
    with refused(*_moved) as found:
        send(channel, conditioned(write(rpc, "n1"), head=expected))
    assert found.metadata == {"thread_id": "t", "checkpoint_ns": "", "expected_head": expected, "head": C1}
    assert whole(channel) == before


@_each_conditional
def test_a_thread_that_is_to_begin(channel: grpc.Channel, rpc: str) -> None:
    before = whole(channel)
    with refused(*_moved) as found:
        send(channel, conditioned(write(rpc, "n1", "new"), head=C1))
    assert found.metadata == {"thread_id": "new", "checkpoint_ns": "", "expected_head": C1, "head": ""}
    assert whole(channel) == before  # not an empty thread either
    send(channel, conditioned(write(rpc, "n1", "new"), head=""))
    if rpc in MOVING:
        with refused(*_moved) as found:
            send(channel, conditioned(write(rpc, "n2", "new"), head=""))
        assert found.metadata["head"] == head_of(channel, "new")


@_each_conditional
def test_a_thread_that_was_deleted_begins_anew(channel: grpc.Channel, rpc: str) -> None:
    send(channel, DeleteThreadRequest(thread_id="t"))
    before = whole(channel)
    with refused(*_moved) as found:
        send(channel, conditioned(write(rpc, "n1"), head=C1))
    assert found.metadata["head"] == ""
    assert whole(channel) == before
    send(channel, conditioned(write(rpc, "n1"), head=""))


@pytest.mark.parametrize("rpc", [name for name in CONDITIONAL if name != "UpdateState"])
def test_each_namespace_has_a_head(channel: grpc.Channel, rpc: str) -> None:
    def there(request: Any) -> Any:
        for put in (
            [request.put] if hasattr(request, "put") else [getattr(op, op.WhichOneof("op")) for op in request.ops]
        ):
            put.checkpoint_ns = "sub:1"
        return request

    before = whole(channel)
    with refused(*_moved) as found:
        send(channel, conditioned(there(write(rpc, "n1")), head=C1))
    assert found.metadata == {"thread_id": "t", "checkpoint_ns": "sub:1", "expected_head": C1, "head": ""}
    assert whole(channel) == before
    send(channel, conditioned(there(write(rpc, "n1")), head=""))
    assert head_of(channel) == C1
    send(channel, put_checkpoint("t", "s1", ns="sub:1"))
    send(channel, conditioned(there(write(rpc, "n2")), head="s1"))
    send(channel, conditioned(write(rpc, "n2"), head=C1))


def test_a_head_is_of_one_namespace(channel: grpc.Channel) -> None:
    before = whole(channel)
    both = checkpoint_put("n1"), checkpoint_put("n1", ns="sub:1")
    for expected in (C1, ""):
        with invalid("precondition.expected_head"):
            send(channel, conditioned(commit("t", *both), head=expected))
        with invalid("precondition.expected_head"):
            send(channel, conditioned(commit("t", both[0], writes_put(C1, "task", [], ns="sub:1")), head=expected))
    assert whole(channel) == before
    send(channel, conditioned(commit("t", *both), token=acquire(channel, "a")))  # a lease is of the whole thread


@_each_conditional
def test_without_a_precondition_forks_are_made(channel: grpc.Channel, rpc: str) -> None:
    acquire(channel, "a")  # which says nothing of writes without a token
    for name in ("n1", "n2"):
        send(channel, write(rpc, name, on=C0))
        send(channel, conditioned(write(rpc, name + "-", on=C0)))  # one that asks for nothing


@_each_conditional
def test_an_update_that_goes_back_expects_the_head_too(channel: grpc.Channel, rpc: str) -> None:
    """What is built on an older checkpoint is compared with the head, and not with what it is built on."""
    request = write(rpc, "n1", on=C0)
    if rpc == "UpdateState":
        request.checkpoint_id = C0
    elif rpc == "PutCheckpoint":
        request.put.parent_checkpoint_id = C0
    with refused(*_moved):
        send(channel, conditioned(request, head=C0))
    send(channel, conditioned(request, head=C1))


# Tokens.


@_each_conditional
def test_the_token_of_the_lease(channel: grpc.Channel, rpc: str) -> None:
    token = acquire(channel, "a")
    before = whole(channel)
    send(channel, conditioned(write(rpc, "n1"), token=token))
    assert whole(channel) != before
    send(channel, conditioned(write(rpc, "n2"), token=token))


@_each_conditional
@pytest.mark.parametrize("how", ["released", "expired", "deleted", "never had"])
def test_a_lease_that_has_ended(channel: grpc.Channel, stored_leases: StoredLeases, rpc: str, how: str) -> None:
    token = acquire(channel, "a")
    match how:
        case "released":
            release(channel, "a", token)
        case "expired":
            stored_leases.expire()
        case "deleted":
            send(channel, DeleteThreadRequest(thread_id="t"))
        case _:
            release(channel, "a", token)
            token = 2**63 - 1
    before = whole(channel)
    with refused(*_lost) as found:
        send(channel, conditioned(write(rpc, "n1"), token=token))
    head = "" if how == "deleted" else C1
    assert found.metadata == {"thread_id": "t", "fencing_token": str(token), "head": head}
    assert whole(channel) == before


@_each_conditional
def test_a_lease_that_somebody_else_has_now(channel: grpc.Channel, rpc: str) -> None:
    token = acquire(channel, "a")
    release(channel, "a", token)
    other = acquire(channel, "b")
    elsewhere = acquire(channel, "a", "u")
    before = whole(channel)
    for wrong in (token, elsewhere, 1, other + 10**9):
        with refused(*_lost) as found:
            send(channel, conditioned(write(rpc, "n1"), token=wrong))
        assert found.metadata == {"thread_id": "t", "fencing_token": str(wrong), "head": C1, "holder": "b"}
    assert whole(channel) == before
    send(channel, conditioned(write(rpc, "n1"), token=other))


@_each_conditional
def test_a_token_for_a_thread_that_is_not_there(channel: grpc.Channel, rpc: str) -> None:
    before = whole(channel)
    with refused(*_lost) as found:
        send(channel, conditioned(write(rpc, "n1", "new"), token=7))
    assert found.metadata == {"thread_id": "new", "fencing_token": "7", "head": ""}
    assert whole(channel) == before
    send(channel, conditioned(write(rpc, "n1", "new"), token=acquire(channel, "a", "new")))


@_each_conditional
@pytest.mark.parametrize("token", [2**63, 2**64 - 1])
def test_tokens_that_no_lease_has(channel: grpc.Channel, rpc: str, token: int) -> None:
    before = whole(channel)
    with invalid("precondition.fencing_token"):
        send(channel, conditioned(write(rpc, "n1"), token=token))
    assert whole(channel) == before


@_each_conditional
def test_both_at_once(channel: grpc.Channel, rpc: str) -> None:
    old = acquire(channel, "a")
    release(channel, "a", old)
    token = acquire(channel, "b")
    before = whole(channel)
    for head, given, expected in ((C1, old, _lost), (C0, token, _moved), (C0, old, _lost)):
        with refused(*expected) as found:
            send(channel, conditioned(write(rpc, "n1"), head=head, token=given))
        assert found.metadata["head"] == C1
    assert whole(channel) == before
    send(channel, conditioned(write(rpc, "n1"), head=C1, token=token))
    assert whole(channel) != before


# All or nothing.


def test_of_a_refused_commit_nothing_is_kept(channel: grpc.Channel) -> None:
    request = commit(
        "t",
        writes_put(C1, "task", [(0, "x", "1"), (-1, "x", "1")]),
        checkpoint_put("n1", parent=C1, values={"x": "refused"}),
        writes_put("n1", "early", [(0, "x", "1")]),
        writes_put("not yet", "early", [(0, "x", "1")]),
    )
    before = whole(channel)
    with refused(*_moved):
        send(channel, conditioned(request, head=C0))
    assert whole(channel) == before
    stub = CheckpointsStub(channel)
    for name in ("n1", "not yet"):  # nor is there what would show with its checkpoint only
        send(channel, put_checkpoint("t", name, versions={"x": "vn1"}))
        found = stub.GetCheckpoint(GetCheckpointRequest(thread_id="t")).checkpoint_tuple
        assert not found.pending_writes
        assert not found.checkpoint.channel_values


def test_a_refused_write_leaves_what_it_would_overwrite(channel: grpc.Channel) -> None:
    send(channel, put_writes("t", C1, "task", [(-1, "x", "stays")]))
    before = whole(channel)
    replaced = put_checkpoint("t", C0, values={"y": "other"}, metadata={"other": True})
    for request in (put_writes("t", C1, "task", [(-1, "x", "other")]), replaced):
        with refused(*_moved):
            send(channel, conditioned(request, head=C0))
        with refused(*_lost):
            send(channel, conditioned(request, token=7))
    assert whole(channel) == before


@pytest.mark.parametrize("condition", [{"head": C0}, {"token": 7}], ids=lambda condition: next(iter(condition)))
def test_writes_of_nothing_are_checked_too(channel: grpc.Channel, condition: Any) -> None:
    before = whole(channel)
    for request in (put_writes("t", C1, "task", []), commit("t", writes_put(C1, "task", []))):
        with refused(grpc.StatusCode.ABORTED, "HEAD_MOVED" if "head" in condition else "LEASE_LOST"):
            send(channel, conditioned(request, **condition))
    assert whole(channel) == before
