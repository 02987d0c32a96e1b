"""Stops, crashes and restarts, of the server and of PostgreSQL under it: what was acknowledged is there."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import psycopg
import pytest

from checkpointd.v1.checkpoints_pb2 import ListCheckpointsRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from tests.messages import put_checkpoint
from tests.postgres import TestPostgres, running_postgres
from tests.server.acknowledged import Putters, listed
from tests.server.wire import health, ids, refused
from tests.server_process import ServerProcess, eventually
from tests.tcp_proxy import postgres_proxy

_AWAY = {(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")}
# The server itself is away, or going: without a reason.
_GONE = {(grpc.StatusCode.UNAVAILABLE, None), (grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")}


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[TestPostgres]:
    """A PostgreSQL that tests here may kill."""
    with running_postgres() as running:
        yield running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_what_was_accepted(number: signal.Signals, tmp_path: Path) -> None:
    data = ("--data-dir", str(tmp_path / "data"))
    large = [f"c{number}" for number in range(24)]
    with ServerProcess(tmp_path / "log", *data) as server, grpc.insecure_channel(server.address) as channel:
        stub = CheckpointsStub(channel)
        for name in large:
            stub.PutCheckpoint(put_checkpoint("large", name, values={"a": os.urandom(1 << 20)}))
        slow = stub.ListCheckpoints(ListCheckpointsRequest(thread_id="large"))
        found = [next(slow)]
        with Putters(server.address) as putters:
            putters.go_on()
            server.process.send_signal(number)
            eventually("every putter was told", lambda: len(putters.failures) == len(putters.acknowledged))
        assert server.process.poll() is None  # it waits for the list
        found += slow
        assert ids(found) == large[::-1]
        assert server.wait() == 0
        log = server.log.read_text()
    # What was accepted was answered: nobody was cut off in the middle of a put.
    assert set(putters.failures) <= _GONE
    assert "Traceback" not in log
    with ServerProcess(tmp_path / "log", *data) as server:
        assert putters.missing(server.address) == []
        # Nor was anything stored that nobody was told of.
        for number_, names in enumerate(putters.acknowledged):
            assert listed(server.address, f"t{number_}") == names[::-1]


def test_a_killed_server_loses_nothing_acknowledged(tmp_path: Path) -> None:
    data = ("--data-dir", str(tmp_path / "data"))
    lives: list[Putters] = []
    for _ in range(2):
        with ServerProcess(tmp_path / "log", *data) as server:
            assert [putters.missing(server.address) for putters in lives] == [[]] * len(lives)
            with Putters(server.address) as putters:
                putters.go_on()
                server.kill()
            assert set(putters.failures) <= _GONE
        lives = [putters]
    with ServerProcess(tmp_path / "log", *data) as server:
        assert lives[0].missing(server.address) == []


def test_a_killed_postgresql_of_its_own_comes_back(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "log", "--data-dir", str(tmp_path / "data")) as server:
        with Putters(server.address, retry=True) as putters:
            killed = ""
            for _ in range(2):
                # Processes of the one that was killed may go on answering for a moment.
                eventually("another one runs", lambda: _postmaster(tmp_path) not in ("", killed))  # noqa: B023
                putters.go_on()
                killed = _postmaster(tmp_path)
                psutil.Process(int(killed)).kill()
            putters.go_on()
        assert set(putters.failures) <= _AWAY
        assert putters.missing(server.address) == []
        assert "Traceback" not in server.log.read_text()


def _postmaster(directory: Path) -> str:
    """The process id of the server's own PostgreSQL; empty while there is none."""
    try:
        return (directory / "data" / "postgres" / "postmaster.pid").read_text().partition("\n")[0]
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize("way", ["kill", "stop"])
def test_an_external_postgresql_that_restarts(own_postgres: TestPostgres, tmp_path: Path, way: str) -> None:
    with ServerProcess(tmp_path / "log", "--database-url", own_postgres.create_database()) as server:
        with Putters(server.address, retry=True) as putters:
            putters.go_on()
            if way == "kill":
                own_postgres.kill()
            else:
                own_postgres.stop()
            eventually("the putters notice", lambda: putters.failures)
            with refused(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"):
                listed(server.address, "t0")
            eventually("its health says so", lambda: health(server.address) == "NOT_SERVING")
            own_postgres.start()
            putters.go_on()
            eventually("it is well again", lambda: health(server.address) == "SERVING")
        assert set(putters.failures) == _AWAY
        assert putters.missing(server.address) == []
        assert "Traceback" not in server.log.read_text()


def test_connections_that_break(database_url: str, tmp_path: Path) -> None:
    proxy, through = postgres_proxy(database_url)
    with proxy, ServerProcess(tmp_path / "log", "--database-url", through) as server:
        with Putters(server.address, retry=True) as putters:
            for _ in range(3):
                putters.go_on()
                proxy.cut()
            putters.go_on()
            proxy.refuse()
            proxy.cut()
            noticed = len(putters.failures) + 1
            eventually("the putters notice", lambda: len(putters.failures) >= noticed)
            proxy.accept()
            putters.go_on()
        assert set(putters.failures) == _AWAY
        assert putters.missing(server.address) == []


def reads(address: str, putters: Putters) -> bool:
    """Whether a read is answered; right after a trouble with the database it may not be."""
    try:
        return set(listed(address, "t0")) >= set(putters.acknowledged[0])
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return False
        raise


def test_a_database_that_turns_read_only(database_url: str, tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "log", "--database-url", database_url) as server:
        with Putters(server.address, retry=True) as putters, psycopg.connect(database_url, autocommit=True) as admin:
            putters.go_on()
            name = admin.info.dbname
            admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
            others = f"FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
            admin.execute(f"SELECT pg_terminate_backend(pid) {others}".encode())
            read_only = (grpc.StatusCode.UNAVAILABLE, "DATABASE_READ_ONLY")
            eventually("the putters are told", lambda: read_only in putters.failures)
            eventually("reads go on", lambda: reads(server.address, putters))
            admin.execute("SET default_transaction_read_only = off")
            admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())
            admin.execute(f"SELECT pg_terminate_backend(pid) {others}".encode())
            putters.go_on()
        assert set(putters.failures) <= _AWAY | {read_only}
        assert putters.missing(server.address) == []


