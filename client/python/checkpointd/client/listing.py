"""Reading a list, of checkpoints or states, which comes as a stream: from a thread (`each`) or a loop (`aeach`)."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Any, Generic

import grpc

from checkpointd.client.connection import Connection, Stubs
from checkpointd.client.fork import gate, keep_for_ever
from checkpointd.client.retry import Attempts
from checkpointd.client.rpcs import Item, Listing
from checkpointd.client.status import INTERRUPTED, LATE, CallFailed, Status

# An event loop takes items from a stream in a worker thread, several at a time because each time costs a change
# of threads: more each time, so that the first one comes at once, but no more than this, and than these bytes hold.
_MOST_AT_A_TIME = 64
_BYTES_AT_A_TIME = 1 << 20


def each(connection: Connection, listing: Listing[Item]) -> Iterator[Item]:
    """Read a list from any thread."""
    reading = _Reading(connection, listing)
    while True:
        try:
            with contextlib.closing(Stream(connection, reading.listing, *reading.timeouts())) as stream:
                while found := stream.take(1):
                    reading.count(found[0])
                    yield found[0]
            return
        except CallFailed as failure:
            status = failure.status
        connection.closed.wait(reading.pause_after(status))


async def aeach(connection: Connection, listing: Listing[Item]) -> AsyncGenerator[Item]:
    """Read a list from any event loop. Leaving it early, or cancelling the task, cancels the call."""
    reading = _Reading(connection, listing)
    while True:
        try:
            with contextlib.closing(Stream(connection, reading.listing, *reading.timeouts())) as stream:
                at_a_time = 1
                while found := await asyncio.to_thread(stream.take, at_a_time):
                    for one in found:
                        reading.count(one)
                        yield one
                    at_a_time = min(2 * at_a_time, _MOST_AT_A_TIME)
            return
        except CallFailed as failure:
            status = failure.status
        await asyncio.sleep(reading.pause_after(status))


class _Reading(Generic[Item]):
    """How far the reading of a list has come, and how it goes on after a failure. No I/O.

    A list that has given nothing yet is simply asked for again. One that has goes on before its last checkpoint; that
    is right only within one namespace, whose order is that of commits, and only if the list did not begin before a
    checkpoint itself, which may be of another namespace and then means an order of ids.
    """

    def __init__(self, connection: Connection, listing: Listing[Item]) -> None:
        self.listing = listing
        self._connection = connection
        self._attempts = Attempts(connection)
        self._taken = 0
        self._last = ""
        request = listing.request
        self._can_go_on = listing.rpc.one_namespace(request) and not request.before_checkpoint_id

    def timeouts(self) -> tuple[float | None, float | None]:
        """Seconds for the first checkpoint to come, and for the whole stream; None for no bound.

        A list that could not go on has no bound as a whole, because it may be read slowly.
        """
        left = self._attempts.time_left()
        return (None, left) if self._can_go_on else (left, None)

    def count(self, found: Item) -> None:
        """Note that an item was taken."""
        self._taken += 1
        self._last = self.listing.rpc.checkpoint_id(found)

    def pause_after(self, status: Status) -> float:
        """Seconds to wait before `listing`, which may have changed, is sent again. Raises when it can't be."""
        if not self._taken:
            return self._attempts.pause_after(status)
        slowly_read = status.code is grpc.StatusCode.DEADLINE_EXCEEDED
        if not self._can_go_on or not (slowly_read or status.is_transient()):
            raise self._attempts.error(status)
        request = type(self.listing.request)()
        request.CopyFrom(self.listing.request)
        request.before_checkpoint_id = self._last
        if request.HasField("limit"):
            request.limit -= self._taken
        self.listing, self._taken = self.listing.rpc.of(request), 0
        self._attempts = Attempts(self._connection)
        return 0.0 if slowly_read else self._attempts.pause_after(status)


class Stream(Generic[Item]):
    """A stream under way."""

    def __init__(
        self, connection: Connection, listing: Listing[Item], first_within: float | None, timeout: float | None
    ) -> None:
        """Seconds for the first item to come, and for the whole stream; None for no bound."""
        self._connection = connection
        self._late = False
        self._read = listing.rpc.read
        with gate:
            self._stubs, self._call = connection.attempt(
                lambda stubs: (
                    stubs,
                    listing.rpc.method(stubs)(listing.request, timeout=timeout, metadata=connection.metadata),
                )
            )
        # gRPC has a deadline for a call as a whole only.
        self._alarm = None if first_within is None else threading.Timer(first_within, self._end_late)
        if self._alarm is not None:
            self._alarm.daemon = True
            self._alarm.start()

    def _end_late(self) -> None:
        self._late = True
        self._call.cancel()

    def take(self, most: int) -> list[Item]:
        """The next items, at least one and at most so many; none at the end. Waits for them in this thread."""
        taken: list[Item] = []
        size = 0
        try:
            while len(taken) < most and size < _BYTES_AT_A_TIME:
                with gate:
                    found = self._connection.attempt(self._next)
                self._calm()
                if found is None:
                    break
                taken.append(self._read(found))
                size += found.ByteSize()
        except CallFailed:
            if self._late:
                raise CallFailed(LATE) from None
            if not taken:
                raise  # otherwise it is raised again when the next ones are taken
        return taken

    def _next(self, stubs: Stubs) -> Any:
        if stubs is not self._stubs:
            raise CallFailed(INTERRUPTED)  # by a fork, of which this may even be the child
        return next(self._call, None)

    def _calm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def close(self) -> None:
        """Cancel the call if it has not ended."""
        self._calm()
        with gate:
            if self._stubs.process == os.getpid():
                self._call.cancel()
            else:
                keep_for_ever(self._call)
