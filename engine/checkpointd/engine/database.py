"""Connections to PostgreSQL: a small fixed number, however many clients there are."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, AsyncCursor, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from checkpointd.engine import arrays, citus, row_security
from checkpointd.engine.errors import StartupError, translated
from checkpointd.engine.migrations import migrate
from checkpointd.engine.prepared import Row, ServingConnection
from checkpointd.engine.readers import Readers
from checkpointd.engine.row_security import RowSecurity
from checkpointd.engine.sql import CITUS_STATEMENTS, STATEMENTS
from checkpointd.engine.tally import Pool

_log = logging.getLogger(__name__)

OLDEST_POSTGRES = 14

_Pool = AsyncConnectionPool[ServingConnection]

# Seconds that a call waits for a connection before it is answered UNAVAILABLE.
_POOL_TIMEOUT = 5.0

# Seconds in which all connections must have been made at the start.
_OPEN_TIMEOUT = 20.0

# How a connection is made unless the URL says otherwise: don't wait long for a host that doesn't answer, and notice one
# that went away.
_CONNECTION_DEFAULTS = {
    "application_name": "checkpointd",
    "connect_timeout": "5",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


class Database:
    """A PostgreSQL database that is ready for use: reachable, new enough, migrated.

    Commits have connections of their own; reads, changes of whole threads and leases share the others, of which each
    but the reads takes a part only, so that none can starve another.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        write_connections: int = 2,
        read_connections: int = 6,
        row_security: RowSecurity = "off",
    ) -> None:
        """`conninfo` is a libpq URL or connection string; what it leaves out comes from libpq's `PG*` variables."""
        self._row_security = row_security
        self._conninfo = conninfo
        self.write_connections = write_connections
        self.read_connections = read_connections

    async def open(self) -> None:
        """Check the database, migrate it, connect.

        Raises:
            StartupError: the database can't serve; the message says which database, what is wrong and what to do.
        """
        given = self._conninfo
        try:
            unsaid = {
                name: value for name, value in _CONNECTION_DEFAULTS.items() if name not in conninfo_to_dict(given)
            }
        except psycopg.ProgrammingError:
            # Without libpq's reason, which quotes the URL and with it perhaps a password.
            raise StartupError("can't connect to the database: what was given is not a PostgreSQL URL") from None
        try:
            self._conninfo = make_conninfo(given, **unsaid)
            connection = await AsyncConnection.connect(self._conninfo, autocommit=True)
        except psycopg.Error as error:
            raise StartupError(f"can't connect to the database {where(self._conninfo)}: {first_line(error)}") from error
        async with connection:
            await check(connection)
            await connection.execute(STATEMENTS["session"].encode())
            try:
                await migrate(connection)
                self.on_citus = await citus.set_up(connection)
                self._statements = CITUS_STATEMENTS if self.on_citus else STATEMENTS
                await _check_privileges(connection)
                self._secured = await row_security.set_up(connection, self._row_security, on_citus=self.on_citus)
            except psycopg.errors.InsufficientPrivilege as error:
                raise StartupError(
                    f"the role {connection.info.user!r} may not make the schema in {where(self._conninfo)} "
                    f"({first_line(error)}); grant it CREATE on the database"
                ) from error
            except psycopg.Error as error:
                raise StartupError(
                    f"can't migrate the database {where(self._conninfo)}: {first_line(error)}"
                ) from error
        self._writes = self._pool("writes", self.write_connections)
        self._reads = self._pool("reads", self.read_connections)
        share = max(1, self.read_connections // 3)
        self._readers = Readers(self._reading, self.read_connections // 3)
        self._changes, self._leases = asyncio.Semaphore(share), asyncio.Semaphore(share)
        try:
            await self._writes.open(wait=True, timeout=_OPEN_TIMEOUT)
            await self._reads.open(wait=True, timeout=_OPEN_TIMEOUT)
        except psycopg.Error as error:
            await asyncio.gather(self._writes.close(), self._reads.close())
            raise StartupError(
                f"can't open {self.write_connections + self.read_connections} connections to the database "
                f"{where(given)}: {first_line(error)}; let it take more, or give a smaller --database-connections"
            ) from error
        self._rechecking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rechecking.set_result(None)

    async def close(self) -> None:
        """Close all connections."""
        self._rechecking.cancel()
        await self._readers.close()
        await self._writes.close()
        await self._reads.close()

    def sql(self, statement: str) -> bytes:
        """The text of a statement for this database."""
        return self._statements[statement].encode()

    def pools(self, writing: int) -> list[Pool]:
        """The pools at this moment; `writing` is how many of those that keep a connection to write use it."""
        writes, reads = self._writes.get_stats(), self._reads.get_stats()
        reading = reads["pool_size"] - reads["pool_available"] - self._readers.kept
        return [
            Pool("writes", writes["pool_size"], min(writing, writes["pool_size"]), writes["requests_waiting"]),
            Pool("reads", reads["pool_size"], max(0, reading), reads["requests_waiting"]),
        ]

    def _pool(self, name: str, size: int) -> _Pool:
        return AsyncConnectionPool(
            self._conninfo,
            connection_class=ServingConnection,
            kwargs={"autocommit": True},
            configure=self._configure,
            reset=_reset,
            min_size=size,
            max_size=size,
            timeout=_POOL_TIMEOUT,
            # Pauses between attempts double. Past this the pool stops trying by itself and tries anew with each call,
            # so that a database that was away for long is found as soon as it is back.
            reconnect_timeout=5.0,
            name=f"checkpointd-{name}",
            open=False,
        )

    async def _configure(self, connection: ServingConnection) -> None:
        await connection.execute(self.sql("serving_session"))
        connection.learn(await arrays.register(connection), on_citus=self.on_citus)
        if self._secured:
            await connection.execute(STATEMENTS["become_tenant"].encode())
            connection.works_for = ""

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[ServingConnection]:
        """A connection for commits. The driver's errors leave as the engine's."""
        async with translated(), self._checked(self._writes) as connection:
            yield connection

    @asynccontextmanager
    async def changing(self, tenant: str) -> AsyncIterator[ServingConnection]:
        """A connection for a change of a tenant's that takes time, such as one of a whole thread; of every one's for
        EVERY_TENANT. The driver's errors leave as the engine's."""
        async with self._changes, translated(), self._checked(self._reads) as connection:
            await connection.work_for(tenant)
            yield connection

    @asynccontextmanager
    async def leasing(self, tenant: str) -> AsyncIterator[ServingConnection]:
        """A connection for a change of a lease, which may wait for a commit. The driver's errors leave as the
        engine's."""
        async with self._leases, translated(), self._checked(self._reads) as connection:
            await connection.work_for(tenant)
            yield connection

    async def rows(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        """The rows of one of the statements that read all the time; its parameters have the tenant. The driver's errors
        leave as the engine's."""
        return await self._readers.rows(statement, parameters)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[ServingConnection]:
        async with translated(), self._checked(self._reads) as connection:
            yield connection

    @asynccontextmanager
    async def reading(self, tenant: str) -> AsyncIterator[AsyncCursor[TupleRow]]:
        """A binary cursor for one statement that reads what a tenant has, or with EVERY_TENANT what all have. The
        driver's errors leave as the engine's."""
        async with self._reading() as connection, connection.cursor(binary=True) as cursor:
            await connection.work_for(tenant)
            yield cursor

    async def own_connection(self) -> AsyncConnection:
        """A connection beside all others, for who listens. Raises the driver's errors."""
        return await AsyncConnection.connect(self._conninfo, autocommit=True)

    @asynccontextmanager
    async def _checked(self, pool: _Pool) -> AsyncIterator[ServingConnection]:
        """A connection of a pool. After trouble with one, all are looked at: a PostgreSQL that was restarted has broken
        them all, and a failed call for each would be too many."""
        try:
            async with pool.connection() as connection:
                yield connection
        except psycopg.OperationalError as error:
            if self._rechecking.done():
                _log.warning("trouble with the database: %s", first_line(error))
                self._rechecking = asyncio.create_task(self._recheck())
            raise

    async def _recheck(self) -> None:
        await asyncio.gather(self._writes.check(), self._reads.check(), return_exceptions=True)


async def _reset(connection: ServingConnection) -> None:
    """When a connection comes back to its pool: raises for one that must not be used again. In a pipeline that was
    broken off, what is executed next would be answered before it is committed."""
    if connection.pgconn.pipeline_status != pq.PipelineStatus.OFF:
        raise psycopg.OperationalError("a pipeline was broken off")
    if connection.spent:
        raise psycopg.OperationalError("a connection that has carried a large message is replaced")


async def check(connection: AsyncConnection, oldest: int = OLDEST_POSTGRES) -> None:
    """Check that a database can serve.

    Raises:
        StartupError: it is older than PostgreSQL `oldest`, read-only, or its encoding is not UTF8.
    """
    there = where(connection.info.dsn)
    version = connection.info.server_version
    if version < oldest * 10000:
        raise StartupError(
            f"the database {there} is PostgreSQL {version // 10000}, which is too old; "
            f"checkpointd needs {oldest} or newer"
        )
    cursor = await connection.execute(
        "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool, "
        "current_setting('server_encoding')"
    )
    row = await cursor.fetchone()
    assert row is not None
    read_only, encoding = row
    if read_only:
        raise StartupError(
            f"the database {there} is read-only (a standby, or default_transaction_read_only is on); "
            "give the address of the primary, or let it take writes"
        )
    if encoding != "UTF8":
        raise StartupError(f"the database {there} has the encoding {encoding}; make one with ENCODING 'UTF8'")


async def _check_privileges(connection: AsyncConnection) -> None:
    cursor = await connection.execute(STATEMENTS["forbidden_tables"].encode())
    if tables := [name for (name,) in await cursor.fetchall()]:
        raise StartupError(
            f"permission denied: the role {connection.info.user!r} may not use {', '.join(tables)} of the schema "
            "'checkpointd'; grant it SELECT, INSERT, UPDATE and DELETE on the tables, USAGE on the sequences"
        )


def where(conninfo: str) -> str:
    """A database as a person would name it, also where libpq's variables name it.

    Never with a password, nor with what may be a part of one that was not percent-encoded in its URL.
    """
    given = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
    if "service" in given:
        # libpq reads the service's file when it connects; its own variables come after that.
        return f"of the service {given['service']!r}"
    # With the variables, and with the service that PGSERVICE names.
    unsaid = {each.keyword.decode(): each.val.decode() for each in pq.Conninfo.get_defaults() if each.val is not None}
    parts = unsaid | given
    database = parts.get("dbname") or parts.get("user", "")
    host = parts.get("host") or parts.get("hostaddr") or "local"
    if "@" in database or ":" in database:
        database = "(not shown)"
    if "@" in host:
        host = "(not shown)"
    return f"{database!r} at {host}:{parts.get('port') or 5432}"


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