def test_servers_share_a_database(database_url: str, tmp_path: Path) -> None:
    database = ("--database-url", database_url, "--database-connections", "2")
    with ServerProcess(tmp_path / "a", *database) as one, ServerProcess(tmp_path / "b", *database) as other:
        with Putters(one.address) as first:
            first.go_on()
            # On the same threads, with the same ids: what a client does that retries at another server.
            with Putters(other.address) as second:
                first.go_on()
                second.go_on()
        assert (first.failures, second.failures) == ([], [])
        for putters in (first, second):
            assert putters.missing(one.address) == []
            assert putters.missing(other.address) == []
        assert one.stop() == 0
        assert first.missing(other.address) == []


def test_ten_servers_start_together_on_a_fresh_database(database_url: str, tmp_path: Path) -> None:
    servers: list[ServerProcess] = []

    def start(number: int) -> None:
        database = ("--database-url", database_url, "--database-connections", "2")
        servers.append(ServerProcess(tmp_path / f"log{number}", *database))

    starting = [threading.Thread(target=start, args=(number,)) for number in range(10)]
    for thread in starting:
        thread.start()
    for thread in starting:
        thread.join()
    try:
        assert len(servers) == 10
        for server in servers:
            with grpc.insecure_channel(server.address) as channel:
                assert CheckpointsStub(channel).PutCheckpoint(put_checkpoint("t", server.address)).sequence > 0
        assert len(listed(servers[0].address, "t")) == 10
    finally:
        codes = [server.stop() for server in servers]
    assert codes == [0] * 10
    with psycopg.connect(database_url) as connection:
        versions = connection.execute("SELECT version FROM checkpointd.migrations ORDER BY version").fetchall()
    assert versions == [(number + 1,) for number in range(len(versions))]
    assert sum(log.read_text().count("migrating the database") for log in tmp_path.iterdir()) == len(versions)
