"""Whether the database can serve: looked at every few seconds, with one statement."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from checkpointd.engine.database import Database, first_line
from checkpointd.engine.errors import EngineError
from checkpointd.engine.row_security import EVERY_TENANT
from checkpointd.engine.sql import STATEMENTS, migrations

_log = logging.getLogger(__name__)

# Seconds between two looks: while all is well, and while it is not.
_INTERVAL = 2.0
_INTERVAL_OF_TROUBLE = 0.5

# Seconds. A database that takes longer to answer is taken for one that is out of reach.
_PATIENCE = 5.0


class Readiness:
    """What stands in the way of serving, if anything does. `on_change` is called when that begins and when it ends."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._needed = migrations()[-1][0]
        self._look: asyncio.Task[str | None] | None = None
        self.problem: str | None = None
        self.on_change: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Look for ever."""
        try:
            while True:
                await asyncio.sleep(_INTERVAL if self.problem is None else _INTERVAL_OF_TROUBLE)
                await self.look()
        finally:
            if self._look is not None:
                self._look.cancel()

    async def look(self) -> None:
        """Look once; waits no longer than a few seconds."""
        problem = await self._find()
        if problem is not None and self.problem is None:
            # A connection that broke while it was idle is no news of the database; its pool has made another one.
            problem = await self._find()
        before, self.problem = self.problem, problem
        if (before is None) != (problem is None):
            if problem is not None:
                _log.error("not serving: %s", problem)
            else:
                _log.info("serving again")
            self.on_change()

    async def _find(self) -> str | None:
        if self._look is None:
            self._look = asyncio.create_task(self._ask())
        done, _ = await asyncio.wait([self._look], timeout=_PATIENCE)
        if not done:  # it goes on: to cancel a statement may take as long as the statement
            return f"the database has not answered for {_PATIENCE:g} s"
        look, self._look = self._look, None
        return look.result()

    async def _ask(self) -> str | None:
        try:
            row: tuple[Any, ...] | None = None
            async with self._database.reading(EVERY_TENANT) as cursor:
                await cursor.execute(STATEMENTS["readiness"].encode())
                row = await cursor.fetchone()
        except EngineError as error:
            return f"the database can't be used: {error.message}"
        except Exception as error:  # the schema or its table is gone, or forbidden
            return f"the database is not as it should be: {first_line(error)}"
        assert row is not None
        read_only, version = row
        if version < self._needed:
            return f"the database has schema version {version}, and this server needs {self._needed}"
        return "the database is read-only" if read_only else None
