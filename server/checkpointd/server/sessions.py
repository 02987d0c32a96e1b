"""The stream Session: many ops on one stream, each answered when it is done."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from checkpointd.engine import Engine, validate
from checkpointd.engine.errors import InvalidField
from checkpointd.server.guard import Context
from checkpointd.server.status import refusal_of, text_of
from checkpointd.server.tenancy import tenant_of
from checkpointd.v1.checkpoints_pb2 import SessionAnswer, SessionError, SessionOp, SessionRequest, SessionResponse

# Ops of one session that may be unanswered before no more of them are read.
_MOST_UNANSWERED = 1000


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
        self._answers: list[SessionAnswer] = []
        self._writing = False
        self._room = asyncio.Event()

    async def run(self, requests: AsyncIterator[SessionRequest]) -> None:
        """Do what the requests say. Raises what ends them, once all that was taken before is answered."""
        try:
            async for request in requests:
                await self._take(request)
        except asyncio.CancelledError:  # the client has gone: nobody waits for answers
            for task in self._under_way:
                task.cancel()
            raise
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
            task = asyncio.create_task(self._do(op))
            self._under_way.add(task)
            task.add_done_callback(self._done)
        while len(self._under_way) >= _MOST_UNANSWERED:
            self._room.clear()
            await self._room.wait()

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self._room.set()
        if not task.cancelled():
            task.exception()  # that there is nobody left to answer

    async def _finish(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _do(self, op: SessionOp) -> None:
        kind = op.WhichOneof("request")
        answer = SessionAnswer(number=op.number)
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
        self._answers.append(answer)
        if self._writing:
            return
        self._writing = True
        try:
            while self._answers:
                await asyncio.sleep(0)  # what was stored together is answered together
                response = SessionResponse(answers=self._answers)
                self._answers = []
                await self._context.write(response)
        finally:
            self._writing = False
