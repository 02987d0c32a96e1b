"""Retention in the background: every policy of every tenant, by one server at a time."""

import asyncio
import logging
import uuid
from typing import Any

from checkpointd.engine.database import Database
from checkpointd.engine.errors import EngineError
from checkpointd.engine.retention import Retention, terms_of
from checkpointd.engine.row_security import EVERY_TENANT
from checkpointd.engine.sql import STATEMENTS
from checkpointd.engine.tally import RetentionTally

_log = logging.getLogger(__name__)

_CHORE = "retention"

# Seconds between two pages, so that others come in between.
_PAUSE = 0.05


class RetentionRounds:
    """Carries out the policies from time to time, unless another server does."""

    def __init__(self, database: Database, retention: Retention, interval: float) -> None:
        """`interval` is in seconds, from the end of a round to the next one."""
        self._database = database
        self._retention = retention
        self._interval = interval
        self._holder = uuid.uuid4().hex
        self.tally = RetentionTally()

    async def run(self) -> None:
        """Do so for ever."""
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.round()
            except EngineError as error:
                _log.warning("retention stops half-way and begins anew later: %s", error)
            except Exception:
                _log.exception("retention stops half-way and begins anew later")

    async def round(self) -> bool:
        """Carry out all policies once; whether nobody else was doing so."""
        if not await self._claim():
            return False
        try:
            for tenant, policy in await self._retention.policies(EVERY_TENANT):
                if not await self._carry_out(tenant, terms_of(policy)):
                    return False
        finally:
            await self._execute("leave_chore")
        self.tally.rounds += 1
        return True

    async def _carry_out(self, tenant: str, terms: dict[str, Any]) -> bool:
        """False when another server has taken the work over, since this one was so slow."""
        after = ""
        while True:
            page, after = await self._retention.page(tenant, terms, after)
            self.tally.threads += page.removed_threads
            self.tally.checkpoints += page.removed_checkpoints
            self.tally.bytes += page.removed_bytes
            if not page.next_page_token:
                return True
            await asyncio.sleep(_PAUSE)
            if not await self._claim():
                return False

    async def _claim(self) -> bool:
        return await self._execute("claim_chore") > 0

    async def _execute(self, statement: str) -> int:
        async with self._database.changing(EVERY_TENANT) as connection:
            parameters = {"name": _CHORE, "holder": self._holder}
            return (await connection.execute(STATEMENTS[statement].encode(), parameters)).rowcount
