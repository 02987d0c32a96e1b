"""Many clients at once, and very large requests: nobody is turned away with an error that says nothing."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from checkpointd.v1.checkpoints_pb2 import GetCheckpointRequest, ListCheckpointsRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.threads_pb2 import CopyThreadRequest, GetThreadRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.messages import put_checkpoint, put_writes
from tests.server.whole_requests import whole_request
from tests.server.wire import METHODS, error_reason, ids, invoke

pytestmark = pytest.mark.usefixtures("stays_well")


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[CheckpointsStub]:
    return CheckpointsStub


def test_calls_that_wait_for_a_busy_server_are_answered(grpc_stub: CheckpointsStub) -> None:
    busy = grpc_stub.PutWrites.future(put_writes("busy", "c", "task", [(idx, "a", b"") for idx in range(50_000)]))
    waiting = [grpc_stub.PutCheckpoint.future(put_checkpoint(f"t{n % 50}", f"c{n}")) for n in range(4000)]
    assert all(call.result().sequence for call in waiting)
    busy.result()


def test_one_checkpoint_put_by_many_with_different_content(grpc_stub: CheckpointsStub, threads: ThreadsStub) -> None:
    def put(number: int) -> int:
        text = str(number)
        return grpc_stub.PutCheckpoint(put_checkpoint("t", "c", values={"a": text}, metadata={"n": text})).sequence

    with ThreadPoolExecutor(16) as pool:
        sequences = set(pool.map(put, range(200)))
    assert len(sequences) == 1
    (head,) = threads.GetThread(GetThreadRequest(thread_id="t")).heads
    assert (head.checkpoint_count, head.sequence) == (1, sequences.pop())
    found = grpc_stub.GetCheckpoint(GetCheckpointRequest(thread_id="t")).checkpoint_tuple
    assert found.checkpoint.channel_values["a"].data.isdigit()


def test_one_thread_written_by_many(grpc_stub: CheckpointsStub, threads: ThreadsStub) -> None:
    def put(number: int) -> int:
        return grpc_stub.PutCheckpoint(put_checkpoint("t", f"c{number}", values={"a": str(number)})).sequence

    with ThreadPoolExecutor(16) as pool:
        sequences = list(pool.map(put, range(300)))
    assert sorted(sequences) == list(range(1, 301))
    by_sequence = sorted(range(300), key=lambda number: -sequences[number])
    assert ids(grpc_stub.ListCheckpoints(ListCheckpointsRequest(thread_id="t"))) == [
        f"c{number}" for number in by_sequence
    ]


def test_a_copy_beside_a_put_into_its_target_is_whole_or_refused(
    grpc_stub: CheckpointsStub, threads: ThreadsStub
) -> None:
    for number in range(3):
        grpc_stub.PutCheckpoint(put_checkpoint("source", f"c{number}"))

    def copy(target: str) -> str | None:
        try:
            threads.CopyThread(CopyThreadRequest(source_thread_id="source", target_thread_id=target))
        except grpc.RpcError as error:
            return error_reason(error)  # type: ignore[arg-type]
        return None

    for number in range(100):
        target = f"target{number}"
        with ThreadPoolExecutor(2) as pool:
            copied = pool.submit(copy, target)
            pool.submit(grpc_stub.PutCheckpoint, put_checkpoint(target, "other")).result()
        reason = copied.result()
        (head,) = threads.GetThread(GetThreadRequest(thread_id=target)).heads
        assert (reason, head.checkpoint_count) in ((None, 4), ("THREAD_EXISTS", 1))


@pytest.mark.parametrize("rpc", METHODS)
def test_deadlines_that_are_too_short(grpc_addr: str, grpc_channel: grpc.Channel, tenant: str, rpc: str) -> None:
    request = whole_request(rpc).SerializeToString()
    expected = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ABORTED)
    with grpc.insecure_channel(grpc_addr) as channel:
        for milliseconds in range(1, 60):
            try:
                invoke(channel, rpc, request, (("checkpointd-tenant", f"{tenant}-h"),), timeout=milliseconds / 10_000)
            except grpc.RpcError as error:
                assert error.code() in expected  # noqa: PT017
    assert invoke(grpc_channel, "PutCheckpoint", put_checkpoint("t", "c"))[0].sequence == 1


def test_a_checkpoint_of_very_many_channels(grpc_stub: CheckpointsStub) -> None:
    values = {f"channel {number}": str(number) for number in range(20_000)}
    grpc_stub.PutCheckpoint(put_checkpoint("t", "c", values=values))
    found = grpc_stub.GetCheckpoint(GetCheckpointRequest(thread_id="t")).checkpoint_tuple.checkpoint
    assert {name: value.data.decode() for name, value in found.channel_values.items()} == values
