"""The gRPC endpoint: where the contract's services, health and reflection are reached."""

import asyncio
import logging
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from checkpointd.engine import Engine
from checkpointd.server.address import SESSION_HINT, taken
from checkpointd.server.admission import Admission
from checkpointd.server.api_keys import ApiKeysHandlers
from checkpointd.server.checkpoints import CheckpointsHandlers
from checkpointd.server.config import Config
from checkpointd.server.guard import Guard
from checkpointd.server.health_service import HealthService
from checkpointd.server.identity.access import rpcs
from checkpointd.server.identity.identity import Identity
from checkpointd.server.identity.tls import Certificates
from checkpointd.server.leases import LeasesHandlers
from checkpointd.server.limits import LimitsHandlers, QuotaCheck
from checkpointd.server.monitoring.calls import Monitor
from checkpointd.server.retention import RetentionHandlers
from checkpointd.server.session_socket import SessionSockets
from checkpointd.server.states import StatesHandlers
from checkpointd.server.threads import ThreadsHandlers
from checkpointd.server.watches import WatchesHandlers
from checkpointd.v1 import (
    api_keys_pb2,
    checkpoints_pb2,
    leases_pb2,
    limits_pb2,
    retention_pb2,
    states_pb2,
    threads_pb2,
    watch_pb2,
)
from checkpointd.v1.api_keys_pb2_grpc import add_ApiKeysServicer_to_server
from checkpointd.v1.checkpoints_pb2_grpc import add_CheckpointsServicer_to_server
from checkpointd.v1.leases_pb2_grpc import add_LeasesServicer_to_server
from checkpointd.v1.limits_pb2_grpc import add_LimitsServicer_to_server
from checkpointd.v1.retention_pb2_grpc import add_RetentionServicer_to_server
from checkpointd.v1.states_pb2_grpc import add_StatesServicer_to_server
from checkpointd.v1.threads_pb2_grpc import add_ThreadsServicer_to_server
from checkpointd.v1.watch_pb2_grpc import add_WatchesServicer_to_server

_log = logging.getLogger(__name__)

_CONTRACT = (
    api_keys_pb2.DESCRIPTOR.services_by_name["ApiKeys"],
    checkpoints_pb2.DESCRIPTOR.services_by_name["Checkpoints"],
    leases_pb2.DESCRIPTOR.services_by_name["Leases"],
    limits_pb2.DESCRIPTOR.services_by_name["Limits"],
    retention_pb2.DESCRIPTOR.services_by_name["Retention"],
    states_pb2.DESCRIPTOR.services_by_name["States"],
    threads_pb2.DESCRIPTOR.services_by_name["Threads"],
    watch_pb2.DESCRIPTOR.services_by_name["Watches"],
)
_SERVICES = tuple(service.full_name for service in _CONTRACT)

# Calls that may wait in gRPC whatever the limits are: a few at once are no overload.
_LEAST_WAITING = 100
_PAUSE = 0.1  # seconds between attempts to have the address again


