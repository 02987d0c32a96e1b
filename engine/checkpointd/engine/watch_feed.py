"""From the table of events to those who watch: one reader a server, and a bounded queue for each who watches."""

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

import psycopg

from checkpointd.engine.database import Database, first_line
from checkpointd.engine.errors import EngineError
from checkpointd.engine.event_log import EventLog
from checkpointd.engine.row_security import EVERY_TENANT
from checkpointd.engine.sql import STATEMENTS
from checkpointd.engine.watch_tokens import LAST, Position
from checkpointd.v1.watch_pb2 import WatchEvent, WatchEventKind, WatchResponse

_log = logging.getLogger(__name__)

# What waits for one who watches, at most: rows, and bytes of them.
_MOST_WAITING = 1000
_MOST_BYTES = 1 << 20

# Rows of a tenant that one look takes.
_PAGE = 1000

# Seconds between looks: at least, however much is committed, and at most, should nobody tell that something was.
_SHORTEST = 0.01
_LONGEST = 1.0

# Seconds between two times that other servers are told, and between two looks at whether one hears it.
_TELLING = 0.02
_HEARD = 5.0

# Seconds after which a connection that hears nothing is looked at: does anybody still watch?
_LONGEST_HEARING = 10.0

# Seconds until the next attempt after trouble with the database.
_TROUBLE = 1.0

OF_A_COMMIT = (WatchEventKind.WATCH_EVENT_KIND_CHECKPOINT, WatchEventKind.WATCH_EVENT_KIND_WRITES)
"""The kinds that have a namespace and a sequence."""


class EventRow:
    """A row of the table, looked into when somebody wants it, and once."""

    __slots__ = ("_events", "body", "committed_at", "number", "seq", "thread_id", "turn")

    def __init__(self, turn: int, number: int, thread_id: str, seq: int, committed_at: datetime, body: bytes) -> None:
        self.turn = turn
        self.number = number
        self.thread_id = thread_id
        self.seq = seq
        self.committed_at = committed_at
        self.body = body
        self._events: list[WatchEvent] | None = None

    @property
    def events(self) -> list[WatchEvent]:
        """Its events, whole but for their tokens. To be copied before they are changed."""
        if self._events is None:
            self._events = list(WatchResponse.FromString(self.body).events)
            for place, event in enumerate(self._events):
                event.thread_id = self.thread_id
                event.committed_at.FromDatetime(self.committed_at)
                if event.kind in OF_A_COMMIT:
                    event.sequence = self.seq + place + 1
        return self._events


class _Feed:
    """One tenant, which somebody watches."""

    def __init__(self) -> None:
        self.position: Position | None = None
        """Up to here all was given to those who watch. None: not looked yet."""
        self.of_thread: dict[str, set[Watcher]] = {}
        self.of_several: set[Watcher] = set()

    def all(self) -> Iterator["Watcher"]:
        yield from self.of_several
        for watchers in self.of_thread.values():
            yield from watchers

    def give(self, row: EventRow) -> None:
        """Give a row to those whom it concerns."""
        assert self.position is not None
        for watcher in self.of_thread.get(row.thread_id, ()):
            watcher.put(row, self.position)
        for watcher in self.of_several:
            if row.thread_id.startswith(watcher.prefix):
                watcher.put(row, self.position)
        self.position = Position(row.turn, row.number)

    def reach(self, position: Position) -> None:
        """There is nothing more up to here."""
        if self.position is None:
            for watcher in self.all():
                watcher.since = position
                watcher.woken.set()
        self.position = position


class Watcher:
    """What waits for one who watches: the rows after `since`, in order."""

    def __init__(self, feed: _Feed, prefix: str) -> None:
        self.prefix = prefix
        self.since = feed.position
        """None: not known yet, and no row has come."""
        self.woken = asyncio.Event()
        self._feed = feed
        self._rows: deque[EventRow] = deque()
        self._bytes = 0

    def put(self, row: EventRow, before: Position) -> None:
        """Add a row, before which all is up to `before`. When there is no room, what waits goes: the table has it."""
        if len(self._rows) >= _MOST_WAITING or self._bytes + len(row.body) > _MOST_BYTES:
            self._rows.clear()
            self._bytes = 0
            self.since = before
        self._rows.append(row)
        self._bytes += len(row.body)
        self.woken.set()

    def take(self) -> EventRow | None:
        """The next row."""
        if not self._rows:
            return None
        row = self._rows.popleft()
        self._bytes -= len(row.body)
        return row

    @property
    def upto(self) -> Position | None:
        """Up to where all has come here; None: not known."""
        return self._feed.position


