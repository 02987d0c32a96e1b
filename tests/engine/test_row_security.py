"""Row-level security: PostgreSQL shows and takes no other tenant's rows, whatever a statement asks for."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import StartupError
from checkpointd.engine.row_security import EVERY_TENANT, RowSecurity
from tests.engine.reading import ids
from tests.messages import put_checkpoint, put_writes
from tests.postgres import TestPostgres


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """One that uses it, in which two tenants have a thread of the same name."""
    database = Database(database_url, write_connections=1, read_connections=2, row_security="on")
    engine = Engine(database)
    await engine.open()
    for tenant in ("a", "b", "a"):
        await engine.checkpoints.put_checkpoint(tenant, put_checkpoint("t", f"of-{tenant}", values={"x": tenant}))
        await engine.checkpoints.put_writes(tenant, put_writes("t", f"of-{tenant}", "task", [(0, "x", tenant)]))
    assert await ids(engine, "t", tenant="a") == ["of-a"]
    yield database
    await engine.close()


async def tables_of_tenants(database: Database) -> list[str]:
    async with database.reading(EVERY_TENANT) as cursor:
        await cursor.execute(
            "SELECT table_name::text FROM information_schema.columns "
            "WHERE table_schema = 'checkpointd' AND column_name = 'tenant' ORDER BY 1"
        )
        return [name for (name,) in await cursor.fetchall()]


async def test_a_statement_that_names_no_tenant_sees_its_own_only(database: Database) -> None:
    for tenant, seen in (("a", ["a"]), ("b", ["b"]), ("c", []), (EVERY_TENANT, ["a", "b"])):
        for table in ("threads", "checkpoints", "channel_values", "writes"):
            async with database.reading(tenant) as cursor:
                await cursor.execute(f"SELECT DISTINCT tenant FROM checkpointd.{table} ORDER BY 1")
                assert [name for (name,) in await cursor.fetchall()] == seen, (tenant, table)


async def test_nor_does_it_change_others(database: Database) -> None:
    async with database.changing("a") as connection:
        for statement in (
            "UPDATE checkpointd.threads SET seq = 0 WHERE tenant = 'b'",
            "DELETE FROM checkpointd.writes WHERE tenant = 'b'",
        ):
            assert (await connection.execute(statement)).rowcount == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            await connection.execute("INSERT INTO checkpointd.threads (tenant, thread_id, seq) VALUES ('b', 'u', 1)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            await connection.execute("UPDATE checkpointd.threads SET tenant = 'b'")


async def test_every_table_with_a_tenant_has_it(database: Database, database_url: str) -> None:
    tables = await tables_of_tenants(database)
    assert "api_keys" in tables
    with psycopg.connect(database_url) as connection:
        for table in tables:
            found = connection.execute(
                "SELECT polname FROM pg_policy JOIN pg_class ON pg_class.oid = polrelid "
                "WHERE relname = %s AND relrowsecurity ORDER BY 1",
                (table,),
            ).fetchall()
            assert found == [("everybody",), ("own_tenants",)], table


async def test_others_than_the_servers_connections_see_all(database: Database, database_url: str) -> None:
    """Such as a dump, and a server of a version before it."""
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM checkpointd.threads").fetchone() == (2,)
    older = Engine(Database(database_url))
    await older.open()
    try:
        await older.checkpoints.put_checkpoint("b", put_checkpoint("t", "later"))
        assert await ids(older, "t", tenant="b") == ["later", "of-b"]
    finally:
        await older.close()


@pytest.fixture
def weak_role(postgres: TestPostgres, database_url: str) -> str:
    """The database as a role that owns it, and may make no roles."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS weak")
        connection.execute("CREATE ROLE weak LOGIN")
        name = connection.info.dbname
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO weak").format(sql.Identifier(name)))
        if _has_tenant_role(connection):
            connection.execute("REVOKE checkpointd_tenant FROM weak")
    return make_conninfo(database_url, user="weak")


def _has_tenant_role(connection: "psycopg.Connection[tuple[object, ...]]") -> bool:
    return connection.execute("SELECT FROM pg_roles WHERE rolname = 'checkpointd_tenant'").fetchone() is not None


@pytest.mark.parametrize("wanted", ["auto", "on"])
async def test_a_role_that_may_not(weak_role: str, wanted: RowSecurity, caplog: pytest.LogCaptureFixture) -> None:
    database = Database(weak_role, write_connections=1, read_connections=1, row_security=wanted)
    if wanted == "on":
        with pytest.raises(StartupError, match="may not set up row-level security"):
            await database.open()
        return
    await database.open()
    await database.close()
    assert "may not set up row-level security" in caplog.text


async def test_a_role_that_was_let(weak_role: str, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        if not _has_tenant_role(connection):
            connection.execute("CREATE ROLE checkpointd_tenant NOLOGIN")
        connection.execute("GRANT checkpointd_tenant TO weak")
    database = Database(weak_role, write_connections=1, read_connections=1, row_security="on")
    engine = Engine(database)
    await engine.open()
    try:
        await engine.checkpoints.put_checkpoint("a", put_checkpoint("t", "1"))
        async with database.reading("b") as cursor:
            await cursor.execute("SELECT count(*) FROM checkpointd.threads")
            assert await cursor.fetchone() == (0,)
    finally:
        await engine.close()


async def test_commits_of_many_tenants_go_together(database_url: str) -> None:
    engine = Engine(Database(database_url, write_connections=1, row_security="on"))
    await engine.open()
    try:
        tenants = [f"tenant-{number}" for number in range(50)]
        commits = [
            engine.checkpoints.put_checkpoint(tenant, put_checkpoint("t", f"c{turn}"))
            for turn in range(3)
            for tenant in tenants
        ]
        await asyncio.gather(*commits)
        for tenant in tenants:
            assert await ids(engine, "t", tenant=tenant) == ["c2", "c1", "c0"]
    finally:
        await engine.close()
