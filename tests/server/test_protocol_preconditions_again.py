"""A conditional write that is sent again: what is stored is known by its content, whatever has happened since."""

from typing import Any

import grpc
import pytest

from checkpointd.v1.threads_pb2 import PruneStrategy, PruneThreadsRequest
from tests.messages import checkpoint_put, commit, put_checkpoint, put_writes, value, writes_put
from tests.server.conditional import C1, CONDITIONAL, conditioned, graph, head_of, puts, send, whole, write
from tests.server.conftest import TwoServers
from tests.server.everything import everything
from tests.server.leasing import StoredLeases, acquire
from tests.server.wire import refused
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("stays_well")

_moved = (grpc.StatusCode.ABORTED, "HEAD_MOVED")
_lost = (grpc.StatusCode.ABORTED, "LEASE_LOST")
# An update has no ids of its own; with a request_id it is known again (see test_protocol_repeats.py).
_each_with_ids = pytest.mark.parametrize("rpc", [name for name in CONDITIONAL if name != "UpdateState"])


@pytest.fixture(scope="module")
def server(two_servers: TwoServers) -> ServerProcess:
    return two_servers.first


@pytest.fixture
def channel(grpc_channel: grpc.Channel) -> grpc.Channel:
    """A channel to a tenant that has a thread `t` with the checkpoint C1."""
    send(grpc_channel, put_checkpoint("t", C1))
    return grpc_channel


@_each_with_ids
@pytest.mark.parametrize("since", ["at once", "moved", "expired", "taken over"])
def test_what_is_stored_is_answered_as_it_was(
    channel: grpc.Channel, second_channel: grpc.Channel, stored_leases: StoredLeases, rpc: str, since: str
) -> None:
    request = conditioned(write(rpc, "n1"), head=C1, token=acquire(channel, "a"))
    first = send(channel, request)
    if since != "at once":
        send(channel, put_checkpoint("t", "later"))
    if since in ("expired", "taken over"):
        stored_leases.expire()
    if since == "taken over":
        send(channel, conditioned(write("Commit", "of b"), token=acquire(channel, "b")))
    before = everything(channel)  # without the thread's count of commits, in which a repeat may be one more
    for each in (channel, second_channel, channel):
        assert send(each, request) == first
    assert everything(channel) == before


@_each_with_ids
def test_what_was_not_stored_is_refused_again(channel: grpc.Channel, rpc: str) -> None:
    request = conditioned(write(rpc, "n1"), head="c0")
    before = whole(channel)
    for _ in range(3):
        with refused(*_moved):
            send(channel, request)
    assert whole(channel) == before
    send(channel, conditioned(request, head=C1))


def test_an_update_without_a_name_is_another_one(channel: grpc.Channel) -> None:
    send(channel, graph())
    request = conditioned(write("UpdateState", "n1"), head=C1)
    head = send(channel, request).config.checkpoint_id
    before = whole(channel)
    with refused(*_moved) as found:
        send(channel, request)
    assert found.metadata["head"] == head == head_of(channel)
    assert whole(channel) == before


def _checkpoint(**more: Any) -> Any:
    return put_checkpoint("t", "n1", **{"values": {"x": "1"}, "metadata": {"n": 1}, **more})


def _changed(path: str, content: Any) -> Any:
    """The same checkpoint with another value of one field."""
    request = _checkpoint()
    *above, name = path.split(".")
    inner = request.put
    for each in above:
        inner = getattr(inner, each)
    if isinstance(content, str | int):
        setattr(inner, name, content)
    else:
        getattr(inner, name).CopyFrom(content)
    return request


