"""Watching what is committed, from a thread (`watch`) or a loop (`awatch`), and waiting for what a thread comes to.

A watch that breaks off goes on from its last token, so that nothing is missed and nothing comes twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor

import grpc

from checkpointd.client import operations, rpcs
from checkpointd.client.build import build
from checkpointd.client.calls import acall, call
from checkpointd.client.connection import Connection
from checkpointd.client.errors import DeadlineExceeded, GraphUnknown, InvalidRequest, NotFound, WatchExpired
from checkpointd.client.listing import Stream
from checkpointd.client.retry import Attempts
from checkpointd.client.status import CallFailed, Status
from checkpointd.v1.states_pb2 import StateSnapshot
from checkpointd.v1.threads_pb2 import GetThreadResponse, ThreadStatus
from checkpointd.v1.watch_pb2 import WatchEvent, WatchEventKind, WatchRequest, WatchResponse

FINISHED, INTERRUPTED, FAILED = "finished", "interrupted", "failed"
STATUSES = (FINISHED, INTERRUPTED, FAILED)
"""What can be waited for."""


def request(
    *,
    thread_id: str = "",
    thread_id_prefix: str = "",
    kinds: Iterable[WatchEventKind.ValueType] = (),
    checkpoint_ns: Iterable[str] = (),
    token: str = "",
) -> WatchRequest:
    """What is committed from now on, or after a token, to a thread, to those with a prefix, or to all threads.

    It begins with its first step; see `watch_token`. It has no end: it goes on, also beyond failures, until it is left
    or no server answers within the timeout. By an event's token another watch with the same parameters goes on after
    it. Raises WatchExpired when events after the token are not kept any more.
    """
    return build(
        WatchRequest,
        thread_id=thread_id,
        thread_id_prefix=thread_id_prefix,
        kinds=kinds,
        checkpoint_ns=checkpoint_ns,
        token=token,
    )


def from_now_on(
    *,
    thread_id: str = "",
    thread_id_prefix: str = "",
    kinds: Iterable[WatchEventKind.ValueType] = (),
    checkpoint_ns: Iterable[str] = (),
) -> WatchRequest:
    """A token from which a watch with the same parameters tells what is committed from now on.

    For what must not be missed between now and the first step of `watch`: take the token, start what is to be watched,
    then watch from the token.
    """
    return request(thread_id=thread_id, thread_id_prefix=thread_id_prefix, kinds=kinds, checkpoint_ns=checkpoint_ns)


def responses(connection: Connection, asked: WatchRequest, until: float | None = None) -> Generator[WatchResponse]:
    """All that a watch is told, from any thread. Ends at `until`, by time.monotonic()."""
    watching = _Watching(connection, asked, until)
    while not watching.is_over:
        try:
            with contextlib.closing(watching.stream()) as stream:
                while found := stream.take(1):
                    watching.took(found[0])
                    yield found[0]
            status = _ENDED
        except CallFailed as failure:
            status = failure.status
        if not watching.is_over:
            connection.closed.wait(watching.pause_after(status))


async def aresponses(
    connection: Connection, asked: WatchRequest, until: float | None = None
) -> AsyncGenerator[WatchResponse]:
    """As `responses`, from any event loop. Leaving it early, or cancelling the task, cancels the call."""
    watching = _Watching(connection, asked, until)
    loop = asyncio.get_running_loop()
    # A thread of its own: the loop's others are for what ends soon.
    thread = ThreadPoolExecutor(1, "checkpointd-watch")
    try:
        while not watching.is_over:
            try:
                with contextlib.closing(watching.stream()) as stream:
                    while found := await loop.run_in_executor(thread, stream.take, 1):
                        watching.took(found[0])
                        yield found[0]
                status = _ENDED
            except CallFailed as failure:
                status = failure.status
            if not watching.is_over:
                await asyncio.sleep(watching.pause_after(status))
    finally:
        thread.shutdown(wait=False)


def watch(connection: Connection, asked: WatchRequest) -> Generator[WatchEvent]:
    """The events of a watch, from any thread."""
    for response in responses(connection, asked):
        yield from response.events


async def awatch(connection: Connection, asked: WatchRequest) -> AsyncGenerator[WatchEvent]:
    """The events of a watch, from any event loop."""
    async with contextlib.aclosing(aresponses(connection, asked)) as told:
        async for response in told:
            for event in response.events:
                yield event


def watch_token(connection: Connection, asked: WatchRequest) -> str:
    """The token of a watch's first response, from any thread."""
    with contextlib.closing(responses(connection, asked)) as told:
        return next(told).token


async def awatch_token(connection: Connection, asked: WatchRequest) -> str:
    """The token of a watch's first response, from any event loop."""
    async with contextlib.aclosing(aresponses(connection, asked)) as told:
        return (await anext(told)).token


# What is said of a stream that ended without an error, which no server does.
_ENDED = Status(grpc.StatusCode.UNAVAILABLE, "the server ended the watch")


