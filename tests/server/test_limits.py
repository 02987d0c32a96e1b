"""What a server does at once has limits. Over them it refuses and says when to try again; what it took is not lost."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import psycopg
import pytest

from checkpointd.client import Client, Overloaded
from checkpointd.v1.checkpoints_pb2 import GetCheckpointRequest, ListCheckpointsRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.core_pb2 import Checkpoint, Metadata
from checkpointd.v1.leases_pb2_grpc import LeasesStub
from checkpointd.v1.threads_pb2 import GetThreadRequest, ListThreadsRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.messages import put_checkpoint
from tests.postgres import TestPostgres
from tests.server.leasing import acquisition, release
from tests.server.session_carriers import CARRIERS, Ended, Session, opened
from tests.server.wire import UNLIMITED, Refused, error_reason, ids, of_tenant, refused
from tests.server_process import ServerProcess, eventually

_FULL = grpc.StatusCode.RESOURCE_EXHAUSTED
_IN_FLIGHT, _QUEUE, _STREAMS = 8, 5, 3
_MIB = 1 << 20


class Limited(NamedTuple):
    """A server with few of everything, and its database."""

    server: ServerProcess
    database_url: str


@contextmanager
def _limited(postgres: TestPostgres, log: Path, *options: str) -> Iterator[Limited]:
    url = postgres.create_database()
    with ServerProcess(log, "--database-url", url, "--database-connections", "2", *options) as server:
        yield Limited(server, url)
        said = server.log.read_text()
        assert "Traceback" not in said
        assert "incident" not in said
    postgres.drop_database(url)


@pytest.fixture(scope="module")
def few_in_flight(postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    log = tmp_path_factory.mktemp("limits") / "log"
    with _limited(postgres, log, "--max-in-flight", str(_IN_FLIGHT)) as made:
        yield made


@pytest.fixture(scope="module")
def few(postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    """Few of everything else."""
    options = ("--max-queue", str(_QUEUE), "--max-streams", str(_STREAMS))
    size = ("--max-message-size", "1MiB", "--max-request-bytes", "2MiB")
    with _limited(postgres, tmp_path_factory.mktemp("limits") / "log", *options, *size) as made:
        yield made


@pytest.fixture
def channel_to(tenant: str) -> Iterator[Callable[[Limited], grpc.Channel]]:
    channels: list[grpc.Channel] = []

    def make(limited: Limited) -> grpc.Channel:
        channels.append(grpc.insecure_channel(limited.server.address, UNLIMITED))
        return of_tenant(channels[-1], tenant)

    yield make
    for channel in channels:
        channel.close()


@contextmanager
def _stuck(limited: Limited) -> Iterator[None]:
    """Within this, nobody gets anything written. Reading goes on."""
    with psycopg.connect(limited.database_url) as connection:
        connection.execute("LOCK TABLE checkpointd.threads IN EXCLUSIVE MODE")
        yield
        connection.rollback()


def _outcome(call: Any) -> str:
    """ "OK", or the reason of a refusal."""
    error = call.exception()
    return "OK" if error is None else str(error_reason(error))


def _many_puts(stub: CheckpointsStub, count: int) -> list[Any]:
    return [stub.PutCheckpoint.future(put_checkpoint(f"t{number}", "c")) for number in range(count)]


def _large_puts(stub: CheckpointsStub) -> list[Any]:
    """Five, of which three fit."""
    value = os.urandom(600_000)
    return [stub.PutCheckpoint.future(put_checkpoint(f"l{number}", "c", values={"a": value})) for number in range(5)]


def _done(calls: list[Any]) -> int:
    return sum(call.done() for call in calls)


def _all_fit(stub: CheckpointsStub) -> bool:
    return [_outcome(call) for call in _many_puts(stub, _IN_FLIGHT)] == ["OK"] * _IN_FLIGHT


@pytest.mark.parametrize(
    ("which", "option", "taken"),
    [
        ("few_in_flight", "--max-in-flight", {_IN_FLIGHT}),
        # Beside those that wait there is one batch that the database has: whatever came at once.
        ("few", "--max-queue", set(range(_QUEUE + 1, 4 * _QUEUE))),
    ],
)
def test_what_is_over_the_limit_is_refused_and_what_was_taken_is_stored(
    which: str,
    option: str,
    taken: set[int],
    request: pytest.FixtureRequest,
    channel_to: Callable[[Limited], grpc.Channel],
) -> None:
    limited: Limited = request.getfixturevalue(which)
    channel = channel_to(limited)
    stub = CheckpointsStub(channel)
    with _stuck(limited):
        calls = _many_puts(stub, 60)
        eventually("all but those that are taken are refused", lambda: _done(calls) >= 60 - max(taken))
        (last,) = [_refusal(call) for call in calls if call.done()][-1:]
        assert last.metadata["option"] == option
        assert int(last.metadata["retry_after_ms"]) >= 100
        assert option in last.metadata.values()
        for word in ("try again in", last.metadata["limit"], last.metadata["retry_after_ms"]):
            assert word in last.message
    outcomes = [_outcome(call) for call in calls]
    assert set(outcomes) == {"OK", "OVERLOADED"}
    assert outcomes.count("OK") in taken
    stored = {thread.thread_id for thread in ThreadsStub(channel).ListThreads(ListThreadsRequest()).threads}
    assert stored == {f"t{number}" for number, outcome in enumerate(outcomes) if outcome == "OK"}
    assert _outcome(stub.PutCheckpoint.future(put_checkpoint("after", "c"))) == "OK"


def _refusal(call: Any) -> Refused:
    with refused(_FULL, "OVERLOADED") as found:
        call.result()
    with pytest.raises(grpc.RpcError) as caught:
        call.result()
    error_reason(caught.value, found)  # type: ignore[arg-type]
    return found


def test_reads_go_on_while_commits_wait(few: Limited, channel_to: Callable[[Limited], grpc.Channel]) -> None:
    stub = CheckpointsStub(channel_to(few))
    stub.PutCheckpoint(put_checkpoint("read", "c"))
    with _stuck(few):
        calls = _many_puts(stub, 30)
        eventually("some are refused", lambda: _done(calls) > 0)
        assert stub.GetCheckpoint(GetCheckpointRequest(thread_id="read")).checkpoint_tuple.checkpoint.id == "c"
    for call in calls:
        call.exception()


@pytest.mark.parametrize("kind", CARRIERS)
def test_ops_of_sessions_are_refused_one_by_one(
    kind: str, few_in_flight: Limited, channel_to: Callable[[Limited], grpc.Channel], tenant: str
) -> None:
    for session in opened(kind, few_in_flight.server.address, tenant):
        with _stuck(few_in_flight):
            numbers = session.send(*(put_checkpoint(f"t{number}", "c") for number in range(50)))
            turned_away = [session.answer(number).error for number in numbers[_IN_FLIGHT:]]
        assert {(error.code, error.reason) for error in turned_away} == {(_FULL.value[0], "OVERLOADED")}
        assert all(int(error.metadata["retry_after_ms"]) >= 100 for error in turned_away)
        assert all(session.answer(number).put_checkpoint.sequence for number in numbers[:_IN_FLIGHT])
        stored = ThreadsStub(channel_to(few_in_flight)).ListThreads(ListThreadsRequest()).threads
        assert {thread.thread_id for thread in stored} == {f"t{number}" for number in range(_IN_FLIGHT)}
        # Whoever was refused tries again on the same session.
        (number,) = session.send(put_checkpoint("t40", "c"))
        assert session.answer(number).put_checkpoint.sequence == 1


def test_what_ended_in_any_way_takes_no_room(
    few_in_flight: Limited, channel_to: Callable[[Limited], grpc.Channel], tenant: str
) -> None:
    """Answered, refused, malformed, cancelled, broken off: in many more requests than there is room for."""
    channel = channel_to(few_in_flight)
    stub = CheckpointsStub(channel)
    malformed: Any = channel.unary_unary("/checkpointd.v1.Checkpoints/PutCheckpoint", None, None)
    for number in range(20 * _IN_FLIGHT):
        stub.PutCheckpoint(put_checkpoint("t", f"c{number}"))
        assert _outcome(stub.PutCheckpoint.future(put_checkpoint("", "c"))) == "INVALID_FIELD"
        assert _outcome(stub.GetCheckpoint.future(GetCheckpointRequest(thread_id="nobody"))) == "CHECKPOINT_NOT_FOUND"
        assert _outcome(malformed.future(b"\xff")) == "MALFORMED_REQUEST"
        stub.PutCheckpoint.future(put_checkpoint("t", f"c{number}")).cancel()
    for carrier in CARRIERS.values():
        for _ in range(3):
            with _stuck(few_in_flight):
                broken = Session(carrier(few_in_flight.server.address, tenant))
                numbers = broken.send(*(put_checkpoint("t", f"b{op}") for op in range(_IN_FLIGHT + 1)))
                assert broken.answer(numbers[-1]).error.reason == "OVERLOADED"
                broken.carrier.close()
            eventually("they are gone", lambda: _outcome(stub.PutCheckpoint.future(put_checkpoint("t", "x"))) == "OK")
    eventually("all are gone", lambda: _all_fit(stub))


def test_calls_that_last_are_counted(few: Limited, channel_to: Callable[[Limited], grpc.Channel], tenant: str) -> None:
    channel = channel_to(few)
    stub, leases = CheckpointsStub(channel), LeasesStub(channel)

    def listing() -> str:
        try:
            return ",".join(ids(stub.ListCheckpoints(ListCheckpointsRequest(thread_id="t"))))
        except grpc.RpcError as error:
            return str(error_reason(error))  # type: ignore[arg-type]

    with (
        contextmanager(opened)("socket", few.server.address, tenant) as on_socket,
        contextmanager(opened)("stream", few.server.address, tenant) as on_stream,
        Client(few.server.address, tenant=tenant) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        for session in (on_socket, on_stream):
            (number,) = session.send(put_checkpoint("t", "c"))
            assert session.answer(number).put_checkpoint.sequence
        token = client.acquire_lease(thread_id="t", holder="first", ttl=60).fencing_token
        waiting = pool.submit(client.acquire_lease, thread_id="t", holder="second", ttl=60, wait=60)
        eventually("there is no room for a list", lambda: listing() == "TOO_MANY_STREAMS")
        with refused(_FULL, "TOO_MANY_STREAMS") as found:
            leases.AcquireLease(acquisition("third"))
        assert found.message.startswith(f"the server has {_STREAMS} streams open")
        # What does not last goes on, such as what ends a wait.
        assert stub.GetCheckpoint(GetCheckpointRequest(thread_id="t")).checkpoint_tuple.checkpoint.id == "c"
        release(channel, "first", token)
        assert waiting.result().holder == "second"
        eventually("there is room again", lambda: listing() == "c")
    eventually("there is room for all", lambda: listing() == "c")


def test_bytes_of_requests_are_counted(few: Limited, channel_to: Callable[[Limited], grpc.Channel]) -> None:
    stub = CheckpointsStub(channel_to(few))
    with _stuck(few):
        calls = _large_puts(stub)
        eventually("two are refused", lambda: _done(calls) == 2)
        small = stub.PutCheckpoint.future(put_checkpoint("small", "c"))
        found = [_refusal(call).metadata for call in calls if call.done()]
        assert {one["option"] for one in found} == {"--max-request-bytes"}
    assert sorted(map(_outcome, calls)) == ["OK"] * 3 + ["OVERLOADED"] * 2
    assert _outcome(small) == "OK"


@pytest.mark.parametrize("kind", CARRIERS)
def test_a_session_whose_request_has_no_room_ends(
    kind: str, few: Limited, channel_to: Callable[[Limited], grpc.Channel], tenant: str
) -> None:
    stub = CheckpointsStub(channel_to(few))
    for session in opened(kind, few.server.address, tenant):
        with _stuck(few):
            calls = _large_puts(stub)
            eventually("two are refused", lambda calls=calls: _done(calls) == 2)  # type: ignore[misc]
            (number,) = session.send(GetCheckpointRequest(thread_id="nobody"))
            assert session.answer(number).error.reason == "CHECKPOINT_NOT_FOUND"
            session.send(put_checkpoint("over", "c", values={"a": os.urandom(600_000)}))
            with pytest.raises(Ended) as caught:
                session.carrier.receive()
        assert (caught.value.code, caught.value.reason) == (_FULL.value[0], "OVERLOADED")
        with refused(grpc.StatusCode.NOT_FOUND, "THREAD_NOT_FOUND"):
            ThreadsStub(channel_to(few)).GetThread(GetThreadRequest(thread_id="over"))
        assert [_outcome(call) for call in calls].count("OK") == 3


def _put(client: Client, thread_id: str) -> int:
    return client.put_checkpoint(thread_id=thread_id, checkpoint=Checkpoint(v=4, id="c"), metadata=Metadata(json="{}"))


def test_clients_try_again_until_there_is_room(few_in_flight: Limited, tenant: str) -> None:
    """Ten times as many as there is room for."""
    many = 10 * _IN_FLIGHT
    with Client(few_in_flight.server.address, tenant=tenant) as client, ThreadPoolExecutor(many) as pool:
        with _stuck(few_in_flight):
            calls = [pool.submit(_put, client, f"t{number}") for number in range(many)]
            eventually("there is no room", lambda: not _has_room(few_in_flight))
        assert [call.result() for call in calls] == [1] * many
        # Calls of their own, which are no ops of a session.
        reads = [pool.submit(client.get_thread, thread_id=f"t{number}") for number in range(many)]
        assert {read.result().thread.sequence for read in reads} == {1}


def _has_room(limited: Limited) -> bool:
    with grpc.insecure_channel(limited.server.address) as channel:
        return _outcome(ThreadsStub(channel).GetThread.future(GetThreadRequest(thread_id="nobody"))) != "OVERLOADED"


def test_a_client_gives_up_with_its_deadline(few_in_flight: Limited, tenant: str) -> None:
    with (
        Client(few_in_flight.server.address, tenant=tenant) as client,
        Client(few_in_flight.server.address, tenant=tenant, timeout=1.0) as hurried,
        ThreadPoolExecutor(_IN_FLIGHT) as pool,
    ):
        with _stuck(few_in_flight):
            calls = [pool.submit(_put, client, f"t{n}") for n in range(_IN_FLIGHT)]
            eventually("there is no room", lambda: not _has_room(few_in_flight))
            with pytest.raises(Overloaded, match="try again") as caught:
                hurried.get_thread(thread_id="t")
            assert caught.value.metadata["option"] == "--max-in-flight"
        assert [call.result() for call in calls] == [1] * _IN_FLIGHT
