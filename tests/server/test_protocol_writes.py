"""What is put is what is got: order, replacement, repetition, writes of tasks."""

from collections.abc import Sequence
from typing import Any

import grpc
import pytest

from checkpointd.v1.checkpoints_pb2 import CheckpointPut, GetCheckpointRequest, ListCheckpointsRequest, WritesPut
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.core_pb2 import CheckpointTuple
from checkpointd.v1.threads_pb2 import (
    DeleteThreadRequest,
    GetThreadRequest,
    PruneStrategy,
    PruneThreadsRequest,
)
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.messages import checkpoint_put, commit, put_checkpoint, put_writes, writes_put
from tests.server.everything import everything
from tests.server.whole_requests import whole_request
from tests.server.wire import ids, invoke, refused

pytestmark = pytest.mark.usefixtures("stays_well")


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[CheckpointsStub]:
    return CheckpointsStub


def _get(stub: CheckpointsStub, thread_id: str = "t", **more: Any) -> CheckpointTuple:
    return stub.GetCheckpoint(GetCheckpointRequest(thread_id=thread_id, **more)).checkpoint_tuple


def _writes(found: CheckpointTuple) -> list[tuple[str, str, int, str, bytes]]:
    return [
        (pending.task_path, pending.task_id, pending.write.idx, pending.write.channel, pending.write.value.data)
        for pending in found.pending_writes
    ]


def test_a_checkpoint_comes_back_whole(grpc_channel: grpc.Channel, grpc_stub: CheckpointsStub) -> None:
    request = whole_request("PutCheckpoint")
    assert invoke(grpc_channel, "PutCheckpoint", request)[0].sequence == 1
    found = _get(grpc_stub, "x", checkpoint_ns="x")
    assert found.committed_at.seconds > 0
    assert found == CheckpointTuple(
        thread_id="x",
        checkpoint_ns="x",
        checkpoint=request.put.checkpoint,
        metadata=request.put.metadata,
        parent_checkpoint_id="x",
        sequence=1,
        committed_at=found.committed_at,
    )


def test_no_updated_channels_are_not_the_same_as_unknown_ones(grpc_stub: CheckpointsStub) -> None:
    known, unknown = put_checkpoint("t", "known"), put_checkpoint("t", "unknown")
    known.put.checkpoint.updated_channels.SetInParent()
    for request in (known, unknown):
        grpc_stub.PutCheckpoint(request)
    assert _get(grpc_stub, checkpoint_id="known").checkpoint.HasField("updated_channels")
    assert not _get(grpc_stub, checkpoint_id="unknown").checkpoint.HasField("updated_channels")


def test_the_head_is_the_last_commit_whatever_its_id(grpc_stub: CheckpointsStub, threads: ThreadsStub) -> None:
    for name in ("m", "z", "a"):  # the last writer's clock is behind
        grpc_stub.PutCheckpoint(put_checkpoint("t", name))
    assert _get(grpc_stub).checkpoint.id == "a"
    (head,) = threads.GetThread(GetThreadRequest(thread_id="t")).heads
    assert (head.checkpoint_id, head.sequence, head.checkpoint_count) == ("a", 3, 3)
    assert ids(grpc_stub.ListCheckpoints(ListCheckpointsRequest(thread_id="t"))) == ["a", "z", "m"]


def test_values_are_shared_by_the_checkpoints_that_name_their_version(grpc_stub: CheckpointsStub) -> None:
    grpc_stub.PutCheckpoint(put_checkpoint("t", "c1", values={"a": "1", "b": "1"}))
    grpc_stub.PutCheckpoint(put_checkpoint("t", "c2", values={"b": "2"}, versions={"a": "vc1", "empty": "7"}))
    found = _get(grpc_stub).checkpoint
    assert {name: value.data for name, value in found.channel_values.items()} == {"a": b"1", "b": b"2"}
    assert found.channel_versions == {"a": "vc1", "b": "vc2", "empty": "7"}


