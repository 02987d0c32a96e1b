"""What is told of each call, to the metrics, the traces and the log, as far as they are wanted."""

import logging
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import grpc

from checkpointd.server.monitoring.meter import Meter
from checkpointd.server.status import code_of

if TYPE_CHECKING:
    from checkpointd.server.monitoring.tracing import Tracer

Result = TypeVar("Result")

_log = logging.getLogger("checkpointd.calls")

# A caller may name its call, so that its log and ours can be laid side by side.
_REQUEST_ID = "x-request-id"
_LONGEST_ID = 128

_OK, _CANCELLED = "OK", "CANCELLED"

# Quoted: it takes parameters in its type stubs only.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Call:
    """One call, from when it is taken until it is answered."""

    __slots__ = ("_began", "_context", "_monitor", "_request_id", "_span", "rpc")

    def __init__(self, monitor: "Monitor", rpc: str, context: Context) -> None:
        self.rpc = rpc
        self._monitor = monitor
        # Until it is answered: then gRPC's part of it is gone, and to ask that would end the process.
        self._context: Context | None = context
        self._request_id: str | None = None
        self._began = time.perf_counter()
        self._span = None if monitor.tracer is None else monitor.tracer.began(rpc, context.invocation_metadata() or ())
        if self._span is not None:
            self._span.make_current()

    def told(self) -> dict[str, str]:
        """What a line of the log says of it; nothing once it is answered: what still goes on is about others too."""
        if self._context is None:
            return {}
        return {"rpc": self.rpc, "request_id": self._id(self._context), "peer": str(self._context.peer())}

    def _id(self, context: Context) -> str:
        """The caller's name for it, or one of ours."""
        if self._request_id is None:
            given = [value for key, value in context.invocation_metadata() or () if key == _REQUEST_ID]
            if len(given) == 1 and isinstance(given[0], str) and 0 < len(given[0]) <= _LONGEST_ID:
                self._request_id = given[0]
            else:
                self._request_id = uuid.uuid4().hex
        return self._request_id

    def end(self, error: BaseException | None = None) -> None:
        """It is answered, or `error` is why not."""
        code = _code(error)
        seconds = time.perf_counter() - self._began
        monitor = self._monitor
        if monitor.meter is not None:
            monitor.meter.in_progress[self.rpc] -= 1
            monitor.meter.seconds[self.rpc, "call", code].observe(seconds)
        if self._span is not None:
            self._span.end(code, error)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s %s %.1f ms", self.rpc, code, seconds * 1000, extra={"code": code, "seconds": seconds})
        self._context = None


_current: ContextVar[Call | None] = ContextVar("call", default=None)


def current_call() -> Call | None:
    """The call that the task is about."""
    return _current.get()


class Monitor:
    """What calls tell. Without metrics and traces next to nothing."""

    def __init__(self, meter: Meter | None, tracer: "Tracer | None") -> None:
        self.meter = meter
        self.tracer = tracer

    def began(self, rpc: str, context: Context) -> Call:
        """A call was taken, which its task is about from here on."""
        call = Call(self, rpc, context)
        _current.set(call)
        if self.meter is not None:
            self.meter.in_progress[rpc] += 1
        return call

    def took(self, rpc: str, size: int) -> None:
        """A request came, of so many bytes."""
        if self.meter is not None:
            self.meter.request_bytes[rpc] += size

    def gave(self, rpc: str, size: int) -> None:
        """A response goes, of so many bytes."""
        if self.meter is not None:
            self.meter.response_bytes[rpc] += size

    def serializer(self, rpc: str, serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
        """A response's serialiser that counts."""
        meter = self.meter
        if meter is None:
            return serialize

        def counting(message: Any) -> bytes:
            data = serialize(message)
            meter.response_bytes[rpc] += len(data)
            return data

        return counting

    @property
    def watches_ops(self) -> bool:
        """Whether a session is to tell of its ops."""
        return self.meter is not None or self.tracer is not None


class Op:
    """One op of a session, from when it is taken until it is answered."""

    __slots__ = ("_began", "_monitor", "_rpc", "_span")

    def __init__(self, monitor: Monitor, rpc: str, traceparent: str) -> None:
        self._monitor = monitor
        self._rpc = rpc
        self._began = time.perf_counter()
        tracer = monitor.tracer
        self._span = None if tracer is None else tracer.began(rpc, (("traceparent", traceparent),))

    def run(self, act: Callable[..., Result], *arguments: Any) -> Result:
        """Begin with it."""
        return act(*arguments) if self._span is None else self._span.run(act, *arguments)

    def end(self, error: BaseException | None = None) -> None:
        """It is answered, or `error` is why not."""
        code = _code(error)
        if self._monitor.meter is not None:
            self._monitor.meter.seconds[self._rpc, "session", code].observe(time.perf_counter() - self._began)
        if self._span is not None:
            self._span.end(code, error)


def _code(error: BaseException | None) -> str:
    if error is None:
        return _OK
    if not isinstance(error, Exception) or isinstance(error, grpc.aio.AbortError):
        return _CANCELLED
    return code_of(error)
