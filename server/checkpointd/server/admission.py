"""How much the server does at once. What is over that is refused, at once and before it is looked at, and told when to
try again: so what was taken is answered as fast as ever, and memory stays bounded, however much is asked for.

Counting is all that it does, in the one thread that serves.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any

from checkpointd.server.config import Config
from checkpointd.server.status import Refusal
from checkpointd.v1.error_reason_pb2 import ErrorReason

# Milliseconds after which to try again: when as many are refused as are answered it is twice the shortest, and so on.
# They come in steps, so that a refusal that is made once serves many.
_SHORTEST, _LONGEST, _STEP = 100, 5000, 50

# Milliseconds. Streams last, so it takes longer until there is room for another one.
_STREAMS = 1000

# Seconds over which those who are refused are compared with those who are answered.
_WINDOW = 1.0


class Admission:
    """Counts what is under way: requests, the bytes of them, and calls that last."""

    def __init__(self, config: Config, queued: Callable[[], int]) -> None:
        """`queued` tells how many commits wait for the database."""
        self._config = config
        self._max_in_flight = config.max_in_flight
        self._max_queue = config.max_queue
        self._queued = queued
        self.in_flight = 0  # rpcs, and ops of sessions
        self.streams = 0
        self.bytes = 0
        self.refused = dict.fromkeys(_WHAT, 0)
        """How many were, by the limit that they were over."""
        self._pace = _Pace()
        self._refusals: dict[tuple[str, int], Refusal] = {}

    def begin(self, *, commits: bool, size: int = 0) -> Refusal | None:
        """Count a request in, or return why it may not begin. `commits` is whether it goes through the committer, and
        `size` its bytes, where they are known."""
        if self.in_flight >= self._max_in_flight:
            return self._refuse("max_in_flight")
        # No more wait than are under way, so that it need not be looked at mostly.
        if commits and self.in_flight >= self._max_queue and self._queued() >= self._max_queue:
            return self._refuse("max_queue")
        if size and (refusal := self.over_bytes(size)) is not None:
            return refusal
        self.in_flight += 1
        self.bytes += size
        return None

    def over_bytes(self, size: int) -> Refusal | None:
        """Why a request of so many bytes may not be read; None if it may."""
        if self.bytes + size > self._config.max_request_bytes:
            return self._refuse("max_request_bytes")
        return None

    def begin_stream(self) -> Refusal | None:
        """Count a call that lasts in, or return why it may not begin."""
        if self.streams >= self._config.max_streams:
            return self._refusal("max_streams", _STREAMS)
        self.streams += 1
        return None

    def end(self, size: int = 0) -> None:
        """A request has ended, in whatever way."""
        self.in_flight -= 1
        self.bytes -= size
        self._pace.ended += 1

    def ended(self, task: "asyncio.Task[Any]") -> None:
        """The task of a request has ended."""
        self.end()

    def stream_ended(self, task: "asyncio.Task[Any] | None" = None) -> None:
        """A call that lasts has ended."""
        self.streams -= 1

    def hold(self, size: int) -> "_Held":
        """Within this, so many bytes are in memory.

        Raises:
            Refusal: there is no room for them.
        """
        if (refusal := self.over_bytes(size)) is not None:
            raise refusal.with_traceback(None)
        return _Held(self, size)

    def _refuse(self, limit: str) -> Refusal:
        return self._refusal(limit, self._pace.delay())

    def _refusal(self, limit: str, delay: int) -> Refusal:
        self.refused[limit] += 1
        refusal = self._refusals.get((limit, delay))
        if refusal is None:
            refusal = self._refusals[limit, delay] = _refusal(limit, getattr(self._config, limit), delay)
        return refusal


class _Held:
    """Bytes that are in memory."""

    __slots__ = ("_admission", "_size")

    def __init__(self, admission: Admission, size: int) -> None:
        self._admission = admission
        self._size = size

    def __enter__(self) -> None:
        self._admission.bytes += self._size

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.bytes -= self._size


class _Pace:
    """How long those who are refused should stay away: the longer, the more of them there are."""

    def __init__(self) -> None:
        self.ended = 0
        self._refused = 0
        self._since = 0.0
        self._delay = _SHORTEST

    def delay(self) -> int:
        """Milliseconds, for one more who is refused."""
        now = asyncio.get_running_loop().time()
        if now - self._since > _WINDOW:
            delay = _SHORTEST * (1 + self._refused / max(self.ended, 1))
            self._delay = int(min(delay, _LONGEST)) // _STEP * _STEP
            self._since, self._refused, self.ended = now, 0, 0
        self._refused += 1
        return self._delay


_WHAT = {
    "max_in_flight": "has {} requests under way",
    "max_queue": "has {} commits that wait for the database",
    "max_request_bytes": "has too little left of the {} bytes that it keeps for requests",
    "max_streams": "has {} streams open",
}


def _refusal(limit: str, most: int, delay: int) -> Refusal:
    many = limit == "max_streams"
    return Refusal(
        ErrorReason.ERROR_REASON_TOO_MANY_STREAMS if many else ErrorReason.ERROR_REASON_OVERLOADED,
        f"the server {_WHAT[limit].format(most)} and takes no more for now; try again in {delay} ms",
        limit=str(most),
        option=f"--{limit.replace('_', '-')}",
        retry_after_ms=str(delay),
    )
