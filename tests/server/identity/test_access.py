"""Every rpc asks for the role that the contract says, and is about the threads that the credential is for."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from checkpointd.v1.access_pb2 import Reach, Role, access
from checkpointd.v1.checkpoints_pb2 import GetCheckpointRequest, SessionOp, SessionRequest, SessionResponse
from tests.contract.rpcs import all_rpcs
from tests.messages import put_checkpoint
from tests.server.identity.conftest import bearer
from tests.server.wire import invoke, new_request, refused

Make = Callable[..., str]

ROLES = ("read", "write", "admin", "operator")
RPCS = {rpc.name: rpc.GetOptions().Extensions[access] for rpc in all_rpcs()}


def call(channel: grpc.Channel, rpc: str, request: Any, token: str) -> None:
    """Call any rpc, also one that a session is."""
    if rpc != "Session":
        invoke(channel, rpc, request, bearer(token))
        return
    open_session: Any = channel.stream_stream(
        "/checkpointd.v1.Checkpoints/Session", SessionRequest.SerializeToString, SessionResponse.FromString
    )
    list(open_session(iter([]), metadata=bearer(token)))


def outcome(channel: grpc.Channel, rpc: str, request: Any, token: str) -> str:
    """`allowed`, or the reason why not. What an allowed call says of its request is another matter."""
    try:
        call(channel, rpc, request, token)
    except grpc.RpcError as error:
        code = error.code()
        return code.name if code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED) else "allowed"
    return "allowed"


@pytest.mark.parametrize("rpc", RPCS)
def test_an_rpc_asks_for_its_role(rpc: str, channel: grpc.Channel, token: Make, tenant: str) -> None:
    request = _new(rpc)
    for role in ROLES:
        shown = token(role, tenant="*" if role == "operator" else tenant)
        enough = Role.Value(f"ROLE_{role.upper()}") >= RPCS[rpc].role
        assert outcome(channel, rpc, request, shown) == ("allowed" if enough else "PERMISSION_DENIED"), role


@pytest.mark.parametrize("rpc", RPCS)
def test_an_rpc_wants_a_credential(rpc: str, channel: grpc.Channel) -> None:
    assert outcome(channel, rpc, _new(rpc), "x") == "UNAUTHENTICATED"


@pytest.mark.parametrize("rpc", RPCS)
def test_a_credential_for_some_threads_is_for_no_others(rpc: str, channel: grpc.Channel, token: Make) -> None:
    shown = token("admin", thread_id_prefixes=["mine-", "ours-"])
    reach = RPCS[rpc].reach
    if reach != Reach.REACH_THREADS:
        expected = "allowed" if reach == Reach.REACH_SHARED else "PERMISSION_DENIED"
        assert outcome(channel, rpc, _new(rpc), shown) == expected
        return
    request = _new(rpc)
    assert outcome(channel, rpc, request, shown) == "PERMISSION_DENIED", "it names no thread"
    names = list(_thread_fields(request))
    assert names
    for name in names:
        _set(request, name, "mine-1")
    assert outcome(channel, rpc, request, shown) == "allowed"
    for name in names:
        for other in ("theirs", "mine", "Mine-1", " mine-1"):
            _set(request, name, other)
            assert outcome(channel, rpc, request, shown) == "PERMISSION_DENIED", (name, other)
        _set(request, name, "ours-2")


def test_a_list_of_threads_is_as_good_as_its_worst(channel: grpc.Channel, token: Make) -> None:
    request = new_request("PruneThreads")
    request.thread_ids.extend(["mine-1", "theirs"])
    with refused(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"):
        invoke(channel, "PruneThreads", request, bearer(token("write", thread_id_prefixes=["mine-"])))


def test_a_session_refuses_each_op_alone(channel: grpc.Channel, token: Make) -> None:
    invoke(channel, "PutCheckpoint", put_checkpoint("mine-1", "c0"), bearer(token("write")))
    ops = [
        SessionOp(number=1, put_checkpoint=put_checkpoint("mine-1", "c1")),
        SessionOp(number=2, put_checkpoint=put_checkpoint("theirs", "c1")),
        SessionOp(number=3, get_checkpoint=GetCheckpointRequest(thread_id="mine-1")),
    ]
    assert _answers(channel, ops, token("write", thread_id_prefixes=["mine-"])) == {
        1: "",
        2: "PERMISSION_DENIED",
        3: "",
    }
    assert _answers(channel, ops, token("read", thread_id_prefixes=["mine-"])) == {
        1: "PERMISSION_DENIED",
        2: "PERMISSION_DENIED",
        3: "",
    }
    with refused(grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND"):
        invoke(channel, "GetCheckpoint", whole_of("GetCheckpoint", "theirs"), bearer(token("read")))


def whole_of(rpc: str, thread_id: str) -> Any:
    request = new_request(rpc)
    request.thread_id = thread_id
    return request


def _answers(channel: grpc.Channel, ops: list[SessionOp], token: str) -> dict[int, str]:
    open_session: Any = channel.stream_stream(
        "/checkpointd.v1.Checkpoints/Session", SessionRequest.SerializeToString, SessionResponse.FromString
    )
    responses = open_session(iter([SessionRequest(ops=[op]) for op in ops]), metadata=bearer(token))
    return {answer.number: answer.error.reason for response in responses for answer in response.answers}


def _new(rpc: str) -> Any:
    if rpc == "Session":
        return None
    return new_request(rpc)


def _thread_fields(request: Any) -> Iterator[str]:
    for field in request.DESCRIPTOR.fields:
        if "thread_id" in field.name:
            yield field.name


def _set(request: Any, name: str, value: str) -> None:
    if request.DESCRIPTOR.fields_by_name[name].is_repeated:
        del getattr(request, name)[:]
        getattr(request, name).append(value)
    else:
        setattr(request, name, value)
