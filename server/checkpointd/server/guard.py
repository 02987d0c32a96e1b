"""What every call of the contract passes through, before and after its handler.

gRPC would answer a request that can't be parsed, and a handler that raises, with its own INTERNAL or UNKNOWN and a
Python text. So the guard takes requests as bytes, parses them itself, and turns every exception into one documented
answer.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message

from checkpointd.engine.errors import ServerStopping
from checkpointd.server.admission import Admission
from checkpointd.server.status import Refusal, refusal_of, status_of
from checkpointd.v1.error_reason_pb2 import ErrorReason

# Quoted: these classes take parameters in their type stubs only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Parse = Callable[[bytes], Message]
Check = Callable[[str, Context, Message], Awaitable[None]]

_PREFIX = "/checkpointd."

# What waits for the database in a queue, and what may last although it has one answer: it waits for a lease.
_COMMITS = {f"/checkpointd.v1.Checkpoints/{name}" for name in ("PutCheckpoint", "PutWrites", "Commit")}
_WAITS = "/checkpointd.v1.Leases/AcquireLease"

# Seconds. A closing guard waits until no call has come for so long, and in all no longer than this.
_QUIET = 0.1
_LONGEST_CLOSE = 1.0


class Sized(NamedTuple):
    """A request of a stream, and how many bytes it came in."""

    request: Any
    size: int


class Guard(grpc.aio.ServerInterceptor):
    """Wraps the handlers of the contract's services; health and reflection pass untouched."""

    def __init__(self, max_message_size: int, admission: Admission, check: Check) -> None:
        """`check` is asked before a call is handed on."""
        self._limit = max_message_size
        self._check = check
        self._admission = admission
        self._guarded: dict[str, Handler] = {}
        self._reading: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._last_refused = 0.0

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        method = handler_call_details.method
        if method not in self._guarded:
            handler = await continuation(handler_call_details)
            if handler is None or not method.startswith(_PREFIX):
                return handler  # unknown, which gRPC answers itself, or not of the contract
            if handler.request_streaming:
                self._guarded[method] = self._session(handler)
            elif handler.response_streaming:
                self._guarded[method] = self._stream(method, handler)
            else:
                self._guarded[method] = self._unary(method, handler)
        return self._within_limits(method) or self._guarded[method]

    def _within_limits(self, method: str) -> "Handler | None":
        """Count a call in, until its task ends, or return what refuses it before it is read."""
        task, admission = asyncio.current_task(), self._admission
        assert task is not None
        handler = self._guarded[method]
        if handler.request_streaming or handler.response_streaming or method == _WAITS:
            if (refusal := admission.begin_stream()) is None:
                task.add_done_callback(admission.stream_ended)
        elif (refusal := admission.begin(commits=method in _COMMITS)) is None:
            task.add_done_callback(admission.ended)
        return None if refusal is None or self._closed else _refusing(refusal)

    async def close(self) -> None:
        """Answer every new call UNAVAILABLE, and return when those that were on their way have been.

        gRPC itself, told to stop, would answer calls that it has received and not yet handed on with CANCELLED, which
        says nothing of trying again.
        """
        self._closed = True
        for session in self._reading:  # streams that wait for a request
            session.cancel()
        loop = asyncio.get_running_loop()
        now = began = self._last_refused = loop.time()
        while (quiet_at := min(self._last_refused + _QUIET, began + _LONGEST_CLOSE)) > now:
            await asyncio.sleep(quiet_at - now)
            now = loop.time()

    def _admit(self) -> None:
        if self._closed:
            self._last_refused = asyncio.get_running_loop().time()
            raise ServerStopping

    def _unary(self, method: str, handler: Handler) -> Handler:
        # The stubs describe handlers of synchronous servers only.
        call: Any = handler.unary_unary
        parse: Any = handler.request_deserializer

        async def guarded(data: bytes, context: Context) -> Message:
            try:
                self._admit()
                with self._admission.hold(len(data)):
                    request = self._request(parse, data)
                    await self._check(method, context, request)
                    response: Message = await call(request, context)
            except Exception as error:
                return await _refuse(context, error)
            return response

        return _taking_bytes(grpc.unary_unary_rpc_method_handler, guarded, handler)

    def _stream(self, method: str, handler: Handler) -> Handler:
        call: Any = handler.unary_stream
        parse: Any = handler.request_deserializer

        async def guarded(data: bytes, context: Context) -> AsyncIterator[Message]:
            try:
                self._admit()
                with self._admission.hold(len(data)):
                    request = self._request(parse, data)
                    await self._check(method, context, request)
                    async for response in call(request, context):
                        yield response
            except Exception as error:
                await _refuse(context, error)

        return _taking_bytes(grpc.unary_stream_rpc_method_handler, guarded, handler)

    def _session(self, handler: Handler) -> Handler:
        call: Any = handler.stream_stream
        parse: Any = handler.request_deserializer

        async def requests(context: Context) -> AsyncIterator[Sized]:
            while True:
                self._admit()
                data = await self._next(context)
                if data is grpc.aio.EOF:
                    return
                self._admit()
                with self._admission.hold(len(data)):
                    request = self._request(parse, data)
                yield Sized(request, len(data))

        async def guarded(_: object, context: Context) -> None:
            try:
                await call(requests(context), context)
            except Exception as error:
                await _refuse(context, error)

        return _taking_bytes(grpc.stream_stream_rpc_method_handler, guarded, handler)

    async def _next(self, context: Context) -> Any:
        task = asyncio.current_task()
        assert task is not None
        self._reading.add(task)
        try:
            return await context.read()
        except asyncio.CancelledError:
            if not self._closed or context.cancelled():  # then it is the client that has gone
                raise
            raise ServerStopping from None
        finally:
            self._reading.discard(task)

    def _request(self, parse: Parse, data: bytes) -> Message:
        if len(data) > self._limit:
            raise too_large(len(data), self._limit)
        try:
            return parse(data)
        except DecodeError:
            name: str = parse.__self__.DESCRIPTOR.full_name  # type: ignore[attr-defined]
            raise malformed(name, len(data)) from None


def too_large(size: int, limit: int) -> Refusal:
    """The refusal of a request over the limit, in bytes."""
    return Refusal(
        ErrorReason.ERROR_REASON_MESSAGE_TOO_LARGE,
        f"the request has {size} bytes and this server takes {limit}; store less in one step, "
        "or start the server with a larger --max-message-size",
        size=str(size),
        limit=str(limit),
        option="--max-message-size",
    )


def malformed(message: str, size: int) -> Refusal:
    """The refusal of bytes that are not the message that they should be."""
    return Refusal(
        ErrorReason.ERROR_REASON_MALFORMED_REQUEST,
        f"the request's {size} bytes are not a {message}; check that client and server speak the same "
        "contract and that strings are UTF-8",
        message=message,
    )


def _taking_bytes(make: Any, guarded: object, handler: Handler) -> Handler:
    made: Handler = make(guarded, request_deserializer=None, response_serializer=handler.response_serializer)
    return made


def _refusing(refusal: Refusal) -> Handler:
    """A handler that answers without reading the request. To gRPC it takes a stream, of which it reads nothing."""

    async def refuse(requests: object, context: Context) -> None:
        await _refuse(context, refusal)

    made: Handler = grpc.stream_stream_rpc_method_handler(refuse)
    return made


async def _refuse(context: Context, error: Exception) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError):  # answered already
        raise error
    status = status_of(refusal_of(error))
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError("abort raises")