def test_a_stored_value_stays_as_it_was(grpc_stub: CheckpointsStub) -> None:
    for data in ("first", "second"):
        grpc_stub.PutCheckpoint(put_checkpoint("t", "c", values={"a": data}))
    assert _get(grpc_stub).checkpoint.channel_values["a"].data == b"first"


def test_putting_an_id_again_replaces_shape_and_metadata_only(grpc_stub: CheckpointsStub) -> None:
    first = grpc_stub.PutCheckpoint(put_checkpoint("t", "c1", parent="p1", values={"a": "1"}, metadata={"n": 1}))
    grpc_stub.PutCheckpoint(put_checkpoint("t", "c2"))
    again = grpc_stub.PutCheckpoint(put_checkpoint("t", "c1", parent="p2", values={"b": "2"}, metadata={"n": 2}))
    assert (first.sequence, again.sequence) == (1, 1)
    assert _get(grpc_stub).checkpoint.id == "c2"
    found = _get(grpc_stub, checkpoint_id="c1")
    assert found.parent_checkpoint_id == "p1"
    assert found.metadata.json == '{"n": 2}'
    assert found.checkpoint.channel_values.keys() == {"b"}


def test_writes_come_in_order_of_path_task_and_index(grpc_stub: CheckpointsStub) -> None:
    grpc_stub.PutCheckpoint(put_checkpoint("t", "c"))
    for path, task in (
        ("b", "t1"),
        ("a", "t3"),
        ("a", "t2"),
        ("", "t4"),
        ("é", "t5"),
        ("\U0001f600", "t6"),
        ("\uffff", "t7"),
    ):
        grpc_stub.PutWrites(put_writes("t", "c", task, [(2, "x", task), (10, "y", task), (-3, "z", task)], path=path))
    assert [(path, task, idx) for path, task, idx, _, _ in _writes(_get(grpc_stub))] == [
        (path, task, idx)
        for path, task in (
            ("", "t4"),
            ("a", "t2"),
            ("a", "t3"),
            ("b", "t1"),
            ("é", "t5"),
            ("\uffff", "t7"),
            ("\U0001f600", "t6"),
        )
        for idx in (-3, 2, 10)
    ]


def test_special_writes_are_overwritten_and_others_stay(grpc_stub: CheckpointsStub) -> None:
    grpc_stub.PutCheckpoint(put_checkpoint("t", "c"))
    for data, path in (("first", "p1"), ("second", "p2")):
        grpc_stub.PutWrites(put_writes("t", "c", "task", [(-1, f"x{data}", data), (0, f"y{data}", data)], path=path))
    assert _writes(_get(grpc_stub)) == [
        ("p1", "task", 0, "yfirst", b"first"),
        ("p2", "task", -1, "xsecond", b"second"),
    ]


@pytest.mark.parametrize("idx", [-(2**31), 2**31 - 1])
def test_indexes_at_their_limits(grpc_stub: CheckpointsStub, idx: int) -> None:
    grpc_stub.PutCheckpoint(put_checkpoint("t", "c"))
    grpc_stub.PutWrites(put_writes("t", "c", "task", [(idx, "a", "1")]))
    assert _writes(_get(grpc_stub)) == [("", "task", idx, "a", b"1")]


