"""Ops and answers of a session are the contract's messages, byte for byte."""

from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from checkpointd.client import rpcs
from checkpointd.client.session_wire import answer_of, op_bytes
from checkpointd.client.status import Status
from checkpointd.v1 import checkpoints_pb2 as checkpoints

REQUESTS: dict[str, Message] = {
    "put_checkpoint": checkpoints.PutCheckpointRequest(thread_id="t"),
    "put_writes": checkpoints.PutWritesRequest(thread_id="t"),
    "commit": checkpoints.CommitRequest(thread_id="t"),
    "get_checkpoint": checkpoints.GetCheckpointRequest(thread_id="t"),
}


def op_of(number: int, kind: str, request: Message) -> checkpoints.SessionOp:
    fields: dict[str, Any] = {"number": number, kind: request}
    return checkpoints.SessionOp(**fields)


@pytest.mark.parametrize("number", [1, 127, 128, 16_383, 16_384, 2**32, 2**64 - 1])
@pytest.mark.parametrize("kind", REQUESTS)
def test_an_op_is_a_session_request(number: int, kind: str) -> None:
    written = op_bytes(number, kind, REQUESTS[kind].SerializeToString())
    assert written == checkpoints.SessionRequest(ops=[op_of(number, kind, REQUESTS[kind])]).SerializeToString()


@pytest.mark.parametrize("size", [0, 1, 100, 120, 127, 128, 16_370, 16_384, 256 * 1024])
def test_an_op_may_have_any_size(size: int) -> None:
    request = checkpoints.GetCheckpointRequest(thread_id="t" * size)
    written = op_bytes(5, "get_checkpoint", request.SerializeToString())
    assert written == checkpoints.SessionRequest(ops=[op_of(5, "get_checkpoint", request)]).SerializeToString()


def test_ops_one_after_the_other_are_a_session_request() -> None:
    written = b"".join(
        op_bytes(n, kind, request.SerializeToString()) for n, (kind, request) in enumerate(REQUESTS.items(), 1)
    )
    ops = [op_of(n, kind, request) for n, (kind, request) in enumerate(REQUESTS.items(), 1)]
    assert checkpoints.SessionRequest.FromString(written) == checkpoints.SessionRequest(ops=ops)


def test_every_op_of_the_contract_is_an_rpc_of_the_client() -> None:
    kinds = {rpc.in_session for rpc in vars(rpcs).values() if isinstance(rpc, rpcs.Rpc)} - {""}
    assert kinds == {field.name for field in checkpoints.SessionOp.DESCRIPTOR.oneofs_by_name["request"].fields}
    answers = {field.name for field in checkpoints.SessionAnswer.DESCRIPTOR.oneofs_by_name["answer"].fields}
    assert answers == kinds | {"error"}


def test_an_answer_has_the_response() -> None:
    response = checkpoints.PutCheckpointResponse(sequence=7)
    assert answer_of(checkpoints.SessionAnswer(put_checkpoint=response), "put_checkpoint") == (response, None)
    empty = checkpoints.SessionAnswer(put_writes=checkpoints.PutWritesResponse())
    assert answer_of(empty, "put_writes") == (checkpoints.PutWritesResponse(), None)


@pytest.mark.parametrize("code", grpc.StatusCode)
def test_an_answer_has_the_error(code: grpc.StatusCode) -> None:
    error = checkpoints.SessionError(code=code.value[0], message="no", reason="R", metadata={"a": "b"})
    assert answer_of(checkpoints.SessionAnswer(error=error), "commit") == (None, Status(code, "no", "R", {"a": "b"}))


@pytest.mark.parametrize(
    "answer",
    [
        checkpoints.SessionAnswer(),
        checkpoints.SessionAnswer(put_writes=checkpoints.PutWritesResponse()),
        checkpoints.SessionAnswer(error=checkpoints.SessionError(code=99)),
    ],
)
def test_an_answer_that_is_not_the_ops_is_a_fault(answer: checkpoints.SessionAnswer) -> None:
    response, status = answer_of(answer, "commit")
    assert response is None
    assert status is not None
    assert (status.code, bool(status.message)) == (grpc.StatusCode.UNKNOWN, True)
