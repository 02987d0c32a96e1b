"""The engine: a database, what commits to it, and the services over it."""

import asyncio

from checkpointd.engine.api_keys import ApiKeys
from checkpointd.engine.checkpoints import Checkpoints
from checkpointd.engine.committer import Committer
from checkpointd.engine.database import Database
from checkpointd.engine.event_log import EventLog
from checkpointd.engine.leases import Leases
from checkpointd.engine.quotas import Quotas
from checkpointd.engine.readiness import Readiness
from checkpointd.engine.retention import Retention
from checkpointd.engine.retention_rounds import RetentionRounds
from checkpointd.engine.states import States
from checkpointd.engine.sweep import Sweep
from checkpointd.engine.tally import BatchObserver, CacheTally, CommitTally, Pool
from checkpointd.engine.threads import Threads
from checkpointd.engine.watches import Watches


class Engine:
    """Everything that a server of the contract needs, but the wire. Open it before use, close it at the end."""

    checkpoints: Checkpoints
    threads: Threads
    states: States
    leases: Leases
    api_keys: ApiKeys
    watches: Watches
    readiness: Readiness
    quotas: Quotas
    retention: Retention
    retention_rounds: RetentionRounds

    def __init__(
        self,
        database: Database,
        *,
        value_cache: int = 128 << 20,
        observer: BatchObserver | None = None,
        retention_interval: float = 0,
        watch: bool = True,
        watch_retention: float = 24 * 3600.0,
    ) -> None:
        """`value_cache` is how many bytes of values to keep in memory, to compare the next ones with; with 0 all are
        stored whole. `observer` is told of every batch that is committed. `retention_interval` is how many seconds lie
        between two rounds of retention; with 0 there is none. With `watch` events are written, and kept for
        `watch_retention` seconds."""
        self._log = EventLog(on=watch)
        self._watch_retention = watch_retention
        self._database = database
        self._observer = observer
        self._retention_interval = retention_interval
        self._value_cache = value_cache

    async def open(self) -> None:
        """Connect, migrate, start committing.

        Raises:
            StartupError: the database can't serve as it is; the message says what to do.
        """
        await self._database.open()
        if self._database.on_citus:
            self._log.on = False
        self._committer = Committer(self._database, self._log, self._observer)
        self.checkpoints = Checkpoints(self._database, self._committer, self._value_cache)
        self.threads = Threads(self._database, self._log)
        self.states = States(self._database, self._log)
        self.leases = Leases(self._database, self._log)
        self.watches = Watches(self._database, self._log, self._watch_retention)
        self.api_keys = ApiKeys(self._database)
        self.readiness = Readiness(self._database)
        self.quotas = Quotas(self._database)
        self.retention = Retention(self._database, self._log)
        self.retention_rounds = RetentionRounds(self._database, self.retention, self._retention_interval)
        await self.quotas.refresh()  # none must be passed over at the start
        self._background = [
            asyncio.create_task(Sweep(self._database).run()),
            asyncio.create_task(self.readiness.run()),
            asyncio.create_task(self.quotas.run()),
        ]
        if self._retention_interval:
            self._background.append(asyncio.create_task(self.retention_rounds.run()))

    @property
    def commits(self) -> CommitTally:
        """What was committed since the start."""
        return self._committer.tally

    def queued(self) -> int:
        """How many commits wait for the database."""
        return self._committer.queued

    @property
    def cache(self) -> CacheTally:
        """Of the values in memory, since the start."""
        return self.checkpoints.cache

    def pools(self) -> list[Pool]:
        """The connections to the database, at this moment."""
        return self._database.pools(writing=self._committer.busy)

    async def close(self) -> None:
        """Answer everything that was taken, then let the database go. No call may come after."""
        for task in self._background:
            task.cancel()
        await asyncio.wait(self._background)
        await self.watches.close()
        await self._committer.close()
        await self._database.close()
