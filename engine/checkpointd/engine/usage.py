"""Counting what tenants use, for those that have a quota: in small steps, by one server at a time for each tenant.

A thread is counted again when it has changed. What is stored while its tenant is counted is in the next count.
"""

import logging
import time
from typing import Any

from checkpointd.engine.database import Database
from checkpointd.engine.row_security import EVERY_TENANT
from checkpointd.engine.sql import STATEMENTS

_log = logging.getLogger(__name__)

# Seconds. A count is due when the last one ended so long ago.
_INTERVAL = 4.0

# Threads that one step counts.
STEP = 100


class UsageCount:
    """Counts the threads and bytes of tenants. Any number of servers may do so on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, interval: float = _INTERVAL) -> list[str]:
        """Count the tenants whose last count is so many seconds old; returns those that were counted here."""
        counted: list[str] = []
        while claimed := await self._execute("claim_count", interval=interval):
            ((tenant,),) = claimed
            if tenant in counted:  # with an interval of 0 there is no end
                break
            await self._count(tenant)
            counted.append(tenant)
        return counted

    async def _count(self, tenant: str) -> None:
        began = time.monotonic()
        last = ""
        while threads := await self._execute("uncounted_threads", tenant=tenant, thread_id=last, size=STEP):
            thread_ids = [thread_id for (thread_id,) in threads]
            await self._execute("count_threads", tenant=tenant, thread_ids=thread_ids)
            await self._execute("renew_claim", tenant=tenant)
            last = thread_ids[-1]
        await self._execute("forget_counts", tenant=tenant)
        await self._execute("end_count", tenant=tenant, took=time.monotonic() - began)

    async def _execute(self, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        async with self._database.changing(EVERY_TENANT) as connection:
            cursor = await connection.execute(STATEMENTS[statement].encode(), parameters)
            return await cursor.fetchall() if cursor.description else []