def _channel_options(config: Config) -> list[tuple[str, int]]:
    return [
        # Up to twice the limit a request comes through to the guard, which answers with the reason and the option;
        # beyond that gRPC cuts it off.
        ("grpc.max_receive_message_length", 2 * config.max_message_size),
        ("grpc.max_send_message_length", -1),
        # A second server on the same port must fail, not take half of the calls.
        ("grpc.so_reuseport", 0),
        # Calls that wait while the server is busy are answered later. By default gRPC would cancel those beyond the
        # first thousand, at random, and those that waited for half a minute. It takes them one by one, so that under
        # a load of calls the queue is there, where nothing can be refused with a reason: beyond as many as may be under
        # way gRPC cancels them, which clients take for a reason to repeat. Each costs 12 KiB.
        ("grpc.server.max_pending_requests", max(config.max_in_flight, _LEAST_WAITING)),
        ("grpc.server.max_pending_requests_hard_limit", max(config.max_in_flight, _LEAST_WAITING)),
        ("grpc.server_max_unrequested_time_in_server", 3600),
        # Clients may ask every ten seconds whether an idle connection still lives; the server asks too.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


class Endpoint:
    """Listens from start() to stop(), and again when gRPC has given up: a call whose path is not UTF-8 ends its server
    (seen in grpcio 1.85), though not the calls under way."""

    address: str

    def __init__(self, config: Config, engine: Engine, certificates: Certificates | None, monitor: Monitor) -> None:
        self._config = config
        self._engine = engine
        identity = config.identity
        self._identity = Identity(identity, engine.api_keys) if identity.methods else None
        self._certificates = certificates
        self._monitor = monitor
        self.admission = Admission(config, engine.queued)
        quota_check = QuotaCheck(engine.quotas)
        self._guard = Guard(
            config.max_message_size, self._identity, rpcs(*_CONTRACT), self.admission, quota_check, monitor
        )
        self._health = HealthService(("", *_SERVICES), engine.readiness)
        self._sockets = SessionSockets(engine, config.max_message_size, self.admission, monitor)
        # Kept and left alone: they close their port and answer the calls under way by themselves, and grpcio does not
        # take it well when they are stopped once more.
        self._given_up: list[grpc.aio.Server] = []

    async def start(self) -> None:
        """Listen and serve.

        Raises:
            ListenError: the address can't be had.
            IdentityError: what tells who calls can't be had.
        """
        if self._identity is not None:
            await self._identity.start()
        host, _, _ = self._config.listen.rpartition(":")
        if self._config.session_port is not None:
            try:
                await self._sockets.start(host, self._config.session_port)
            except OSError as error:
                raise taken(self._config.session_address, SESSION_HINT) from error
        try:
            self._server, port = self._listening(self._config.listen)
        except RuntimeError as error:
            await self._sockets.stop(0)
            raise taken(self._config.listen) from error
        self.address = self._config.listen if self._config.is_unix else f"{host}:{port}"
        serving = await _start(self._server)
        self._supervision = asyncio.create_task(self._supervise(serving))

    def _listening(self, address: str) -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server(interceptors=[self._guard], options=_channel_options(self._config))
        add_CheckpointsServicer_to_server(CheckpointsHandlers(self._engine, self._sockets, self._monitor), server)
        api_keys = ApiKeysHandlers(self._engine.api_keys, taken="api-key" in self._config.identity.methods)
        add_ApiKeysServicer_to_server(api_keys, server)
        add_LeasesServicer_to_server(LeasesHandlers(self._engine), server)
        add_LimitsServicer_to_server(LimitsHandlers(self._engine), server)
        add_RetentionServicer_to_server(RetentionHandlers(self._engine), server)
        add_StatesServicer_to_server(StatesHandlers(self._engine), server)
        add_ThreadsServicer_to_server(ThreadsHandlers(self._engine), server)
        add_WatchesServicer_to_server(WatchesHandlers(self._engine), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        if self._certificates is not None:
            return server, server.add_secure_port(address, self._certificates.credentials())
        return server, server.add_insecure_port(address)

    async def _supervise(self, serving: "asyncio.Task[None]") -> None:
        while True:
            await asyncio.wait([serving])
            error = serving.exception()
            if error is None:
                return  # stop() was called
            _log.warning("gRPC has stopped listening (%s: %s); listening again", type(error).__name__, error)
            self._given_up.append(self._server)
            serving = await self._listen_again()

    async def _listen_again(self) -> "asyncio.Task[None]":
        while True:
            try:
                self._server, _ = self._listening(self.address)
            except RuntimeError as error:
                _log.error("%s; trying again", error)
                await asyncio.sleep(_PAUSE)
            else:
                return await _start(self._server)

    async def stop(self) -> None:
        """Take no new calls, and answer those accepted for as long as the drain timeout."""
        # From here on new calls are answered UNAVAILABLE, which clients retry elsewhere or later.
        self._health.stop()
        self._engine.leases.stop_waiting()
        self._engine.watches.stop_waiting()
        await self._guard.close()
        await asyncio.gather(
            self._server.stop(self._config.drain_timeout), self._sockets.stop(self._config.drain_timeout)
        )
        self._supervision.cancel()

    async def cut_off(self) -> None:
        """Let a stop() that waits for calls wait no longer."""
        self._sockets.cut_off()
        await self._server.stop(0)


async def _start(server: grpc.aio.Server) -> "asyncio.Task[None]":
    """Start a server and return the task that accepts its calls: the first one that it makes. Nothing else tells at
    once that it has ended; wait_for_termination() may wait for all calls under way."""
    loop = asyncio.get_running_loop()
    usual = loop.get_task_factory()
    made: list[asyncio.Task[None]] = []

    def first(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> Any:
        loop.set_task_factory(usual)
        made.append(asyncio.Task(coroutine, loop=loop, **more))
        return made[0]

    loop.set_task_factory(first)
    try:
        await server.start()
    finally:
        loop.set_task_factory(usual)
    return made[0]
