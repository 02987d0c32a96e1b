"""ListCheckpoints: which, in what order, how much of each, in pages and cut short."""

import os
from collections.abc import Callable

import grpc
import pytest

from checkpointd.v1.checkpoints_pb2 import (
    CheckpointView,
    GetCheckpointRequest,
    ListCheckpointsRequest,
    ListCheckpointsResponse,
)
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.threads_pb2 import DeleteThreadRequest, ListThreadsRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.messages import checkpoint_put, commit, put_checkpoint, put_writes
from tests.server.wire import ids, invalid, of_tenant

pytestmark = pytest.mark.usefixtures("stays_well")


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[CheckpointsStub]:
    return CheckpointsStub


def _list(stub: CheckpointsStub, **request: object) -> list[str]:
    return ids(stub.ListCheckpoints(ListCheckpointsRequest(**request)))  # type: ignore[arg-type]


def test_nothing_gives_an_empty_stream(grpc_stub: CheckpointsStub) -> None:
    assert _list(grpc_stub) == []
    assert _list(grpc_stub, thread_id="t") == []
    grpc_stub.PutCheckpoint(put_checkpoint("t", "c"))
    assert _list(grpc_stub, thread_id="t", checkpoint_ns="other") == []
    assert _list(grpc_stub, thread_id="t", checkpoint_id="other") == []


def test_newest_commit_comes_first_across_namespaces(grpc_stub: CheckpointsStub) -> None:
    for name, namespace in (("b", ""), ("z", "n:1"), ("a", ""), ("y", "n:2"), ("c", "n:1")):
        grpc_stub.PutCheckpoint(put_checkpoint("t", name, ns=namespace))
    assert _list(grpc_stub, thread_id="t") == ["c", "y", "a", "z", "b"]
    assert _list(grpc_stub, thread_id="t", checkpoint_ns="") == ["a", "b"]
    assert _list(grpc_stub, thread_id="t", checkpoint_ns="n:1") == ["c", "z"]
    assert _list(grpc_stub, thread_id="t", checkpoint_id="y") == ["y"]


def test_all_threads_come_by_id(grpc_stub: CheckpointsStub) -> None:
    for thread_id, name in (("t2", "b"), ("t1", "a"), ("t1", "d"), ("t3", "c"), ("t3", "a")):
        grpc_stub.PutCheckpoint(put_checkpoint(thread_id, name))
    found = grpc_stub.ListCheckpoints(ListCheckpointsRequest())
    assert [(f.checkpoint_tuple.checkpoint.id, f.checkpoint_tuple.thread_id) for f in found] == [
        ("d", "t1"),
        ("c", "t3"),
        ("b", "t2"),
        ("a", "t3"),
        ("a", "t1"),
    ]
    assert _list(grpc_stub, checkpoint_id="a") == ["a", "a"]
    assert _list(grpc_stub, limit=2) == ["d", "c"]


def test_before_means_committed_before(grpc_stub: CheckpointsStub) -> None:
    for name in ("m", "z", "a", "q"):
        grpc_stub.PutCheckpoint(put_checkpoint("t", name))
    assert _list(grpc_stub, thread_id="t", before_checkpoint_id="a") == ["z", "m"]
    assert _list(grpc_stub, thread_id="t", checkpoint_ns="", before_checkpoint_id="a", limit=1) == ["z"]
    assert _list(grpc_stub, thread_id="t", before_checkpoint_id="m") == []


def test_before_an_id_of_another_namespace_means_a_smaller_id(grpc_stub: CheckpointsStub) -> None:
    grpc_stub.PutCheckpoint(put_checkpoint("t", "m"))
    for name in ("z", "a", "l"):
        grpc_stub.PutCheckpoint(put_checkpoint("t", name, ns="n:1"))
    assert _list(grpc_stub, thread_id="t", checkpoint_ns="n:1", before_checkpoint_id="m") == ["l", "a"]
    assert _list(grpc_stub, thread_id="t", before_checkpoint_id="m") == ["l", "a"]
    assert _list(grpc_stub, thread_id="t", checkpoint_ns="n:1", before_checkpoint_id="k") == ["a"]
    assert _list(grpc_stub, before_checkpoint_id="m") == ["l", "a"]


def test_ids_compare_by_their_bytes(grpc_stub: CheckpointsStub) -> None:
    for name in ("a", "B", "é", "Z", "\uffff", "\U0001f600", "1"):
        grpc_stub.PutCheckpoint(put_checkpoint("t", name))
    assert _list(grpc_stub) == ["\U0001f600", "\uffff", "é", "a", "Z", "B", "1"]
    assert _list(grpc_stub, thread_id="t", before_checkpoint_id="a1") == ["1", "Z", "B", "a"]


def test_the_metadata_view_leaves_values_and_writes_out(grpc_stub: CheckpointsStub) -> None:
    grpc_stub.PutCheckpoint(put_checkpoint("t", "c", values={"a": "1"}, metadata={"n": 1}))
    grpc_stub.PutWrites(put_writes("t", "c", "task", [(0, "a", "1")]))
    whole = grpc_stub.GetCheckpoint(GetCheckpointRequest(thread_id="t")).checkpoint_tuple
    full = CheckpointView.CHECKPOINT_VIEW_FULL
    bare = CheckpointView.CHECKPOINT_VIEW_METADATA
    for place in ({}, {"thread_id": "t"}, {"thread_id": "t", "checkpoint_ns": ""}):
        (found,) = grpc_stub.ListCheckpoints(ListCheckpointsRequest(**place, view=full))  # type: ignore[arg-type]
        assert found.checkpoint_tuple == whole
        (found,) = grpc_stub.ListCheckpoints(ListCheckpointsRequest(**place, view=bare))  # type: ignore[arg-type]
        expected = type(whole).FromString(whole.SerializeToString())
        expected.ClearField("pending_writes")
        expected.checkpoint.ClearField("channel_values")
        assert found.checkpoint_tuple == expected


