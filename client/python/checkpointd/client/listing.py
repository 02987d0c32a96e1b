"""Reading a list of checkpoints, which comes as a stream: from a thread (`each`) and from an event loop (`aeach`)."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator

import grpc

from checkpointd.client.connection import Connection, Interrupted, keep_inherited
from checkpointd.client.fork import gate
from checkpointd.client.retry import Attempts, is_transient
from checkpointd.v1.checkpoints_pb2 import ListCheckpointsRequest
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
            with contextlib.closing(_Stream(connection, reading.request, reading.timeout())) as stream:
                while found := stream.take(1):
                    reading.count(found[0])
                    yield found[0]
            return
        except grpc.RpcError as failure:
            pause = reading.pause_after(failure)
        connection.closed.wait(pause)


async def aeach(connection: Connection, request: ListCheckpointsRequest) -> AsyncGenerator[CheckpointTuple]:
    """Read a list from any event loop. Leaving it early, or cancelling the task, cancels the call."""
    reading = _Reading(connection, request)
    while True:
        try:
            with contextlib.closing(_Stream(connection, reading.request, reading.timeout())) as stream:
                at_a_time = 1
                while found := await asyncio.to_thread(stream.take, at_a_time):
                    for one in found:
                        reading.count(one)
                        yield one
                    at_a_time = min(2 * at_a_time, _MOST_AT_A_TIME)
            return
        except grpc.RpcError as failure:
            pause = reading.pause_after(failure)
        await asyncio.sleep(pause)


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

    def timeout(self) -> float | None:
        """Seconds for gRPC to give the stream. None for one that could not go on: it may be read slowly."""
        return self._attempts.time_left() if self._can_go_on else None

    def count(self, found: CheckpointTuple) -> None:
        """Note that a checkpoint was taken."""
        self._taken += 1
        self._last = found.checkpoint.id

    def pause_after(self, failure: grpc.RpcError) -> float:
        """Seconds to wait before `request`, which may have changed, is sent again. Raises when it can't be."""
        if not self._taken:
            return self._attempts.pause_after(failure)
        slowly_read = failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        if not self._can_go_on or not (slowly_read or is_transient(failure)):
            raise self._attempts.error_of(failure) from failure
        request = ListCheckpointsRequest()
        request.CopyFrom(self.request)
        request.before_checkpoint_id = self._last
        if request.HasField("limit"):
            request.limit -= self._taken
        self.request, self._taken = request, 0
        self._attempts = Attempts(self._connection)
        return 0.0 if slowly_read else self._attempts.pause_after(failure)


class _Stream:
    """A list under way."""

    def __init__(self, connection: Connection, request: ListCheckpointsRequest, timeout: float | None) -> None:
        with gate:
            self._call = connection.begin(
                lambda stubs: stubs.checkpoints.ListCheckpoints(request, timeout=timeout, metadata=connection.metadata)
            )
            self._stubs = connection.stubs()
        self._connection = connection

    def take(self, most: int) -> list[CheckpointTuple]:
        """The next checkpoints, at least one and at most so many; none at the end. Waits for them in this thread."""
        taken: list[CheckpointTuple] = []
        size = 0
        with gate:
            if self._connection.stubs() is not self._stubs:
                raise Interrupted  # by a fork, of which this may even be the child
            try:
                while len(taken) < most and size < _BYTES_AT_A_TIME:
                    found = next(self._call).checkpoint_tuple
                    taken.append(found)
                    size += found.ByteSize()
            except StopIteration:
                pass
            except grpc.RpcError:
                if not taken:
                    raise  # otherwise the next call does
        return taken

    def close(self) -> None:
        """Cancel the call if it has not ended."""
        with gate:
            if self._stubs.of_this_process():
                self._call.cancel()
            else:
                keep_inherited(self._call)
