"""Ops and answers of a session as bytes: what goes into a SessionRequest, and what a SessionAnswer says."""

from __future__ import annotations

from typing import Any

import grpc

from checkpointd.client.status import Status
from checkpointd.v1.checkpoints_pb2 import SessionAnswer, SessionError, SessionOp, SessionRequest

# The kinds of a field on the wire.
_VARINT, _BYTES = 0, 2

_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

_NOT_UNDERSTOOD = Status(grpc.StatusCode.UNKNOWN, "the server's answer is of another kind than the op")


# Those of one byte, which most are.
_SHORT = tuple(bytes((value,)) for value in range(0x80))


def _varint(value: int) -> bytes:
    if value <= 0x7F:
        return _SHORT[value]
    if value <= 0x3FFF:
        return bytes((value & 0x7F | 0x80, value >> 7))
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


_OP = _tag(SessionRequest.OPS_FIELD_NUMBER, _BYTES)
_NUMBER = _tag(SessionOp.NUMBER_FIELD_NUMBER, _VARINT)
_TRACEPARENT = _tag(SessionOp.TRACEPARENT_FIELD_NUMBER, _BYTES)
_REQUESTS = {field.name: _tag(field.number, _BYTES) for field in SessionOp.DESCRIPTOR.oneofs_by_name["request"].fields}


def op_bytes(number: int, kind: str, request: bytes, traceparent: str = "") -> bytes:
    """A SessionRequest of one op; those of several ops, one after the other, are a SessionRequest of them all.

    `kind` names the field of SessionOp that the request, which is serialised already and would otherwise be copied and
    serialised again, belongs to.
    """
    head = b"".join((_NUMBER, _varint(number), _REQUESTS[kind], _varint(len(request))))
    tail = b"" if not traceparent else b"".join((_TRACEPARENT, _varint(len(traceparent)), traceparent.encode()))
    return b"".join((_OP, _varint(len(head) + len(request) + len(tail)), head, request, tail))


def answer_of(answer: SessionAnswer, kind: str) -> tuple[Any, Status | None]:
    """The response in an answer, or how the op failed."""
    given = answer.WhichOneof("answer")
    if given == kind:
        return getattr(answer, given), None
    return None, status_of(answer.error) if given == "error" else _NOT_UNDERSTOOD


def status_of(error: SessionError) -> Status:
    """How an op, or the session, failed."""
    code = _CODES.get(error.code, grpc.StatusCode.UNKNOWN)
    message = error.message or "the call failed without saying why"
    return Status(code, message, error.reason, dict(error.metadata))
