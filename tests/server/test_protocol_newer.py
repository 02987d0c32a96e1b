"""Clients of a newer protocol: what they send in fields that this server does not know is kept or ignored."""

from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from checkpointd.v1.checkpoints_pb2 import CommitOp, GetCheckpointRequest
from tests.messages import commit, put_checkpoint
from tests.server.whole_requests import whole_request
from tests.server.wire import METHODS, error_reason, invalid, invoke

pytestmark = pytest.mark.usefixtures("stays_well")

# Field 1000 in each of the wire's shapes: a number, 8 bytes, 4 bytes, and bytes (which may be a message).
_UNKNOWN = (b"\xc0\x3e\x96\x01", b"\xc1\x3e" + bytes(8), b"\xc5\x3e" + bytes(4), b"\xc2\x3e\x05newer")


def _with_unknown_fields(message: Any) -> None:
    """Add unknown fields to a message and to all messages in it."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = list(value.values())
            inner = [each for each in values if isinstance(each, Message)]
        else:
            inner = list(value) if field.is_repeated else [value]
        for each in inner:
            _with_unknown_fields(each)
    message.MergeFromString(b"".join(_UNKNOWN))


def _outcome(channel: grpc.Channel, rpc: str, request: Message) -> object:
    try:
        return len(invoke(channel, rpc, request))
    except grpc.RpcError as error:
        return error_reason(error)  # type: ignore[arg-type]


@pytest.mark.parametrize("rpc", METHODS)
def test_unknown_fields_are_no_error(grpc_channel: grpc.Channel, rpc: str) -> None:
    newer = whole_request(rpc)
    _with_unknown_fields(newer)
    assert len(newer.SerializeToString()) > len(whole_request(rpc).SerializeToString())
    assert _outcome(grpc_channel, rpc, newer) == _outcome(grpc_channel, rpc, whole_request(rpc))


def test_unknown_fields_of_a_checkpoint_are_kept(grpc_channel: grpc.Channel) -> None:
    request = put_checkpoint("t", "c", values={"a": "1"})
    request.put.checkpoint.MergeFromString(b"".join(_UNKNOWN))
    invoke(grpc_channel, "PutCheckpoint", request)
    (answer,) = invoke(grpc_channel, "GetCheckpoint", GetCheckpointRequest(thread_id="t"))
    found: Any = UnknownFieldSet(answer.checkpoint_tuple.checkpoint)
    assert [field.field_number for field in found] == [1000] * 4
    assert found[3].data == b"newer"
    assert answer.checkpoint_tuple.checkpoint == request.put.checkpoint


def test_an_op_of_an_unknown_kind_is_refused(grpc_channel: grpc.Channel) -> None:
    request = commit("t", put_checkpoint("t", "c").put)
    request.ops.append(CommitOp.FromString(_UNKNOWN[3]))
    with invalid("ops[1]"):
        invoke(grpc_channel, "Commit", request)
    assert invoke(grpc_channel, "ListThreads", b"")[0].threads == []
