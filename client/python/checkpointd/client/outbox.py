"""What a stream of gRPC's sends for a session: which ops go together in one message, and when."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Self

from checkpointd.client.fork import ThreadOfGrpcs
from checkpointd.client.packet import ENOUGH_BYTES, MOST_OPS, Held

# Up to so many ops are sent as they come. While more are under way, what comes gathers until an answer does, or for so
# many seconds: one op that waits for a lock on the server does not hold up the others. Fewer and larger messages cost
# both sides less, and many threads at once get more done.
_FEW = 4
_GATHER = 0.003


class Outbox(Iterator[bytes]):
    """The messages of a session, each made of the ops that there are when gRPC asks for it."""

    def __init__(self, under_way: Callable[[], int]) -> None:
        """`under_way` says how many ops have no answer yet."""
        # What makes up the next message; None ends it all, b"" only asks for a message of what is held.
        self._ops: SimpleQueue[bytes | None] = SimpleQueue()
        # What goes with the next message, without being a reason for one.
        self._held = Held()
        self._under_way = under_way
        # Whether a message has gone out since the last answer, and what says that an answer has come.
        self._ahead = False
        self._answer = threading.Lock()
        # The thread that takes the messages.
        self.taking = ThreadOfGrpcs()

    def put(self, op: bytes, *, may_wait: bool = False) -> None:
        """Send an op; one that may wait with the next that does not, or when `hurry` says so."""
        if not (may_wait and self._held.take_in(op)):
            self._ops.put(op)

    def hurry(self) -> None:
        """Let nothing wait any longer of what was put until now."""
        if self._held:
            self._ops.put(b"")

    def finish(self) -> None:
        """End after what was put until now."""
        self._ops.put(None)

    def answered(self) -> None:
        """Say, always in the same thread, that there was an answer."""
        self._ahead = False
        if self._answer.locked():
            self._answer.release()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        self.taking.is_this()
        message = b""
        while not message:  # what was asked for may have gone with the message before
            op = self._ops.get()
            self._gather()
            message = self._message(op)
        self._ahead = True
        return message

    def _message(self, op: bytes | None) -> bytes:
        """What is held, this op, and those that came after it."""
        ops = self._held.take_out()
        size = sum(map(len, ops))
        while op is not None:
            ops.append(op)
            size += len(op)
            if size >= ENOUGH_BYTES or len(ops) >= MOST_OPS or self._ops.empty():
                break
            op = self._ops.get()
        else:
            if not ops:
                raise StopIteration
            self._ops.put(None)  # for the next time
        return b"".join(ops)

    def _gather(self) -> None:
        if self._ahead and self._under_way() > _FEW:
            self._answer.acquire(blocking=False)
            if self._ahead:  # otherwise the answer came before the line above
                self._answer.acquire(timeout=_GATHER)
