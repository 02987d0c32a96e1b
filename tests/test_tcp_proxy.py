"""The proxy that other tests rely on, between psycopg and a real PostgreSQL."""

import subprocess
import threading
from collections.abc import Iterator

import psycopg
import pytest

from tests.postgres import TestPostgres
from tests.server_process import COMMAND, environment
from tests.tcp_proxy import TcpProxy, claiming_version, postgres_proxy


@pytest.fixture
def proxied(postgres: TestPostgres) -> Iterator[tuple[TcpProxy, str]]:
    proxy, conninfo = postgres_proxy(postgres.conninfo)
    with proxy:
        yield proxy, f"{conninfo} connect_timeout=30"


def test_passes_both_ways(proxied: tuple[TcpProxy, str]) -> None:
    with psycopg.connect(proxied[1]) as connection:
        row = connection.execute("SELECT %s || repeat('x', 1000000)", ["y" * 1000000]).fetchone()
    assert row == ("y" * 1000000 + "x" * 1000000,)


def test_cuts_what_is_open_and_takes_new_connections(proxied: tuple[TcpProxy, str]) -> None:
    proxy, conninfo = proxied
    with psycopg.connect(conninfo) as connection:
        proxy.cut()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    psycopg.connect(conninfo).close()


def test_refuses_new_connections_only(proxied: tuple[TcpProxy, str]) -> None:
    proxy, conninfo = proxied
    with psycopg.connect(conninfo) as connection:
        proxy.refuse()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(conninfo)
        connection.execute("SELECT 1")
    proxy.accept()
    psycopg.connect(conninfo).close()


def test_holds_until_released(proxied: tuple[TcpProxy, str]) -> None:
    proxy, conninfo = proxied
    answered = threading.Event()

    def ask(connection: psycopg.Connection) -> None:
        connection.execute("SELECT 1")
        answered.set()

    with psycopg.connect(conninfo) as connection:
        proxy.hold()
        asking = threading.Thread(target=ask, args=[connection])
        asking.start()
        assert not answered.wait(0.2)
        proxy.release()
        assert answered.wait(30)
        asking.join()


def test_an_old_postgresql_is_refused_by_the_server(postgres: TestPostgres) -> None:
    """No release that old can be had here, so a new one says that it is."""
    proxy, conninfo = postgres_proxy(postgres.conninfo, claiming_version("9.6.24"))
    with proxy:
        with psycopg.connect(conninfo) as connection:
            assert connection.info.server_version == 90624
            assert connection.info.parameter_status("server_encoding") == "UTF8"
        serve = subprocess.run(
            [*COMMAND, "serve", "--listen", "127.0.0.1:0", "--database-url", conninfo],
            check=False, capture_output=True, text=True, env=environment(), timeout=60,
        )  # fmt: skip
    assert serve.returncode == 1
    assert serve.stdout == ""
    assert "PostgreSQL 9, which is too old" in serve.stderr
    assert "Traceback" not in serve.stderr
