"""What every call of the contract passes through, before and after its handler.

gRPC would answer a request that can't be parsed, and a handler that raises, with its own INTERNAL or UNKNOWN and a
Python text. So the guard takes requests as bytes, parses them itself, and turns every exception into one documented
answer.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message

from checkpointd.engine.errors import ServerStopping
from checkpointd.server.admission import Admission
from checkpointd.server.identity.access import Access, Rpc, set_access
from checkpointd.server.monitoring.calls import Call, Monitor
from checkpointd.server.status import Refusal, refusal_of, status_of
from checkpointd.v1.error_reason_pb2 import ErrorReason

if TYPE_CHECKING:
    from checkpointd.server.identity.identity import Identity

# Quoted: these classes take parameters in their type stubs only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Parse = Callable[[bytes], Message]
Check = Callable[[Rpc, Context, Message], Awaitable[None]]

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

    def __init__(
        self,
        max_message_size: int,
        identity: "Identity | None",
        rpcs: Mapping[str, Rpc],
        admission: Admission,
        check: Check,
        monitor: Monitor,
    ) -> None:
        """Without `identity` every call is taken; `rpcs` says what each needs otherwise. `check` is asked before a
        call is handed on."""
        self._limit = max_message_size
        self._identity = identity
        self._rpcs = rpcs
        self._admission = admission
        self._check = check
        self._monitor = monitor
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
            make = self._stream if handler.response_streaming else self._unary
            self._guarded[method] = (self._session if handler.request_streaming else make)(handler, self._rpcs[method])
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
        return None if refusal is None or self._closed else self._refusing(refusal, self._rpcs[method])

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

    def _unary(self, handler: Handler, rpc: Rpc) -> Handler:
        # The stubs describe handlers of synchronous servers only.
        call: Any = handler.unary_unary
        parse: Any = handler.request_deserializer

        async def guarded(data: bytes, context: Context) -> Message:
            told = self._monitor.began(rpc.name, context)
            try:
                self._admit()
                with self._admission.hold(len(data)):
                    request = await self._allowed(rpc, parse, data, context)
                    await self._check(rpc, context, request)
                    response: Message = await call(request, context)
            except BaseException as error:
                await _refuse(context, told, error)
            told.end()
            return response

        return self._taking_bytes(grpc.unary_unary_rpc_method_handler, guarded, handler, rpc)

    def _stream(self, handler: Handler, rpc: Rpc) -> Handler:
        call: Any = handler.unary_stream
        parse: Any = handler.request_deserializer

        async def guarded(data: bytes, context: Context) -> AsyncIterator[Message]:
            told = self._monitor.began(rpc.name, context)
            try:
                self._admit()
                with self._admission.hold(len(data)):
                    request = await self._allowed(rpc, parse, data, context)
                    await self._check(rpc, context, request)
                    async for response in call(request, context):
                        await self._identify(context)
                        yield response
            except BaseException as error:
                await _refuse(context, told, error)
            told.end()

        return self._taking_bytes(grpc.unary_stream_rpc_method_handler, guarded, handler, rpc)

    async def _allowed(self, rpc: Rpc, parse: Parse, data: bytes, context: Context) -> Message:
        """The request, if who sends it may."""
        self._monitor.took(rpc.name, len(data))
        access = await self._identify(context)  # before anything is parsed for somebody unknown
        request = self._request(parse, data)
        if access is not None:
            access.check(rpc, request)
        return request

    async def _identify(self, context: Context) -> Access | None:
        """Look who calls, also again while a stream lasts: it shall not outlive its credential."""
        if self._identity is None:
            return None
        access = await self._identity.access(context)
        set_access(access)
        return access

    def _session(self, handler: Handler, rpc: Rpc) -> Handler:
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
                    request = await self._allowed(rpc, parse, data, context)
                yield Sized(request, len(data))

        async def guarded(_: object, context: Context) -> None:
            told = self._monitor.began(rpc.name, context)
            try:
                await self._identify(context)
                await call(requests(context), context)
            except BaseException as error:
                await _refuse(context, told, error)
            told.end()

        return self._taking_bytes(grpc.stream_stream_rpc_method_handler, guarded, handler, rpc)

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

    def _refusing(self, refusal: Refusal, rpc: Rpc) -> Handler:
        """A handler that answers without reading the request. To gRPC it takes a stream, of which it reads nothing."""

        async def refuse(requests: object, context: Context) -> None:
            await _refuse(context, self._monitor.began(rpc.name, context), refusal)

        made: Handler = grpc.stream_stream_rpc_method_handler(refuse)
        return made

    def _taking_bytes(self, make: Any, guarded: object, handler: Handler, rpc: Rpc) -> Handler:
        serialize: Any = handler.response_serializer
        made: Handler = make(
            guarded, request_deserializer=None, response_serializer=self._monitor.serializer(rpc.name, serialize)
        )
        return made


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


async def _refuse(context: Context, told: Call, error: BaseException) -> NoReturn:
    if not isinstance(error, Exception) or isinstance(error, grpc.aio.AbortError):  # nobody waits, or it is answered
        told.end(error)
        raise error
    refusal = refusal_of(error)
    told.end(refusal)
    status = status_of(refusal)
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError("abort raises")
