"""When a failed call is tried again. No I/O: those who call wait in their own way."""

import random
import time
from collections.abc import Iterator

import grpc

from checkpointd.client.connection import Connection
from checkpointd.client.errors import CheckpointdError, ClientClosed
from checkpointd.client.status import error_of

# Seconds. The first retry comes soon, because most outages are a restart or a dropped connection; the longest pause
# keeps the many clients of a server that is down from being a load when it comes back.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0

# The request may succeed later, and every request of the contract can be repeated. A call that was CANCELLED, which
# nobody here asked for, was broken off by a server that went away or by a fork of this process.
_TRANSIENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def pauses() -> Iterator[float]:
    """Endless pauses in seconds: exponential backoff with full jitter, so that clients that failed together spread."""
    ceiling = _FIRST_PAUSE
    while True:
        yield random.uniform(0, ceiling)
        ceiling = min(2 * ceiling, _LONGEST_PAUSE)


def is_transient(failure: grpc.RpcError) -> bool:
    """Whether the same request may succeed if it is sent again."""
    return failure.code() in _TRANSIENT


class Attempts:
    """The attempts of one call: how long each one may take, and whether another one follows."""

    __slots__ = ("_began", "_connection", "_count", "_last", "_pauses")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._began = time.monotonic()
        self._count = 1
        self._last = ""
        self._pauses: Iterator[float] | None = None

    def time_left(self) -> float | None:
        """Seconds until the deadline, 0 when it has passed, None without one."""
        if self._connection.timeout is None:
            return None
        return max(0.0, self._began + self._connection.timeout - time.monotonic())

    def pause_after(self, failure: grpc.RpcError) -> float:
        """Seconds to wait before the next attempt. Raises the error of the failure when there is none."""
        if not is_transient(failure) or self._connection.closed.is_set():
            raise self.error_of(failure) from failure
        self._pauses = self._pauses or pauses()
        pause = next(self._pauses)
        left = self.time_left()
        if left is not None and pause >= left:
            raise self.error_of(failure) from failure
        self._count += 1
        self._last = failure.details() or ""
        return pause

    def error_of(self, failure: grpc.RpcError) -> CheckpointdError:
        """The error for the last failure of this call, with what went before it."""
        if self._connection.closed.is_set():
            return ClientClosed("the client was closed during the call", server=self._connection.target)
        tried = ""
        if self._count > 1:
            tried = f" (attempt {self._count}, {time.monotonic() - self._began:.1f} s after the first"
            tried += f", the one before: {self._last})" if self._last != failure.details() else ")"
        return error_of(failure, self._connection.target, tried)
