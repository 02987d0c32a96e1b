"""Every string of every request: its limits, NUL characters, bytes that are not UTF-8."""

from contextlib import nullcontext
from typing import Any

import grpc
import pytest

from checkpointd.v1.checkpoints_pb2 import CheckpointPut, CommitOp
from checkpointd.v1.core_pb2 import Checkpoint
from checkpointd.v1.threads_pb2 import ListThreadsRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.server.whole_requests import Text, texts, whole_request
from tests.server.wire import METHODS, invalid, invoke, refused

pytestmark = pytest.mark.usefixtures("stays_well")

_THREAD, _NAMESPACE, _CHECKPOINT, _MAYBE_CHECKPOINT = (1, 255), (0, 768), (1, 128), (0, 128)
_CHANNEL, _VERSION, _HOLDER, _REQUEST = (1, 1024), (1, 255), (1, 255), (0, 64)

# The fewest and most bytes of each field, as the contract says; None: the contract says no more than "no NUL".
_LIMITS: dict[str, tuple[int, int] | None] = {
    "PutCheckpointRequest.thread_id": _THREAD,
    "PutWritesRequest.thread_id": _THREAD,
    "CommitRequest.thread_id": _THREAD,
    "GetCheckpointRequest.thread_id": _THREAD,
    "GetCheckpointRequest.checkpoint_ns": _NAMESPACE,
    "GetCheckpointRequest.checkpoint_id": _MAYBE_CHECKPOINT,
    "HeldValue.channel": _CHANNEL,
    "HeldValue.version": _VERSION,
    "HeldValue.encoding": (1, 64),
    "ListCheckpointsRequest.thread_id": (0, 255),
    "ListCheckpointsRequest.checkpoint_ns": _NAMESPACE,
    "ListCheckpointsRequest.checkpoint_id": _MAYBE_CHECKPOINT,
    "ListCheckpointsRequest.before_checkpoint_id": _MAYBE_CHECKPOINT,
    "GetChannelHistoryRequest.thread_id": _THREAD,
    "GetChannelHistoryRequest.checkpoint_ns": _NAMESPACE,
    "GetChannelHistoryRequest.checkpoint_id": _MAYBE_CHECKPOINT,
    "GetChannelHistoryRequest.channels": _CHANNEL,
    "CheckpointPut.checkpoint_ns": _NAMESPACE,
    "CheckpointPut.parent_checkpoint_id": _MAYBE_CHECKPOINT,
    "CheckpointPut.graph_hash": (0, 64),
    "Checkpoint.id": _CHECKPOINT,
    "Checkpoint.ts": (0, 64),
    "Checkpoint.channel_versions key": _CHANNEL,
    "Checkpoint.channel_versions value": _VERSION,
    "Checkpoint.versions_seen key": None,
    "Checkpoint.channel_values key": _CHANNEL,
    "Checkpoint.extra key": None,
    "ChannelVersions.versions key": None,
    "ChannelVersions.versions value": None,
    "ChannelNames.names": None,
    "Value.encoding": (1, 64),
    "WritesPut.checkpoint_ns": _NAMESPACE,
    "WritesPut.checkpoint_id": _CHECKPOINT,
    "WritesPut.task_id": (1, 255),
    "WritesPut.task_path": (0, 4096),
    "Write.channel": _CHANNEL,
    "GetStateRequest.thread_id": _THREAD,
    "GetStateRequest.checkpoint_ns": _NAMESPACE,
    "GetStateRequest.checkpoint_id": _MAYBE_CHECKPOINT,
    "GetStateHistoryRequest.thread_id": _THREAD,
    "GetStateHistoryRequest.checkpoint_ns": _NAMESPACE,
    "GetStateHistoryRequest.before_checkpoint_id": _MAYBE_CHECKPOINT,
    "GetStateHistoryRequest.checkpoint_id": _MAYBE_CHECKPOINT,
    "UpdateStateRequest.thread_id": _THREAD,
    "UpdateStateRequest.checkpoint_ns": _NAMESPACE,
    "UpdateStateRequest.checkpoint_id": _MAYBE_CHECKPOINT,
    "UpdateStateRequest.request_id": _REQUEST,
    "StateUpdate.as_node": (0, 1024),
    "StateUpdate.task_id": (0, 255),
    "ChannelWrites.channel": _CHANNEL,
    "GotoTarget.node": _CHANNEL,
    "Send.node": _CHANNEL,
    "Precondition.expected_head": _MAYBE_CHECKPOINT,
    "AcquireLeaseRequest.thread_id": _THREAD,
    "AcquireLeaseRequest.holder": _HOLDER,
    "RenewLeaseRequest.thread_id": _THREAD,
    "RenewLeaseRequest.holder": _HOLDER,
    "ReleaseLeaseRequest.thread_id": _THREAD,
    "ReleaseLeaseRequest.holder": _HOLDER,
    "GraphRef.hash": (1, 64),
    "GraphRef.name": (1, 255),
    "GetThreadRequest.thread_id": _THREAD,
    "ListThreadsRequest.thread_id_prefix": (0, 255),
    "ListThreadsRequest.labels key": (1, 63),
    "ListThreadsRequest.labels value": (0, 255),
    "ListThreadsRequest.owner": (0, 255),
    "UpdateThreadRequest.thread_id": _THREAD,
    "UpdateThreadRequest.set_labels key": (1, 63),
    "UpdateThreadRequest.set_labels value": (0, 255),
    "UpdateThreadRequest.remove_labels": (1, 63),
    "UpdateThreadRequest.owner": (0, 255),
    "DeleteThreadRequest.thread_id": _THREAD,
    "DeleteThreadRequest.request_id": _REQUEST,
    "CopyThreadRequest.source_thread_id": _THREAD,
    "CopyThreadRequest.target_thread_id": _THREAD,
    "CopyThreadRequest.request_id": _REQUEST,
    "RetentionPolicy.name": (1, 63),
    "RetentionPolicy.labels key": (1, 63),
    "RetentionPolicy.labels value": (0, 255),
    "DeleteRetentionPolicyRequest.name": (1, 63),
    "PruneThreadsRequest.request_id": _REQUEST,
    "DeleteRunsRequest.request_id": _REQUEST,
    "PruneThreadsRequest.thread_ids": _THREAD,
    "DeleteRunsRequest.run_ids": (1, 255),
}

