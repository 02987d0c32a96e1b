"""From a failed gRPC call to the error that the caller gets."""

import re

import grpc

from checkpointd.client import errors
from checkpointd.client.error_info import error_info

_KINDS: dict[grpc.StatusCode, type[errors.CheckpointdError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: errors.InvalidRequest,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.ABORTED: errors.Aborted,
    grpc.StatusCode.FAILED_PRECONDITION: errors.Aborted,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.CANCELLED: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ResourceExhausted,
    grpc.StatusCode.UNAUTHENTICATED: errors.AccessDenied,
    grpc.StatusCode.PERMISSION_DENIED: errors.AccessDenied,
    grpc.StatusCode.UNIMPLEMENTED: errors.Unsupported,
}

# What gRPC itself says, without an ErrorInfo, of a message so large that the server does not look at it.
_LARGER_THAN_MAX = re.compile(r"message larger than max \((\d+) vs\. (\d+)\)")


def error_of(failure: grpc.RpcError, server: str, tried: str = "") -> errors.CheckpointdError:
    """The error that says why a call to `server` failed; `tried` is what to add on how long it was tried."""
    code = failure.code()
    message = failure.details() or "the call failed without saying why"
    reason, metadata = error_info(failure.trailing_metadata() or ())
    if not reason and (sizes := _LARGER_THAN_MAX.search(message)):
        size, limit = sizes.groups()
        message = f"the message has {size} bytes and this server takes {limit}"
        reason, metadata = "MESSAGE_TOO_LARGE", {"size": size, "limit": limit, "option": "--max-message-size"}
    kind = errors.TooLarge if reason == "MESSAGE_TOO_LARGE" else _KINDS.get(code, errors.ServerFault)
    return kind(f"{message}{tried}", code=code, reason=reason, metadata=metadata, server=server)
