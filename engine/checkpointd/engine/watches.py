"""Watching what is committed: the service `Watches` of the contract, without the wire."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress

from checkpointd.engine import validate
from checkpointd.engine.database import Database
from checkpointd.engine.errors import EngineError, InvalidField, ServerStopping, WatchOff, WatchTokenExpired
from checkpointd.engine.event_log import EventLog
from checkpointd.engine.prepared import Row
from checkpointd.engine.row_security import EVERY_TENANT
from checkpointd.engine.sql import STATEMENTS
from checkpointd.engine.watch_feed import OF_A_COMMIT, EventRow, Watcher, WatchFeed
from checkpointd.engine.watch_tokens import LAST, Position, Tokens
from checkpointd.v1.watch_pb2 import WatchEvent, WatchEventKind, WatchRequest, WatchResponse

_log = logging.getLogger(__name__)

_MOST_FILTERS = 100

# A token is shorter.
_TOKEN_BYTES = 255

# Rows that one look into the table takes, of whatever thread they are; and events of one response, about.
_PAGE = 1000
_RESPONSE = 200

# Seconds after which one who watches gets a new token although there is nothing to tell.
_QUIET = 10.0

# Rows that are removed at once, and seconds between two times; and between two walks.
_STEP = 1000
_PAUSE = 0.1
_MOST_BETWEEN = 3600.0
_LEAST_BETWEEN = 1.0


class Watches:
    """The rpc of the service, as a method that takes the tenant and the request."""

    def __init__(self, database: Database, log: EventLog, retention: float) -> None:
        """`retention` is how many seconds events are kept."""
        self._database = database
        self._log = log
        self._retention = retention
        self._feed = WatchFeed(database, log)
        self._stopping = False
        self._key: bytes | None = None
        self._forgetting = asyncio.create_task(self._forget())

    @property
    def count(self) -> int:
        """How many watches there are."""
        return self._feed.count

    def stop_waiting(self) -> None:
        """Let nobody watch any longer: those who do end with ServerStopping."""
        self._stopping = True
        self._feed.wake()

    async def close(self) -> None:
        self._forgetting.cancel()
        await asyncio.wait([self._forgetting])
        await self._feed.close()

    async def watch(self, tenant: str, request: WatchRequest) -> AsyncIterator[WatchResponse]:
        wanted = _Wanted(request)
        if not self._log.on:
            raise WatchOff
        tokens = Tokens(await self._signing(), tenant, request)
        given = tokens.read(request.token) if request.token else None
        with self._feed.watching(tenant, request.thread_id, request.thread_id_prefix) as watcher:
            reader = _Reader(self._database, tenant, request, watcher)
            await reader.begin(given)
            yield WatchResponse(token=tokens.write(reader.position))
            told_at = time.monotonic()
            while not self._stopping:
                rows = await reader.next()
                response = _told(rows, wanted, tokens)
                if response.events or time.monotonic() - told_at > _QUIET:
                    response.token = tokens.write(reader.position)
                    yield response
                    told_at = time.monotonic()
                elif not rows and not reader.behind:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(watcher.woken.wait(), _QUIET)
        raise ServerStopping

    async def _signing(self) -> bytes:
        """The key of this database."""
        if self._key is None:
            async with self._database.changing(EVERY_TENANT) as connection:
                cursor = await connection.execute(STATEMENTS["watch_key"].encode())
                ((self._key,),) = await cursor.fetchall()
        return self._key

    async def _forget(self) -> None:
        """Remove events that are old, from time to time."""
        between = min(_MOST_BETWEEN, max(_LEAST_BETWEEN, self._retention / 10))
        while True:
            await asyncio.sleep(between)
            try:
                await self.forget(self._retention, _PAUSE)
            except EngineError as error:
                _log.warning("old events are removed later: %s", error)
            except Exception:
                _log.exception("old events are removed later")

    async def forget(self, age: float, pause: float = 0.0) -> None:
        """Remove the events that are older than `age` seconds, a few at a time."""
        tenant = ""
        while True:
            async with self._database.reading(EVERY_TENANT) as cursor:
                await cursor.execute(STATEMENTS["next_tenant_with_events"].encode(), {"tenant": tenant})
                found = await cursor.fetchone()
            if found is None:
                return
            (tenant,) = found
            parameters = {"tenant": tenant, "age": age, "size": _STEP}
            gone = _STEP
            while gone == _STEP:
                async with self._database.changing(tenant) as connection:
                    cursor = await connection.execute(STATEMENTS["forget_events"].encode(), parameters)
                    ((gone,),) = await cursor.fetchall()
                await asyncio.sleep(pause)


def _told(rows: Iterable[tuple[EventRow, int]], wanted: "_Wanted", tokens: Tokens) -> WatchResponse:
    """What is told of rows, each from a place on."""
    response = WatchResponse()
    for row, first in rows:
        events = row.events
        for place in range(first, len(events)):
            if wanted.lets_through(events[place]):
                last = place == len(events) - 1
                told = response.events.add()
                told.CopyFrom(events[place])
                told.token = tokens.write(
                    Position(row.turn, row.number) if last else Position(row.turn, row.number, place)
                )
    return response


class _Wanted:
    """What a watch lets through."""

    def __init__(self, request: WatchRequest) -> None:
        """Raises InvalidField for what the contract does not allow."""
        validate.text("thread_id", request.thread_id, validate.THREAD_ID_BYTES, 0)
        validate.text("thread_id_prefix", request.thread_id_prefix, validate.THREAD_ID_BYTES, 0)
        validate.text("token", request.token, _TOKEN_BYTES, 0)
        if request.thread_id and request.thread_id_prefix:
            raise InvalidField("thread_id_prefix", "is given beside thread_id; give one of them")
        for field, given in (("kinds", request.kinds), ("checkpoint_ns", request.checkpoint_ns)):
            if len(given) > _MOST_FILTERS:
                raise InvalidField(field, f"has {len(given)} entries; give it at most {_MOST_FILTERS}")
        for kind in request.kinds:
            if not kind or kind not in WatchEventKind.values():
                raise InvalidField("kinds", f"has {kind}, which is none that this server knows")
        for name in request.checkpoint_ns:
            validate.text("checkpoint_ns", name, validate.NAMESPACE_BYTES, 0)
        self._kinds = set(request.kinds)
        self._namespaces = set(request.checkpoint_ns)

    def lets_through(self, event: WatchEvent) -> bool:
        """Whether it is to be told."""
        if self._kinds and event.kind not in self._kinds:
            return False
        return not self._namespaces or event.kind not in OF_A_COMMIT or event.checkpoint_ns in self._namespaces


class _Reader:
    """The rows of one watch, from its position on: from the table until it is where the feed's rows begin."""

    def __init__(self, database: Database, tenant: str, request: WatchRequest, watcher: Watcher) -> None:
        self.position = Position(0)
        self._database = database
        self._asked = {"tenant": tenant, "thread_id": request.thread_id, "prefix": request.thread_id_prefix}
        self._watcher = watcher
        self._page: deque[EventRow] = deque()
        self._after_page = self.position

    async def begin(self, given: Position | None) -> None:
        """Begin at a position, or with what comes from now on. Raises WatchTokenExpired."""
        over, _ = await self._rows(given or Position(LAST), 0)
        if given is not None and given.turn > over:
            raise WatchTokenExpired  # the database was set back
        self.position = given or Position(over)

    async def next(self) -> list[tuple[EventRow, int]]:
        """The next rows, each with the place of its first event that is new. Empty: there are none now."""
        self._watcher.woken.clear()
        if not self._page and not self._live:
            await self._read_page()
        if self._page:
            rows = self._taken(lambda: self._page.popleft() if self._page else None)
            if not self._page:
                self.position = self._after_page
            return rows
        if not self._live:
            return []
        rows = self._taken(self._watcher.take)
        if not rows and self._watcher.upto is not None:
            self.position = max(self.position, self._watcher.upto)
        return rows

    @property
    def behind(self) -> bool:
        """Whether there is more to be had without waiting."""
        return bool(self._page) or (self._watcher.since is not None and not self._live)

    @property
    def _live(self) -> bool:
        """Whether what waits in the feed goes on where this is."""
        return self._watcher.since is not None and self.position >= self._watcher.since

    def _taken(self, take: Callable[[], EventRow | None]) -> list[tuple[EventRow, int]]:
        """As many rows as a response should have."""
        rows: list[tuple[EventRow, int]] = []
        events = 0
        while events < _RESPONSE and (row := take()) is not None:
            whole = Position(row.turn, row.number)
            if whole <= self.position:
                continue  # read from the table before
            first = self.position.place + 1 if whole[:2] == self.position[:2] else 0
            rows.append((row, first))
            events += len(row.events) - first
            self.position = whole
        return rows

    async def _read_page(self) -> None:
        over, rows = await self._rows(self.position, _PAGE)
        self._page.extend(EventRow(*row) for row in rows if row[-1] is not None)
        self._after_page = Position(*rows[-1][:2]) if len(rows) == _PAGE else Position(over)
        if not self._page:
            self.position = self._after_page

    async def _rows(self, position: Position, size: int) -> tuple[int, list[Row]]:
        """Rows of the table after a position, and the turn up to which they are all if they are fewer than `size`."""
        # A row of which only some events are known is to be read again.
        number = position.number - (not position.is_whole)
        asked = {**self._asked, "turn": position.turn, "number": number, "size": size}
        (over, _, _, gone, *_), *rows = await self._database.rows("read_events", asked)
        if gone:
            raise WatchTokenExpired
        return over, rows
