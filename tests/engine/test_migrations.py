"""The schema is made once, the same by migrations and by schema.sql, and only forward."""

import asyncio
from importlib import resources

import psycopg
import pytest
from psycopg import sql

from checkpointd.engine import Database, Engine
from checkpointd.engine.database import check
from checkpointd.engine.errors import StartupError
from checkpointd.engine.sql import migrations
from tests.engine.reading import TENANT, ids, listed
from tests.messages import put_checkpoint, put_writes
from tests.postgres import TestPostgres

# Everything that a schema is made of, in a form that compares: names, types, defaults, constraints, indexes, options.
_DESCRIPTION = """
SELECT 'column', c.relname, a.attnum::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
    coalesce(pg_get_expr(d.adbin, d.adrelid), ''), coalesce(l.collname, '')
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE c.relnamespace = 'checkpointd'::regnamespace AND c.relname !~ '^migrations'
UNION ALL
SELECT 'index', indexname, indexdef, '', '', '', '', '' FROM pg_indexes
WHERE schemaname = 'checkpointd' AND tablename <> 'migrations'
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', '', '' FROM pg_constraint
WHERE connamespace = 'checkpointd'::regnamespace AND conrelid::regclass::text <> 'checkpointd.migrations'
UNION ALL
SELECT 'relation', relname, relkind::text, coalesce(reloptions::text, ''), relpersistence::text, '', '', ''
FROM pg_class WHERE relnamespace = 'checkpointd'::regnamespace AND relname !~ '^migrations'
UNION ALL
SELECT 'function', proname, pg_get_functiondef(oid), '', '', '', '', '' FROM pg_proc
WHERE pronamespace = 'checkpointd'::regnamespace
ORDER BY 1, 2, 3, 4, 5
"""


def _description(url: str) -> list[tuple[str, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(_DESCRIPTION).fetchall()


async def test_schema_sql_is_what_the_migrations_make(postgres: TestPostgres) -> None:
    migrated, written = postgres.create_database(), postgres.create_database()
    database = Database(migrated)
    await database.open()
    await database.close()
    with psycopg.connect(written) as connection:
        connection.execute("CREATE SCHEMA checkpointd")
        connection.execute((resources.files("checkpointd.engine.sql") / "schema.sql").read_bytes())
    assert _description(migrated) == _description(written)
    assert len(_description(migrated)) > 40


async def test_servers_that_start_together_migrate_once(database_url: str) -> None:
    databases = [Database(database_url, write_connections=1, read_connections=1) for _ in range(10)]
    await asyncio.gather(*(database.open() for database in databases))
    await asyncio.gather(*(database.close() for database in databases))
    with psycopg.connect(database_url) as connection:
        versions = connection.execute("SELECT version FROM checkpointd.migrations ORDER BY version").fetchall()
    assert versions == [(number,) for number in range(1, len(versions) + 1)]


async def test_a_newer_schema_is_refused(database_url: str) -> None:
    database = Database(database_url)
    await database.open()
    await database.close()
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO checkpointd.migrations (version, name) VALUES (9999, 'future')")
    with pytest.raises(StartupError, match="schema version 9999"):
        await Database(database_url).open()


async def test_an_old_postgresql_is_refused(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await check(connection)
        with pytest.raises(StartupError, match=r"too old; checkpointd needs 99"):
            await check(connection, oldest=99)


def _copied(source: str, target: str) -> None:
    """Copy all rows of the tables and columns that both databases have."""
    columns = (
        "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns "
        "WHERE table_schema = 'checkpointd' AND table_name <> 'migrations' GROUP BY table_name"
    )
    with psycopg.connect(source) as old, psycopg.connect(target) as new:
        there: dict[str, list[str]] = dict(new.execute(columns).fetchall())
        for table, names in old.execute(columns).fetchall():
            shared = [name for name in names if name in there.get(table, [])]
            if not shared:
                continue
            listed = sql.SQL(", ").join(map(sql.Identifier, shared))
            name = sql.Identifier("checkpointd", table)
            reading = sql.SQL("COPY {} ({}) TO STDOUT").format(name, listed)
            writing = sql.SQL("COPY {} ({}) FROM STDIN").format(name, listed)
            with old.cursor().copy(reading) as source_rows, new.cursor().copy(writing) as target_rows:
                for chunk in source_rows:
                    target_rows.write(chunk)


# From the first schema in which values are as they are now.
@pytest.mark.parametrize("version", [number for number, _, _ in migrations()[4:-1]])
async def test_a_database_of_a_version_before_is_brought_up_with_all_that_is_in_it(
    postgres: TestPostgres, version: int
) -> None:
    newest, older = postgres.create_database(), postgres.create_database()
    engine = Engine(Database(newest))
    await engine.open()
    for turn in range(4):
        put = put_checkpoint("t", f"c{turn}", values={"x": f"{turn}" * 5000}, metadata={"step": turn})
        await engine.checkpoints.put_checkpoint(TENANT, put)
        await engine.checkpoints.put_writes(TENANT, put_writes("t", f"c{turn}", "task", [(0, "x", f"{turn}")]))
    before = await listed(engine, "t")
    await engine.close()
    with psycopg.connect(older) as connection:
        connection.execute("CREATE SCHEMA checkpointd")
        connection.execute(
            "CREATE TABLE checkpointd.migrations (version integer PRIMARY KEY, name text NOT NULL, "
            "applied_at timestamptz NOT NULL DEFAULT now())"
        )
        for number, name, statements in migrations():
            if number <= version:
                connection.execute(statements.encode())
                connection.execute("INSERT INTO checkpointd.migrations VALUES (%s, %s)", (number, name))
    _copied(newest, older)
    upgraded = Engine(Database(older))
    await upgraded.open()
    try:
        assert await listed(upgraded, "t") == before
        await upgraded.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "c9", parent="c3"))
        assert await ids(upgraded, "t") == ["c9", "c3", "c2", "c1", "c0"]
    finally:
        await upgraded.close()
    with psycopg.connect(older) as connection:
        assert connection.execute("SELECT max(version) FROM checkpointd.migrations").fetchone() == (len(migrations()),)
