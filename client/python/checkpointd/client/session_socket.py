"""The socket that carries a session: how a client comes to one, and messages on it."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import time
import weakref
from typing import NamedTuple

from google.protobuf.message import DecodeError

from checkpointd.v1.checkpoints_pb2 import SessionOffer, SessionWelcome

_METADATA = "checkpointd-session-offer-bin"

# Bytes of the length in front of every message, and of what is read at once.
_LENGTH = 4
_CHUNK = 1 << 16
_LARGE_CHUNK = 1 << 20

# Seconds. How long the way to a socket may take, and at how many addresses it is looked for. The server has just said
# that it is there; where it can't be reached something in between does not let anybody through.
_PATIENCE = 1.0
_MOST_ADDRESSES = 8

# A connection that died without a word (a pulled cable, a NAT that forgot) is noticed, in use or idle: seconds,
# seconds, probes, milliseconds.
_KEEPALIVE = (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 2), ("TCP_USER_TIMEOUT", 30_000))

# The targets whose hosts are known without gRPC: HOST:PORT, or several addresses.
_HOSTS = re.compile(r"(?:dns:(?://[^/]*/)?|ipv4:|ipv6:)?(.+)")
_HOST_PORT = re.compile(r"\[?([^\]]+?)\]?(?::\d+)?")


class Offer(NamedTuple):
    """Where a server carries sessions by sockets, and what is said there first."""

    hosts: tuple[str, ...]
    port: int
    hello: bytes
    welcome: bytes


def offer_of(metadata: tuple[tuple[str, str | bytes], ...], target: str) -> Offer | None:
    """The offer in the initial metadata of a session's stream to a target; None when none can be taken."""
    for key, value in metadata:
        if key == _METADATA and isinstance(value, bytes):
            try:
                offer = SessionOffer.FromString(value)
            except DecodeError:
                return None
            hello, welcome = offer.hello.SerializeToString(), offer.welcome.SerializeToString()
            hosts = _hosts(target)
            return Offer(hosts, offer.port, hello, welcome) if hosts and 0 < offer.port < 1 << 16 else None
    return None


def _hosts(target: str) -> tuple[str, ...]:
    if target.startswith(("unix", "xds:", "vsock:")) or not (found := _HOSTS.fullmatch(target)):
        return ()
    return tuple(host[1] for place in found[1].split(",") if (host := _HOST_PORT.fullmatch(place)))


class SessionSocket:
    """A connected socket on which both sides have said who they are. It never blocks, and is closed when nobody holds
    it any more: until then somebody may be using it."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self.raw = connected
        self._messages = Messages()
        self._close = weakref.finalize(self, connected.close)

    def fileno(self) -> int:
        return self.raw.fileno()

    def receive(self) -> list[bytes] | None:
        """The whole messages after what can be read now; None when no more will come."""
        try:
            data = self.raw.recv(_LARGE_CHUNK if self._messages.is_large else _CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            return None
        return self._messages.after(data) if data else None

    def shut_down(self) -> None:
        """End the connection, for who reads and for who writes."""
        with contextlib.suppress(OSError):  # it has ended already
            self.raw.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """In the child of a fork: leave the parent's connection alone."""
        self._close()


def framed(message: bytes) -> bytes:
    """A message with its length in front."""
    return b"".join((len(message).to_bytes(_LENGTH, "big"), message))


class Messages:
    """Takes a stream apart into its messages."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0  # bytes of them
        self._needed = _LENGTH  # bytes before there is a whole message, as far as that is known

    @property
    def is_large(self) -> bool:
        """Whether much is missing of the next message."""
        return self._needed - self._size > _CHUNK

    def after(self, data: bytes) -> list[bytes]:
        """The messages that are whole after some bytes more."""
        if not self._parts and int.from_bytes(data[:_LENGTH], "big") == len(data) - _LENGTH:
            return [data[_LENGTH:]]  # as most come
        whole: list[bytes] = []
        self._parts.append(data)
        self._size += len(data)
        if self._size < self._needed:
            return whole
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        place = 0
        while True:
            self._needed = _LENGTH
            if len(data) - place < _LENGTH:
                break
            self._needed += int.from_bytes(data[place : place + _LENGTH], "big")
            if len(data) - place < self._needed:
                break
            begin, place = place + _LENGTH, place + self._needed
            whole.append(data[begin:place])
        rest = data[place:] if place else data
        self._parts = [rest] if rest else []
        self._size = len(rest)
        return whole


def connect(offer: Offer) -> SessionSocket | None:
    """A socket to the server that made an offer; None when it can't be reached. Blocks for a second at most."""
    deadline = time.monotonic() + _PATIENCE
    for address in _addresses(offer):
        if (left := deadline - time.monotonic()) <= 0:
            break
        connected = None
        try:
            connected = socket.create_connection(address, timeout=left)
            _greet(connected, offer, deadline)
        except OSError:
            if connected is not None:
                connected.close()
        else:
            return SessionSocket(connected)
    return None


def _addresses(offer: Offer) -> list[tuple[str, int]]:
    """All that the hosts' names stand for: one of them is the server's."""
    addresses: dict[tuple[str, int], None] = {}
    for host in offer.hosts:
        try:
            ipaddress.ip_address(host)
            found = [host]
        except ValueError:
            try:
                found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, offer.port, type=socket.SOCK_STREAM)]
            except (OSError, UnicodeError):
                found = []
        for one in found:
            addresses[one, offer.port] = None
    return list(addresses)[:_MOST_ADDRESSES]


def _greet(connected: socket.socket, offer: Offer, deadline: float) -> None:
    """Say hello, and hear the welcome. Raises OSError when it does not come, or is another."""
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if (option := getattr(socket, name, None)) is not None:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)
    connected.sendall(framed(offer.hello))
    due = framed(offer.welcome)
    heard = b""
    while len(heard) < len(due):
        connected.settimeout(max(0.001, deadline - time.monotonic()))
        if not (data := connected.recv(len(due) - len(heard))):
            raise ConnectionResetError("it is another server")
        heard += data
        if not due.startswith(heard):
            raise ConnectionRefusedError("it is another server")
    SessionWelcome.FromString(heard[_LENGTH:])
