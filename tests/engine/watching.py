"""Watching an engine in tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from checkpointd.engine import Engine
from checkpointd.v1.watch_pb2 import WatchEvent, WatchEventKind, WatchRequest

_TIMEOUT = 30.0


class Watch:
    """A watch under way: what it was told, and its last token."""

    def __init__(self, engine: Engine, tenant: str, request: WatchRequest) -> None:
        self.request = request
        self.events: list[WatchEvent] = []
        self.token = ""
        self._responses = engine.watches.watch(tenant, request)

    async def step(self) -> None:
        """Take one response."""
        response = await asyncio.wait_for(anext(self._responses), _TIMEOUT)
        self.events += response.events
        self.token = response.token

    async def until(self, count: int) -> list[WatchEvent]:
        """Take responses until there are so many events; all of them."""
        while len(self.events) < count:
            await self.step()
        return self.events

    async def close(self) -> None:
        await self._responses.aclose()  # type: ignore[attr-defined]


@asynccontextmanager
async def watching(engine: Engine, tenant: str, **request: object) -> AsyncIterator[Watch]:
    """Watch, from when the block begins."""
    watch = Watch(engine, tenant, WatchRequest(**request))  # type: ignore[arg-type]
    try:
        await watch.step()
        yield watch
    finally:
        await watch.close()


def kind_of(event: WatchEvent) -> str:
    """The kind of an event, in short."""
    return WatchEventKind.Name(event.kind).removeprefix("WATCH_EVENT_KIND_").lower()
