"""What is said when no server answers: soon, that it is waited for, and at the end, that there is none."""

import asyncio
import logging
import socket
from collections.abc import Callable

import grpc
import pytest

from checkpointd.client import AsyncClient, Client, Unavailable, retry
from checkpointd.client.connection import Connection
from checkpointd.client.retry import Attempts
from checkpointd.client.status import Status

REFUSED = Status(
    grpc.StatusCode.UNAVAILABLE,
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:50051: Failed to connect to remote host: "
    "connect: Connection refused (111)",
)


class Clock:
    """The time, which passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(retry, "time", clock)
    return clock


@pytest.fixture
def connect() -> Callable[[float | None], Connection]:
    return lambda timeout: Connection("127.0.0.1:50051", tenant="default", timeout=timeout)


def try_until(attempts: Attempts, clock: Clock, end: float, status: Status = REFUSED) -> None:
    while clock.now < end:
        clock.now += attempts.pause_after(status)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert {(record.name, record.levelno) for record in caplog.records} <= {("checkpointd.client", logging.WARNING)}
    return caplog.messages


def test_a_call_says_once_that_it_waits(
    clock: Clock, connect: Callable[[float | None], Connection], caplog: pytest.LogCaptureFixture
) -> None:
    attempts, began = Attempts(connect(61)), clock.now
    while not caplog.records:
        assert clock.now < began + 2.0, "it comes no later"
        clock.now += attempts.pause_after(REFUSED)
    with pytest.raises(Unavailable):
        try_until(attempts, clock, began + 100)
    (warning,) = warnings(caplog)
    said, _, seconds = warning.rpartition(" for ")
    assert said == "no answer from 127.0.0.1:50051 yet (connection refused); trying again"
    assert seconds in {"59 s", "60 s", "61 s"}


def test_a_short_outage_is_not_worth_a_word(
    clock: Clock, connect: Callable[[float | None], Connection], caplog: pytest.LogCaptureFixture
) -> None:
    attempts = Attempts(connect(60))
    for _ in range(5):
        clock.now += min(attempts.pause_after(REFUSED), 0.1)
    assert warnings(caplog) == []


def test_the_calls_of_a_client_take_turns_in_saying_so(
    clock: Clock, connect: Callable[[float | None], Connection], caplog: pytest.LogCaptureFixture
) -> None:
    connection = connect(None)
    many = [Attempts(connection) for _ in range(50)]
    clock.now += 3
    for attempts in many:
        attempts.pause_after(REFUSED)
    assert warnings(caplog) == [
        "no answer from 127.0.0.1:50051 yet (connection refused); trying again until it answers"
    ]
    later = Attempts(connection)
    clock.now += 3
    later.pause_after(REFUSED)
    assert len(warnings(caplog)) == 2


def test_a_server_without_its_database_is_said_to_be_one(
    clock: Clock, connect: Callable[[float | None], Connection], caplog: pytest.LogCaptureFixture
) -> None:
    status = Status(grpc.StatusCode.UNAVAILABLE, "the database is not available", "DATABASE_UNAVAILABLE")
    attempts = Attempts(connect(60))
    clock.now += 3
    attempts.pause_after(status)
    (warning,) = warnings(caplog)
    assert warning.startswith("no answer from 127.0.0.1:50051 yet (the database is not available); trying again for ")


def test_the_error_counts_the_attempts(clock: Clock, connect: Callable[[float | None], Connection]) -> None:
    attempts = Attempts(connect(60))
    for _ in range(66):
        attempts.pause_after(REFUSED)
    clock.now += 59.2
    assert str(attempts.error(REFUSED)) == (
        "no server answers at 127.0.0.1:50051 (connection refused; 67 attempts in 59 s) [UNAVAILABLE]; "
        "start one, or check the address. Repeating the call is safe."
    )
    assert "(connection refused; 1 attempt in 0.0 s)" in str(Attempts(connect(60)).error(REFUSED))


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (REFUSED.message, "connection refused"),
        ("errors resolving no:1: [field:hostname lookup error:Domain name not found]", "the host's name is not known"),
        ("DNS resolution failed for no:1: C-ares status is not ARES_SUCCESS", "the host's name is not known"),
        (
            "failed to connect to all addresses; last error: UNKNOWN: unix:/x: No such file or directory",
            "no such socket",
        ),
        (
            "failed to connect to all addresses; last error: UNKNOWN: ipv4:1.2.3.4:5: connection timed out",
            "no response",
        ),
        ("failed to connect to all addresses; last error: UNKNOWN: something new", "UNKNOWN: something new"),
        ("Socket closed", "Socket closed"),
    ],
)
def test_causes_are_said_in_few_words(message: str, cause: str) -> None:
    assert Status(grpc.StatusCode.UNAVAILABLE, message).cause() == cause


def test_a_port_where_nobody_listens_is_named() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and never listens
        target = "127.0.0.1:{1}".format(*bound.getsockname())
        with Client(target, timeout=0.2) as client, pytest.raises(Unavailable) as from_thread:
            client.get_thread(thread_id="t")
        with pytest.raises(Unavailable) as from_loop:
            asyncio.run(_get_thread(target))
    for raised in (from_thread, from_loop):
        error = raised.value
        assert str(error).startswith(f"no server answers at {target} (connection refused; ")
        assert (error.code, error.reason, error.server) == (grpc.StatusCode.UNAVAILABLE, "", target)
        assert "Connection refused" in error.grpc_error
        assert error.__cause__ is error.__context__ is None


async def _get_thread(target: str) -> None:
    async with AsyncClient(target, timeout=0.2) as client:
        await client.get_thread(thread_id="t")
