"""The service Threads: finding, copying, pruning and deleting."""

import grpc
import pytest

from checkpointd.v1.checkpoints_pb2 import GetCheckpointRequest, ListCheckpointsRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.threads_pb2 import (
    CopyThreadRequest,
    DeleteRunsRequest,
    DeleteThreadRequest,
    GetThreadRequest,
    ListThreadsRequest,
    PruneStrategy,
    PruneThreadsRequest,
    ThreadOrder,
)
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.messages import put_checkpoint, put_writes
from tests.server.everything import everything
from tests.server.wire import ids, invalid, refused

pytestmark = pytest.mark.usefixtures("stays_well")


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[ThreadsStub]:
    return ThreadsStub


def _heads(stub: ThreadsStub, thread_id: str = "t") -> list[tuple[str, str, int, int]]:
    found = stub.GetThread(GetThreadRequest(thread_id=thread_id)).heads
    return [(head.checkpoint_ns, head.checkpoint_id, head.sequence, head.checkpoint_count) for head in found]


def _list(stub: CheckpointsStub, thread_id: str = "t", ns: str = "") -> list[str]:
    return ids(stub.ListCheckpoints(ListCheckpointsRequest(thread_id=thread_id, checkpoint_ns=ns)))


def _keep_latest(stub: ThreadsStub, *thread_ids: str) -> int:
    strategy = PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST
    return stub.PruneThreads(PruneThreadsRequest(thread_ids=thread_ids, strategy=strategy)).removed_checkpoints


def test_a_thread_that_is_not_there(grpc_stub: ThreadsStub) -> None:
    with refused(grpc.StatusCode.NOT_FOUND, "THREAD_NOT_FOUND") as found:
        grpc_stub.GetThread(GetThreadRequest(thread_id="t"))
    assert found.metadata == {"thread_id": "t"}
    grpc_stub.DeleteThread(DeleteThreadRequest(thread_id="t"))
    assert _keep_latest(grpc_stub, "t") == 0
    assert not grpc_stub.ListThreads(ListThreadsRequest()).threads


def test_heads_of_namespaces(grpc_stub: ThreadsStub, checkpoints: CheckpointsStub) -> None:
    for name, ns in (("c1", ""), ("c9", "n:1"), ("c0", ""), ("c5", "n:1"), ("c1", "")):
        checkpoints.PutCheckpoint(put_checkpoint("t", name, ns=ns))
    assert _heads(grpc_stub) == [("", "c0", 3, 2), ("n:1", "c5", 4, 2)]
    thread = grpc_stub.GetThread(GetThreadRequest(thread_id="t")).thread
    assert (thread.thread_id, thread.sequence) == ("t", 5)
    assert thread.created_at.ToDatetime() <= thread.updated_at.ToDatetime()
    assert list(grpc_stub.ListThreads(ListThreadsRequest()).threads) == [thread]


def _pages(stub: ThreadsStub, **request: object) -> list[str]:
    found: list[str] = []
    token = ""
    while True:
        answer = stub.ListThreads(ListThreadsRequest(page_token=token, **request))  # type: ignore[arg-type]
        found += [thread.thread_id for thread in answer.threads]
        token = answer.next_page_token
        if not token:
            return found


@pytest.mark.parametrize("page_size", [1, 3, 7, 8])
def test_pages_of_threads(grpc_stub: ThreadsStub, checkpoints: CheckpointsStub, page_size: int) -> None:
    names = ["b", "a%", "a_", "a", "é", "\U0001f600", "A"]
    for name in [*names, "b"]:
        checkpoints.PutCheckpoint(put_checkpoint(name, "c"))
    assert _pages(grpc_stub, page_size=page_size) == sorted(names)
    assert _pages(grpc_stub, page_size=page_size, thread_id_prefix="a") == ["a", "a%", "a_"]
    assert _pages(grpc_stub, page_size=page_size, thread_id_prefix="a%") == ["a%"]
    assert _pages(grpc_stub, page_size=page_size, thread_id_prefix="\\") == []
    newest = ThreadOrder.THREAD_ORDER_UPDATED
    assert _pages(grpc_stub, page_size=page_size, order=newest) == ["b", *reversed(names[1:])]
    assert _pages(grpc_stub, page_size=page_size, order=newest, thread_id_prefix="a") == ["a", "a_", "a%"]


