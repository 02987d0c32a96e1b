"""The stream Session: many ops on one stream, each answered when it is done."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import grpc

from checkpointd.engine import Engine, validate
from checkpointd.engine.errors import InvalidField
from checkpointd.server.guard import Context
from checkpointd.server.status import refusal_of, text_of
from checkpointd.server.tenancy import tenant_of
from checkpointd.v1.checkpoints_pb2 import SessionAnswer, SessionError, SessionOp, SessionRequest, SessionResponse

# What of one session may be unanswered before no more is read: ops, and bytes of answers that are not sent yet.
_MOST_UNANSWERED = 1000
_MOST_WAITING = 16 << 20

# Bytes of a response, unless a single answer has more. Small answers go before those that are larger than this.
_RESPONSE = 1 << 20


class Session:
    """One stream, from its first request until all that was taken is answered."""

    def __init__(self, engine: Engine, context: Context) -> None:
        self._tenant = tenant_of(context)
        self._context = context
        checkpoints = engine.checkpoints
        self._does: dict[str, Any] = {
            "put_checkpoint": checkpoints.put_checkpoint,
            "put_writes": checkpoints.put_writes,
            "commit": checkpoints.commit,
            "get_checkpoint": checkpoints.get_checkpoint,
        }
        self._under_way: set[asyncio.Task[None]] = set()
        self._unanswered = 0
        # Answers that are ready, each with its size.
        self._small: deque[tuple[SessionAnswer, int]] = deque()
        self._large: deque[tuple[SessionAnswer, int]] = deque()
        self._waiting = 0  # bytes of them
        self._writing = False
        self._broken: Exception | None = None
        self._room = asyncio.Event()
        self._reader: asyncio.Task[Any] | None = None

    async def run(self, requests: AsyncIterator[SessionRequest]) -> None:
        """Do what the requests say. Raises what ends them, once all that was taken before is answered."""
        self._reader = asyncio.current_task()
        try:
            async for request in requests:
                await self._take(request)
        except asyncio.CancelledError:  # the client has gone, or nothing can be sent to it: nobody waits for answers
            for task in self._under_way:
                task.cancel()
            if self._broken is None or self._context.cancelled():
                raise
            await self._context.abort(grpc.StatusCode.UNAVAILABLE, "an answer could not be sent; send the rest again")
        except Exception:
            await self._finish()
            raise
        await self._finish()

    async def _take(self, request: SessionRequest) -> None:
        if not 1 <= len(request.ops) <= validate.MAX_ITEMS:
            raise InvalidField("ops", f"has {len(request.ops)} entries; give it 1 to {validate.MAX_ITEMS}")
        for op in request.ops:
            if not op.number:
                raise InvalidField("ops.number", "is 0; count ops from 1")
            self._unanswered += 1
            task = asyncio.create_task(self._do(op))
            self._under_way.add(task)
            task.add_done_callback(self._done)
        while self._unanswered >= _MOST_UNANSWERED or self._waiting > _MOST_WAITING:
            await self._for_room()

    async def _for_room(self) -> None:
        self._room.clear()
        await self._room.wait()

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and self._broken is None:
            # Some ops will not be answered. The stream has to end, so that the client sends them again.
            self._broken = error if isinstance(error, Exception) else None
            if self._reader is not None:
                self._reader.cancel()

    async def _finish(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _do(self, op: SessionOp) -> None:
        kind = op.WhichOneof("request")
        answer = SessionAnswer(number=op.number)
        while kind == "get_checkpoint" and self._waiting > _MOST_WAITING:
            await self._for_room()
        try:
            if kind is None:
                raise InvalidField("ops.request", "is empty or of a kind that this server does not know")
            response = await self._does[kind](self._tenant, getattr(op, kind))
            getattr(answer, kind).MergeFrom(response)
        except Exception as error:
            refusal = text_of(refusal_of(error))
            answer.error.MergeFrom(
                SessionError(
                    code=refusal.code, message=refusal.message, reason=refusal.reason, metadata=refusal.metadata
                )
            )
        size = answer.ByteSize()
        (self._small if size < _RESPONSE else self._large).append((answer, size))
        self._waiting += size
        if not self._writing:
            self._writing = True
            try:
                await self._write()
            finally:
                self._writing = False

    async def _write(self) -> None:
        """Write until no answer is ready."""
        while self._small or self._large:
            await asyncio.sleep(0)  # what was stored together is answered together
            response, size = SessionResponse(), 0
            while self._small and size < _RESPONSE:
                answer, part = self._small.popleft()
                response.answers.append(answer)
                size += part
            if not size:
                answer, size = self._large.popleft()
                response.answers.append(answer)
            await self._context.write(response)
            self._unanswered -= len(response.answers)
            self._waiting -= size
            self._room.set()