_CHECKPOINTS = {
    "metadata": _checkpoint(metadata={"n": 2}),
    "a value": _checkpoint(values={"x": "2"}),
    "one value more": _checkpoint(values={"x": "1", "y": "2"}),
    "other versions": _checkpoint(versions={"y": "1"}),
    "v": _changed("checkpoint.v", 3),
    "ts": _changed("checkpoint.ts", "2026-01-01"),
    "native metadata": _changed("metadata.native", value("native")),
}
_WRITES = {
    "data": put_writes("t", C1, "task", [(0, "x", "2"), (-1, "x", "1")]),
    "data of a special one": put_writes("t", C1, "task", [(0, "x", "1"), (-1, "x", "2")]),
    "a channel": put_writes("t", C1, "task", [(0, "y", "1"), (-1, "x", "1")]),
    "a channel of a special one": put_writes("t", C1, "task", [(0, "x", "1"), (-1, "y", "1")]),
    "a path": put_writes("t", C1, "task", [(0, "x", "1"), (-1, "x", "1")], path="p"),
    "one more": put_writes("t", C1, "task", [(0, "x", "1"), (-1, "x", "1"), (1, "x", "1")]),
    "one special more": put_writes("t", C1, "task", [(0, "x", "1"), (-1, "x", "1"), (-3, "x", "1")]),
    "another task": put_writes("t", C1, "other", [(0, "x", "1"), (-1, "x", "1")]),
}
_first_writes = put_writes("t", C1, "task", [(0, "x", "1"), (-1, "x", "1")])
_CASES = {
    **{f"checkpoint, {what}": (_checkpoint(), other) for what, other in _CHECKPOINTS.items()},
    # The version that a checkpoint of values gets by itself.
    "checkpoint, a value that was left out": (_checkpoint(values={}, versions={"x": "vn1"}), _checkpoint()),
    **{f"writes, {what}": (_first_writes, other) for what, other in _WRITES.items()},
    **{
        f"commit, {what}": (
            commit("t", checkpoint_put("n1"), _first_writes.put),
            commit("t", checkpoint_put("n1"), other.put),
        )
        for what, other in _WRITES.items()
    },
    "commit, metadata": (
        commit("t", _first_writes.put, checkpoint_put("n1")),
        commit("t", _first_writes.put, checkpoint_put("n1", metadata={"n": 2})),
    ),
}


@pytest.mark.parametrize(("first", "other"), _CASES.values(), ids=_CASES.keys())
def test_the_same_ids_and_another_content(
    channel: grpc.Channel, stored_leases: StoredLeases, first: Any, other: Any
) -> None:
    token = acquire(channel, "a")
    send(channel, conditioned(first, head=C1, token=token))
    send(channel, put_checkpoint("t", "later"))
    before = whole(channel)
    with refused(*_moved) as found:
        send(channel, conditioned(other, head=C1))
    assert found.metadata["head"] == "later"
    stored_leases.expire()
    with refused(*_lost) as found:
        send(channel, conditioned(other, token=token))
    assert found.metadata["head"] == "later"
    assert whole(channel) == before


def test_what_was_overwritten_since_is_not_brought_back(channel: grpc.Channel) -> None:
    request = conditioned(put_writes("t", C1, "task", [(-4, "x", "first")]), head=C1)
    send(channel, request)
    send(channel, put_writes("t", C1, "task", [(-4, "x", "second")]))
    send(channel, put_checkpoint("t", "later"))
    before = whole(channel)
    with refused(*_moved):
        send(channel, request)
    assert whole(channel) == before


def test_what_was_pruned_since_is_known_again(channel: grpc.Channel) -> None:
    """A hidden checkpoint stays stored and hidden; what is gone for good is new."""
    delta = {"counters_since_delta_snapshot": {"x": 1}}
    request = conditioned(put_checkpoint("t", "n1", parent=C1, metadata=delta), head=C1)
    send(channel, request)
    send(channel, put_writes("t", "n1", "task", [(0, "x", "1")]))
    send(channel, put_checkpoint("t", "later", parent="n1", metadata=delta))
    send(channel, PruneThreadsRequest(thread_ids=["t"], strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST))
    before = whole(channel)
    assert send(channel, request).sequence == 0
    assert whole(channel) == before


@_each_with_ids
def test_a_repeat_beside_new_rows_is_new(channel: grpc.Channel, rpc: str) -> None:
    """A request that holds what is stored and more is not a repeat."""
    send(channel, conditioned(write(rpc, "n1"), head=C1))
    send(channel, put_checkpoint("t", "later"))
    ops = puts(write(rpc, "n1"))
    before = whole(channel)
    for more in (writes_put(C1, "more", [(0, "x", "1")]), checkpoint_put("more")):
        with refused(*_moved):
            send(channel, conditioned(commit("t", *ops, more), head=C1))
    assert whole(channel) == before
