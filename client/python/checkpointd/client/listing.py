"""Reading a list of checkpoints, which comes as a stream: from a thread (`each`) and from an event loop (`aeach`)."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncGenerator, Iterator

import grpc

from checkpointd.client.connection import Connection, Stubs
from checkpointd.client.fork import gate, keep_for_ever
from checkpointd.client.retry import Attempts
from checkpointd.client.status import INTERRUPTED, LATE, CallFailed, Status
from checkpointd.v1.checkpoints_pb2 import ListCheckpointsRequest, ListCheckpointsResponse
from checkpointd.v1.core_pb2 import CheckpointTuple

# An event loop takes checkpoints from a stream in a worker thread, several at a time because each time costs a change
# of threads: more each time, so that the first one comes at once, but no more than this, and than these bytes hold.
_MOST_AT_A_TIME = 64
_BYTES_AT_A_TIME = 1 << 20


def each(connection: Connection, request: ListCheckpointsRequest) -> Iterator[CheckpointTuple]:
    """Read a list from any thread."""
    reading = _Reading(connection, request)
    while True:
        try:
            with contextlib.closing(_Stream(connection, reading)) as stream:
                while found := stream.take(1):
                    reading.count(found[0])
                    yield found[0]
            return
        except CallFailed as failure:
            status = failure.status
        connection.closed.wait(reading.pause_after(status))


async def aeach(connection: Connection, request: ListCheckpointsRequest) -> AsyncGenerator[CheckpointTuple]:
    """Read a list from any event loop. Leaving it early, or cancelling the task, cancels the call."""
    reading = _Reading(connection, request)
    while True:
        try:
            with contextlib.closing(_Stream(connection, reading)) as stream:
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


class _Reading:
    """How far the reading of a list has come, and how it goes on after a failure. No I/O.

    A list that has given nothing yet is simply asked for again. One that has goes on before its last checkpoint; that
    is right only within one namespace, whose order is that of commits, and only if the list did not begin before a
    checkpoint itself, which may be of another namespace and then means an order of ids.
    """

    def __init__(self, connection: Connection, request: ListCheckpointsRequest) -> None:
        self.request = request
        self._connection = connection
        self._attempts = Attempts(connection)
        self._taken = 0
        self._last = ""
        self._can_go_on = bool(
            request.thread_id and request.HasField("checkpoint_ns") and not request.before_checkpoint_id
        )

    def timeouts(self) -> tuple[float | None, float | None]:
        """Seconds for the first checkpoint to come, and for the whole stream; None for no bound.

        A list that could not go on has no bound as a whole, because it may be read slowly.
        """
        left = self._attempts.time_left()
        return (None, left) if self._can_go_on else (left, None)

    def count(self, found: CheckpointTuple) -> None:
        """Note that a checkpoint was taken."""
        self._taken += 1
        self._last = found.checkpoint.id

    def pause_after(self, status: Status) -> float:
        """Seconds to wait before `request`, which may have changed, is sent again. Raises when it can't be."""
        if not self._taken:
            return self._attempts.pause_after(status)
        slowly_read = status.code is grpc.StatusCode.DEADLINE_EXCEEDED
        if not self._can_go_on or not (slowly_read or status.is_transient()):
            raise self._attempts.error(status)
        request = ListCheckpointsRequest()
        request.CopyFrom(self.request)
        request.before_checkpoint_id = self._last
        if request.HasField("limit"):
            request.limit -= self._taken
        self.request, self._taken = request, 0
        self._attempts = Attempts(self._connection)
        return 0.0 if slowly_read else self._attempts.pause_after(status)


class _Stream:
    """A list under way."""

    def __init__(self, connection: Connection, reading: _Reading) -> None:
        self._connection = connection
        self._late = False
        first_within, timeout = reading.timeouts()
        with gate:
            self._stubs, self._call = connection.attempt(
                lambda stubs: (
                    stubs,
                    stubs.checkpoints.ListCheckpoints(reading.request, timeout=timeout, metadata=connection.metadata),
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

    def take(self, most: int) -> list[CheckpointTuple]:
        """The next checkpoints, at least one and at most so many; none at the end. Waits for them in this thread."""
        taken: list[CheckpointTuple] = []
        size = 0
        try:
            while len(taken) < most and size < _BYTES_AT_A_TIME:
                with gate:
                    found = self._connection.attempt(self._next)
                self._calm()
                if found is None:
                    break
                taken.append(found.checkpoint_tuple)
                size += found.ByteSize()
        except CallFailed:
            if self._late:
                raise CallFailed(LATE) from None
            if not taken:
                raise  # otherwise it is raised again when the next ones are taken
        return taken

    def _next(self, stubs: Stubs) -> ListCheckpointsResponse | None:
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