def test_a_namespace_without_a_thread_is_refused(grpc_stub: CheckpointsStub) -> None:
    with invalid("checkpoint_ns"):
        _list(grpc_stub, checkpoint_ns="")


@pytest.fixture
def many(grpc_stub: CheckpointsStub) -> list[str]:
    """More checkpoints than a page of a list holds, each with a value and a write; their ids, newest first."""
    names = [f"{number * 7919 % 1201:04}" for number in range(1201)]
    for start in range(0, len(names), 100):
        puts = (
            checkpoint_put(name, values={"a": name}, metadata={"even": int(name) % 2 == 0})
            for name in names[start : start + 100]
        )
        grpc_stub.Commit(commit("t", *puts))
    grpc_stub.PutWrites(put_writes("t", "0600", "task", [(0, "a", "1")]))
    return names[::-1]


def test_long_lists_are_complete_and_in_order(grpc_stub: CheckpointsStub, many: list[str]) -> None:
    found = [answer.checkpoint_tuple for answer in grpc_stub.ListCheckpoints(ListCheckpointsRequest(thread_id="t"))]
    assert [entry.checkpoint.id for entry in found] == many
    assert all(entry.checkpoint.channel_values["a"].data == entry.checkpoint.id.encode() for entry in found)
    assert [entry.checkpoint.id for entry in found if entry.pending_writes] == ["0600"]
    assert _list(grpc_stub, thread_id="t", checkpoint_ns="") == many
    assert _list(grpc_stub) == sorted(many, reverse=True)


def test_long_lists_with_conditions(grpc_stub: CheckpointsStub, many: list[str]) -> None:
    even = [name for name in many if int(name) % 2 == 0]
    assert _list(grpc_stub, thread_id="t", metadata_filter='{"even": true}') == even
    assert _list(grpc_stub, thread_id="t", metadata_filter='{"even": true}', limit=600) == even[:600]
    assert _list(grpc_stub, thread_id="t", metadata_filter='{"even": true}', limit=1) == even[:1]
    assert _list(grpc_stub, metadata_filter='{"even": false}') == sorted(set(many) - set(even), reverse=True)
    bound = many[300]
    assert _list(grpc_stub, thread_id="t", before_checkpoint_id=bound) == many[301:]


def _large(stub: CheckpointsStub, count: int) -> None:
    """Checkpoints of 1 MB each: far more together than a stream holds ready for a consumer that does not read."""
    for number in range(count):
        stub.PutCheckpoint(put_checkpoint("t", f"c{number:03}", values={"a": os.urandom(1 << 20)}))


@pytest.mark.parametrize("thread_id", ["t", ""], ids=["thread", "tenant"])
def test_what_is_committed_meanwhile_disturbs_no_list(grpc_stub: CheckpointsStub, thread_id: str) -> None:
    _large(grpc_stub, 30)
    listing = grpc_stub.ListCheckpoints(ListCheckpointsRequest(thread_id=thread_id))
    first = next(listing)
    for late in ("t", "u"):
        for name in ("a", "c015-late", "z"):
            grpc_stub.PutCheckpoint(put_checkpoint(late, name))
    found = ids([first, *listing])
    # Threads have no common sequence: a list of all of them goes by id, and meets late ones that are still ahead.
    early = found if thread_id else [name for name in found if name.startswith("c") and not name.endswith("late")]
    assert early == [f"c{number:03}" for number in reversed(range(30))]


def test_a_thread_that_is_deleted_meanwhile_ends_the_list(grpc_stub: CheckpointsStub, threads: ThreadsStub) -> None:
    _large(grpc_stub, 30)
    listing = grpc_stub.ListCheckpoints(ListCheckpointsRequest(thread_id="t"))
    first = next(listing)
    threads.DeleteThread(DeleteThreadRequest(thread_id="t"))
    found = ids([first, *listing])
    assert found == [f"c{number:03}" for number in reversed(range(30))][: len(found)]


def test_a_list_that_is_given_up_leaves_the_server_free(
    grpc_create_channel: Callable[..., grpc.Channel], grpc_stub: CheckpointsStub, tenant: str
) -> None:
    _large(grpc_stub, 16)
    begun = []
    with grpc_create_channel() as channel:
        stub = CheckpointsStub(of_tenant(channel, tenant))
        for number in range(24):
            listing = stub.ListCheckpoints(ListCheckpointsRequest(thread_id="t"))
            assert isinstance(next(listing), ListCheckpointsResponse)
            if number % 2:
                listing.cancel()
            else:
                begun.append(listing)
        # 12 lists hang without a reader; there are far fewer connections to the database.
        assert len(ids(grpc_stub.ListCheckpoints(ListCheckpointsRequest(thread_id="t")))) == 16
    # The channel is closed, and with it every call that was under way.
    assert ThreadsStub(of_tenant(grpc_create_channel(), tenant)).ListThreads(ListThreadsRequest()).threads