def test_pages_by_id_neither_repeat_nor_miss(grpc_stub: ThreadsStub, checkpoints: CheckpointsStub) -> None:
    names = [f"t{number}" for number in range(5)]
    for name in names:
        checkpoints.PutCheckpoint(put_checkpoint(name, "c"))
    first = grpc_stub.ListThreads(ListThreadsRequest(page_size=2))
    for name in ("a", "t1-later", "t0"):
        checkpoints.PutCheckpoint(put_checkpoint(name, "c2"))
    grpc_stub.DeleteThread(DeleteThreadRequest(thread_id="t1"))
    rest = grpc_stub.ListThreads(ListThreadsRequest(page_size=10, page_token=first.next_page_token))
    assert [thread.thread_id for thread in first.threads] == ["t0", "t1"]
    assert [thread.thread_id for thread in rest.threads] == ["t1-later", "t2", "t3", "t4"]


def _conversation(stub: CheckpointsStub, thread_id: str, count: int = 3, run: str = "r") -> None:
    for number in range(count):
        name = f"c{number}"
        parent = f"c{number - 1}" if number else ""
        values = {"a": f"{thread_id}-{number}"}
        stub.PutCheckpoint(
            put_checkpoint(thread_id, name, parent=parent, values=values, metadata={"run_id": f"{run}{number}"})
        )
        stub.PutWrites(put_writes(thread_id, name, "task", [(0, "a", f"w{number}"), (-3, "a", "i")]))


def test_a_deleted_thread_is_gone_and_may_begin_again(
    grpc_channel: grpc.Channel, grpc_stub: ThreadsStub, checkpoints: CheckpointsStub
) -> None:
    _conversation(checkpoints, "t")
    checkpoints.PutCheckpoint(put_checkpoint("t", "c", ns="n:1", values={"a": "1"}))
    checkpoints.PutWrites(put_writes("t", "not yet", "task", [(0, "a", "1")]))
    _conversation(checkpoints, "u")
    others = everything(grpc_channel)
    grpc_stub.DeleteThread(DeleteThreadRequest(thread_id="t"))
    assert everything(grpc_channel) == {key: value for key, value in others.items() if key.partition("/")[0] == "u"}
    for name in ("c0", "not yet"):
        checkpoints.PutCheckpoint(put_checkpoint("t", name, versions={"a": "vc0"}))
        found = checkpoints.GetCheckpoint(GetCheckpointRequest(thread_id="t")).checkpoint_tuple
        assert not found.pending_writes
        assert not found.checkpoint.channel_values
    assert _heads(grpc_stub) == [("", "not yet", 2, 2)]


def test_a_copy_is_the_same_and_stands_alone(
    grpc_channel: grpc.Channel, grpc_stub: ThreadsStub, checkpoints: CheckpointsStub
) -> None:
    _conversation(checkpoints, "t")
    checkpoints.PutCheckpoint(put_checkpoint("t", "a", parent="c1", ns="n:1"))
    checkpoints.PutWrites(put_writes("t", "not yet", "task", [(0, "a", "1")]))
    grpc_stub.CopyThread(CopyThreadRequest(source_thread_id="t", target_thread_id="u"))
    for ns in ("", "n:1"):
        both = []
        for thread_id in ("t", "u"):
            request = ListCheckpointsRequest(thread_id=thread_id, checkpoint_ns=ns)
            found = [answer.checkpoint_tuple for answer in checkpoints.ListCheckpoints(request)]
            for entry in found:
                entry.ClearField("thread_id")
                entry.ClearField("committed_at")
            both.append(found)
        assert both[0] == both[1]
        assert both[0]
    checkpoints.PutCheckpoint(put_checkpoint("u", "not yet"))
    assert len(checkpoints.GetCheckpoint(GetCheckpointRequest(thread_id="u")).checkpoint_tuple.pending_writes) == 1
    copy = {key: value for key, value in everything(grpc_channel).items() if key.partition("/")[0] == "u"}
    grpc_stub.DeleteThread(DeleteThreadRequest(thread_id="t"))
    assert everything(grpc_channel) == copy


