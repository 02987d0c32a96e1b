"""A session: many ops of one client process, each answered when it is done. What carries it is another matter."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from checkpointd.engine import Engine, validate
from checkpointd.engine.errors import InvalidField
from checkpointd.server.admission import Admission
from checkpointd.server.identity.access import Access, Rpc
from checkpointd.server.monitoring.calls import Monitor, Op
from checkpointd.server.status import refusal_of, text_of
from checkpointd.v1 import checkpoints_pb2
from checkpointd.v1.checkpoints_pb2 import (
    GetCheckpointRequest,
    GetCheckpointResponse,
    SessionAnswer,
    SessionError,
    SessionOp,
    SessionRequest,
    SessionResponse,
)

# What of one session may be unanswered before no more is read: ops, and bytes of answers that are not sent yet.
_MOST_UNANSWERED = 1000
_MOST_WAITING = 16 << 20

# How many checkpoints a session reads at once. More than there are connections; and their answers are not waiting yet.
_MOST_GETS = 16

# Bytes of a response, unless a single answer has more. Small answers go before those that are larger than this.
_RESPONSE = 1 << 20

# What each kind of op needs: what its own rpc does.
_RPCS = {
    field.name: Rpc(method)
    for field in SessionOp.DESCRIPTOR.oneofs_by_name["request"].fields
    for method in checkpoints_pb2.DESCRIPTOR.services_by_name["Checkpoints"].methods
    if method.input_type is field.message_type
}


class Session:
    """The ops of one session, from when they come until their answers are sent."""

    def __init__(
        self,
        engine: Engine,
        tenant: str,
        admission: Admission,
        monitor: Monitor,
        ready: Callable[[], None],
        room: Callable[[], None],
    ) -> None:
        """`ready` is called whenever an answer can be sent, and `room` whenever some were."""
        self._tenant = tenant
        self._monitor = monitor if monitor.watches_ops else None
        self._loop = asyncio.get_running_loop()
        self._ready = ready
        self._room = room
        self._admission = admission
        self._quotas = engine.quotas
        checkpoints = engine.checkpoints
        self._get = checkpoints.get_checkpoint
        self._does: dict[str, Callable[[str, Any], Any]] = {
            "put_checkpoint": checkpoints.put_checkpoint,
            "put_writes": checkpoints.put_writes,
            "commit": checkpoints.commit,
            "get_checkpoint": self._get_checkpoint,
        }
        self._under_way: set[asyncio.Future[Any]] = set()
        self._unanswered = 0
        # Answers that are ready, each with its size.
        self._small: deque[tuple[SessionAnswer, int]] = deque()
        self._large: deque[tuple[SessionAnswer, int]] = deque()
        self._waiting = 0  # bytes of them
        self._sent = asyncio.Event()
        self._gets = asyncio.Semaphore(_MOST_GETS)

    @property
    def full(self) -> bool:
        """Whether no more is to be read for now."""
        return self._unanswered >= _MOST_UNANSWERED or self._waiting > _MOST_WAITING

    @property
    def idle(self) -> bool:
        """Whether all that was taken is answered."""
        return not self._unanswered

    def take(self, request: SessionRequest, size: int, access: Access | None = None) -> None:
        """Begin with what a request of so many bytes says, as far as `access` allows it (None: everything).

        Raises InvalidField; what came before in the request is done all the same.
        """
        if not 1 <= len(request.ops) <= validate.MAX_ITEMS:
            raise InvalidField("ops", f"has {len(request.ops)} entries; give it 1 to {validate.MAX_ITEMS}")
        share = size // len(request.ops)
        for op in request.ops:
            if not op.number:
                raise InvalidField("ops.number", "is 0; count ops from 1")
            self._unanswered += 1
            self._begin(op, share, access)

    def next_response(self) -> SessionResponse | None:
        """What is to be sent next, and counts as sent then; None when no answer is ready."""
        response, size = SessionResponse(), 0
        while self._small and size < _RESPONSE:
            answer, part = self._small.popleft()
            response.answers.append(answer)
            size += part
        if not size:
            if not self._large:
                return None
            answer, size = self._large.popleft()
            response.answers.append(answer)
        self._unanswered -= len(response.answers)
        self._waiting -= size
        self._sent.set()
        self._room()
        return response

    async def room(self) -> None:
        """Wait until something was sent."""
        self._sent.clear()
        await self._sent.wait()

    async def finish(self) -> None:
        """Wait until all that was taken is answered."""
        while self._unanswered:
            await self.room()

    def cancel(self) -> None:
        """Nobody waits for answers any more."""
        for future in self._under_way:
            future.cancel()

    def _begin(self, op: SessionOp, size: int, access: Access | None) -> None:
        kind = op.WhichOneof("request")
        if kind is None:
            unknown = InvalidField("ops.request", "is empty or of a kind that this server does not know")
            self._answer(_refused(op.number, unknown))
            return
        rpc, request = _RPCS[kind], getattr(op, kind)
        told = None if self._monitor is None else Op(self._monitor, rpc.name, op.traceparent)
        # Not raised, since it is the same one for many ops, and would keep where each time was.
        if (over := self._admission.begin(commits=kind != "get_checkpoint", size=size)) is not None:
            self._refuse(op.number, told, over)
            return
        try:
            if access is not None:
                access.check(rpc, request)
            future = self._start(kind, request) if told is None else told.run(self._start, kind, request)
        except Exception as error:
            self._admission.end(size)
            self._refuse(op.number, told, error)
        else:
            self._under_way.add(future)
            future.add_done_callback(partial(self._done, op.number, kind, size, told))

    def _refuse(self, number: int, told: Op | None, error: Exception) -> None:
        refusal = refusal_of(error)
        if told is not None:
            told.end(refusal)
        self._answer(_refused(number, refusal))

    def _start(self, kind: str, request: Any) -> "asyncio.Future[Any]":
        if self._quotas.has(self._tenant):
            answer = self._within_quota(kind, request)
        else:
            answer = self._does[kind](self._tenant, request)
        return answer if isinstance(answer, asyncio.Future) else self._loop.create_task(answer)

    async def _within_quota(self, kind: str, request: Any) -> Any:
        await self._quotas.admit(self._tenant, _RPCS[kind].name, request)
        return await self._does[kind](self._tenant, request)

    async def _get_checkpoint(self, tenant: str, request: GetCheckpointRequest) -> GetCheckpointResponse:
        async with self._gets:
            while self._waiting > _MOST_WAITING:
                await self.room()
            return await self._get(tenant, request)

    def _done(self, number: int, kind: str, size: int, told: Op | None, future: asyncio.Future[Any]) -> None:
        self._admission.end(size)
        self._under_way.discard(future)
        ended: BaseException | None = None
        if future.cancelled():
            ended = asyncio.CancelledError()
        else:
            try:
                answer = SessionAnswer(number=number)
                getattr(answer, kind).MergeFrom(future.result())
            except Exception as error:
                ended = refusal_of(error)
                answer = _refused(number, ended)
            self._answer(answer)
        if told is not None:
            told.end(ended)

    def _answer(self, answer: SessionAnswer) -> None:
        size = answer.ByteSize()
        (self._small if size < _RESPONSE else self._large).append((answer, size))
        self._waiting += size
        self._ready()


def _refused(number: int, error: Exception) -> SessionAnswer:
    return SessionAnswer(number=number, error=session_error(error))


def session_error(error: Exception) -> SessionError:
    """An error as a session tells it."""
    refusal = text_of(refusal_of(error))
    return SessionError(code=refusal.code, message=refusal.message, reason=refusal.reason, metadata=refusal.metadata)
