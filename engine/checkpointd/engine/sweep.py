"""The sweep: removes what nobody will ask for again.

That is writes whose checkpoint never came, answers to requests that are not repeated any more, and leases and API keys
that ended long ago.
"""

import asyncio
import logging

from checkpointd.engine.api_keys import FORGOTTEN
from checkpointd.engine.database import Database
from checkpointd.engine.errors import EngineError
from checkpointd.engine.row_security import EVERY_TENANT
from checkpointd.engine.sql import STATEMENTS

_log = logging.getLogger(__name__)

# Seconds. The contract states it: how long writes wait for their checkpoint, and answers for a repeat.
AGE = 24 * 3600.0

# Seconds between two walks over all threads, and between two steps of one.
_INTERVAL = 3600.0
_PAUSE = 0.5

# Threads that one step reads.
STEP = 1000


class Sweep:
    """Walks over all threads, a small step at a time. Any number of servers may do so on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Sweep for ever, from time to time."""
        while True:
            await asyncio.sleep(_INTERVAL)
            try:
                if removed := await self.sweep(AGE, _PAUSE):
                    _log.info("removed %d writes whose checkpoint never came", removed)
            except EngineError as error:
                _log.warning("the sweep stops half-way and begins anew later: %s", error)
            except Exception:
                _log.exception("the sweep stops half-way and begins anew later")

    async def sweep(self, age: float, pause: float = 0.0) -> int:
        """One walk: removes what is older than `age` seconds, with a pause between steps; returns how many writes."""
        removed = 0
        for statement, oldest in (("forget_answers", age), ("forget_leases", age), ("forget_api_keys", FORGOTTEN)):
            async with self._database.changing(EVERY_TENANT) as connection:
                await connection.execute(STATEMENTS[statement].encode(), {"age": oldest})
        tenant = thread_id = ""
        while True:
            position = {"tenant": tenant, "thread_id": thread_id, "age": age, "size": STEP}
            async with self._database.reading(EVERY_TENANT) as cursor:
                await cursor.execute(STATEMENTS["threads_after"].encode(), position)
                threads = await cursor.fetchall()
            for tenant, thread_id, due in threads:
                if due:
                    removed += await self._sweep_thread(tenant, thread_id, age)
            if len(threads) < STEP:
                return removed
            await asyncio.sleep(pause)

    async def _sweep_thread(self, tenant: str, thread_id: str, age: float) -> int:
        async with self._database.changing(tenant) as connection:
            parameters = {"tenant": tenant, "thread_id": thread_id, "age": age}
            cursor = await connection.execute(connection.sql("sweep_thread"), parameters)
            row = await cursor.fetchone()
        return int(row[0]) if row else 0
