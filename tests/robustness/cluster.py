"""Two servers on one PostgreSQL, with a proxy on every way between them and from the clients."""

import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import psycopg
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from psycopg import sql

from tests.postgres import TestPostgres, running_postgres
from tests.robustness.broken_server import SWITCH
from tests.server_process import COMMAND, ServerProcess, eventually
from tests.server_proxy import ServerProxy
from tests.tcp_proxy import postgres_proxy

SERVERS = 2

_AT_WORK = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'checkpointd' AND state <> 'idle'"

_PATIENCE = 60.0  # seconds in which a part that was broken must be there again
_BROKEN = (sys.executable, "-m", "tests.robustness.broken_server")

# Below the ports that systems give to outgoing connections: the port of a server that is down must not become one.
_PORTS = (20_000, 32_000)


class Server:
    """A server that is killed and started again at the same address, the proxy that clients reach it by, and the one
    that it reaches its database by."""

    def __init__(self, name: str, host: str, home: Path, database_url: str, broken: str | None) -> None:
        """`host` is a loopback address of its own, at which clients reach it."""
        self.name = name
        self.log = home / f"{name}.log"
        self.turn = threading.Lock()
        """Held by who does something to the server."""
        self._command = COMMAND if broken is None else _BROKEN
        self._settings = {} if broken is None else {SWITCH: broken}
        self._address = f"127.0.0.1:{_free_port()}"
        self._session_port = _free_port()
        self._process: ServerProcess | None = None
        self.clients = ServerProxy(self._address, self._session_port, host)
        self.database, self._database_url = postgres_proxy(database_url)

    def start(self) -> None:
        """Start it; returns when it serves. Its database must be there, or come back soon."""
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self._process = ServerProcess(
                    self.log,
                    "--database-url",
                    self._database_url,
                    "--session-port",
                    str(self._session_port),
                    listen=self._address,
                    command=self._command,
                    **self._settings,
                )
            except AssertionError:
                if time.monotonic() > end:
                    raise
                # PostgreSQL was killed at that moment; the attempt itself takes a second.
            else:
                return

    def kill(self) -> None:
        """Kill -9."""
        assert self._process is not None
        self._process.kill()

    def pause(self) -> None:
        """Stop it as a machine that swaps would: its connections stay, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on from there."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.process.send_signal(number)

    def heal(self) -> None:
        """Let everything through again, and start it if it ended by itself."""
        for proxy in (self.clients, self.database):
            proxy.accept()
            proxy.release()
        if self._process is not None and self._process.process.poll() is not None:
            self.start()

    def died(self) -> bool:
        """Whether it has ended though nobody killed it. To be asked by who has its turn."""
        return self._process is not None and self._process.process.poll() is not None

    def close(self) -> None:
        """End it and its proxies."""
        if self._process is not None and self._process.process.poll() is None:
            self._process.process.send_signal(signal.SIGCONT)
            self._process.kill()
        self.clients.close()
        self.database.close()

    def await_serving(self) -> None:
        """Return when it says, through its proxy, that it serves."""
        with grpc.insecure_channel(self.clients.address) as channel:
            HealthStub(channel).Check(HealthCheckRequest(), timeout=_PATIENCE, wait_for_ready=True)


class Cluster:
    """The PostgreSQL and the servers."""

    def __init__(self, postgres: TestPostgres, home: Path, broken: str | None = None) -> None:
        """`broken` is the promise that the servers are to break, if any."""
        self.postgres = postgres
        self.database_url = postgres.create_database()
        self.database_up = threading.Event()
        self.database_up.set()
        self.servers = [
            Server(f"server-{number + 1}", f"127.0.0.{number + 2}", home, self.database_url, broken)
            for number in range(SERVERS)
        ]

    def target(self, first: int) -> str:
        """The servers as a gRPC target, from one of them on."""
        addresses = [server.clients.address for server in self.servers]
        first %= len(addresses)
        return "ipv4:" + ",".join(addresses[first:] + addresses[:first])

    def kill_postgres(self) -> None:
        """Kill -9 PostgreSQL's first process: what was in its memory only is lost."""
        self.database_up.clear()
        self.postgres.kill()

    def start_postgres(self) -> None:
        """Start it again; returns when it has recovered."""
        self.postgres.start()
        self.database_up.set()

    def start_server(self, server: Server) -> None:
        """Start a server as soon as there is a database for it. To be called by who has its turn."""
        if not self.database_up.wait(_PATIENCE):
            raise AssertionError(f"PostgreSQL was not back within {_PATIENCE} s")
        server.start()

    def heal(self) -> None:
        """Mend everything, and return when all serves. Nobody may be breaking things any more."""
        if not self.database_up.is_set():
            self.start_postgres()
        for server in self.servers:
            server.heal()
        for server in self.servers:
            server.await_serving()

    def settle(self) -> None:
        """Return when the servers have carried out what they still had from clients that are gone."""
        with psycopg.connect(self.postgres.conninfo, autocommit=True) as connection:

            def quiet() -> bool:
                row = connection.execute(_AT_WORK).fetchone()
                return row is not None and row[0] == 0

            eventually("the servers' connections are idle", lambda: quiet() and quiet(), _PATIENCE)

    def logs(self) -> str:
        """What the servers logged."""
        return "".join(server.log.read_text(errors="replace") for server in self.servers if server.log.exists())


@contextmanager
def running_cluster(home: Path, broken: str | None = None) -> Iterator[Cluster]:
    """A cluster that serves, gone at the end with all its data; its logs stay in `home`."""
    with running_postgres() as postgres, ExitStack() as stack:
        cluster = Cluster(postgres, home, broken)
        for server in cluster.servers:
            stack.callback(server.close)
        if broken == "durability":
            _be_slow_to_write(cluster.postgres)
        for server in cluster.servers:
            server.start()
        cluster.heal()
        yield cluster


def _be_slow_to_write(postgres: TestPostgres) -> None:
    """Let PostgreSQL keep commits that nobody waits for in memory as long as it can: a kill then shows it."""
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        for name, value in (("wal_writer_delay", "10s"), ("wal_writer_flush_after", "1GB"), ("wal_buffers", "64MB")):
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
    postgres.stop()
    postgres.start()


def _free_port() -> int:
    for _ in range(100):
        port = random.randrange(*_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port found")
