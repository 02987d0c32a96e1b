"""Which ops of a session go together in one message."""

from __future__ import annotations

from collections import deque

# What one message takes. As no op has more than 256 KiB, it has at most 1 MiB.
MOST_OPS = 1000
ENOUGH_BYTES = 768 * 1024

# So many ops, each of so many bytes, wait for company at the same time. One more takes them along: those who wait may
# be all the threads that a graph has.
_MOST_HELD = 3
_LARGEST_HELD = 16 * 1024


class Held:
    """Ops that go with the next message, without being a reason for one. Its methods may be called by any thread."""

    def __init__(self) -> None:
        self._ops: deque[bytes] = deque()

    def __bool__(self) -> bool:
        return bool(self._ops)

    def take_in(self, op: bytes) -> bool:
        """Hold an op. False when it is to be sent at once."""
        if len(op) > _LARGEST_HELD or len(self._ops) >= _MOST_HELD:
            return False
        self._ops.append(op)
        return True

    def take_out(self) -> list[bytes]:
        """What is held, no longer."""
        ops = []
        while self._ops:
            try:
                ops.append(self._ops.popleft())
            except IndexError:  # another thread was faster
                break
        return ops


class Packet:
    """What is to be sent as soon as may be, and what goes along."""

    def __init__(self) -> None:
        self._held = Held()
        self._ops: deque[bytes] = deque()

    def __bool__(self) -> bool:
        return bool(self._ops)

    def put(self, op: bytes, *, may_wait: bool = False) -> None:
        """Put an op in; one that may wait is no reason to send."""
        if not (may_wait and self._held.take_in(op)):
            self._ops.append(op)

    def hurry(self) -> None:
        """Let nothing wait any longer of what was put until now."""
        if self._held:
            self._ops.extend(self._held.take_out())

    def message(self) -> bytes:
        """The next message, of what is held and what is to be sent; empty when there is none.

        For one thread at a time.
        """
        if len(self._ops) == 1 and not self._held:
            return self._ops.popleft()
        ops = self._held.take_out()
        size = sum(map(len, ops))
        while self._ops and size < ENOUGH_BYTES and len(ops) < MOST_OPS:
            ops.append(self._ops.popleft())
            size += len(ops[-1])
        return b"".join(ops)
