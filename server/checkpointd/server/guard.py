"""What every call of the contract passes through, before and after its handler.

gRPC would answer a request that can't be parsed, and a handler that raises, with its own INTERNAL or UNKNOWN and a
Python text. So the guard takes requests as bytes, parses them itself, and turns every exception into one documented
answer.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message

from checkpointd.engine import EngineError
from checkpointd.engine.errors import ServerStopping
from checkpointd.server.status import Refusal, status_of
from checkpointd.v1.error_reason_pb2 import ErrorReason

_log = logging.getLogger(__name__)

# Quoted: these classes take parameters in their type stubs only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Parse = Callable[[bytes], Message]

_PREFIX = "/checkpointd."

# Seconds. A closing guard waits until no call has come for so long, and in all no longer than this.
_QUIET = 0.1
_LONGEST_CLOSE = 1.0


class Guard(grpc.aio.ServerInterceptor):
    """Wraps the handlers of the contract's services; health and reflection pass untouched."""

    def __init__(self, max_message_size: int) -> None:
        self._limit = max_message_size
        self._guarded: dict[str, Handler] = {}
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
            self._guarded[method] = self._stream(handler) if handler.response_streaming else self._unary(handler)
        return self._guarded[method]

    async def close(self) -> None:
        """Answer every new call UNAVAILABLE, and return when those that were on their way have been.

        gRPC itself, told to stop, would answer calls that it has received and not yet handed on with CANCELLED, which
        says nothing of trying again.
        """
        self._closed = True
        loop = asyncio.get_running_loop()
        now = began = self._last_refused = loop.time()
        while (quiet_at := min(self._last_refused + _QUIET, began + _LONGEST_CLOSE)) > now:
            await asyncio.sleep(quiet_at - now)
            now = loop.time()

    def _admit(self) -> None:
        if self._closed:
            self._last_refused = asyncio.get_running_loop().time()
            raise ServerStopping

    def _unary(self, handler: Handler) -> Handler:
        # The stubs describe handlers of synchronous servers only.
        call: Any = handler.unary_unary
        parse: Any = handler.request_deserializer

        async def guarded(data: bytes, context: Context) -> Message:
            try:
                self._admit()
                response: Message = await call(self._request(parse, data), context)
            except Exception as error:
                return await _refuse(context, error)
            return response

        return _taking_bytes(grpc.unary_unary_rpc_method_handler, guarded, handler)

    def _stream(self, handler: Handler) -> Handler:
        call: Any = handler.unary_stream
        parse: Any = handler.request_deserializer

        async def guarded(data: bytes, context: Context) -> AsyncIterator[Message]:
            try:
                self._admit()
                async for response in call(self._request(parse, data), context):
                    yield response
            except Exception as error:
                await _refuse(context, error)

        return _taking_bytes(grpc.unary_stream_rpc_method_handler, guarded, handler)

    def _request(self, parse: Parse, data: bytes) -> Message:
        if len(data) > self._limit:
            raise Refusal(
                ErrorReason.ERROR_REASON_MESSAGE_TOO_LARGE,
                f"the request has {len(data)} bytes and this server takes {self._limit}; store less in one step, "
                "or start the server with a larger --max-message-size",
                size=str(len(data)),
                limit=str(self._limit),
                option="--max-message-size",
            )
        try:
            return parse(data)
        except DecodeError:
            name = parse.__self__.DESCRIPTOR.full_name  # type: ignore[attr-defined]
            raise Refusal(
                ErrorReason.ERROR_REASON_MALFORMED_REQUEST,
                f"the request's {len(data)} bytes are not a {name}; check that client and server speak the same "
                "contract and that strings are UTF-8",
                message=name,
            ) from None


def _taking_bytes(make: Any, guarded: object, handler: Handler) -> Handler:
    made: Handler = make(guarded, request_deserializer=None, response_serializer=handler.response_serializer)
    return made


async def _refuse(context: Context, error: Exception) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError):  # answered already
        raise error
    if not isinstance(error, EngineError):
        incident = uuid.uuid4().hex
        _log.error("incident %s", incident, exc_info=error)
        error = Refusal(
            ErrorReason.ERROR_REASON_UNEXPECTED,
            f"unexpected fault; the server's log has it as incident {incident}",
            incident=incident,
        )
    status = status_of(error)
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError("abort raises")
