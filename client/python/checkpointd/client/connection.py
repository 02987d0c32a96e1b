"""The channel to a server, one for each process, and what every call on it needs."""

import os
import re
import threading
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import grpc
from grpc.experimental import ChannelOptions

from checkpointd.client.errors import ClientClosed, InvalidRequest
from checkpointd.client.fork import gate
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.threads_pb2_grpc import ThreadsStub

_TENANT = re.compile(r"[A-Za-z0-9._-]{1,64}")

_OPTIONS: tuple[tuple[str, int], ...] = (
    # The server's limit is the one that counts; it says what it is.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A server that was away is found again within 2 s; by default the pause between attempts grows to 120 s.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # This one is also how long one attempt to connect may take.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    # A connection that died without a word (a pulled cable, a NAT that forgot) is noticed, in use or idle.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # A stream is read by the thread that asks for its next item. The alternative, a thread of gRPC's own, would stay
    # inside gRPC while nobody reads (see fork.py).
    (ChannelOptions.SingleThreadedUnaryStream, 1),
)

Begun = TypeVar("Begun")

_inherited: list[object] = []


def keep_inherited(thing: object) -> None:
    """In the child of a fork: keep a channel or call of the parent's for ever, since gRPC would act on its end."""
    _inherited.append(thing)


class Interrupted(grpc.RpcError):
    """The channel was closed under a call that was about to begin."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.CANCELLED

    def details(self) -> str:
        return "the channel was closed"

    def trailing_metadata(self) -> tuple[()]:
        return ()


class Stubs(NamedTuple):
    """The services of the contract on one channel."""

    channel: grpc.Channel
    checkpoints: CheckpointsStub
    threads: ThreadsStub
    process: int

    def of_this_process(self) -> bool:
        """Whether this process opened the channel, and did not inherit it in a fork."""
        return self.process == os.getpid()


class Connection:
    """What clients share: where the server is, whose data they see, how long a call may take, and the channel.

    The channel is opened by the first call, and again by the first call after a fork.
    """

    def __init__(self, target: str, *, tenant: str, timeout: float | None) -> None:
        if not target:
            raise InvalidRequest("target is empty; give it the server's host:port", metadata={"field": "target"})
        if not _TENANT.fullmatch(tenant):
            raise InvalidRequest(
                f"tenant is {tenant!r}; give it 1 to 64 characters of A-Z a-z 0-9 . _ -", metadata={"field": "tenant"}
            )
        if timeout is not None and not timeout > 0:
            raise InvalidRequest(
                f"timeout is {timeout!r}; give it a number of seconds above 0, or None to wait for ever",
                metadata={"field": "timeout"},
            )
        self.target = target
        self.timeout = timeout
        self.metadata = (("checkpointd-tenant", tenant),)
        self._stubs: Stubs | None = None
        self._lock = threading.Lock()
        # Set when closed; waiting for it is how a call pauses between attempts.
        self.closed = threading.Event()
        gate.add(self)

    def stubs(self) -> Stubs:
        """The stubs of this process's channel. To be called, and used, inside the gate only."""
        return self._stubs or self._open()

    def begin(self, start: Callable[[Stubs], Begun]) -> Begun:
        """Start a call. To be called inside the gate."""
        stubs = self.stubs()
        try:
            return start(stubs)
        except ValueError:
            # What gRPC says when the channel was closed since the line above.
            if stubs is self._stubs:
                raise
            raise Interrupted from None

    def _open(self) -> Stubs:
        with self._lock:
            if self.closed.is_set():
                raise ClientClosed("the client is closed", server=self.target)
            if self._stubs is None:
                # Channels with the same options share connections. The process id, as an option that gRPC does not
                # know, keeps a child from being given its parent's.
                process = os.getpid()
                channel = grpc.insecure_channel(self.target, (*_OPTIONS, ("checkpointd.process", process)))
                self._stubs = Stubs(channel, CheckpointsStub(channel), ThreadsStub(channel), process)
            return self._stubs

    def close(self) -> None:
        """Close the channel. Calls under way fail with ClientClosed. Closing twice is allowed."""
        self.closed.set()
        with gate:
            self.interrupt()

    def interrupt(self) -> None:
        """End all calls by closing the channel; the next call opens a new one, unless the connection is closed."""
        with self._lock:
            stubs, self._stubs = self._stubs, None
        if stubs is not None:
            stubs.channel.close()

    def forget(self) -> None:
        """In the child of a fork: leave the parent's channel alone and start without one."""
        self._lock = threading.Lock()
        closed, self.closed = self.closed, threading.Event()
        if closed.is_set():
            self.closed.set()
        if self._stubs is not None:
            keep_inherited(self._stubs)
            self._stubs = None
