"""The two sides, each with a database of its own on one PostgreSQL, and how a client comes by a checkpointer.

Both reach PostgreSQL through its unix socket and commit as durably as it does by default. Ours takes one TCP hop more,
on loopback, from the client to the server.
"""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from bench.pairs import Effort
from checkpointd.client.langgraph import RemoteSaver
from tests.postgres import TestPostgres, running_postgres
from tests.server_process import ServerProcess

POOL = 20  # connections of their asynchronous saver

Saver = BaseCheckpointSaver[str]


class Side(Protocol):
    """Where one side's checkpoints are. It travels to worker processes."""

    @property
    def name(self) -> str: ...

    def saver(self) -> AbstractContextManager[Saver]:
        """A checkpointer for threads, with a connection of its own."""

    def asaver(self) -> AbstractAsyncContextManager[Saver]:
        """A checkpointer for an event loop."""


@dataclass(frozen=True)
class Ours:
    """checkpointd: a server's address."""

    address: str
    name: str = "ours"

    def saver(self) -> AbstractContextManager[Saver]:
        return RemoteSaver.from_conn_string(self.address)

    def asaver(self) -> AbstractAsyncContextManager[Saver]:
        return RemoteSaver.from_conn_string(self.address)


@dataclass(frozen=True)
class Theirs:
    """LangGraph's PostgresSaver: a database."""

    conninfo: str
    name: str = "theirs"

    def saver(self) -> AbstractContextManager[Saver]:
        return PostgresSaver.from_conn_string(self.conninfo)

    @asynccontextmanager
    async def asaver(self) -> AsyncIterator[Saver]:
        settings: dict[str, Any] = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            self.conninfo, min_size=POOL, max_size=POOL, kwargs=settings, open=False
        )
        async with pool:
            yield AsyncPostgresSaver(pool)


@dataclass(frozen=True)
class Sides:
    """Both sides, and what is behind ours."""

    ours: Ours
    theirs: Theirs
    server: ServerProcess
    ours_conninfo: str

    @property
    def both(self) -> tuple[Side, Side]:
        return self.ours, self.theirs


@dataclass(frozen=True)
class Bench:
    """What measurements work with."""

    effort: Effort
    postgres: TestPostgres
    home: Path
    sides: Sides

    @contextmanager
    def fresh(self, **server: Any) -> Iterator[Sides]:
        """Sides with empty databases, and a server of their own."""
        with _sides(self.postgres, self.home, **server) as sides:
            yield sides


@contextmanager
def running(effort: Effort) -> Iterator[Bench]:
    """Start everything that the benchmark needs, and stop it in the end."""
    with (
        tempfile.TemporaryDirectory(prefix="checkpointd-bench-") as home,
        running_postgres() as postgres,
        _sides(postgres, Path(home)) as sides,
    ):
        yield Bench(effort, postgres, Path(home), sides)


@contextmanager
def _sides(postgres: TestPostgres, home: Path, **server: Any) -> Iterator[Sides]:
    ours, theirs = postgres.create_database(), postgres.create_database()
    with PostgresSaver.from_conn_string(theirs) as saver:
        saver.setup()
    log = home / f"server-{len(list(home.glob('server-*')))}.log"
    with ServerProcess(log, **server, CHECKPOINTD_DATABASE_URL=ours) as process:
        yield Sides(Ours(process.address), Theirs(theirs), process, ours)
    for conninfo in (ours, theirs):
        postgres.drop_database(conninfo)
