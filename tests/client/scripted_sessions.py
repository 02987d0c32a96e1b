"""The stream Session of a scripted server: its ops meet what calls of their own would."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from checkpointd.v1.checkpoints_pb2 import SessionAnswer, SessionOp, SessionRequest, SessionResponse

if TYPE_CHECKING:
    from tests.client.scripted_server import ScriptedServer

_RPCS = {
    "put_checkpoint": "PutCheckpoint",
    "put_writes": "PutWrites",
    "commit": "Commit",
    "get_checkpoint": "GetCheckpoint",
}


class ScriptedSessions:
    """Every op is done in a thread of its own, and answered when it is done.

    `messages` has how many ops each message had, by session. `refuse`, if set, is called at a session's beginning, with
    its context. `lose`, if set, says of a message whether the session ends there, with all that it has not answered.
    `over` counts the sessions that have ended.
    """

    def __init__(self, server: ScriptedServer) -> None:
        self.messages: list[list[int]] = []
        self.refuse: Callable[[grpc.ServicerContext], object] | None = None
        self.lose: Callable[[SessionRequest], bool] | None = None
        self.over = threading.Semaphore(0)
        self._server = server

    def answers(self, requests: Iterator[SessionRequest], context: grpc.ServicerContext) -> Iterator[SessionResponse]:
        """What the server sends."""
        messages: list[int] = []
        self.messages.append(messages)
        session = _Session(self._server, context)
        context.add_callback(session.end)
        context.add_callback(self.over.release)
        if self.refuse is not None:
            self.refuse(context)

        def take() -> None:
            try:
                for request in requests:
                    messages.append(len(request.ops))
                    if self.lose is not None and self.lose(request):
                        session.end()
                        return
                    session.take(request)
            except Exception:  # of gRPC's: the stream was broken off
                session.end()
            else:
                session.finish()

        threading.Thread(target=take, daemon=True).start()
        yield from session.responses()


class _Session:
    def __init__(self, server: ScriptedServer, context: grpc.ServicerContext) -> None:
        self._server = server
        self._context = context
        self._done: SimpleQueue[SessionAnswer | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def take(self, request: SessionRequest) -> None:
        for op in request.ops:
            thread = threading.Thread(target=self._do, args=(op,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def finish(self) -> None:
        for thread in self._threads:
            thread.join()
        self.end()

    def end(self) -> None:
        self._done.put(None)

    def responses(self) -> Iterator[SessionResponse]:
        while (answer := self._done.get()) is not None:
            yield SessionResponse(answers=[answer])

    def _do(self, op: SessionOp) -> None:
        kind = op.WhichOneof("request")
        assert kind is not None
        answer = SessionAnswer(number=op.number)
        context = _OpContext(self._context)
        try:
            response = getattr(self._server, _RPCS[kind])(getattr(op, kind), context)
            if response is None:
                return  # an answer that waited for longer than its caller
            getattr(answer, kind).CopyFrom(response)
        except _Aborted:
            answer.error.code = context.code
            answer.error.message = context.message
            answer.error.reason = context.info.reason
            answer.error.metadata.update(context.info.metadata)
        self._done.put(answer)


class _Aborted(Exception):
    pass


class _OpContext:
    """What an answer, written for a call of its own, sees of the call."""

    def __init__(self, stream: grpc.ServicerContext) -> None:
        self._stream = stream
        self.code = 0
        self.message = ""
        self.info = ErrorInfo()

    def invocation_metadata(self) -> Any:
        return self._stream.invocation_metadata()

    def add_callback(self, callback: Callable[[], None]) -> bool:
        return self._stream.add_callback(callback)

    def set_trailing_metadata(self, trailers: Any) -> None:
        for key, value in trailers:
            if key == "grpc-status-details-bin":
                details: list[AnyMessage] = list(Status.FromString(value).details)
                details[0].Unpack(self.info)

    def abort(self, code: grpc.StatusCode, message: str) -> NoReturn:
        self.code, self.message = code.value[0], message
        raise _Aborted