class _Watching:
    """How far a watch has come, and how it goes on after a failure. No I/O."""

    def __init__(self, connection: Connection, asked: WatchRequest, until: float | None) -> None:
        self._connection = connection
        self._asked = WatchRequest()
        self._asked.CopyFrom(asked)
        self._until = until
        self._attempts = Attempts(connection)

    @property
    def is_over(self) -> bool:
        """Whether its time is."""
        return self._until is not None and time.monotonic() >= self._until

    def stream(self) -> Stream[WatchResponse]:
        """The next attempt."""
        left = None if self._until is None else max(0.0, self._until - time.monotonic())
        return Stream(self._connection, rpcs.WATCH.of(self._asked), self._attempts.time_left(), left)

    def took(self, response: WatchResponse) -> None:
        self._asked.token = response.token
        self._attempts = Attempts(self._connection)

    def pause_after(self, status: Status) -> float:
        """Seconds to wait before the next attempt. Raises when there is none."""
        return self._attempts.pause_after(status)


def waiting(
    *, thread_id: str, until: str | Iterable[str] = STATUSES, after: int = 0, timeout: float | None = None
) -> Waiting:
    """Wait for what a thread comes to, and return which it is. The thread need not exist yet.

    Args:
        thread_id: the thread.
        until: one or more of `finished` (nothing runs next), `interrupted` (a task waits for an answer) and `failed` (a
            task has failed).
        after: a commit of the thread, of which what it had come to then does not count. Give the thread's `sequence`
            from before you start a run.
        timeout: seconds; None waits for ever.

    Raises DeadlineExceeded when the time is over, GraphUnknown when only the thread's graph could tell whether it has
    finished.
    """
    wanted = [until] if isinstance(until, str) else list(until)
    if not wanted or not set(wanted) <= set(STATUSES):
        raise InvalidRequest(
            f"until is {until!r}; give one or more of {', '.join(STATUSES)}",
            reason="INVALID_FIELD",
            metadata={"field": "until"},
        )
    return Waiting(thread_id, wanted, after, timeout)


class Waiting:
    """What is waited for, and whether it has come. No I/O."""

    def __init__(self, thread_id: str, until: list[str], after: int, timeout: float | None) -> None:
        self.asked = request(thread_id=thread_id)
        self.thread = operations.get_thread(thread_id=thread_id)
        self.state = operations.get_state(thread_id=thread_id)
        self.end = None if timeout is None else time.monotonic() + timeout
        self._until = until
        self._timeout = timeout
        self._after = after
        self._thread_id = thread_id

    def status(self, found: GetThreadResponse) -> str | None:
        """What the thread has come to, as far as it shows that itself."""
        if found.thread.sequence <= self._after:
            return None
        status = {
            ThreadStatus.THREAD_STATUS_INTERRUPTED: INTERRUPTED,
            ThreadStatus.THREAD_STATUS_FAILED: FAILED,
        }.get(found.thread.status)
        return status if status in self._until else None

    def asks_for_state(self, found: GetThreadResponse) -> bool:
        """Whether the state must say whether it has finished."""
        idle = found.thread.status == ThreadStatus.THREAD_STATUS_IDLE
        return FINISHED in self._until and found.thread.sequence > self._after and idle

    def finished(self, state: StateSnapshot) -> bool:
        """Whether nothing runs next. Raises GraphUnknown when only the graph could tell."""
        if state.next_unknown:
            raise GraphUnknown(
                f"whether thread {self._thread_id!r} has finished can't be told without its graph",
                advice="register the graph; what it writes from then on names it",
            )
        return state.exists and not state.next

    def late(self, server: str) -> DeadlineExceeded:
        """The error when the time is over."""
        return DeadlineExceeded(
            f"thread {self._thread_id!r} is not {' or '.join(self._until)} after {self._timeout} s", server=server
        )


def wait_for(connection: Connection, waiting: Waiting) -> str:
    """Wait for what a thread comes to, and return it; from any thread. Raises DeadlineExceeded.

    It is watched first and looked at then, so that nothing can come between.
    """
    while not _over(waiting.end):
        with contextlib.suppress(WatchExpired):
            for _ in responses(connection, waiting.asked, waiting.end):
                with contextlib.suppress(NotFound):
                    found = call(connection, waiting.thread)
                    if status := waiting.status(found):
                        return status
                    if waiting.asks_for_state(found) and waiting.finished(call(connection, waiting.state)):
                        return FINISHED
    raise waiting.late(connection.target)


async def await_for(connection: Connection, waiting: Waiting) -> str:
    """As `wait_for`, from any event loop."""
    while not _over(waiting.end):
        with contextlib.suppress(WatchExpired):
            async with contextlib.aclosing(aresponses(connection, waiting.asked, waiting.end)) as told:
                async for _ in told:
                    with contextlib.suppress(NotFound):
                        found = await acall(connection, waiting.thread)
                        if status := waiting.status(found):
                            return status
                        if waiting.asks_for_state(found) and waiting.finished(await acall(connection, waiting.state)):
                            return FINISHED
    raise waiting.late(connection.target)


def _over(end: float | None) -> bool:
    return end is not None and time.monotonic() >= end