class WatchFeed:
    """Gives what is committed, here or through another server, to those who watch here."""

    def __init__(self, database: Database, log: EventLog) -> None:
        self._database = database
        self._feeds: dict[str, _Feed] = {}
        self.count = 0
        """How many watch."""
        self._look = asyncio.Event()
        self._watched = asyncio.Event()
        self._written = asyncio.Event()
        self._server = secrets.token_hex(8)
        log.tell = self._told
        work = (self._poll(), self._hear(), self._tell_others()) if log.on else ()
        self._tasks = [asyncio.create_task(part) for part in work]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    @contextmanager
    def watching(self, tenant: str, thread_id: str, prefix: str) -> Iterator[Watcher]:
        """Watch a thread or, without one, those whose ids have a prefix."""
        feed = self._feeds.setdefault(tenant, _Feed())
        watcher = Watcher(feed, prefix)
        group = feed.of_thread.setdefault(thread_id, set()) if thread_id else feed.of_several
        group.add(watcher)
        self.count += 1
        self._watched.set()
        self._look.set()
        try:
            yield watcher
        finally:
            group.discard(watcher)
            self.count -= 1
            if thread_id and not group:
                del feed.of_thread[thread_id]
            if not feed.of_thread and not feed.of_several:
                del self._feeds[tenant]
            if not self._feeds:
                self._watched.clear()

    def wake(self) -> None:
        """Wake all who watch."""
        for feed in self._feeds.values():
            for watcher in feed.all():
                watcher.woken.set()

    def _told(self) -> None:
        self._look.set()
        self._written.set()

    async def _poll(self) -> None:
        while True:
            await self._watched.wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), _LONGEST)
            self._look.clear()
            try:
                await self._read()
                await asyncio.sleep(_SHORTEST)
            except EngineError as error:
                _log.warning("who watches has to wait: %s", error)
                await asyncio.sleep(_TROUBLE)
            except Exception:
                _log.exception("who watches has to wait")
                await asyncio.sleep(_TROUBLE)

    async def _read(self) -> None:
        """Look once at all tenants that are watched."""
        feeds = dict(self._feeds)
        # One that is new has nothing before what it finds now.
        positions = {tenant: feed.position or Position(LAST) for tenant, feed in feeds.items()}
        (_, over, *_), *rows = await self._database.rows(
            "poll_events",
            {
                "tenant": EVERY_TENANT,
                "tenants": list(positions),
                "turns": [position.turn for position in positions.values()],
                "numbers": [position.number for position in positions.values()],
                "size": _PAGE,
            },
        )
        counts = dict.fromkeys(feeds, 0)
        for tenant, *row in rows:
            counts[tenant] += 1
            feeds[tenant].give(EventRow(*row))
        for tenant, feed in feeds.items():
            if counts[tenant] < _PAGE:
                feed.reach(Position(over))
            else:
                self._look.set()

    async def _hear(self) -> None:
        """Look when another server tells that it has written something."""
        while True:
            await self._watched.wait()
            try:
                connection = await self._database.own_connection()
                async with connection:
                    for statement in ("hear_of_events", "say_that_one_hears"):
                        await connection.execute(STATEMENTS[statement].encode())
                    self._look.set()
                    while self._watched.is_set():
                        async for told in connection.notifies(timeout=_LONGEST_HEARING, stop_after=1):
                            if told.payload != self._server:
                                self._look.set()
            except psycopg.Error as error:
                _log.debug("can't hear of other servers' events: %s", first_line(error))
                await asyncio.sleep(_TROUBLE)

    async def _tell_others(self) -> None:
        """Tell other servers that something was written here, as long as one hears it. Whether one does is looked at
        from time to time; until then it finds the events by itself, a little later."""
        heard, until = False, 0.0
        while True:
            await self._written.wait()
            await asyncio.sleep(_TELLING)
            self._written.clear()
            try:
                if (now := time.monotonic()) > until:
                    heard, until = await self._run("others_hear_of_events"), now + _HEARD
                if heard:
                    await self._run("tell_of_events")
            except EngineError:
                await asyncio.sleep(_TROUBLE)
            except Exception:
                _log.exception("other servers are not told of events")
                await asyncio.sleep(_TROUBLE)

    async def _run(self, statement: str) -> bool:
        """Run a statement of one value; returns whether that is true."""
        async with self._database.reading(EVERY_TENANT) as cursor:
            await cursor.execute(STATEMENTS[statement].encode(), {"server": self._server}, prepare=True)
            row = await cursor.fetchone()
        return row is not None and bool(row[0])
