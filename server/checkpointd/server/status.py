"""From the engine's errors to gRPC's: one table of codes, one shape of details (error_reason.proto)."""

import logging
import uuid
from typing import NamedTuple

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc_status.rpc_status import to_status

from checkpointd.engine import EngineError
from checkpointd.v1.error_reason_pb2 import ErrorReason

DOMAIN = "checkpointd"

# The metadata that says after how many milliseconds to try again.
RETRY_AFTER = "retry_after_ms"

_log = logging.getLogger(__name__)

# A message may quote what the caller sent, and so may the path of a field. They travel encoded, the message twice, in
# headers, of which gRPC takes 8 KiB together: longer ones would reach the caller as another error, or not, at random.
_MAX_TEXT_BYTES = 1000

CODES = {
    ErrorReason.ERROR_REASON_INVALID_FIELD: StatusCode.INVALID_ARGUMENT,
    ErrorReason.ERROR_REASON_MALFORMED_REQUEST: StatusCode.INVALID_ARGUMENT,
    ErrorReason.ERROR_REASON_MESSAGE_TOO_LARGE: StatusCode.RESOURCE_EXHAUSTED,
    ErrorReason.ERROR_REASON_CHECKPOINT_NOT_FOUND: StatusCode.NOT_FOUND,
    ErrorReason.ERROR_REASON_THREAD_NOT_FOUND: StatusCode.NOT_FOUND,
    ErrorReason.ERROR_REASON_THREAD_EXISTS: StatusCode.ALREADY_EXISTS,
    ErrorReason.ERROR_REASON_GRAPH_NOT_FOUND: StatusCode.NOT_FOUND,
    ErrorReason.ERROR_REASON_GRAPH_UNKNOWN: StatusCode.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_SUBGRAPH_NOT_FOUND: StatusCode.NOT_FOUND,
    ErrorReason.ERROR_REASON_INVALID_UPDATE: StatusCode.INVALID_ARGUMENT,
    ErrorReason.ERROR_REASON_NEEDS_CODE: StatusCode.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_NOTHING_TO_COPY: StatusCode.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_HEAD_MOVED: StatusCode.ABORTED,
    ErrorReason.ERROR_REASON_LEASE_LOST: StatusCode.ABORTED,
    ErrorReason.ERROR_REASON_LEASE_HELD: StatusCode.ABORTED,
    ErrorReason.ERROR_REASON_ALREADY_WRITTEN: StatusCode.ABORTED,
    ErrorReason.ERROR_REASON_BASE_MISMATCH: StatusCode.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_VALUE_DAMAGED: StatusCode.DATA_LOSS,
    ErrorReason.ERROR_REASON_DATABASE_UNAVAILABLE: StatusCode.UNAVAILABLE,
    ErrorReason.ERROR_REASON_DATABASE_READ_ONLY: StatusCode.UNAVAILABLE,
    ErrorReason.ERROR_REASON_DATABASE_FULL: StatusCode.RESOURCE_EXHAUSTED,
    ErrorReason.ERROR_REASON_SERVER_STOPPING: StatusCode.UNAVAILABLE,
    ErrorReason.ERROR_REASON_UNEXPECTED: StatusCode.UNKNOWN,
    ErrorReason.ERROR_REASON_CREDENTIAL_MISSING: StatusCode.UNAUTHENTICATED,
    ErrorReason.ERROR_REASON_CREDENTIAL_INVALID: StatusCode.UNAUTHENTICATED,
    ErrorReason.ERROR_REASON_CREDENTIAL_EXPIRED: StatusCode.UNAUTHENTICATED,
    ErrorReason.ERROR_REASON_PERMISSION_DENIED: StatusCode.PERMISSION_DENIED,
    ErrorReason.ERROR_REASON_API_KEYS_OFF: StatusCode.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_API_KEY_NOT_FOUND: StatusCode.NOT_FOUND,
    ErrorReason.ERROR_REASON_POLICY_REMOVES_EVERYTHING: StatusCode.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_OVERLOADED: StatusCode.RESOURCE_EXHAUSTED,
    ErrorReason.ERROR_REASON_TOO_MANY_STREAMS: StatusCode.RESOURCE_EXHAUSTED,
    ErrorReason.ERROR_REASON_QUOTA_EXCEEDED: StatusCode.RESOURCE_EXHAUSTED,
    ErrorReason.ERROR_REASON_WATCH_TOKEN_INVALID: StatusCode.INVALID_ARGUMENT,
    ErrorReason.ERROR_REASON_WATCH_TOKEN_EXPIRED: StatusCode.OUT_OF_RANGE,
    ErrorReason.ERROR_REASON_WATCH_OFF: StatusCode.FAILED_PRECONDITION,
}


class Refusal(EngineError):
    """A refusal of the server's own, made before or beside the engine."""

    def __init__(self, reason: ErrorReason.ValueType, message: str, /, **metadata: str) -> None:
        super().__init__(message, **metadata)
        self.reason = reason


class Text(NamedTuple):
    """What is told of a refusal."""

    code: int
    message: str
    reason: str  # without its prefix
    metadata: dict[str, str]


def refusal_of(error: Exception) -> EngineError:
    """The refusal to answer with. What was not foreseen is logged, and the answer says where."""
    if isinstance(error, EngineError):
        return error
    incident = uuid.uuid4().hex
    _log.error("incident %s", incident, exc_info=error)
    return Refusal(
        ErrorReason.ERROR_REASON_UNEXPECTED,
        f"unexpected fault; the server's log has it as incident {incident}",
        incident=incident,
    )


def code_of(error: Exception) -> str:
    """The name of the code that an error is answered with."""
    return (CODES[error.reason] if isinstance(error, EngineError) else StatusCode.UNKNOWN).name


def text_of(error: EngineError) -> Text:
    """What a refusal tells, as long as may be."""
    return Text(
        CODES[error.reason].value[0],
        _shortened(error.message),
        ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_"),
        {key: _shortened(value) for key, value in error.metadata.items()},
    )


def status_of(error: EngineError) -> grpc.Status:
    """The code, the message for a person, and the trailing metadata that carries the details."""
    text = text_of(error)
    details: list[Message] = [ErrorInfo(reason=text.reason, domain=DOMAIN, metadata=text.metadata)]
    if (delay := text.metadata.get(RETRY_AFTER)) is not None:
        info = RetryInfo()
        info.retry_delay.FromMilliseconds(int(delay))
        details.append(info)
    packed = [Any() for _ in details]
    for one, detail in zip(packed, details, strict=True):
        one.Pack(detail)
    status: grpc.Status = to_status(Status(code=text.code, message=text.message, details=packed))
    return status


def _shortened(text: str) -> str:
    data = text.encode()
    if len(data) <= _MAX_TEXT_BYTES:
        return text
    return data[:_MAX_TEXT_BYTES].decode(errors="ignore") + " ..."