def test_a_copy_completes_what_an_earlier_one_left(grpc_stub: ThreadsStub, checkpoints: CheckpointsStub) -> None:
    copy = CopyThreadRequest(source_thread_id="t", target_thread_id="u")
    _conversation(checkpoints, "t", 2)
    grpc_stub.CopyThread(copy)
    _conversation(checkpoints, "t", 4)
    grpc_stub.CopyThread(copy)
    assert _list(checkpoints, "u") == ["c3", "c2", "c1", "c0"]
    assert _heads(grpc_stub, "u") == _heads(grpc_stub, "t")


def test_a_copy_to_a_part_in_another_order_is_whole_or_refused(
    grpc_stub: ThreadsStub, checkpoints: CheckpointsStub
) -> None:
    for name in ("c1", "c2", "c3"):
        checkpoints.PutCheckpoint(put_checkpoint("t", name))
    checkpoints.PutCheckpoint(put_checkpoint("u", "c3"))
    try:
        grpc_stub.CopyThread(CopyThreadRequest(source_thread_id="t", target_thread_id="u"))
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.ALREADY_EXISTS  # noqa: PT017 - either answer will do
        assert _list(checkpoints, "u") == ["c3"]
    else:
        assert sorted(_list(checkpoints, "u")) == ["c1", "c2", "c3"]


def test_what_can_not_be_copied(
    grpc_channel: grpc.Channel, grpc_stub: ThreadsStub, checkpoints: CheckpointsStub
) -> None:
    with refused(grpc.StatusCode.NOT_FOUND, "THREAD_NOT_FOUND") as found:
        grpc_stub.CopyThread(CopyThreadRequest(source_thread_id="t", target_thread_id="u"))
    assert found.metadata == {"thread_id": "t"}
    _conversation(checkpoints, "t")
    with invalid("target_thread_id"):
        grpc_stub.CopyThread(CopyThreadRequest(source_thread_id="t", target_thread_id="t"))
    checkpoints.PutCheckpoint(put_checkpoint("u", "of its own"))
    before = everything(grpc_channel)
    with refused(grpc.StatusCode.ALREADY_EXISTS, "THREAD_EXISTS") as found:
        grpc_stub.CopyThread(CopyThreadRequest(source_thread_id="t", target_thread_id="u"))
    assert found.metadata == {"thread_id": "u"}
    assert everything(grpc_channel) == before


