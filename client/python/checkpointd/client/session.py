"""A session: one stream that carries small ops, each answered by its number. What carries the stream is another matter.

A call of its own costs an op many times what its share of a stream costs, on both sides. The ops that come while others
are under way go together, and so do the answers.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence

import grpc
from google.protobuf.message import DecodeError

from checkpointd.client.session_wire import answer_of, op_bytes, status_of
from checkpointd.client.status import INTERRUPTED, Status
from checkpointd.client.tracing import traceparent
from checkpointd.client.waiting import Outcome, Ready, Waiting, wake
from checkpointd.v1.checkpoints_pb2 import SessionResponse

# Larger ones would hold up the others.
LARGEST_OP = 256 * 1024

# The outcome of an op when the session ended for a reason that need not be the op's: a call of its own will tell.
ASK_ALONE = Status(grpc.StatusCode.UNKNOWN, "the session ended")


class Session(ABC):
    """The ops of a session that have no outcome yet, until it ends by itself or is ended."""

    def __init__(self) -> None:
        self.ended = False
        self._numbers = itertools.count(1)
        # By number. Who takes one out of it decides what becomes of the op.
        self._waiting: dict[int, Waiting] = {}

    def send(self, waiting: Waiting, request: bytes, *, may_wait: bool = False) -> int:
        """Send an op, of `waiting`'s kind; one that may wait goes with the next that does not, or when told to hurry.

        Returns its number, or 0 when the session has ended.
        """
        number = next(self._numbers)
        op = op_bytes(number, waiting.kind, request, traceparent())
        self._waiting[number] = waiting
        if self.ended and self.drop(number):
            return 0
        self._put(op, may_wait=may_wait)
        return number

    def drop(self, number: int) -> bool:
        """Wait for an op no longer. False when it has its outcome, or is being given it."""
        return self._waiting.pop(number, None) is not None

    @abstractmethod
    def hurry(self) -> None:
        """Send what waits to go with other ops."""

    @abstractmethod
    def interrupt(self) -> None:
        """End the session, from any thread; the ops that wait fail as interrupted."""

    @abstractmethod
    def _put(self, op: bytes, *, may_wait: bool) -> None:
        """Send an op, in the form of `op_bytes`."""

    def _deliver_all(self, responses: Sequence[bytes]) -> Status | None:
        """As `_deliver`, for what a socket brings."""
        for response in responses:
            try:
                end = self._deliver(response)
            except DecodeError:
                return INTERRUPTED
            if end is not None:
                return end
        return None

    def _deliver(self, response: bytes) -> Status | None:
        """Give the ops of a response their outcomes. Returns why the server ends the session, if it does."""
        said = SessionResponse.FromString(response)
        ready: Ready = {}
        for answer in said.answers:
            waiting = self._waiting.pop(answer.number, None)
            if waiting is not None:
                waiting.end(Outcome(*answer_of(answer, waiting.kind)), ready)
        if ready:
            wake(ready)
        return status_of(said.end) if said.HasField("end") else None

    def _fail(self, status: Status) -> None:
        """Give what waits the outcome that its session has ended."""
        self.ended = True  # from here on, `send` takes its op back
        outcome = Outcome(None, status if status.is_transient() else ASK_ALONE)
        ready: Ready = {}
        for number in list(self._waiting):
            waiting = self._waiting.pop(number, None)
            if waiting is not None:
                waiting.end(outcome, ready)
        wake(ready)
