"""Sessions that are carried by plain sockets, for a fraction of what gRPC costs. The rpc Session says how."""

import asyncio
import hmac
import logging
import secrets
import socket
from typing import Final, cast

from google.protobuf.message import DecodeError

from checkpointd.engine import Engine
from checkpointd.engine.errors import EngineError, ServerStopping
from checkpointd.server.admission import Admission
from checkpointd.server.guard import malformed, too_large
from checkpointd.server.monitoring.calls import Monitor
from checkpointd.server.sessions import Session, session_error
from checkpointd.v1.checkpoints_pb2 import SessionHello, SessionOffer, SessionRequest, SessionResponse, SessionWelcome

_log = logging.getLogger(__name__)

_RPC = "Session"

METADATA: Final = "checkpointd-session-offer-bin"

# Bytes of the length in front of every message.
_LENGTH = 4

# Bytes. A hello has a tenant's name and a ticket.
_LONGEST_HELLO = 1024

# Seconds. How long a client may take to say hello, and to leave once it is told that the session is over.
_PATIENCE = 5.0

# A connection that died without a word is noticed, in seconds and probes.
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 2))


class Tickets:
    """What shows, without anything to be remembered, that this server has made an offer, and to which tenant."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def hello(self, tenant: str) -> SessionHello:
        return SessionHello(tenant=tenant, ticket=self._sign("hello", tenant))

    def welcome(self, tenant: str) -> SessionWelcome:
        return SessionWelcome(countersign=self._sign("welcome", tenant))

    def is_ours(self, hello: SessionHello) -> bool:
        return hmac.compare_digest(hello.ticket, self._sign("hello", hello.tenant))

    def _sign(self, what: str, tenant: str) -> bytes:
        return hmac.digest(self._key, f"{what} {tenant}".encode(), "sha256")


class SessionSockets:
    """Listens for sessions beside gRPC, at the same host."""

    def __init__(self, engine: Engine, max_message_size: int, admission: Admission, monitor: Monitor) -> None:
        self.engine = engine
        self.monitor = monitor
        self.max_message_size = max_message_size
        self.admission = admission
        self.tickets = Tickets()
        self.open: set[_Connection] = set()
        self._port = 0
        self._servers: list[asyncio.Server] = []
        self._stopping = False

    async def start(self, host: str, port: int) -> None:
        """Listen on all addresses that a host's name has; port 0 takes a free one.

        Raises:
            OSError: it can't be had.
        """
        host = host.removeprefix("[").removesuffix("]")
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, *_, place in found:
            try:
                listening = _listening(family, str(place[0]), self._port or port)
            except OSError:
                if not self._servers and (family, place) == (found[-1][0], found[-1][-1]):
                    raise
                continue  # where a name means several addresses, one will do
            self._servers.append(await loop.create_server(lambda: _Connection(self), sock=listening, backlog=1024))
            self._port = listening.getsockname()[1]

    def offer(self, tenant: str) -> tuple[tuple[str, bytes], ...]:
        """The metadata that offers a tenant's client a socket."""
        if not self._servers or self._stopping:
            return ()
        offer = SessionOffer(port=self._port, hello=self.tickets.hello(tenant), welcome=self.tickets.welcome(tenant))
        return ((METADATA, offer.SerializeToString()),)

    async def stop(self, drain_timeout: float) -> None:
        """Take no more, and answer what was taken, for as long as the drain timeout."""
        self._stopping = True
        for server in self._servers:
            server.close()
        connections = set(self.open)
        for connection in connections:
            connection.end(ServerStopping())
        if connections:
            await asyncio.wait([connection.closed for connection in connections], timeout=drain_timeout)
        self.cut_off()

    def cut_off(self) -> None:
        """End all sessions at once."""
        for connection in set(self.open):
            connection.abort()


def _listening(family: int, host: str, port: int) -> socket.socket:
    both = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=family, dualstack_ipv6=both)


