"""A session: one stream that carries the small ops of all threads and event loops of this process.

A call of its own costs an op twice what its share of a stream costs, on both sides. The ops that come while others are
under way go together, and so do the answers.

Three threads serve a session: one of gRPC's takes what is to be sent, one of gRPC's delivers what has come, and one of
its own sees to its end. They end with the session, and a fork waits for that (see fork.py).
"""

from __future__ import annotations

import itertools
import threading

import grpc

from checkpointd.client.fork import ThreadOfGrpcs, gate, keep_for_ever
from checkpointd.client.outbox import Outbox
from checkpointd.client.receiving import receive
from checkpointd.client.session_wire import answer_of, op_bytes
from checkpointd.client.status import INTERRUPTED, Status
from checkpointd.client.waiting import Outcome, Ready, Waiting, wake
from checkpointd.v1.checkpoints_pb2 import SessionResponse

_METHOD = "/checkpointd.v1.Checkpoints/Session"

# Larger ones would hold up the others.
LARGEST_OP = 256 * 1024

# Seconds. How long the end of a session's threads is waited for.
_PATIENCE = 5.0

# The outcome of an op when the session ended for a reason that need not be the op's: a call of its own will tell.
ASK_ALONE = Status(grpc.StatusCode.UNKNOWN, "the session ended")


class Session:
    """One stream, from its opening until it ends by itself, with its connection, or before a fork."""

    def __init__(self, channel: grpc.Channel, metadata: tuple[tuple[str, str], ...]) -> None:
        """`channel` is the session's own, so that its threads are, too."""
        self.ended = False
        # Whether it ended because the server knows no sessions.
        self.unknown = False
        self._inherited = False
        self._numbers = itertools.count(1)
        # By number. Who takes one out of it decides what becomes of the op.
        self._waiting: dict[int, Waiting] = {}
        self._outbox = Outbox(lambda: len(self._waiting))
        self._channel = channel
        self._delivering = ThreadOfGrpcs()
        open_stream: grpc.StreamStreamMultiCallable[bytes, bool] = channel.stream_stream(
            _METHOD, response_deserializer=self._deliver
        )
        self._reading = threading.Thread(target=self._read, name="checkpointd-session", daemon=True)
        self._call = open_stream(self._outbox, metadata=metadata)
        if not self._call.add_callback(self._delivering.is_this):
            self._delivering.is_gone()
        gate.add(self)
        self._reading.start()

    def send(self, waiting: Waiting, request: bytes, *, may_wait: bool = False) -> int:
        """Send an op, of `waiting`'s kind; one that may wait goes with the next that does not, or when told to hurry.

        Returns its number, or 0 when the session has ended.
        """
        number = next(self._numbers)
        op = op_bytes(number, waiting.kind, request)
        self._waiting[number] = waiting
        if self.ended and self.drop(number):
            return 0
        self._outbox.put(op, may_wait=may_wait)
        return number

    def hurry(self) -> None:
        """Send what waits to go with other ops."""
        self._outbox.hurry()

    def drop(self, number: int) -> bool:
        """Wait for an op no longer. False when it has its outcome, or is being given it."""
        return self._waiting.pop(number, None) is not None

    def finish(self) -> None:
        """Send what there is, and end when it is answered. May be called anywhere, also by the garbage collector."""
        self._outbox.finish()

    def interrupt(self) -> None:
        """End the session; the ops that wait fail as interrupted."""
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

    def _read(self) -> None:
        status = INTERRUPTED
        over = threading.Event()
        try:
            if receive(self._call, self._deliver, over.set):
                over.wait()
            for _ in self._call:
                pass  # it was delivered
        except grpc.RpcError as failure:
            status = Status.of(failure)
            failure.__traceback__ = None  # the call itself is what was raised, and its frames hold it; it must end here
        finally:
            self._end(status)

    def _deliver(self, response: bytes) -> bool:
        """Give the ops their outcomes, in gRPC's thread that reads the response: one thread less to wake for each."""
        ready: Ready = {}
        for answer in SessionResponse.FromString(response).answers:
            waiting = self._waiting.pop(answer.number, None)
            if waiting is not None:
                waiting.end(Outcome(*answer_of(answer, waiting.kind)), ready)
        wake(ready)
        self._outbox.answered()
        return True

    def _end(self, status: Status) -> None:
        self.unknown = status.code is grpc.StatusCode.UNIMPLEMENTED
        self.ended = True  # from here on, `send` takes its op back
        outcome = Outcome(None, status if status.is_transient() else ASK_ALONE)
        ready: Ready = {}
        for number in list(self._waiting):
            waiting = self._waiting.pop(number, None)
            if waiting is not None:
                waiting.end(outcome, ready)
        wake(ready)
        self._outbox.finish()
        self._channel.close()
        del self._call
