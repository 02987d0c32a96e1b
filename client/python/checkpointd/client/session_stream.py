"""A session that is carried by a stream of gRPC's: for all threads and event loops of the process.

Three threads serve it: one of gRPC's takes what is to be sent, one of gRPC's delivers what has come, and one of
its own sees to its end. They end with the session, and a fork waits for that (see fork.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import grpc

from checkpointd.client.fork import ThreadOfGrpcs, gate, keep_for_ever
from checkpointd.client.outbox import Outbox
from checkpointd.client.receiving import receive
from checkpointd.client.session import Session
from checkpointd.client.status import INTERRUPTED, Status
from checkpointd.client.waiting import WaitingThread

_METHOD = "/checkpointd.v1.Checkpoints/Session"

# Seconds. How long the end of a session's threads is waited for.
_PATIENCE = 5.0

_Metadata = tuple[tuple[str, str | bytes], ...]


class StreamSession(Session):
    """One stream, from its opening until it ends by itself, with its connection, or before a fork."""

    def __init__(
        self, channel: grpc.Channel, metadata: tuple[tuple[str, str], ...], told: Callable[[_Metadata], None]
    ) -> None:
        """`channel` is the session's own, so that its threads are, too. `told` is called, in a thread of the session's,
        with the initial metadata that the server sends."""
        super().__init__()
        # Whether it ended because the server knows no sessions.
        self.unknown = False
        self._inherited = False
        self._told = told
        self._outbox = Outbox(lambda: len(self._waiting))
        self._channel = channel
        self._delivering = ThreadOfGrpcs()
        open_stream: grpc.StreamStreamMultiCallable[bytes, bool] = channel.stream_stream(
            _METHOD, response_deserializer=self._received
        )
        self._reading = threading.Thread(target=self._read, name="checkpointd-session", daemon=True)
        self._call = open_stream(self._outbox, metadata=metadata)
        if not self._call.add_callback(self._delivering.is_this):
            self._delivering.is_gone()
        gate.add(self)
        self._reading.start()

    def hurry(self) -> None:
        self._outbox.hurry()

    def wait(self, waiting: WaitingThread, seconds: float | None) -> bool:
        """Wait for the outcome of an op that was sent. False when it has not come in time."""
        return waiting.wait(seconds)

    def finish(self) -> None:
        """Send what there is, and end when it is answered. May be called anywhere, also by the garbage collector."""
        self._outbox.finish()

    def interrupt(self) -> None:
        if not self._inherited:
            self._channel.close()

    def settle(self) -> None:
        """End the session and wait for its threads to leave gRPC."""
        if self._inherited:
            return
        self._channel.close()
        if self._reading is not threading.current_thread():  # which may collect garbage that closes a client
            self._reading.join(_PATIENCE)
        self._outbox.taking.join(_PATIENCE)
        self._delivering.join(_PATIENCE)

    def forget(self) -> None:
        """In the child of a fork: leave the parent's session alone."""
        self._inherited = self.ended = True
        keep_for_ever(self)

    def _put(self, op: bytes, *, may_wait: bool) -> None:
        self._outbox.put(op, may_wait=may_wait)

    def _read(self) -> None:
        status = INTERRUPTED
        over = threading.Event()
        try:
            if receive(self._call, self._received, over.set):
                self._told(tuple(self._call.initial_metadata() or ()))
                over.wait()
            for _ in self._call:
                pass  # it was delivered
        except grpc.RpcError as failure:
            status = Status.of(failure)
            failure.__traceback__ = None  # the call itself is what was raised, and its frames hold it; it must end here
        finally:
            self._end(status)

    def _received(self, response: bytes) -> bool:
        """Deliver in gRPC's thread that reads the response: one thread less to wake for each."""
        self._deliver(response)
        self._outbox.answered()
        return True

    def _end(self, status: Status) -> None:
        self.unknown = status.code is grpc.StatusCode.UNIMPLEMENTED
        self._fail(status)
        self._outbox.finish()
        self._channel.close()
        del self._call