def test_writes_may_come_before_their_checkpoint(grpc_stub: CheckpointsStub, threads: ThreadsStub) -> None:
    grpc_stub.PutWrites(put_writes("t", "c", "task", [(0, "a", "1")]))
    with refused(grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND"):
        _get(grpc_stub)
    assert not ids(grpc_stub.ListCheckpoints(ListCheckpointsRequest(thread_id="t")))
    assert threads.GetThread(GetThreadRequest(thread_id="t")).thread.sequence == 1
    threads.PruneThreads(PruneThreadsRequest(thread_ids=["t"], strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST))
    grpc_stub.PutCheckpoint(put_checkpoint("t", "c"))
    assert _writes(_get(grpc_stub)) == [("", "task", 0, "a", b"1")]


def test_writes_belong_to_one_namespace(grpc_stub: CheckpointsStub) -> None:
    for namespace in ("", "sub:1"):
        grpc_stub.PutCheckpoint(put_checkpoint("t", "c", ns=namespace, values={"a": namespace}))
        grpc_stub.PutWrites(put_writes("t", "c", "task", [(0, "a", namespace)], ns=namespace))
    for namespace in ("", "sub:1"):
        found = _get(grpc_stub, checkpoint_ns=namespace)
        assert found.checkpoint.channel_values["a"].data == namespace.encode()
        assert [data for *_, data in _writes(found)] == [namespace.encode()]


@pytest.mark.parametrize(
    "key",
    [{}, {"checkpoint_id": "c"}, {"checkpoint_ns": "n"}, {"checkpoint_id": "other"}],
    ids="-".join,
)
def test_what_is_not_there_is_not_found(grpc_stub: CheckpointsStub, key: dict[str, str]) -> None:
    if key.get("checkpoint_id") == "other":
        grpc_stub.PutCheckpoint(put_checkpoint("t", "c"))
    with refused(grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND") as found:
        _get(grpc_stub, **key)
    assert found.metadata == {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": ""} | key


_Puts = Sequence[CheckpointPut | WritesPut]

_SEQUENCES: dict[str, _Puts] = {
    "checkpoints": [checkpoint_put("a"), checkpoint_put("b", parent="a"), checkpoint_put("c", parent="b")],
    "an id twice": [
        checkpoint_put("a", parent="p1", values={"x": "1"}, metadata={"n": 1}),
        checkpoint_put("b"),
        checkpoint_put("a", parent="p2", values={"y": "2"}, metadata={"n": 2}),
    ],
    "a value twice": [
        checkpoint_put("a", values={"x": "1"}),
        checkpoint_put("b", values={"y": "1"}, versions={"x": "va"}),
        checkpoint_put("a", values={"x": "2"}),
    ],
    "a write twice": [
        checkpoint_put("a"),
        writes_put("a", "task", [(0, "x", "1"), (-1, "x", "1")]),
        writes_put("a", "task", [(0, "y", "2"), (1, "y", "2"), (-1, "y", "2")], path="p"),
    ],
    "an index twice in one put": [
        checkpoint_put("a"),
        writes_put("a", "task", [(0, "x", "1"), (0, "y", "2"), (-1, "x", "1"), (-1, "y", "2")]),
    ],
    "writes first": [writes_put("a", "task", [(0, "x", "1")]), checkpoint_put("a")],
    "namespaces": [checkpoint_put("a"), checkpoint_put("a", ns="n:1"), checkpoint_put("b", ns="n:1")],
}


@pytest.mark.parametrize("puts", _SEQUENCES.values(), ids=_SEQUENCES.keys())
def test_one_commit_is_the_same_as_its_ops_one_by_one(
    grpc_channel: grpc.Channel, grpc_stub: CheckpointsStub, puts: _Puts
) -> None:
    together = grpc_stub.Commit(commit("t", *puts)).checkpoint_sequences
    one_commit = _without_times(everything(grpc_channel))
    ThreadsStub(grpc_channel).DeleteThread(DeleteThreadRequest(thread_id="t"))
    one_by_one = [sequence for put in puts for sequence in grpc_stub.Commit(commit("t", put)).checkpoint_sequences]
    assert _without_times(everything(grpc_channel)) == one_commit
    assert list(together) == one_by_one


def _without_times(found: object) -> object:
    if isinstance(found, dict):
        return {name: _without_times(value) for name, value in found.items() if name != "committedAt"}
    if isinstance(found, list | tuple):
        return [_without_times(value) for value in found]
    return found
