"""A session on a socket, for the tasks of one event loop. All of it happens in the loop."""

from __future__ import annotations

import asyncio

from checkpointd.client.packet import Packet
from checkpointd.client.session import Session
from checkpointd.client.session_socket import SessionSocket, framed
from checkpointd.client.status import INTERRUPTED, Status


class LoopSession(Session):
    """One socket, until it ends by itself, with its connection, or with its loop."""

    def __init__(self, carrier: SessionSocket, loop: asyncio.AbstractEventLoop) -> None:
        """Raises NotImplementedError where a loop can't watch sockets."""
        super().__init__()
        self._socket = carrier
        self._inherited = False
        self._loop = loop
        self._packet = Packet()
        self._flushing = False
        self._unsent = b""
        loop.add_reader(carrier.fileno(), self._readable)

    def hurry(self) -> None:
        self._packet.hurry()
        self._flush_soon()

    def interrupt(self) -> None:
        if not self._inherited:
            self._socket.shut_down()  # which the loop, if it still runs, takes for the end

    def forget(self) -> None:
        """In the child of a fork: leave the parent's session alone."""
        self._inherited = self.ended = True
        self._socket.forget()

    def _put(self, op: bytes, *, may_wait: bool) -> None:
        self._packet.put(op, may_wait=may_wait)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self._packet and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)  # not at once: what other tasks send in this step goes along

    def _flush(self) -> None:
        self._flushing = False
        while not self.ended and not self._unsent and (message := self._packet.message()):
            self._unsent = framed(message)
            self._write()

    def _write(self) -> None:
        try:
            sent = self._socket.raw.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end(INTERRUPTED)
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self._loop.add_writer(self._socket.fileno(), self._writable)

    def _writable(self) -> None:
        self._loop.remove_writer(self._socket.fileno())
        self._write()
        self._flush()

    def _readable(self) -> None:
        messages = self._socket.receive()
        status = INTERRUPTED if messages is None else self._deliver_all(messages)
        if status is not None:
            self._end(status)

    def _end(self, status: Status) -> None:
        if not self.ended:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.shut_down()
            self._fail(status)
