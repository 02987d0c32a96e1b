"""The channel to a server, one for each process, and what every call on it needs."""

import json
import math
import os
import re
import threading
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import grpc
from grpc.experimental import ChannelOptions

from checkpointd.client import tracing
from checkpointd.client.credentials import CallMetadata, Credentials
from checkpointd.client.errors import ClientClosed, InvalidRequest
from checkpointd.client.fork import gate, keep_for_ever
from checkpointd.client.sessions import Sessions
from checkpointd.client.status import INTERRUPTED, CallFailed, Status
from checkpointd.client.target import check_target, is_of_several
from checkpointd.v1.api_keys_pb2_grpc import ApiKeysStub
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.leases_pb2_grpc import LeasesStub
from checkpointd.v1.limits_pb2_grpc import LimitsStub
from checkpointd.v1.retention_pb2_grpc import RetentionStub
from checkpointd.v1.states_pb2_grpc import StatesStub
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from checkpointd.v1.watch_pb2_grpc import WatchesStub

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

# Of a target with several servers: by turns, and those only that say they can serve. One that is told to stop says so
# before it goes.
_BY_TURNS = json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}})

Result = TypeVar("Result")


class Stubs(NamedTuple):
    """The services of the contract on one channel."""

    channel: grpc.Channel
    checkpoints: CheckpointsStub
    threads: ThreadsStub
    states: StatesStub
    leases: LeasesStub
    api_keys: ApiKeysStub
    limits: LimitsStub
    retention: RetentionStub
    watches: WatchesStub
    process: int


class Connection:
    """What clients share: where the server is, whose data they see, how long a call may take, and the channel.

    The channel is opened by the first call, and again by the first call after a fork.
    """

    def __init__(
        self, target: str, *, tenant: str | None, timeout: float | None, credentials: Credentials | None = None
    ) -> None:
        check_target(target)
        if tenant is not None and (not isinstance(tenant, str) or not _TENANT.fullmatch(tenant)):
            raise _refused("tenant", tenant, "give it 1 to 64 characters of A-Z a-z 0-9 . _ -")
        if timeout is not None and not (isinstance(timeout, int | float) and 0 < timeout < math.inf):
            raise _refused("timeout", timeout, "give it a number of seconds above 0, or None to wait for ever")
        self.target = target
        self.tenant = tenant
        self.timeout = timeout
        self.credentials = Credentials.from_environment() if credentials is None else credentials
        self.credentials.check(target)
        self._metadata = CallMetadata(tenant, self.credentials)
        # Set when closed; waiting for it is how a call pauses between attempts.
        self.closed = threading.Event()
        # When a call last said, by time.monotonic(), that it is waiting for the server.
        self.warned = -math.inf
        self._stubs: Stubs | None = None
        self.sessions = Sessions(target, self._metadata, self.closed, partial(new_channel, self.credentials))
        self._lock = threading.Lock()
        gate.add(self)

    def with_timeout(self, timeout: float | None) -> "Connection":
        """A connection of its own to the same server, for calls that may take another time."""
        return Connection(self.target, tenant=self.tenant, timeout=timeout, credentials=self.credentials)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with a call that is made now."""
        return self._metadata() + tracing.metadata()

    def stubs(self) -> Stubs:
        """The stubs of this process's channel. To be called, and used, inside the gate."""
        return self._stubs or self._open()

    def attempt(self, act: Callable[[Stubs], Result]) -> Result:
        """Do something with gRPC, inside the gate. Raises CallFailed for what gRPC raises."""
        stubs = self.stubs()
        try:
            return act(stubs)
        except grpc.RpcError as failure:
            status = Status.of(failure)
        except ValueError:
            # What gRPC says of a channel that was closed since the line above.
            if stubs is self._stubs:
                raise
            status = INTERRUPTED
        # Outside of the handlers: gRPC's exception holds its call, which so ends here, inside the gate.
        raise CallFailed(status)

    def close(self) -> None:
        """Close the channel. Calls under way fail with ClientClosed. Closing twice is allowed."""
        self.closed.set()
        with gate:
            self.interrupt()
            self.sessions.close()

    def interrupt(self) -> None:
        """End all calls by closing the channel; the next call opens a new one, unless the connection is closed.

        A session is asked by itself.
        """
        with self._lock:
            stubs, self._stubs = self._stubs, None
        if stubs is not None:
            stubs.channel.close()

    def settle(self) -> None:
        """Without calls under way a channel has no threads."""

    def forget(self) -> None:
        """In the child of a fork: leave the parent's channel alone and start without one."""
        self._lock = threading.Lock()
        was_closed, self.closed = self.closed.is_set(), threading.Event()
        if was_closed:
            self.closed.set()
        stubs, self._stubs = self._stubs, None
        keep_for_ever(stubs)
        self.sessions.forget(self.closed)

    def _open(self) -> Stubs:
        with self._lock:
            if self.closed.is_set():
                raise ClientClosed("the client is closed", server=self.target)
            if self._stubs is None:
                process = os.getpid()
                channel = new_channel(self.credentials, self.target, process)
                self._stubs = Stubs(
                    channel,
                    CheckpointsStub(channel),
                    ThreadsStub(channel),
                    StatesStub(channel),
                    LeasesStub(channel),
                    ApiKeysStub(channel),
                    LimitsStub(channel),
                    RetentionStub(channel),
                    WatchesStub(channel),
                    process,
                )
            return self._stubs


def new_channel(credentials: Credentials, target: str, process: int) -> grpc.Channel:
    """A channel for this process, and for none that it forks."""
    _keep_grpc_up(process)
    options: list[tuple[str, int | str]] = [*_OPTIONS, ("checkpointd.process", process)]
    if is_of_several(target):
        options.append(("grpc.service_config", _BY_TURNS))
    # Channels with the same options share connections. The process id, as an option that gRPC does not know, keeps
    # a child from being given its parent's.
    return credentials.channel(target, options)


_kept_up: dict[int, grpc.Channel] = {}


def _keep_grpc_up(process: int) -> None:
    """Open a channel that is never used and never closed.

    gRPC shuts itself down with its last channel, and a child that is forked around that time waits for ever for the
    shutdown to end. One in twenty did, when a client was closed right before the fork.
    """
    if process not in _kept_up:
        _kept_up[process] = grpc.insecure_channel("unix:/dev/null")
        gate.go_first()


def _refused(field: str, value: object, advice: str) -> InvalidRequest:
    return InvalidRequest(f"{field} is {value!r}; {advice}", reason="INVALID_FIELD", metadata={"field": field})
