"""When a failed call is tried again. No I/O: those who call wait in their own way."""

import logging
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

# Seconds. How long a call tries again before it says so, and how long the other calls of its client leave it at that.
_PATIENCE = 2.0

_log = logging.getLogger("checkpointd.client")


def pauses() -> Iterator[float]:
    """Endless pauses in seconds: exponential backoff with full jitter, so that clients that failed together spread."""
    ceiling = _FIRST_PAUSE
    while True:
        yield random.uniform(0, ceiling)
        ceiling = min(2 * ceiling, _LONGEST_PAUSE)


class Attempts:
    """The attempts of one call: how long each one may take, and whether another one follows."""

    __slots__ = ("_began", "_connection", "_count", "_pauses", "_previous", "_warned")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._began = time.monotonic()
        self._count = 1
        self._previous: Status | None = None
        self._pauses: Iterator[float] | None = None
        self._warned = False

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
        pause = next(self._pauses) + (status.retry_after() or 0.0)
        left = self.time_left()
        if left is not None and pause >= left:
            raise self.error(status)
        self._warn(status, pause, left)
        self._count += 1
        self._previous = status
        return pause

    def _warn(self, status: Status, pause: float, left: float | None) -> None:
        now = time.monotonic()
        if self._warned or now + pause - self._began < _PATIENCE:
            return
        self._warned = True
        if now - self._connection.warned < _PATIENCE:
            return
        self._connection.warned = now
        trying = "until it answers" if left is None else f"for {_seconds(left)}"
        _log.warning("no answer from %s yet (%s); trying again %s", self._connection.target, status.cause(), trying)

    def error(self, status: Status) -> CheckpointdError:
        """The error for the last failure of this call, with what went before it."""
        if self._connection.closed.is_set():
            return ClientClosed("the client was closed during the call", server=self._connection.target)
        spent = time.monotonic() - self._began
        if status.is_not_connected():
            attempts = "1 attempt" if self._count == 1 else f"{self._count} attempts"
            return status.no_server(self._connection.target, f"{attempts} in {_seconds(spent)}")
        tried = ""
        if self._previous is not None:
            before = "" if self._previous.message == status.message else f", the one before: {self._previous.message}"
            tried = f" (attempt {self._count}, {spent:.1f} s after the first{before})"
        elif status.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            tried = f" (after {self._connection.timeout} s)"
        return status.error(self._connection.target, tried)


def _seconds(time: float) -> str:
    return f"{time:.0f} s" if time >= 10 else f"{time:.1f} s"
