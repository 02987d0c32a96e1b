"""A PostgreSQL with a standby: two real ones in streaming replication, with synchronous commit."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from checkpointd.server import embedded
from checkpointd.server.unprivileged import account_for, let_in
from tests.ha.rolling import free_ports
from tests.server_process import eventually


class Node:
    """One of them, in a directory of its own."""

    def __init__(self, home: Path, port: int) -> None:
        self.port = port
        self._data = home / f"node-{port}"
        self._log = home / f"node-{port}.log"
        self._programs = embedded._binaries(18)
        self._account = account_for(self._data)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres connect_timeout=5"

    def make(self) -> None:
        """Make it a new primary."""
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")

    def copy(self, primary: "Node") -> None:
        """Make it a standby of another one."""
        source = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres"]
        self._run("pg_basebackup", "-D", str(self._data), *source, "-R", "-X", "stream", "-c", "fast")

    def start(self) -> None:
        """Start it; returns when it answers."""
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        words = ["postgres", "-D", str(self._data)]
        for name, value in settings.items():
            words += ["-c", f"{name}={value}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command(*words), stdout=log, stderr=log, cwd=self._data.parent)
        eventually("PostgreSQL answers", self._answers)

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """What it says to a statement."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def kill(self) -> None:
        """Kill -9 its first process; the others end by themselves."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)

    def _answers(self) -> bool:
        try:
            return self.execute("SELECT 1") == [(1,)]
        except psycopg.OperationalError:
            return False

    def _command(self, program: str, *words: str) -> list[str]:
        command = [str(self._programs / program), *words]
        return command if self._account is None else self._account.running(command)

    def _run(self, program: str, *words: str) -> None:
        """In a directory that is the account's, as PostgreSQL wants it."""
        self._data.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(self._data, self._account.uid, self._account.gid)
            let_in(self._account, self._data, self._programs.parent)
        command = self._command(program, *words)
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=self._data.parent)
        assert done.returncode == 0, done.stderr


class Replicated:
    """A primary, and a standby that has everything before it is acknowledged."""

    def __init__(self, home: Path) -> None:
        ports = free_ports(2)
        self.primary, self.standby = Node(home, ports[0]), Node(home, ports[1])
        self.database_url = (
            f"postgresql://postgres@127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/postgres?target_session_attrs=read-write"
        )

    def start(self) -> None:
        self.primary.make()
        self.primary.start()
        self.standby.copy(self.primary)
        self.standby.start()
        # Of the primary only: nobody stands by for the standby when it is promoted.
        self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.execute("SELECT pg_reload_conf()")
        in_step = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        eventually("the standby is synchronous", lambda: self.primary.execute(in_step) == [(1,)])

    def fail_over(self) -> None:
        """Kill the primary, and let the standby take its place."""
        self.primary.kill()
        assert self.standby.execute("SELECT pg_promote()") == [(True,)]

    def stop(self) -> None:
        self.standby.stop()
        self.primary.stop()


@contextmanager
def replicated_postgres() -> Iterator[Replicated]:
    """Two that run, in a directory that goes with them."""
    with tempfile.TemporaryDirectory(prefix="checkpointd-ha-", dir="/tmp") as home:
        Path(home).chmod(0o711)
        both = Replicated(Path(home))
        try:
            both.start()
            yield both
        finally:
            both.stop()
