"""Sessions: every op as its own rpc would do it, answers by number, errors that end nothing else; on a stream as on a
socket."""

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
    SessionOp,
    SessionRequest,
)
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.threads_pb2 import ListThreadsRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.messages import checkpoint_put, put_checkpoint, put_writes
from tests.server.session_carriers import CARRIERS, Ended, Session, opened
from tests.server.wire import METHODS, TENANT, error_reason, invoke
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("stays_well")


@pytest.fixture(params=CARRIERS)
def carried(request: pytest.FixtureRequest) -> str:
    """What carries the session."""
    kind: str = request.param
    return kind


@pytest.fixture
def session(carried: str, grpc_addr: str, tenant: str) -> Iterator[Session]:
    yield from opened(carried, grpc_addr, tenant)


def test_each_kind_of_op_is_answered_as_its_rpc_would(session: Session, grpc_channel: grpc.Channel) -> None:
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


def test_ops_sent_together_are_answered_each(session: Session, grpc_channel: grpc.Channel) -> None:
    numbers = session.send(*(put_checkpoint(f"t{number % 10}", f"{number}") for number in range(200)))
    assert all(session.answer(number).put_checkpoint.sequence for number in numbers)
    threads = ThreadsStub(grpc_channel).ListThreads(ListThreadsRequest()).threads
    assert [thread.sequence for thread in threads] == [20] * 10


def test_what_one_op_stored_is_seen_by_the_next(session: Session) -> None:
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
    session: Session, grpc_channel: grpc.Channel, request_: Any, rpc: str
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


def test_a_precondition_that_does_not_hold(session: Session) -> None:
    request = put_checkpoint("t", "2")
    request.precondition.expected_head = "1"
    (number,) = session.send(request)
    error = session.answer(number).error
    assert (error.code, error.reason) == (grpc.StatusCode.ABORTED.value[0], "HEAD_MOVED")


def test_an_op_of_a_kind_that_is_not_known(session: Session) -> None:
    session.carrier.send(SessionRequest(ops=[SessionOp(number=7)]).SerializeToString())
    assert session.answer(7).error.reason == "INVALID_FIELD"
    (number,) = session.send(put_checkpoint("t", "1"))
    assert session.answer(number).put_checkpoint.sequence == 1


@pytest.mark.parametrize(
    "request_",
    [SessionRequest(), SessionRequest(ops=[SessionOp()] * 1001), SessionRequest(ops=[SessionOp(number=0)])],
    ids=["no ops", "too many", "number 0"],
)
def test_a_request_that_is_not_well_formed_ends_the_session(session: Session, request_: SessionRequest) -> None:
    (number,) = session.send(put_checkpoint("t", "1"))
    session.carrier.send(request_.SerializeToString())
    assert session.answer(number).put_checkpoint.sequence == 1  # what was taken before is answered
    with pytest.raises(Ended) as caught:
        session.carrier.receive()
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT.value[0], "INVALID_FIELD")


def test_bytes_that_are_no_request(session: Session) -> None:
    session.carrier.send(b"\xff\xff\xff")
    with pytest.raises(Ended) as caught:
        session.carrier.receive()
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT.value[0], "MALFORMED_REQUEST")


def test_a_wrong_tenant(grpc_addr: str) -> None:
    with grpc.insecure_channel(grpc_addr) as channel:
        call = CheckpointsStub(channel).Session(iter(()), metadata=((TENANT, "no/tenant"),), timeout=60)
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_who_ends_its_side_gets_all_answers(session: Session) -> None:
    numbers = session.send(*(put_checkpoint(f"t{number}", "1") for number in range(300)))
    session.carrier.end()
    assert all(session.answer(number).put_checkpoint.sequence == 1 for number in numbers)
    assert session.carrier.receive() is None


def test_who_goes_away_in_the_middle_harms_nobody(grpc_addr: str, tenant: str, session: Session, carried: str) -> None:
    for _ in range(20):
        carrier = CARRIERS[carried](grpc_addr, tenant)
        Session(carrier).send(*(put_checkpoint("t", f"{number}") for number in range(50)))
        carrier.close()
    (number,) = session.send(put_checkpoint("u", "1"))
    assert session.answer(number).put_checkpoint.sequence == 1


def test_more_ops_than_may_be_unanswered(session: Session) -> None:
    """Nobody reads answers until all is sent: the server holds back and loses nothing."""
    numbers = [number for _ in range(6) for number in session.send(*[put_checkpoint("t", "1")] * 900)]
    assert all(session.answer(number).put_checkpoint.sequence == 1 for number in numbers)


def test_answers_that_nobody_reads_do_not_fill_the_server(
    session: Session, grpc_channel: grpc.Channel, server: ServerProcess
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


def test_a_server_that_stops_answers_what_it_took(carried: str, database_url: str, tmp_path: Path) -> None:
    carry = CARRIERS[carried]
    with _own_server(tmp_path, database_url) as server:
        idle, busy = Session(carry(server.address, "default")), Session(carry(server.address, "default"))
        (number,) = idle.send(put_checkpoint("t", "1"))
        assert idle.answer(number).put_checkpoint.sequence == 1
        answered, stopping = [], threading.Thread(target=server.stop)

        def write() -> None:
            for count in range(1_000_000):
                (number,) = busy.send(put_checkpoint("u", f"{count}"))
                answered.append((busy.answer(number), f"{count}"))
                if count == 50:
                    stopping.start()

        with pytest.raises((Ended, ConnectionError, AssertionError)) as caught:
            write()
        if isinstance(caught.value, Ended):  # a socket may break while an op is on its way
            assert caught.value.code == grpc.StatusCode.UNAVAILABLE.value[0]
        stopping.join()
        with pytest.raises(Ended) as ended:
            idle.carrier.receive()
        assert ended.value.reason == "SERVER_STOPPING"
        for session in (idle, busy):
            session.carrier.close()
    stored = [name for answer, name in answered if answer.WhichOneof("answer") == "put_checkpoint"]
    with _own_server(tmp_path, database_url) as server:
        again = Session(carry(server.address, "default"))
        numbers = again.send(*(GetCheckpointRequest(thread_id="u", checkpoint_id=name) for name in stored[-900:]))
        assert all(again.answer(number).WhichOneof("answer") == "get_checkpoint" for number in numbers)
        assert len(stored) > 50
        again.carrier.close()
