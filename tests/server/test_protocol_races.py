"""Conditional writes at once, through two servers on one database: one of those that expect the same is stored."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import grpc
import pytest

from checkpointd.v1.checkpoints_pb2 import ListCheckpointsRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.threads_pb2 import DeleteThreadRequest, GetThreadRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.messages import put_checkpoint
from tests.server.conditional import C1, CONDITIONAL, MOVING, conditioned, graph, head_of, send, write
from tests.server.conftest import TwoServers
from tests.server.leasing import StoredLeases, acquire, release
from tests.server.wire import Refused, error_reason, ids
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("stays_well")

_WRITERS = 6


@pytest.fixture(scope="module")
def server(two_servers: TwoServers) -> ServerProcess:
    return two_servers.first


@pytest.fixture
def channels(grpc_channel: grpc.Channel, second_channel: grpc.Channel) -> list[grpc.Channel]:
    """A channel to each server, of a tenant that has the graph `g` and a thread `t` with the checkpoint C1."""
    send(grpc_channel, graph())
    send(grpc_channel, put_checkpoint("t", C1))
    return [grpc_channel, second_channel]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(_WRITERS) as executor:
        yield executor


def _name() -> str:
    """An id of a checkpoint that an update can be made on."""
    return f"1f0b6b1e-5a3c-6b7a-8002-{uuid4().hex[:12]}"


def _outcome(channel: grpc.Channel, request: Any) -> tuple[str | None, str]:
    """Why it was refused, if it was, and the head that the answer told of."""
    try:
        send(channel, request)
    except grpc.RpcError as error:
        told = Refused()
        return error_reason(error, told), told.metadata["head"]  # type: ignore[arg-type]
    return None, ""


def _at_once(pool: ThreadPoolExecutor, work: Callable[[int], Any]) -> list[Any]:
    """What each of the writers got for its number; they begin together."""
    start = threading.Barrier(_WRITERS)

    def begin(number: int) -> Any:
        start.wait()
        return work(number)

    return list(pool.map(begin, range(_WRITERS)))


def _checkpoints(channel: grpc.Channel) -> list[str]:
    return ids(CheckpointsStub(channel).ListCheckpoints(ListCheckpointsRequest(thread_id="t")))


@pytest.mark.parametrize("kinds", [*([rpc] for rpc in MOVING), MOVING], ids="-".join)
def test_of_those_that_expect_the_same_one_wins(
    channels: list[grpc.Channel], pool: ThreadPoolExecutor, kinds: list[str]
) -> None:
    head, rounds = C1, 25
    for _ in range(rounds):

        def attempt(number: int, head: str = head) -> tuple[str | None, str]:
            # Each kind goes through both servers.
            channel = channels[(number // len(kinds) + number) % 2]
            return _outcome(channel, conditioned(write(kinds[number % len(kinds)], _name()), head=head))

        outcomes = _at_once(pool, attempt)
        head = head_of(channels[0])
        assert sorted(outcomes, key=str) == sorted([(None, ""), *[("HEAD_MOVED", head)] * (_WRITERS - 1)], key=str)
    found = _checkpoints(channels[0])
    assert (len(found), found[0]) == (rounds + 1, head)


def test_of_those_that_begin_a_thread_one_wins(channels: list[grpc.Channel], pool: ThreadPoolExecutor) -> None:
    for _ in range(25):
        send(channels[0], DeleteThreadRequest(thread_id="t"))

        def attempt(number: int) -> tuple[str | None, str]:
            return _outcome(channels[number % 2], conditioned(write(MOVING[number // 2], _name()), head=""))

        outcomes = _at_once(pool, attempt)
        assert sorted(reason or "" for reason, _ in outcomes) == ["", *["HEAD_MOVED"] * (_WRITERS - 1)]
        assert len(_checkpoints(channels[1])) == 1


def test_beside_others_that_expect_nothing(channels: list[grpc.Channel], pool: ThreadPoolExecutor) -> None:
    """A head that is confirmed is the one that the checkpoint comes after."""
    for _ in range(25):
        head, name, beside = head_of(channels[0]), _name(), _name()

        def attempt(number: int, head: str = head, name: str = name, beside: str = beside) -> tuple[str | None, str]:
            request = write("Commit", beside) if number else conditioned(write("Commit", name), head=head)
            return _outcome(channels[number % 2], request)

        (reason, told), *_ = _at_once(pool, attempt)
        found = _checkpoints(channels[0])
        if reason is None:
            assert found[:3] == [beside, name, head]
        else:
            assert (reason, told) == ("HEAD_MOVED", beside)
            assert found[:2] == [beside, head]


def test_the_same_request_at_once_is_stored_once(channels: list[grpc.Channel], pool: ThreadPoolExecutor) -> None:
    for number in range(25):
        request = conditioned(write("Commit", _name()), head=head_of(channels[0]))

        def attempt(writer: int, request: Any = request) -> Any:
            return send(channels[writer % 2], request)

        answers = _at_once(pool, attempt)
        assert answers == [answers[0]] * _WRITERS
        assert len(_checkpoints(channels[0])) == number + 2


@pytest.mark.parametrize("rpc", CONDITIONAL)
@pytest.mark.parametrize("how", ["released", "expired"])
def test_nothing_is_stored_after_a_takeover(
    channels: list[grpc.Channel], pool: ThreadPoolExecutor, stored_leases: StoredLeases, rpc: str, how: str
) -> None:
    """From the moment that somebody else has the lease on, what comes with the old token changes nothing."""
    token = acquire(channels[0], "first")
    for attempt in range(5):
        writing = threading.Event()

        def go_on(token: int = token, writing: threading.Event = writing) -> str | None:
            for number in range(10_000):
                reason, _ = _outcome(channels[number % 2], conditioned(write(rpc, _name(), on=C1), token=token))
                if reason is not None:
                    return reason
                writing.set()
            return "was never told"

        writers: list[Future[str | None]] = [pool.submit(go_on) for _ in range(3)]
        assert writing.wait(60)
        holder = f"holder {attempt - 1}" if attempt else "first"
        if how == "expired":
            stored_leases.expire()
        else:
            release(channels[1], holder, token)
        token = acquire(channels[1], f"holder {attempt}")
        request = GetThreadRequest(thread_id="t")
        taken = ThreadsStub(channels[1]).GetThread(request)
        assert {writer.result() for writer in writers} == {"LEASE_LOST"}
        assert ThreadsStub(channels[0]).GetThread(request) == taken
