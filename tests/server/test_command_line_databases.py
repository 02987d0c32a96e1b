"""Databases that can't serve: the server says which one and why, without a traceback, and ends."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.messages import put_checkpoint
from tests.postgres import TestPostgres
from tests.server.command import run
from tests.server.wire import health, invoke
from tests.server_process import ServerProcess
from tests.tcp_proxy import TcpProxy

_PASSWORD = "s3cretpassw0rd"


def _refuses(url: str | None, *words: str, **settings: str) -> str:
    """Start a server that can't; it says so in one line that has the words. Returns the line."""
    options = ["--database-url", url] if url is not None else []
    answer = run("serve", "--listen", "127.0.0.1:0", *options, **settings)
    assert answer.returncode == 1, answer.stderr
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr
    assert _PASSWORD not in answer.stderr
    last = answer.stderr.strip().splitlines()[-1]
    assert last.startswith("checkpointd: ")
    for word in words:
        assert word in last
    return last


@pytest.fixture
def execute(database_url: str) -> Callable[..., None]:
    """Runs a statement in the test's database; `{}` stands for the names given."""

    def run(statement: str, *names: str) -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    return run


@pytest.fixture
def role(database_url: str, execute: Callable[..., None]) -> Iterator[str]:
    """A role that may connect and no more."""
    name = f"role_{conninfo_to_dict(database_url)['dbname']}"
    execute("CREATE ROLE {} LOGIN", name)
    yield name
    execute("DROP OWNED BY {}", name)
    execute("DROP ROLE {}", name)


def test_a_port_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    _refuses(f"postgresql://user:{_PASSWORD}@127.0.0.1:{port}/db", "'db'", f"127.0.0.1:{port}", "refused")


def test_a_host_that_is_none() -> None:
    _refuses(f"postgresql://user:{_PASSWORD}@host.invalid/db", "'db'", "host.invalid:5432")


def test_somebody_else_on_the_port(server: ServerProcess) -> None:
    _refuses(f"postgresql://user:{_PASSWORD}@{server.address}/db", server.address)


def test_a_role_or_a_database_that_is_not_there(database_url: str) -> None:
    _refuses(make_conninfo(database_url, user="nobody_there"), "nobody_there")
    _refuses(make_conninfo(database_url, dbname="nothing_there"), "'nothing_there'", "does not exist")


def test_a_wrong_password(postgres: TestPostgres, database_url: str) -> None:
    """Behind a proxy which asks for a password in PostgreSQL's place, and finds it wrong."""
    error = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "postgres"\0\0'
    reply = b"E" + (len(error) + 4).to_bytes(4, "big") + error
    proxy = TcpProxy(_socket_of(postgres), lambda _: reply)
    try:
        host, _, port = proxy.address.rpartition(":")
        url = make_conninfo(
            database_url, host=host, port=port, password=_PASSWORD, sslmode="disable", gssencmode="disable"
        )
        _refuses(url, "password authentication failed", proxy.address)
    finally:
        proxy.close()


def _socket_of(postgres: TestPostgres) -> Path:
    parts = conninfo_to_dict(postgres.conninfo)
    return Path(str(parts["host"])) / f".s.PGSQL.{parts['port']}"


def test_a_read_only_database(database_url: str, execute: Callable[..., None]) -> None:
    name = str(conninfo_to_dict(database_url)["dbname"])
    execute("ALTER DATABASE {} SET default_transaction_read_only = on", name)
    _refuses(database_url, repr(name), "read-only")


def test_another_encoding(postgres: TestPostgres) -> None:
    name = "test_sql_ascii"
    url = make_conninfo(postgres.conninfo, dbname=name)
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING SQL_ASCII LOCALE_PROVIDER libc LOCALE 'C'"
        )
    try:
        _refuses(url, repr(name), "SQL_ASCII", "UTF8")
    finally:
        postgres.drop_database(url)


def test_a_postgresql_that_is_too_old(postgres: TestPostgres, database_url: str) -> None:
    """Behind a proxy which gives out an older version's number."""
    proxy = TcpProxy(
        _socket_of(postgres), lambda data: re.sub(rb"server_version\x00\d\d", b"server_version\x0013", data)
    )
    try:
        host, _, port = proxy.address.rpartition(":")
        url = make_conninfo(database_url, host=host, port=port, sslmode="disable", gssencmode="disable")
        _refuses(url, "13", "too old", "14")
    finally:
        proxy.close()


def test_a_role_that_may_not_make_the_schema(database_url: str, role: str) -> None:
    _refuses(make_conninfo(database_url, user=role), role, "CREATE")


def test_a_role_that_may_not_use_the_schema(database_url: str, role: str, tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "log", "--database-url", database_url):
        pass
    _refuses(make_conninfo(database_url, user=role), role, "permission denied")


def test_a_role_that_may_not_use_the_tables(
    database_url: str, role: str, tmp_path: Path, execute: Callable[..., None]
) -> None:
    with ServerProcess(tmp_path / "log", "--database-url", database_url):
        pass
    execute("GRANT USAGE ON SCHEMA checkpointd TO {}", role)
    execute("GRANT SELECT ON checkpointd.migrations TO {}", role)
    _refuses(make_conninfo(database_url, user=role), role, "permission denied")
    # Nor those that later versions made.
    execute("GRANT ALL ON checkpointd.threads, checkpointd.checkpoints TO {}", role)
    execute("GRANT ALL ON checkpointd.channel_values, checkpointd.writes TO {}", role)
    _refuses(make_conninfo(database_url, user=role), role, "graph_versions, graphs")


def test_a_newer_schema(database_url: str, tmp_path: Path, execute: Callable[..., None]) -> None:
    with ServerProcess(tmp_path / "log", "--database-url", database_url):
        pass
    execute("INSERT INTO checkpointd.migrations (version, name) VALUES (1000, 'of the future')")
    _refuses(database_url, "1000", "schema version")


def test_a_schema_of_somebody_else(database_url: str, execute: Callable[..., None]) -> None:
    execute("CREATE SCHEMA checkpointd")
    execute("CREATE TABLE checkpointd.migrations (something_else text)")
    _refuses(database_url, "migrate")


@pytest.mark.parametrize("way", ["url of no database", "no url", "variable"])
def test_libpq_variables_choose_the_database(database_url: str, tmp_path: Path, way: str) -> None:
    parts = conninfo_to_dict(database_url)
    variables = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
    settings = {variable: str(parts[name]) for name, variable in variables.items()}
    options: tuple[str, ...] = ()
    if way == "url of no database":
        options = ("--database-url", "postgresql://")
    elif way == "variable":
        settings = {"CHECKPOINTD_DATABASE_URL": database_url, "PGDATABASE": "nothing_there"}
    with ServerProcess(tmp_path / "log", *options, HOME=str(tmp_path), **settings) as server:
        assert health(server.address) == "SERVING"
        with grpc.insecure_channel(server.address) as channel:
            invoke(channel, "PutCheckpoint", put_checkpoint("t", "c"))
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT thread_id FROM checkpointd.threads").fetchall() == [("t",)]