# Not plain text: other tests say what these take.
_STRUCTURED = {
    "Metadata.json",
    "ListCheckpointsRequest.metadata_filter",
    "GetStateHistoryRequest.metadata_filter",
    "UpdateStateRequest.metadata",
    "ListThreadsRequest.page_token",
    "ApplyRetentionPolicyRequest.page_token",
    "RetentionPolicy.keep_metadata",
    "ListQuotasRequest.page_token",
}

# What the rpcs that need something say in an empty tenant.
_MISSING = {
    "GetCheckpoint": (grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND"),
    "GetChannelHistory": (grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND"),
    "GetState": (grpc.StatusCode.NOT_FOUND, "GRAPH_NOT_FOUND"),
    "GetStateHistory": (grpc.StatusCode.NOT_FOUND, "GRAPH_NOT_FOUND"),
    "UpdateState": (grpc.StatusCode.NOT_FOUND, "GRAPH_NOT_FOUND"),
    "UpdateThread": (grpc.StatusCode.NOT_FOUND, "THREAD_NOT_FOUND"),
    "GetThread": (grpc.StatusCode.NOT_FOUND, "THREAD_NOT_FOUND"),
    "CopyThread": (grpc.StatusCode.NOT_FOUND, "THREAD_NOT_FOUND"),
    "RenewLease": (grpc.StatusCode.ABORTED, "LEASE_LOST"),
}

_TEXTS = list(texts())


def _name(text: Text) -> str:
    return text.field.removeprefix("checkpointd.v1.")


def _case(text: Text) -> str:
    return f"{text.rpc}-{text.path}".replace(" ", "-")


_each_text = pytest.mark.parametrize("text", _TEXTS, ids=_case)
_each_limited_text = pytest.mark.parametrize("text", [text for text in _TEXTS if _LIMITS.get(_name(text))], ids=_case)


def _with(text: Text, value: str) -> Any:
    request = whole_request(text.rpc)
    text.write(request, value)
    if text.rpc == "ListCheckpoints" and not request.thread_id:
        request.ClearField("checkpoint_ns")  # a list of all threads takes none
    for put in _puts(request):
        _match_versions(put.checkpoint, value)
    return request


def _puts(request: Any) -> list[CheckpointPut]:
    if hasattr(request, "ops"):
        ops: list[CommitOp] = list(request.ops)
        return [op.put_checkpoint for op in ops if op.HasField("put_checkpoint")]
    put = getattr(request, "put", None)
    return [put] if isinstance(put, CheckpointPut) else []


def _match_versions(checkpoint: Checkpoint, name: str) -> None:
    """Where one of the two maps got another channel name, give it to the other one too."""
    if checkpoint.channel_values.keys() != checkpoint.channel_versions.keys():
        if name in checkpoint.channel_values:
            checkpoint.channel_versions[name] = checkpoint.channel_versions.pop("x")
        else:
            checkpoint.channel_values[name].CopyFrom(checkpoint.channel_values["x"])
            del checkpoint.channel_values["x"]


def _of_bytes(size: int) -> str:
    """A text of so many bytes and fewer characters."""
    return "é" * (size // 2) + "x" * (size % 2)


def _refuses(channel: grpc.Channel, text: Text, value: str) -> None:
    with invalid("") as found:
        invoke(channel, text.rpc, _with(text, value))
    field = text.field.rpartition(".")[2].split(" ")[0]
    assert field.replace("channel_values", "channel_versions") in found.metadata["field"]
    assert not ThreadsStub(channel).ListThreads(ListThreadsRequest()).threads


def test_every_string_has_a_limit_here() -> None:
    assert {_name(text) for text in _TEXTS} == _LIMITS.keys() | _STRUCTURED


@_each_limited_text
def test_the_shortest_and_the_longest_are_taken(grpc_channel: grpc.Channel, text: Text) -> None:
    least, most = _LIMITS[_name(text)] or (0, 0)
    # The longest first: a head that is not there is no matter to a request that is stored already.
    for value in (_of_bytes(most), "" if least == 0 else "x"):
        request = _with(text, value)
        if _name(text) == "AcquireLeaseRequest.holder":
            request.thread_id = f"of a holder of {len(value)}"  # rather than to wait for the other one's
        # Asking for what is not there is well formed, and so is expecting it.
        missing = _MISSING.get(text.rpc)
        if missing is None and value and _name(text) == "Precondition.expected_head":
            missing = (grpc.StatusCode.ABORTED, "HEAD_MOVED")
        with refused(*missing) if missing else nullcontext():
            invoke(grpc_channel, text.rpc, request)


@_each_limited_text
def test_a_byte_too_many_is_refused(grpc_channel: grpc.Channel, text: Text) -> None:
    _, most = _LIMITS[_name(text)] or (0, 0)
    _refuses(grpc_channel, text, _of_bytes(most + 1))


@pytest.mark.parametrize("text", [text for text in _TEXTS if (_LIMITS.get(_name(text)) or (0,))[0]], ids=_case)
def test_an_empty_one_is_refused(grpc_channel: grpc.Channel, text: Text) -> None:
    _refuses(grpc_channel, text, "")


@_each_text
def test_nul_is_refused(grpc_channel: grpc.Channel, text: Text) -> None:
    _refuses(grpc_channel, text, "a\0b")


@_each_text
def test_bytes_that_are_not_utf8_are_refused(grpc_channel: grpc.Channel, text: Text) -> None:
    request = whole_request(text.rpc)
    text.write(request, "PLACE")
    data = request.SerializeToString()
    for bad in (b"\xffLACE", b"\xed\xa0\x80CE", b"\xc0\x80ACE", b"PLAC\xc3"):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST") as found:
            invoke(grpc_channel, text.rpc, data.replace(b"PLACE", bad))
        assert found.metadata == {"message": METHODS[text.rpc].input_type.full_name}
    assert not ThreadsStub(grpc_channel).ListThreads(ListThreadsRequest()).threads


@pytest.mark.parametrize(
    "rpc", ["PutCheckpoint", "PutWrites", "Commit", "ListCheckpoints", "PruneThreads", "DeleteRuns"]
)
def test_everything_at_its_limit_at_once(grpc_channel: grpc.Channel, rpc: str) -> None:
    request = whole_request(rpc)
    passed_over = ("Checkpoint.channel_values key", "Precondition.expected_head")
    for text in reversed(_TEXTS):  # what a map holds before the key by which it is found
        limit = _LIMITS.get(_name(text))
        if text.rpc == rpc and limit and _name(text) not in passed_over:
            text.write(request, _unlike(limit[1]))
            for put in _puts(request):
                _match_versions(put.checkpoint, _unlike(limit[1]))
    invoke(grpc_channel, rpc, request)


def _unlike(size: int) -> str:
    """A text that compression does not make shorter: the keys of the database have limits too."""
    return "".join(chr(33 + (number * number * 31 + number * 7) % 89) for number in range(size))


def test_a_long_name_in_a_message_does_not_drown_the_error(grpc_channel: grpc.Channel) -> None:
    request = whole_request("PutCheckpoint")
    request.put.checkpoint.channel_values["x" * 100_000].encoding = "x"
    with invalid("channel_values"):
        invoke(grpc_channel, "PutCheckpoint", request)


def test_long_unprintable_ids_do_not_drown_the_error(grpc_channel: grpc.Channel) -> None:
    request = whole_request("GetCheckpoint")
    request.thread_id, request.checkpoint_ns, request.checkpoint_id = "\x01" * 255, "\x02" * 768, "\x03" * 128
    for _ in range(30):  # between a soft and a hard limit gRPC drops large answers at random
        with refused(grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND") as found:
            invoke(grpc_channel, "GetCheckpoint", request)
        assert found.metadata["checkpoint_ns"] == request.checkpoint_ns
