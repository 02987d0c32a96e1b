"""A running server: the engine, the gRPC endpoint, and what holds for as long as both are up."""

import asyncio
import logging
from contextlib import AsyncExitStack

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from checkpointd.engine import Database, Engine
from checkpointd.server.checkpoints import CheckpointsHandlers
from checkpointd.server.config import Config
from checkpointd.server.embedded import EmbeddedPostgres
from checkpointd.server.guard import Guard
from checkpointd.server.threads import ThreadsHandlers
from checkpointd.v1 import checkpoints_pb2, threads_pb2
from checkpointd.v1.checkpoints_pb2_grpc import add_CheckpointsServicer_to_server
from checkpointd.v1.threads_pb2_grpc import add_ThreadsServicer_to_server

_log = logging.getLogger(__name__)

_SERVICES = (
    checkpoints_pb2.DESCRIPTOR.services_by_name["Checkpoints"].full_name,
    threads_pb2.DESCRIPTOR.services_by_name["Threads"].full_name,
)


class ListenError(Exception):
    """The address to listen on can't be had; the message says which and what to do."""


def _channel_options(config: Config) -> list[tuple[str, int]]:
    return [
        # Up to twice the limit a request comes through to the guard, which answers with the reason and the option;
        # beyond that gRPC cuts it off.
        ("grpc.max_receive_message_length", 2 * config.max_message_size),
        ("grpc.max_send_message_length", -1),
        # A second server on the same port must fail, not take half of the calls.
        ("grpc.so_reuseport", 0),
        # Clients may ask every ten seconds whether an idle connection still lives; the server asks too.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


class Service:
    """Starts in the order database, engine, endpoint, and stops in the reverse, answering all that was accepted."""

    address: str

    def __init__(self, config: Config) -> None:
        self._config = config
        self._started = AsyncExitStack()

    async def start(self) -> None:
        """Start serving.

        Raises:
            EmbeddedPostgresError: the server's own PostgreSQL can't run.
            StartupError: the database given can't serve.
            ListenError: the address can't be had.
        """
        try:
            await self._start()
        except BaseException:
            await self._started.aclose()
            raise

    async def _start(self) -> None:
        config = self._config
        conninfo = config.database_url
        if conninfo is None:
            conninfo = await self._start_postgres()
        engine = Engine(
            Database(
                conninfo,
                write_connections=config.write_connections,
                read_connections=config.read_connections,
            )
        )
        await engine.open()
        self._started.push_async_callback(engine.close)
        await self._start_endpoint(engine)

    async def _start_postgres(self) -> str:
        postgres = EmbeddedPostgres(self._config.data_dir)
        await asyncio.to_thread(postgres.start)
        self._started.push_async_callback(asyncio.to_thread, postgres.stop)
        supervision = asyncio.create_task(postgres.supervise())
        self._started.callback(supervision.cancel)
        return postgres.conninfo

    async def _start_endpoint(self, engine: Engine) -> None:
        server = grpc.aio.server(
            interceptors=[Guard(self._config.max_message_size)], options=_channel_options(self._config)
        )
        add_CheckpointsServicer_to_server(CheckpointsHandlers(engine), server)
        add_ThreadsServicer_to_server(ThreadsHandlers(engine), server)
        status = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(status, server)
        reflection.enable_server_reflection((*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        host, _, _ = self._config.listen.rpartition(":")
        try:
            port = server.add_insecure_port(self._config.listen)
        except RuntimeError as error:
            raise ListenError(
                f"can't listen on {self._config.listen}: is another server running there? "
                "Stop it, or choose another address with --listen"
            ) from error
        self.address = f"{host}:{port}"
        await server.start()
        for service in ("", *_SERVICES):
            await status.set(service, health_pb2.HealthCheckResponse.SERVING)

        async def drain() -> None:
            # From here on new calls are answered UNAVAILABLE, which clients retry elsewhere or later.
            await status.enter_graceful_shutdown()
            await server.stop(self._config.drain_timeout)

        self._started.push_async_callback(drain)

    async def stop(self) -> None:
        """Take no new calls, answer those accepted (for as long as the drain timeout), then stop everything."""
        await self._started.aclose()