def test_a_prune_keeps_heads_and_writes_that_came_early(grpc_stub: ThreadsStub, checkpoints: CheckpointsStub) -> None:
    for thread_id in ("t", "u", "v"):
        _conversation(checkpoints, thread_id)
    checkpoints.PutWrites(put_writes("t", "c3", "task", [(0, "a", "early")]))
    head = checkpoints.GetCheckpoint(GetCheckpointRequest(thread_id="t")).checkpoint_tuple
    assert _keep_latest(grpc_stub, "t", "u", "not there", "t") == 4
    assert (_list(checkpoints, "t"), _list(checkpoints, "u"), len(_list(checkpoints, "v"))) == (["c2"], ["c2"], 3)
    head.ClearField("parent_checkpoint_id")
    assert checkpoints.GetCheckpoint(GetCheckpointRequest(thread_id="t")).checkpoint_tuple == head
    checkpoints.PutCheckpoint(put_checkpoint("t", "c3"))
    assert len(checkpoints.GetCheckpoint(GetCheckpointRequest(thread_id="t")).checkpoint_tuple.pending_writes) == 1
    with refused(grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND"):
        checkpoints.GetCheckpoint(GetCheckpointRequest(thread_id="t", checkpoint_id="c0"))


def test_a_prune_takes_a_subgraph_call_with_its_root_checkpoint(
    grpc_stub: ThreadsStub, checkpoints: CheckpointsStub
) -> None:
    for number in range(3):
        checkpoints.PutCheckpoint(put_checkpoint("t", f"root{number}"))
        for step in range(2):
            called = put_checkpoint("t", f"sub{step}", ns=f"node:{number}", metadata={"parents": {"": f"root{number}"}})
            checkpoints.PutCheckpoint(called)
    checkpoints.PutCheckpoint(put_checkpoint("t", "sub0", ns="node:3", metadata={"parents": {"": "not yet"}}))
    checkpoints.PutCheckpoint(put_checkpoint("t", "sub0", ns="stateful"))
    checkpoints.PutCheckpoint(put_checkpoint("t", "sub1", ns="stateful", metadata={"parents": {"": "root0"}}))
    assert _keep_latest(grpc_stub, "t") == 2 + 2 + 2 + 1 + 1
    assert [(ns, name) for ns, name, _, _ in _heads(grpc_stub)] == [
        ("", "root2"),
        ("node:2", "sub1"),
        ("node:3", "sub0"),
        ("stateful", "sub1"),
    ]


def test_a_prune_that_deletes(grpc_stub: ThreadsStub, checkpoints: CheckpointsStub) -> None:
    for thread_id in ("t", "u"):
        _conversation(checkpoints, thread_id)
    strategy = PruneStrategy.PRUNE_STRATEGY_DELETE
    answer = grpc_stub.PruneThreads(PruneThreadsRequest(thread_ids=["t", "not there"], strategy=strategy))
    assert answer.removed_checkpoints == 3
    assert [thread.thread_id for thread in grpc_stub.ListThreads(ListThreadsRequest()).threads] == ["u"]


def test_deleting_runs_in_all_threads(grpc_stub: ThreadsStub, checkpoints: CheckpointsStub) -> None:
    _conversation(checkpoints, "t")
    _conversation(checkpoints, "u")
    _conversation(checkpoints, "v", run="other")
    answer = grpc_stub.DeleteRuns(DeleteRunsRequest(run_ids=["r1", "r2", "r1", "never"]))
    assert answer.removed_checkpoints == 4
    assert (_list(checkpoints, "t"), _list(checkpoints, "u"), len(_list(checkpoints, "v"))) == (["c0"], ["c0"], 3)
    assert _heads(grpc_stub) == [("", "c0", 1, 1)]
    assert grpc_stub.DeleteRuns(DeleteRunsRequest(run_ids=["r1"])).removed_checkpoints == 0


def test_deleting_a_run_in_the_middle_keeps_shared_values(grpc_stub: ThreadsStub, checkpoints: CheckpointsStub) -> None:
    checkpoints.PutCheckpoint(put_checkpoint("t", "c0", values={"a": "1"}, metadata={"run_id": "r0"}))
    checkpoints.PutCheckpoint(put_checkpoint("t", "c1", parent="c0", versions={"a": "vc0"}, metadata={"run_id": "r1"}))
    grpc_stub.DeleteRuns(DeleteRunsRequest(run_ids=["r0"]))
    found = checkpoints.GetCheckpoint(GetCheckpointRequest(thread_id="t")).checkpoint_tuple
    assert found.checkpoint.channel_values["a"].data == b"1"
    assert found.parent_checkpoint_id == ""


def test_sequences_are_never_given_twice(grpc_stub: ThreadsStub, checkpoints: CheckpointsStub) -> None:
    _conversation(checkpoints, "t")
    given = grpc_stub.GetThread(GetThreadRequest(thread_id="t")).thread.sequence
    grpc_stub.DeleteRuns(DeleteRunsRequest(run_ids=["r0", "r1", "r2"]))
    assert checkpoints.PutCheckpoint(put_checkpoint("t", "c9")).sequence > given
