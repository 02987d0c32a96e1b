"""Support for the tests of the embedded PostgreSQL: another process that owns one, and another user."""

import os
import selectors
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

# An ordinary user: somebody who is neither root nor the one that PostgreSQL runs as when we are root; ourselves if not.
NOBODY = 65534 if os.geteuid() == 0 else None

_OWNER = """
import os
import sys
from pathlib import Path
from checkpointd.server.embedded import EmbeddedPostgres, EmbeddedPostgresError

# Not by the way of starting this process: the interpreter may lie where only root can start it.
if user := int(sys.argv[2]):
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
server = EmbeddedPostgres(Path(sys.argv[1]))
try:
    server.start()
except EmbeddedPostgresError as error:
    sys.exit(f"refused: {error}")
print(server.postmaster_pid, server.conninfo, flush=True)
sys.stdin.read()
server.stop()
"""


class Owner:
    """Another process that starts an EmbeddedPostgres in `data_dir`, from construction until `stop` or `kill`."""

    def __init__(self, data_dir: Path, *, user: int | None = None, within: Sequence[str] = ()) -> None:
        """`user` is the uid that the process takes; None stays with ours. `within` is a command that runs it."""
        self.process = subprocess.Popen(
            [*within, sys.executable, "-c", _OWNER, str(data_dir), str(user or 0)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
        )  # fmt: skip
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(60), "the other process said nothing within a minute"
        pid, _, self.conninfo = self.process.stdout.readline().strip().partition(" ")
        self.postmaster_pid = int(pid or 0)
        """0 if it could not start."""

    def stop(self) -> str:
        """Let it end in good order; returns what it said on stderr."""
        return str(self.process.communicate("", timeout=60)[1])

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)

    def __enter__(self) -> "Owner":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            self.stop()


def execute(conninfo: str, statement: str) -> Any:
    """Execute a statement in a connection of its own; the first column of its first row, if it has rows."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None
