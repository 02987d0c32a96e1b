"""A running server: the engine, the gRPC endpoint, and what holds for as long as both are up."""

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from checkpointd.engine import Database, Engine
from checkpointd.server import address
from checkpointd.server.address import METRICS_HINT, taken
from checkpointd.server.admission import Admission
from checkpointd.server.config import Config
from checkpointd.server.embedded import EmbeddedPostgres
from checkpointd.server.endpoint import Endpoint
from checkpointd.server.identity.tls import Certificates
from checkpointd.server.monitoring.calls import Monitor
from checkpointd.server.monitoring.exposition import registry
from checkpointd.server.monitoring.listener import Listener
from checkpointd.server.monitoring.meter import Meter

if TYPE_CHECKING:
    from checkpointd.server.monitoring.tracing import Tracer


class Service:
    """Starts in the order database, engine, endpoint, and stops in the reverse, answering all that was accepted."""

    address: str

    def __init__(self, config: Config) -> None:
        self._config = config
        self._started = AsyncExitStack()
        self._endpoint: Endpoint | None = None
        self._listener: Listener | None = None

    async def start(self) -> None:
        """Start serving. Cancelled, it stops again what it has started.

        Raises:
            EmbeddedPostgresError: the server's own PostgreSQL can't run.
            StartupError: the database given can't serve.
            ListenError: the address can't be had.
            IdentityError: what tells who calls can't be had.
        """
        try:
            await self._start()
        except BaseException:
            await self._started.aclose()
            raise

    async def _start(self) -> None:
        config = self._config
        # First, since all else takes a while and leaves traces: a new database, a migrated one.
        await asyncio.to_thread(address.check, config.listen)
        if config.session_port:
            await asyncio.to_thread(address.check, config.session_address, address.SESSION_HINT)
        certificates = Certificates(config.identity.tls) if config.identity.tls is not None else None
        meter = Meter() if config.metrics_listen is not None else None
        tracer = self._start_tracing() if config.traces == "otlp" else None
        conninfo = config.database_url
        if conninfo is None:
            conninfo = await self._start_postgres()
        engine = Engine(
            Database(
                conninfo,
                write_connections=config.write_connections,
                read_connections=config.read_connections,
                row_security=config.identity.row_security,
            ),
            value_cache=config.value_cache,
            observer=tracer,
            retention_interval=config.retention_interval,
            watch=config.watch,
            watch_retention=config.watch_retention,
        )
        await engine.open()
        self._started.push_async_callback(engine.close)
        self._endpoint = Endpoint(config, engine, certificates, Monitor(meter, tracer))
        await self._endpoint.start()
        self._started.push_async_callback(self._endpoint.stop)
        self.address = self._endpoint.address
        if meter is not None:
            self._listen_for_scrapes(engine, meter, self._endpoint.admission)

    def _start_tracing(self) -> "Tracer":
        from checkpointd.server.monitoring.tracing import Tracer  # noqa: PLC0415 - an extra, and slow to load

        tracer = Tracer()
        self._started.push_async_callback(asyncio.to_thread, tracer.stop)
        return tracer

    def _listen_for_scrapes(self, engine: Engine, meter: Meter, admission: Admission) -> None:
        address = str(self._config.metrics_listen)
        try:
            listener = Listener(address, registry(engine, meter, admission), engine.readiness)
        except OSError as error:
            raise taken(address, METRICS_HINT) from error
        self._started.push_async_callback(asyncio.to_thread, listener.stop)
        self._listener = listener

    async def _start_postgres(self) -> str:
        postgres = EmbeddedPostgres(self._config.data_dir)
        starting = asyncio.create_task(asyncio.to_thread(postgres.start))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A thread can't be cancelled. The first call makes it give up; should it have been too late, or too early
            # to be noticed, the second one stops what was started.
            await asyncio.to_thread(postgres.stop)
            await asyncio.wait([starting])
            await asyncio.to_thread(postgres.stop)
            starting.exception()  # that it gave up
            raise
        self._started.push_async_callback(asyncio.to_thread, postgres.stop)
        supervision = asyncio.create_task(postgres.supervise())
        self._started.callback(supervision.cancel)
        return postgres.conninfo

    async def stop(self) -> None:
        """Take no new calls, answer those accepted (for as long as the drain timeout), then stop everything."""
        if self._listener is not None:
            self._listener.stopping()
        await self._started.aclose()

    async def cut_off(self) -> None:
        """Let a stop() that waits for calls wait no longer."""
        if self._endpoint is not None:
            await self._endpoint.cut_off()
