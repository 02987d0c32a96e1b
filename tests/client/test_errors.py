"""What a caller learns from a call that failed."""

import copy
import pickle
from typing import Any

import grpc
import pytest

from checkpointd.client import Client, errors
from checkpointd.v1 import core_pb2 as core
from tests.client.conftest import Either
from tests.client.scripted_server import Failure, ScriptedServer

CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequest,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.ABORTED: errors.Aborted,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ResourceExhausted,
    grpc.StatusCode.UNAUTHENTICATED: errors.AccessDenied,
    grpc.StatusCode.PERMISSION_DENIED: errors.AccessDenied,
    grpc.StatusCode.UNIMPLEMENTED: errors.Unsupported,
    grpc.StatusCode.INTERNAL: errors.ServerFault,
    grpc.StatusCode.UNKNOWN: errors.ServerFault,
}


@pytest.mark.parametrize(("code", "kind"), CODES.items())
async def test_an_error_is_of_a_kind_and_says_server_reason_and_details(
    scripted: ScriptedServer, either: Either, code: grpc.StatusCode, kind: type[errors.CheckpointdError]
) -> None:
    scripted.script.append(Failure(code, "it went ✗", "SOME_REASON", {"field": "thread_id"}))
    with pytest.raises(errors.CheckpointdError) as raised:
        await either.call("get_thread", thread_id="t")
    error = raised.value
    assert type(error) is kind
    assert (error.code, error.reason, error.metadata) == (code, "SOME_REASON", {"field": "thread_id"})
    assert error.server == scripted.target
    for part in ("it went ✗", "SOME_REASON", code.name, scripted.target, kind.advice):
        assert part in str(error)
    assert len(scripted.calls) == 1


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, "GRAPH_UNKNOWN", errors.GraphUnknown),
        (grpc.StatusCode.FAILED_PRECONDITION, "NEEDS_CODE", errors.NeedsCode),
        (grpc.StatusCode.FAILED_PRECONDITION, "NOTHING_TO_COPY", errors.FailedPrecondition),
        (grpc.StatusCode.NOT_FOUND, "SUBGRAPH_NOT_FOUND", errors.NotFound),
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_UPDATE", errors.InvalidRequest),
        (grpc.StatusCode.ABORTED, "HEAD_MOVED", errors.HeadMoved),
        (grpc.StatusCode.ABORTED, "LEASE_LOST", errors.LeaseLost),
        (grpc.StatusCode.ABORTED, "LEASE_HELD", errors.LeaseHeld),
        (grpc.StatusCode.ABORTED, "ALREADY_WRITTEN", errors.AlreadyWritten),
        (grpc.StatusCode.ABORTED, "", errors.Aborted),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", errors.Overloaded),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS", errors.Overloaded),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED", errors.QuotaExceeded),
    ],
)
async def test_what_a_caller_does_about_it_is_told_by_the_reason(
    scripted: ScriptedServer, either: Either, code: grpc.StatusCode, reason: str, kind: type[errors.CheckpointdError]
) -> None:
    scripted.script.append(Failure(code, "it went wrong", reason))
    with pytest.raises(errors.CheckpointdError) as raised:
        await either.call("update_state", thread_id="t", supersteps=[])
    assert (type(raised.value), raised.value.reason) == (kind, reason)


async def test_a_list_fails_with_the_same_errors(scripted: ScriptedServer, either: Either) -> None:
    scripted.script.append(
        Failure(grpc.StatusCode.INVALID_ARGUMENT, "limit is -1", "INVALID_FIELD", {"field": "limit"})
    )
    with pytest.raises(errors.InvalidRequest, match="limit is -1") as raised:
        await either.every("list_checkpoints", limit=-1)
    assert raised.value.metadata == {"field": "limit"}


@pytest.mark.parametrize("details", [None, b"", b"\xff not a status", b"\x1a\x02\x0a\x00"])
def test_an_error_needs_no_details(scripted: ScriptedServer, client: Client, details: bytes | None) -> None:
    scripted.script.append(Failure(grpc.StatusCode.NOT_FOUND, details=details))
    with pytest.raises(errors.NotFound) as raised:
        client.get_thread(thread_id="t")
    assert (raised.value.reason, raised.value.metadata) == ("", {})


def test_a_message_that_grpc_itself_refuses_is_too_large() -> None:
    checkpoint = core.Checkpoint(id="c", channel_values={"x": core.Value(encoding="bytes", data=bytes(2000))})
    options = (("grpc.max_receive_message_length", 1000),)
    with ScriptedServer(options=options) as server, Client(server.target) as client:
        with pytest.raises(errors.TooLarge) as raised:
            client.put_checkpoint(thread_id="t", checkpoint=checkpoint)
        assert server.calls == []
    error = raised.value
    assert error.reason == "MESSAGE_TOO_LARGE"
    assert error.metadata == {"size": error.metadata["size"], "limit": "1000", "option": "--max-message-size"}
    assert int(error.metadata["size"]) > 2000
    for part in (error.metadata["size"], "1000", "--max-message-size", server.target):
        assert part in str(error)
    assert str(error).count("store less") == 1


def test_a_message_that_the_server_refuses_is_too_large(scripted: ScriptedServer, client: Client) -> None:
    sizes = {"size": "70", "limit": "64", "option": "--max-message-size"}
    message = "the request has 70 bytes; store less in one step, or start the server with a larger --max-message-size"
    scripted.script.append(Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, message, "MESSAGE_TOO_LARGE", sizes))
    with pytest.raises(errors.TooLarge) as raised:
        client.get_thread(thread_id="t")
    assert raised.value.metadata == sizes
    assert str(raised.value) == f"{message} [RESOURCE_EXHAUSTED MESSAGE_TOO_LARGE from {scripted.target}]"


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_can_be_copied_and_sent_to_another_process(again: Any) -> None:
    error = errors.NotFound("no thread", reason="THREAD_NOT_FOUND", metadata={"thread_id": "t"}, server="host:1")
    twin = again(error)
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert (twin.code, twin.reason, twin.metadata, twin.server) == (
        grpc.StatusCode.NOT_FOUND,
        "THREAD_NOT_FOUND",
        {"thread_id": "t"},
        "host:1",
    )


def test_the_hierarchy_is_drawn_as_it_is() -> None:
    """Each error stands in the module's docstring, one level deeper than the one that it derives from."""
    drawn = {}
    for line in (errors.__doc__ or "").splitlines():
        name = line.strip(" │├└─").split(" ")[0]
        if name.isidentifier() and hasattr(errors, name):
            drawn[name] = (len(line) - len(line.lstrip(" │├└─"))) // 4
    depths = {
        name: len([base for base in kind.__mro__ if issubclass(base, errors.CheckpointdError)])
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.CheckpointdError)
    }
    assert drawn == depths
