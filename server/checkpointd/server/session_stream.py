"""A session that is carried by a stream of gRPC's: the rpc Session."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from checkpointd.engine import Engine
from checkpointd.server.admission import Admission
from checkpointd.server.guard import Context, Sized
from checkpointd.server.identity.access import current_access
from checkpointd.server.monitoring.calls import Monitor
from checkpointd.server.sessions import Session
from checkpointd.server.tenancy import tenant_of


class SessionStream:
    """One stream, from its first request until all that was taken is answered."""

    def __init__(self, engine: Engine, context: Context, admission: Admission, monitor: Monitor) -> None:
        self._context = context
        self._session = Session(engine, tenant_of(context), admission, monitor, self._ready, lambda: None)
        self._writing: asyncio.Task[None] | None = None
        self._broken: BaseException | None = None
        self._reader: asyncio.Task[Any] | None = None

    async def run(self, requests: AsyncIterator[Sized]) -> None:
        """Do what the requests say. Raises what ends them, once all that was taken before is answered."""
        self._reader = asyncio.current_task()
        try:
            async for request, size in requests:
                self._session.take(request, size, current_access())
                while self._session.full:
                    await self._session.room()
        except asyncio.CancelledError:  # the client has gone, or nothing can be sent to it: nobody waits for answers
            self._session.cancel()
            if self._broken is None or self._context.cancelled():
                raise
            await self._context.abort(grpc.StatusCode.UNAVAILABLE, "an answer could not be sent; send the rest again")
        except Exception:
            await self._finish()
            raise
        await self._finish()

    async def _finish(self) -> None:
        await self._session.finish()
        if self._writing is not None:
            await self._writing

    def _ready(self) -> None:
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
            self._writing.add_done_callback(self._written)

    async def _write(self) -> None:
        """Write until no answer is ready."""
        await asyncio.sleep(0)  # what was stored together is answered together
        while (response := self._session.next_response()) is not None:
            await self._context.write(response)
        self._writing = None

    def _written(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None and self._broken is None:
            # Some ops will not be answered. The stream has to end, so that the client sends them again.
            self._broken = error
            if self._reader is not None:
                self._reader.cancel()
