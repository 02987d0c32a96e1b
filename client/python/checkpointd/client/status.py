"""How a call failed: from what gRPC says to the error that the caller gets."""

from __future__ import annotations

import re
from typing import NamedTuple

import grpc

from checkpointd.client import errors
from checkpointd.client.error_info import error_info

_KINDS: dict[grpc.StatusCode, type[errors.CheckpointdError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: errors.InvalidRequest,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.ABORTED: errors.Aborted,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.CANCELLED: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ResourceExhausted,
    grpc.StatusCode.UNAUTHENTICATED: errors.AccessDenied,
    grpc.StatusCode.PERMISSION_DENIED: errors.AccessDenied,
    grpc.StatusCode.UNIMPLEMENTED: errors.Unsupported,
}

# What a caller does about it depends on more than the code.
_KINDS_BY_REASON: dict[str, type[errors.CheckpointdError]] = {
    "MESSAGE_TOO_LARGE": errors.TooLarge,
    "GRAPH_UNKNOWN": errors.GraphUnknown,
    "ALREADY_WRITTEN": errors.AlreadyWritten,
    "HEAD_MOVED": errors.HeadMoved,
    "LEASE_HELD": errors.LeaseHeld,
    "LEASE_LOST": errors.LeaseLost,
    "NEEDS_CODE": errors.NeedsCode,
    "OVERLOADED": errors.Overloaded,
    "TOO_MANY_STREAMS": errors.Overloaded,
    "QUOTA_EXCEEDED": errors.QuotaExceeded,
    "WATCH_TOKEN_EXPIRED": errors.WatchExpired,
}

# The request may succeed later. A call that was CANCELLED, which nobody here asked for, was broken off by a server that
# went away or by a fork of this process.
_TRANSIENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)

# The detail by which a server says when to try again, in milliseconds.
_RETRY_AFTER = "retry_after_ms"

# What gRPC itself says when there is no connection, and its reasons in fewer words; of others, the last words count.
_NOT_CONNECTED = re.compile(r"failed to connect|errors resolving|dns resolution failed", re.IGNORECASE)
_WHY_NOT_CONNECTED = (
    (re.compile(r"connection refused", re.IGNORECASE), "connection refused"),
    (re.compile(r"resolving|resolution|lookup", re.IGNORECASE), "the host's name is not known"),
    (re.compile(r"no such file", re.IGNORECASE), "no such socket"),
    (re.compile(r"timed out|timeout", re.IGNORECASE), "no response"),
    (re.compile(r"http", re.IGNORECASE), "what answers there does not speak gRPC"),
)

# What gRPC itself says, without an ErrorInfo, of a message so large that the server does not look at it.
_LARGER_THAN_MAX = re.compile(r"message larger than max \((\d+) vs\. (\d+)\)")


class Status(NamedTuple):
    """What is left of a call that failed, without gRPC's objects."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: dict[str, str] = {}  # noqa: RUF012  (a tuple's default, which nobody changes)

    @classmethod
    def of(cls, failure: grpc.RpcError) -> Status:
        """The status of a call that gRPC says has failed."""
        message = failure.details() or "the call failed without saying why"
        reason, metadata = error_info(failure.trailing_metadata() or ())
        if not reason and (sizes := _LARGER_THAN_MAX.search(message)):
            size, limit = sizes.groups()
            message = (
                f"the message has {size} bytes and this server takes {limit}; store less in one step, "
                "or start the server with a larger --max-message-size"
            )
            reason, metadata = "MESSAGE_TOO_LARGE", {"size": size, "limit": limit, "option": "--max-message-size"}
        return cls(failure.code(), message, reason, metadata)

    def is_transient(self) -> bool:
        """Whether the same request may succeed if it is sent again."""
        return self.code in _TRANSIENT or self.retry_after() is not None

    def retry_after(self) -> float | None:
        """Seconds that a server with too much to do wants to be left alone; None when it said nothing of the kind."""
        delay = self.metadata.get(_RETRY_AFTER, "") if self.code is grpc.StatusCode.RESOURCE_EXHAUSTED else ""
        return int(delay) / 1000 if delay.isascii() and delay.isdecimal() and len(delay) < 10 else None

    def is_not_connected(self) -> bool:
        """Whether the call reached no server."""
        return self.code is grpc.StatusCode.UNAVAILABLE and not self.reason and bool(_NOT_CONNECTED.match(self.message))

    def cause(self) -> str:
        """Why the call failed, in few words."""
        if not self.is_not_connected():
            return self.message
        for said, cause in _WHY_NOT_CONNECTED:
            if said.search(self.message):
                return cause
        return self.message.rpartition("last error: ")[2]

    def error(self, server: str, tried: str = "") -> errors.CheckpointdError:
        """The error for the caller; `tried` is what to add on how long it was tried."""
        kind = _KINDS_BY_REASON.get(self.reason) or _KINDS.get(self.code, errors.ServerFault)
        return kind(
            f"{self.message}{tried}",
            code=self.code,
            reason=self.reason,
            metadata=self.metadata,
            server=server,
            grpc_error=self.message,
        )

    def no_server(self, server: str, tried: str) -> errors.Unavailable:
        """The error for the caller when no attempt reached a server; `tried` says how many there were."""
        return errors.Unavailable(
            f"no server answers at {server} ({self.cause()}; {tried})",
            code=self.code,
            server=server,
            grpc_error=self.message,
            advice="start one, or check the address. Repeating the call is safe.",
        )


class CallFailed(Exception):
    """A call failed; another attempt may follow."""

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status = status


LATE = Status(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
INTERRUPTED = Status(grpc.StatusCode.CANCELLED, "the channel was closed")
