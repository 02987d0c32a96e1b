"""When a failed call is tried again. No I/O: those who call wait in their own way."""

import random
import time
from collections.abc import Iterator

import grpc

from checkpointd.client.connection import Connection
from checkpointd.client.errors import CheckpointdError, ClientClosed
from checkpointd.client.status import Status

# Seconds. The first retry comes soon, because most outages are a restart or a dropped connection; the longest pause
# keeps the many clients of a server that is down from being a load when it comes back.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


def pauses() -> Iterator[float]:
    """Endless pauses in seconds: exponential backoff with full jitter, so that clients that failed together spread."""
    ceiling = _FIRST_PAUSE
    while True:
        yield random.uniform(0, ceiling)
        ceiling = min(2 * ceiling, _LONGEST_PAUSE)


class Attempts:
    """The attempts of one call: how long each one may take, and whether another one follows."""

    __slots__ = ("_began", "_connection", "_count", "_pauses", "_previous")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._began = time.monotonic()
        self._count = 1
        self._previous: Status | None = None
        self._pauses: Iterator[float] | None = None

    def time_left(self) -> float | None:
        """Seconds until the deadline, 0 when it has passed, None without one."""
        if self._connection.timeout is None:
            return None
        return max(0.0, self._began + self._connection.timeout - time.monotonic())

    def pause_after(self, status: Status) -> float:
        """Seconds to wait before the next attempt. Raises the error of the status when there is none."""
        if not status.is_transient() or self._connection.closed.is_set():
            raise self.error(status)
        self._pauses = self._pauses or pauses()
        pause = next(self._pauses)
        left = self.time_left()
        if left is not None and pause >= left:
            raise self.error(status)
        self._count += 1
        self._previous = status
        return pause

    def error(self, status: Status) -> CheckpointdError:
        """The error for the last failure of this call, with what went before it."""
        if self._connection.closed.is_set():
            return ClientClosed("the client was closed during the call", server=self._connection.target)
        tried = ""
        if self._previous is not None:
            before = "" if self._previous.message == status.message else f", the one before: {self._previous.message}"
            spent = time.monotonic() - self._began
            tried = f" (attempt {self._count}, {spent:.1f} s after the first{before})"
        elif status.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            tried = f" (after {self._connection.timeout} s)"
        return status.error(self._connection.target, tried)
