"""The stream Session: every op as its own rpc would do it, answers by number, errors that end nothing else."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from checkpointd.v1.checkpoints_pb2 import (
    CommitRequest,
    GetCheckpointRequest,
    PutCheckpointRequest,
    PutWritesRequest,
    SessionAnswer,
    SessionOp,
    SessionRequest,
)
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.threads_pb2 import ListThreadsRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.messages import checkpoint_put, put_checkpoint, put_writes
from tests.server.wire import METHODS, TENANT, UNLIMITED, error_reason, invoke
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("stays_well")

_FIELDS = {
    PutCheckpointRequest: "put_checkpoint",
    PutWritesRequest: "put_writes",
    CommitRequest: "commit",
    GetCheckpointRequest: "get_checkpoint",
}


class _Session:
    """A session with the server, answers by their numbers."""

    def __init__(self, channel: grpc.Channel, tenant: str) -> None:
        self._requests: queue.SimpleQueue[SessionRequest | None] = queue.SimpleQueue()
        self.call: Any = CheckpointsStub(channel).Session(
            iter(self._requests.get, None), metadata=((TENANT, tenant),), timeout=60
        )
        self._count = 0
        self.answers: dict[int, SessionAnswer] = {}

    def op(self, request: Any) -> SessionOp:
        self._count += 1
        return SessionOp(number=self._count, **{_FIELDS[type(request)]: request})

    def send(self, *requests: Any) -> list[int]:
        ops = [self.op(request) for request in requests]
        self._requests.put(SessionRequest(ops=ops))
        return [op.number for op in ops]

    def send_raw(self, request: SessionRequest) -> None:
        self._requests.put(request)

    def answer(self, number: int) -> SessionAnswer:
        while number not in self.answers:
            for answer in next(self.call).answers:
                assert answer.number not in self.answers
                self.answers[answer.number] = answer
        return self.answers[number]

    def end(self) -> None:
        self._requests.put(None)


@pytest.fixture
def session(grpc_channel: grpc.Channel, grpc_addr: str, tenant: str) -> Iterator[_Session]:
    with grpc.insecure_channel(grpc_addr, UNLIMITED) as channel:
        session = _Session(channel, tenant)
        yield session
        session.end()


def test_each_kind_of_op_is_answered_as_its_rpc_would(session: _Session, grpc_channel: grpc.Channel) -> None:
    put, writes = put_checkpoint("t", "1", values={"a": "1"}), put_writes("t", "1", "task", [(0, "a", "2")])
    (number,) = session.send(put)
    assert session.answer(number).put_checkpoint.sequence == 1
    (number,) = session.send(writes)
    assert session.answer(number).WhichOneof("answer") == "put_writes"
    commit = CommitRequest(thread_id="t")
    commit.ops.add().put_checkpoint.CopyFrom(checkpoint_put("2", parent="1"))
    (number,) = session.send(commit)
    assert list(session.answer(number).commit.checkpoint_sequences) == [3]
    get = GetCheckpointRequest(thread_id="t", checkpoint_id="1")
    (number,) = session.send(get)
    assert session.answer(number).get_checkpoint == invoke(grpc_channel, "GetCheckpoint", get)[0]


def test_ops_sent_together_are_answered_each(session: _Session, grpc_channel: grpc.Channel) -> None:
    numbers = session.send(*(put_checkpoint(f"t{number % 10}", f"{number}") for number in range(200)))
    assert all(session.answer(number).put_checkpoint.sequence for number in numbers)
    threads = ThreadsStub(grpc_channel).ListThreads(ListThreadsRequest()).threads
    assert [thread.sequence for thread in threads] == [20] * 10


def test_what_one_op_stored_is_seen_by_the_next(session: _Session) -> None:
    for number in range(30):
        (put,) = session.send(put_checkpoint("t", f"{number}"))
        session.answer(put)
        (get,) = session.send(GetCheckpointRequest(thread_id="t"))
        assert session.answer(get).get_checkpoint.checkpoint_tuple.checkpoint.id == f"{number}"


@pytest.mark.parametrize(
    ("request_", "rpc"),
    [
        (GetCheckpointRequest(thread_id="nobody"), "GetCheckpoint"),
        (GetCheckpointRequest(), "GetCheckpoint"),
        (PutCheckpointRequest(thread_id="t"), "PutCheckpoint"),
        (CommitRequest(thread_id="t"), "Commit"),
        (PutWritesRequest(thread_id="t" * 300), "PutWrites"),
    ],
)
def test_an_error_is_that_of_the_rpc_and_ends_nothing_else(
    session: _Session, grpc_channel: grpc.Channel, request_: Any, rpc: str
) -> None:
    before, wrong, after = session.send(put_checkpoint("t", "1"), request_, put_checkpoint("t", "2"))
    error = session.answer(wrong).error
    assert session.answer(before).put_checkpoint.sequence
    assert session.answer(after).put_checkpoint.sequence
    assert METHODS[rpc].input_type is request_.DESCRIPTOR
    with pytest.raises(grpc.RpcError) as caught:
        invoke(grpc_channel, rpc, request_)
    assert (error.code, error.message) == (caught.value.code().value[0], caught.value.details())
    assert error.reason == error_reason(caught.value)  # type: ignore[arg-type]
    assert error.metadata


def test_a_precondition_that_does_not_hold(session: _Session) -> None:
    request = put_checkpoint("t", "2")
    request.precondition.expected_head = "1"
    (number,) = session.send(request)
    error = session.answer(number).error
    assert (error.code, error.reason) == (grpc.StatusCode.ABORTED.value[0], "HEAD_MOVED")


def test_an_op_of_a_kind_that_is_not_known(session: _Session) -> None:
    session.send_raw(SessionRequest(ops=[SessionOp(number=7)]))
    assert session.answer(7).error.reason == "INVALID_FIELD"
    (number,) = session.send(put_checkpoint("t", "1"))
    assert session.answer(number).put_checkpoint.sequence == 1


@pytest.mark.parametrize(
    "request_",
    [SessionRequest(), SessionRequest(ops=[SessionOp()] * 1001), SessionRequest(ops=[SessionOp(number=0)])],
    ids=["no ops", "too many", "number 0"],
)
def test_a_request_that_is_not_well_formed_ends_the_stream(session: _Session, request_: SessionRequest) -> None:
    (number,) = session.send(put_checkpoint("t", "1"))
    session.send_raw(request_)
    assert session.answer(number).put_checkpoint.sequence == 1  # what was taken before is answered
    with pytest.raises(grpc.RpcError) as caught:
        next(session.call)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_bytes_that_are_no_request(grpc_addr: str) -> None:
    with grpc.insecure_channel(grpc_addr) as channel:
        stream: Any = channel.stream_stream("/checkpointd.v1.Checkpoints/Session")
        with pytest.raises(grpc.RpcError) as caught:
            list(stream(iter([b"\xff\xff\xff"]), timeout=60))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error_reason(caught.value) == "MALFORMED_REQUEST"  # type: ignore[arg-type]


def test_a_wrong_tenant(grpc_addr: str) -> None:
    with grpc.insecure_channel(grpc_addr) as channel:
        call = CheckpointsStub(channel).Session(iter(()), metadata=((TENANT, "no/tenant"),), timeout=60)
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_who_ends_its_side_gets_all_answers(session: _Session) -> None:
    numbers = session.send(*(put_checkpoint(f"t{number}", "1") for number in range(300)))
    session.end()
    assert all(session.answer(number).put_checkpoint.sequence == 1 for number in numbers)
    with pytest.raises(StopIteration):
        next(session.call)
    assert session.call.code() is grpc.StatusCode.OK


def test_who_goes_away_in_the_middle_harms_nobody(grpc_addr: str, tenant: str, session: _Session) -> None:
    for _ in range(20):
        with grpc.insecure_channel(grpc_addr) as channel:
            _Session(channel, tenant).send(*(put_checkpoint("t", f"{number}") for number in range(50)))
    (number,) = session.send(put_checkpoint("u", "1"))
    assert session.answer(number).put_checkpoint.sequence == 1


def test_more_ops_than_may_be_unanswered(session: _Session) -> None:
    """Nobody reads answers until all is sent: the server holds back and loses nothing."""
    numbers = [number for _ in range(6) for number in session.send(*[put_checkpoint("t", "1")] * 900)]
    assert all(session.answer(number).put_checkpoint.sequence == 1 for number in numbers)


def test_answers_that_nobody_reads_do_not_fill_the_server(
    session: _Session, grpc_channel: grpc.Channel, server: ServerProcess
) -> None:
    """It does not get what it could not send yet, and gets it when there is room."""
    size, count = 1 << 20, 1200
    invoke(grpc_channel, "PutCheckpoint", put_checkpoint("t", "1", values={"a": bytes(size)}))
    get, process = GetCheckpointRequest(thread_id="t"), psutil.Process(server.process.pid)
    before = process.memory_info().rss
    numbers = [session.send(get)[0] for _ in range(count)]
    most = 0
    for _ in range(200):  # each a round trip, in which the server could have gone on
        invoke(grpc_channel, "GetCheckpoint", GetCheckpointRequest(thread_id="t", checkpoint_id="1"))
        most = max(most, process.memory_info().rss - before)
    assert most < 300 * size
    for number in numbers:
        assert len(session.answer(number).get_checkpoint.checkpoint_tuple.checkpoint.channel_values["a"].data) == size
        del session.answers[number]


@contextmanager
def _own_server(home: Path, url: str) -> Iterator[ServerProcess]:
    with ServerProcess(home / "log", "--database-url", url) as server:
        yield server


def test_a_server_that_stops_answers_what_it_took(database_url: str, tmp_path: Path) -> None:
    with _own_server(tmp_path, database_url) as server, grpc.insecure_channel(server.address) as channel:
        idle, busy = _Session(channel, "default"), _Session(channel, "default")
        (number,) = idle.send(put_checkpoint("t", "1"))
        assert idle.answer(number).put_checkpoint.sequence == 1
        answered, stopping = [], threading.Thread(target=server.stop)

        def write() -> None:
            for count in range(1_000_000):
                (number,) = busy.send(put_checkpoint("u", f"{count}"))
                answered.append((busy.answer(number), f"{count}"))
                if count == 50:
                    stopping.start()

        with pytest.raises(grpc.RpcError) as caught:
            write()
        stopping.join()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.RpcError) as caught:
            next(idle.call)
        assert error_reason(caught.value) == "SERVER_STOPPING"  # type: ignore[arg-type]
    stored = [name for answer, name in answered if answer.WhichOneof("answer") == "put_checkpoint"]
    with _own_server(tmp_path, database_url) as server, grpc.insecure_channel(server.address) as channel:
        again = _Session(channel, "default")
        numbers = again.send(*(GetCheckpointRequest(thread_id="u", checkpoint_id=name) for name in stored[-900:]))
        assert all(again.answer(number).WhichOneof("answer") == "get_checkpoint" for number in numbers)
        assert len(stored) > 50
