"""A real PostgreSQL for tests: the server's own embedded one, in a directory that goes away with it."""

import asyncio
import itertools
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from checkpointd.server.embedded import EmbeddedPostgres

_names = itertools.count(1)


class TestPostgres:
    """A running PostgreSQL. Make one per test session, and a database per test."""

    __test__ = False  # a helper, whatever its name says to pytest

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server

    @property
    def conninfo(self) -> str:
        """The libpq connection string of the database `postgres`."""
        return self._server.conninfo

    @property
    def log_file(self) -> Path:
        """What PostgreSQL logs."""
        return self._server.log_file

    def create_database(self, template: str = "template0") -> str:
        """Make a database, a copy of `template`, and return its connection string."""
        name = f"test_{os.getpid()}_{next(_names)}"
        # FILE_COPY of a small database is the faster one only without its two checkpoints; so the default, WAL_LOG.
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        self._execute(statement)
        return make_conninfo(self.conninfo, dbname=name)

    def drop_database(self, conninfo: str) -> None:
        """Drop a database that create_database() made, and end the connections to it."""
        name = str(psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"])
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def kill(self) -> None:
        """Kill -9 PostgreSQL's first process, as an out-of-memory killer would; its children end by themselves."""
        os.kill(self._server.postmaster_pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop it in good order: every connection ends."""
        self._server.stop()

    def start(self) -> None:
        """Start it again after stop() or kill(), on the same data and with the same connection string."""
        self._server.stop()  # after a kill there is a lock to let go
        self._server.start()

    @contextmanager
    def supervised(self) -> Iterator[None]:
        """Within this, it is started again by itself whenever it dies."""
        loop = asyncio.new_event_loop()
        watching = threading.Event()

        async def watch() -> None:
            watching.set()
            await self._server.supervise()

        task = loop.create_task(watch())
        thread = threading.Thread(target=loop.run_until_complete, args=(asyncio.wait([task]),), name="supervise")
        thread.start()
        watching.wait()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(task.cancel)
            thread.join()
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def running_postgres(major: int = 18) -> Iterator[TestPostgres]:
    """A new PostgreSQL of that version (16 and 18 are there), gone at the end with all its data."""
    # A short path, so that the socket lies within; pytest's own directories are kept and would fill the disk.
    directory = Path(tempfile.mkdtemp(prefix="checkpointd-test-"))
    server = EmbeddedPostgres(directory, major=major)
    try:
        server.start()
        yield TestPostgres(server)
    finally:
        server.stop()
        shutil.rmtree(directory)
