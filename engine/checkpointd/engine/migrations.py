"""Bringing a database to the schema of this version: once, under a lock, however many servers start together."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection

from checkpointd.engine.errors import StartupError
from checkpointd.engine.sql import migrations

_log = logging.getLogger(__name__)

# Any fixed number will do, as long as nothing else in the database uses it.
_LOCK = 0x636B7074_64000001


@asynccontextmanager
async def migrating(connection: AsyncConnection) -> AsyncIterator[None]:
    """A transaction that changes the schema, one at a time."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        yield


async def migrate(connection: AsyncConnection) -> None:
    """Apply the migrations that the database lacks, all in one transaction.

    Raises:
        StartupError: a newer version of checkpointd has migrated the database.
    """
    async with migrating(connection):
        applied = await _applied(connection)
        known = migrations()
        if applied > known[-1][0]:
            raise StartupError(
                f"the database has schema version {applied} and this checkpointd knows versions up to {known[-1][0]}; "
                "start a checkpointd at least as new as the one that migrated it"
            )
        for version, name, statements in known:
            if version > applied:
                _log.info("migrating the database to schema version %d (%s)", version, name)
                await connection.execute(statements.encode(), prepare=False)
                await connection.execute(
                    "INSERT INTO checkpointd.migrations (version, name) VALUES (%s, %s)", (version, name)
                )


async def _applied(connection: AsyncConnection) -> int:
    """The version that the database is at; 0 for a new one, whose bookkeeping this makes."""
    cursor = await connection.execute("SELECT to_regclass('checkpointd.migrations') IS NULL")
    if (await cursor.fetchone()) == (True,):
        await connection.execute("CREATE SCHEMA IF NOT EXISTS checkpointd")
        await connection.execute(
            "CREATE TABLE checkpointd.migrations ("
            "version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
    cursor = await connection.execute("SELECT coalesce(max(version), 0) FROM checkpointd.migrations")
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])