class _Connection(asyncio.Protocol):
    """One socket, from the hello until the last answer."""

    _transport: asyncio.Transport

    def __init__(self, sockets: SessionSockets) -> None:
        self._sockets = sockets
        self._loop = asyncio.get_running_loop()
        self._session: Session | None = None
        self._buffer = bytearray()
        self._needed = _LENGTH  # bytes of the buffer before there is a whole message
        self._held = 0  # bytes of that message which are counted
        self._reading = True  # whether more is taken from the client
        self._clogged = False  # whether the client is slow to read
        self._flushing = False
        self._reason: EngineError | None = None  # why the server ends it
        self._over = False  # whether that is told
        self.closed: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its base class
        admission = self._sockets.admission
        if admission.begin_stream() is not None:  # its client goes on with gRPC, and is told there
            self._reading = False
            self._transport.abort()
            return
        self._sockets.open.add(self)
        self._alarm = self._loop.call_later(_PATIENCE, self.abort)
        peer: socket.socket = transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if (option := getattr(socket, name, None)) is not None:
                peer.setsockopt(socket.IPPROTO_TCP, option, value)

    def connection_lost(self, exc: Exception | None) -> None:
        self._reading = False
        if self not in self._sockets.open:  # there was no room for it
            return
        self._alarm.cancel()
        self._hold(0)
        if self._session is not None:
            self._session.cancel()
        self._sockets.open.discard(self)
        self._sockets.admission.stream_ended()
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        if not self._reading:
            return  # too late: its client sends it again elsewhere
        self._buffer += data
        if len(self._buffer) >= self._needed:
            self._take()

    def eof_received(self) -> bool:
        """The client has sent all it has; it still gets its answers."""
        self._reading = False
        self._leave()
        return True

    def pause_writing(self) -> None:
        self._clogged = True

    def resume_writing(self) -> None:
        self._clogged = False
        self._flush()

    def abort(self) -> None:
        """End it at once."""
        self._transport.abort()

    def end(self, reason: EngineError) -> None:
        """Take no more, and end when all that was taken is answered."""
        if self._reading:
            self._reading = False
            self._reason = reason
            self._leave()

    def _take(self) -> None:
        """Take the whole messages of the buffer, until the session is full."""
        buffer, place = self._buffer, 0
        try:
            while self._reading and not self._full:
                self._needed = _LENGTH
                self._hold(0)
                if len(buffer) - place < _LENGTH:
                    break
                size = int.from_bytes(buffer[place : place + _LENGTH])
                self._check(size)
                self._hold(size)
                self._needed += size
                if len(buffer) - place < self._needed:
                    break
                begin, place = place + _LENGTH, place + self._needed
                self._message(bytes(memoryview(buffer)[begin:place]))
        except EngineError as refusal:
            self.end(refusal)
        del buffer[:place]
        if self._full:
            self._transport.pause_reading()

    @property
    def _full(self) -> bool:
        return self._session is not None and self._session.full

    def _check(self, size: int) -> None:
        limit = self._sockets.max_message_size if self._session is not None else _LONGEST_HELLO
        if size > limit:
            raise too_large(size, limit)

    def _hold(self, size: int) -> None:
        """Count the bytes of the message that is coming. Raises Refusal when there is no room for it."""
        admission = self._sockets.admission
        admission.bytes -= self._held
        self._held = 0
        if size and (refusal := admission.over_bytes(size)) is not None:
            raise refusal.with_traceback(None)
        admission.bytes += size
        self._held = size

    def _message(self, data: bytes) -> None:
        if self._session is None:
            self._greet(data)
            return
        try:
            request = SessionRequest.FromString(data)
        except DecodeError:
            raise malformed(SessionRequest.DESCRIPTOR.full_name, len(data)) from None
        self._sockets.monitor.took(_RPC, len(data))
        self._hold(0)
        self._session.take(request, len(data))

    def _greet(self, data: bytes) -> None:
        try:
            hello = SessionHello.FromString(data)
        except DecodeError:
            hello = SessionHello()
        if not self._sockets.tickets.is_ours(hello):  # somebody who is at the wrong place: nothing is told
            self._reading = False
            self.abort()
            return
        self._alarm.cancel()
        sockets = self._sockets
        self._session = Session(
            sockets.engine, hello.tenant, sockets.admission, sockets.monitor, self._ready, self._room
        )
        self._send(self._sockets.tickets.welcome(hello.tenant).SerializeToString())

    def _ready(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)  # not at once: what was stored together is answered together

    def _flush(self) -> None:
        self._flushing = False
        assert self._session is not None
        while not self._clogged and (response := self._session.next_response()) is not None:
            data = response.SerializeToString()
            self._sockets.monitor.gave(_RPC, len(data))
            self._send(data)
        if not self._reading:
            self._leave()

    def _room(self) -> None:
        if self._reading and not self._transport.is_reading() and not self._full:
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._reading and not self._full and not self._transport.is_reading():
            self._transport.resume_reading()
            self._take()

    def _send(self, message: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(len(message).to_bytes(_LENGTH) + message)

    def _leave(self) -> None:
        """When nobody reads and nothing is unanswered: say why, and go."""
        if self._transport.is_closing():
            return
        if not self._transport.is_reading():
            self._transport.resume_reading()  # to see it when the client goes
        if self._session is not None and not self._session.idle:
            return
        if self._reason is None or self._over:
            self._transport.close()
            return
        self._over = True
        if self._session is not None:
            self._send(SessionResponse(end=session_error(self._reason)).SerializeToString())
        if isinstance(self._reason, ServerStopping):
            self._transport.close()
            return
        self._transport.write_eof()  # and the client closes: what it still sends must not break what it reads
        self._alarm.cancel()
        self._alarm = self._loop.call_later(_PATIENCE, self.abort)
