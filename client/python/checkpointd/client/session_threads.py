"""A session on a socket, for the threads of a process.

There is no thread beside those that wait: one of them reads for all, and when it has its own answer another one goes
on. So a thread that is alone sends and receives by itself, without being woken by anybody.
"""

from __future__ import annotations

import select
import threading
import time

from checkpointd.client.packet import Packet
from checkpointd.client.session import Session
from checkpointd.client.session_socket import SessionSocket, framed
from checkpointd.client.status import INTERRUPTED
from checkpointd.client.waiting import WaitingThread

# Seconds. A server that takes nothing for so long is not there any more.
_STUCK = 20.0


class ThreadSession(Session):
    """One socket, used by any number of threads, until it ends by itself or with its connection."""

    def __init__(self, carrier: SessionSocket) -> None:
        super().__init__()
        self._socket = carrier
        self._inherited = False
        self._packet = Packet()
        self._sending = threading.Lock()
        self._leading = threading.Lock()  # of who reads
        self._readable = _Readiness(carrier, "read")
        self._writable = _Readiness(carrier, "write")

    def hurry(self) -> None:
        self._packet.hurry()
        self._flush()

    def interrupt(self) -> None:
        if not self._inherited:
            self._socket.shut_down()
            self._fail(INTERRUPTED)

    def forget(self) -> None:
        """In the child of a fork: leave the parent's session alone."""
        self._inherited = self.ended = True
        self._socket.forget()

    def wait(self, waiting: WaitingThread, seconds: float | None) -> bool:
        """Wait for the outcome of an op that was sent. False when it has not come in time."""
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            while waiting.outcome is None:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                if self._leading.acquire(blocking=False):
                    try:
                        self._lead(waiting, deadline)
                    finally:
                        self._leading.release()
                else:
                    waiting.wait(left)
            return True
        finally:
            self._let_another_lead(waiting)

    def drop(self, number: int) -> bool:
        dropped = super().drop(number)
        self._let_another_lead()  # who was woken to read may be who gives up
        return dropped

    def _put(self, op: bytes, *, may_wait: bool) -> None:
        self._packet.put(op, may_wait=may_wait)
        self._flush()

    def _flush(self) -> None:
        """Send what there is, unless another thread does."""
        while self._packet and self._sending.acquire(blocking=False):
            sent = False
            try:
                if message := self._packet.message():
                    self._send(framed(message))
                sent = True
            except OSError:
                pass
            finally:
                self._sending.release()
                if not sent:  # perhaps in part: what comes after it could not be understood
                    self.interrupt()

    def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._socket.raw.send(rest) :]
            except BlockingIOError:
                if not self._writable.within(_STUCK):
                    raise TimeoutError from None

    def _lead(self, own: WaitingThread, deadline: float | None) -> None:
        """Read for all until there is the own outcome."""
        whole = False
        try:
            while own.outcome is None and not self.ended:
                if not self._readable.within(None if deadline is None else deadline - time.monotonic()):
                    break
                self._receive()
            whole = True
        finally:
            if not whole:  # an exception such as Ctrl-C's: what was read may be lost
                self.interrupt()

    def _receive(self) -> None:
        messages = self._socket.receive()
        status = INTERRUPTED if messages is None else self._deliver_all(messages)
        if status is not None:
            self._socket.shut_down()
            self._fail(status)

    def _let_another_lead(self, leaving: WaitingThread | None = None) -> None:
        """If nobody reads, wake one of those who wait."""
        if not self._waiting or self._leading.locked():
            return
        for waiting in list(self._waiting.values()):
            if isinstance(waiting, WaitingThread) and waiting is not leaving:
                waiting.wake()
                return


class _Readiness:
    """Waits until a socket can be read or written. For one thread at a time."""

    def __init__(self, carrier: SessionSocket, what: str) -> None:
        self._file = carrier.fileno()
        self._write = what == "write"
        self._poll = None
        if hasattr(select, "poll"):  # not on Windows
            self._poll = select.poll()
            self._poll.register(self._file, select.POLLOUT if self._write else select.POLLIN)

    def within(self, seconds: float | None) -> bool:
        """Whether it can be, within so many seconds; None waits for ever."""
        if self._poll is not None:
            return bool(self._poll.poll(None if seconds is None else max(0.0, seconds * 1000)))
        files = [self._file]
        timeout = None if seconds is None else max(0.0, seconds)
        return any(select.select([] if self._write else files, files if self._write else [], [], timeout))
