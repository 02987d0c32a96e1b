"""Which session carries an op.

The first one of a process is a stream of gRPC's, for all its threads and event loops. A server may offer there to carry
sessions by sockets; then the threads share one, each event loop has one of its own, and the stream ends. Where no
socket can be had, the stream goes on.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable

import grpc

from checkpointd.client.errors import ClientClosed
from checkpointd.client.session_loop import LoopSession
from checkpointd.client.session_socket import Offer, SessionSocket, connect, offer_of
from checkpointd.client.session_stream import StreamSession
from checkpointd.client.session_threads import ThreadSession

_Metadata = tuple[tuple[str, str | bytes], ...]


class Sessions:
    """The sessions of a connection."""

    def __init__(
        self,
        target: str,
        metadata: Callable[[], tuple[tuple[str, str], ...]],
        closed: threading.Event,
        new_channel: Callable[[str, int], grpc.Channel],
    ) -> None:
        self._target = target
        self._metadata = metadata
        self._closed = closed
        self._new_channel = new_channel
        self._stream: StreamSession | None = None
        self._end_stream: weakref.finalize[[], Sessions] | None = None
        self._end_loops: weakref.finalize[[dict[asyncio.AbstractEventLoop, LoopSession]], Sessions] | None = None
        self._start_again()

    def _start_again(self) -> None:
        self._lock = threading.Lock()
        self._connecting = threading.Lock()  # apart, since it may be held for a second
        self._offer: Offer | None = None
        self._spare: SessionSocket | None = None  # that nobody uses yet
        self._threads: ThreadSession | None = None
        self._loops: dict[asyncio.AbstractEventLoop, LoopSession] = {}
        # Their loops hold them if the connection is dropped without being closed.
        if self._end_loops is not None:
            self._end_loops.detach()
        self._end_loops = weakref.finalize(self, _interrupt_all, self._loops)
        self._end_loops.atexit = False
        self._coming: dict[asyncio.AbstractEventLoop, asyncio.Future[None]] = {}

    def stream(self) -> StreamSession | None:
        """The session on a stream; None when the server knows no sessions. To be called, and used, inside the gate.

        Raises ClientClosed.
        """
        session = self._stream
        if session is None or session.ended:
            with self._lock:
                session = self._stream = self._next_stream(self._stream)
        return None if session.unknown else session

    def of_threads(self) -> ThreadSession | None:
        """The session that threads share; None when there is none for now."""
        session = self._threads
        if session is not None and not session.ended:
            return session
        return None if self._offer is None else self._open_for_threads()

    async def of_loop(self) -> LoopSession | None:
        """The session of the running event loop; None when there is none for now."""
        loop = asyncio.get_running_loop()
        session = self._loops.get(loop)
        if session is not None and not session.ended:
            return session
        return None if self._offer is None else await self._open_for_loop(loop)

    def close(self) -> None:
        """End all sessions for good. To be called inside the gate."""
        with self._lock:
            stream, threads, loops = self._stream, self._threads, list(self._loops.values())
            self._offer = self._spare = self._threads = None
        if threads is not None:
            threads.interrupt()
        for session in loops:
            session.interrupt()
        if stream is not None:
            stream.settle()

    def forget(self, closed: threading.Event) -> None:
        """In the child of a fork: leave the parent's sessions alone and start without any."""
        self._closed = closed
        inherited = [self._threads, *self._loops.values()]
        spare = self._spare
        self._start_again()
        for session in inherited:
            if session is not None:
                session.forget()
        if spare is not None:
            spare.forget()
        if self._stream is not None and not self._stream.unknown:
            self._stream = None

    def _next_stream(self, last: StreamSession | None) -> StreamSession:
        if self._closed.is_set():
            raise ClientClosed("the client is closed", server=self._target)
        if last is not None and (last.unknown or not last.ended):
            return last
        process = os.getpid()
        told = weakref.WeakMethod(self._told)

        def tell(metadata: _Metadata) -> None:
            if (still := told()) is not None and os.getpid() == process:
                still(metadata)

        session = StreamSession(self._new_channel(self._target, process), self._metadata(), tell)
        if self._end_stream is not None:
            self._end_stream.detach()
        # Nobody else ends it if the connection is dropped without being closed.
        self._end_stream = weakref.finalize(self, session.finish)
        self._end_stream.atexit = False
        return session

    def _told(self, metadata: _Metadata) -> None:
        """Take an offer, in the stream's own thread, if it leads somewhere."""
        offer = offer_of(metadata, self._target)
        if offer is None or self._offer == offer or (socket := connect(offer)) is None:
            return
        with self._lock:
            if not self._closed.is_set():
                self._offer, self._spare = offer, socket

    def _open_for_threads(self) -> ThreadSession | None:
        with self._connecting:
            session = self._threads
            if session is not None and not session.ended:
                return session  # another thread was faster
            if (socket := self._take_socket()) is None:
                return None
            with self._lock:
                if self._closed.is_set():
                    return None
                self._threads = session = ThreadSession(socket)
        self._leave_stream()
        return session

    async def _open_for_loop(self, loop: asyncio.AbstractEventLoop) -> LoopSession | None:
        coming = self._coming.get(loop)
        if coming is None:
            coming = self._coming[loop] = loop.create_future()
            threading.Thread(
                target=self._bring, args=(loop, coming), name="checkpointd-connecting", daemon=True
            ).start()
        await asyncio.shield(coming)
        session = self._loops.get(loop)
        return None if session is None or session.ended else session

    def _bring(self, loop: asyncio.AbstractEventLoop, coming: asyncio.Future[None]) -> None:
        """Find a socket for a loop, in a thread of its own, since that takes a while."""
        socket = None
        try:
            with self._connecting:
                socket = self._take_socket()
        finally:
            self._hand_over(loop, coming, socket)

    def _hand_over(
        self, loop: asyncio.AbstractEventLoop, coming: asyncio.Future[None], socket: SessionSocket | None
    ) -> None:
        try:
            loop.call_soon_threadsafe(self._install, loop, coming, socket)
        except RuntimeError:  # the loop was closed meanwhile
            self._coming.pop(loop, None)

    def _install(
        self, loop: asyncio.AbstractEventLoop, coming: asyncio.Future[None], socket: SessionSocket | None
    ) -> None:
        self._coming.pop(loop, None)
        try:
            if socket is not None and not self._closed.is_set():
                self._begin_in(loop, socket)
        finally:
            if not coming.done():
                coming.set_result(None)

    def _begin_in(self, loop: asyncio.AbstractEventLoop, socket: SessionSocket) -> None:
        try:
            session = LoopSession(socket, loop)
        except NotImplementedError:  # such as Windows' usual one
            self._offer = None
            return
        for ended in [one for one in self._loops if one.is_closed()]:
            self._loops.pop(ended).interrupt()
        self._loops[loop] = session
        self._leave_stream()

    def _take_socket(self) -> SessionSocket | None:
        """A socket that nobody uses; for one thread at a time.

        Without one the offer is of no more use: a server that is there makes a new one.
        """
        with self._lock:
            offer, socket, self._spare = self._offer, self._spare, None
        if socket is None and offer is not None and (socket := connect(offer)) is None:
            self._offer = None
        return socket

    def _leave_stream(self) -> None:
        if (stream := self._stream) is not None:
            stream.finish()  # it answers what it has taken, and ends


def _interrupt_all(loops: dict[asyncio.AbstractEventLoop, LoopSession]) -> None:
    for session in loops.values():
        session.interrupt()
