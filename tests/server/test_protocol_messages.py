"""Requests under, at and over the limit of size, and calls of what the contract does not have."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from checkpointd.v1.checkpoints_pb2 import GetCheckpointRequest, ListCheckpointsRequest, PutCheckpointRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.threads_pb2 import ListThreadsRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.messages import put_checkpoint
from tests.server.wire import METHODS, UNLIMITED, health, ids, invoke, refused, whole_path
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("stays_well")

_LIMIT = 1 << 20


@pytest.fixture(scope="module")
def small_server(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that takes requests of up to 1 MiB."""
    log = tmp_path_factory.mktemp("small") / "log"
    database = ("--database-url", postgres.create_database(), "--database-connections", "2")
    with ServerProcess(log, *database, "--max-message-size", "1MiB") as running:
        yield running


@pytest.fixture
def small_channel(small_server: ServerProcess, tenant: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(small_server.address, UNLIMITED) as channel:
        yield channel


def _of_size(size: int, thread_id: str = "t") -> PutCheckpointRequest:
    """A request that has exactly so many bytes."""
    request = put_checkpoint(thread_id, "c", values={"a": b""})
    value = request.put.checkpoint.channel_values["a"]
    for _ in range(2):  # the first time counts lengths that take more bytes themselves
        value.data = bytes(len(value.data) + size - request.ByteSize())
    assert request.ByteSize() == size
    return request


@pytest.mark.parametrize("size", [_LIMIT - 1, _LIMIT])
def test_up_to_the_limit(small_channel: grpc.Channel, size: int) -> None:
    stub = CheckpointsStub(small_channel)
    request = _of_size(size, f"t{size}")
    stub.PutCheckpoint(request)
    found = stub.GetCheckpoint(GetCheckpointRequest(thread_id=f"t{size}")).checkpoint_tuple
    assert found.checkpoint == request.put.checkpoint
    # What small requests have stored together comes back, however large it is.
    assert ids(stub.ListCheckpoints(ListCheckpointsRequest(thread_id=f"t{size}"))) == ["c"]


def test_answers_may_be_larger_than_requests(small_channel: grpc.Channel) -> None:
    stub = CheckpointsStub(small_channel)
    data = bytes(900_000)
    for channel in ("a", "b", "c"):
        stub.PutCheckpoint(put_checkpoint("large", "c0", values={channel: data}))
    stub.PutCheckpoint(put_checkpoint("large", "c1", versions=dict.fromkeys("abc", "vc0")))
    found = stub.GetCheckpoint(GetCheckpointRequest(thread_id="large")).checkpoint_tuple
    assert {name: value.data for name, value in found.checkpoint.channel_values.items()} == dict.fromkeys("abc", data)


@pytest.mark.parametrize("size", [_LIMIT + 1, 2 * _LIMIT - 1000])
def test_over_the_limit(small_server: ServerProcess, small_channel: grpc.Channel, size: int) -> None:
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE") as found:
        CheckpointsStub(small_channel).PutCheckpoint(_of_size(size, "over"))
    assert found.metadata == {"size": str(size), "limit": str(_LIMIT), "option": "--max-message-size"}
    for word in (str(size), str(_LIMIT), "--max-message-size"):
        assert word in found.message
    assert not ThreadsStub(small_channel).ListThreads(ListThreadsRequest(thread_id_prefix="over")).threads
    assert health(small_server.address) == "SERVING"


@pytest.mark.parametrize("size", [2 * _LIMIT + 1000, 64 * _LIMIT])
def test_far_over_the_limit(small_server: ServerProcess, small_channel: grpc.Channel, size: int) -> None:
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, None):
        CheckpointsStub(small_channel).PutCheckpoint(_of_size(size, "over"))
    assert not ThreadsStub(small_channel).ListThreads(ListThreadsRequest(thread_id_prefix="over")).threads
    assert health(small_server.address) == "SERVING"


def test_a_small_message_that_unpacks_to_a_large_one(small_server: ServerProcess) -> None:
    with grpc.insecure_channel(small_server.address, UNLIMITED, grpc.Compression.Gzip) as channel:
        stub = CheckpointsStub(channel)
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, None):
            stub.PutCheckpoint(_of_size(64 * _LIMIT, "over"))
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE"):
            stub.PutCheckpoint(_of_size(_LIMIT + 1, "over"))
        assert stub.PutCheckpoint(_of_size(_LIMIT, "compressed")).sequence == 1
    assert health(small_server.address) == "SERVING"


def test_compressed_requests_are_read(grpc_channel: grpc.Channel) -> None:
    stub = CheckpointsStub(grpc_channel)
    for number, compression in enumerate((grpc.Compression.Gzip, grpc.Compression.Deflate)):
        stub.PutCheckpoint(put_checkpoint("t", f"c{number}", values={"a": bytes(10_000)}), compression=compression)
    assert ids(stub.ListCheckpoints(ListCheckpointsRequest(thread_id="t"))) == ["c1", "c0"]


@pytest.mark.parametrize("rpc", METHODS)
def test_bytes_that_are_no_message(grpc_channel: grpc.Channel, rpc: str) -> None:
    for data in (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05abc", b"\x0b" * 200, b"\x00", bytes(1000), b"\x0f"):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST") as found:
            invoke(grpc_channel, rpc, data)
        assert found.metadata == {"message": METHODS[rpc].input_type.full_name}
        assert str(len(data)) in found.message


@pytest.mark.parametrize(
    "path",
    [
        "/checkpointd.v1.Checkpoints/Nothing",
        "/checkpointd.v1.Nothing/PutCheckpoint",
        "/checkpointd.v2.Checkpoints/PutCheckpoint",
        "/checkpointd.v1.Checkpoints/putcheckpoint",
        "/checkpointd.v1.Checkpoints/",
        "/checkpointd.v1.Checkpoints/PutCheckpoint/",
        "//",
        "/" + "x" * 4000,
    ],
    ids=lambda path: path[-20:],
)
def test_unknown_methods(grpc_channel: grpc.Channel, path: str) -> None:
    call: Any = grpc_channel.unary_unary(path, None, None)
    with refused(grpc.StatusCode.UNIMPLEMENTED, None):
        call(b"")


@pytest.mark.parametrize("rpc", METHODS)
def test_two_requests_in_place_of_one(grpc_addr: str, rpc: str) -> None:
    with grpc.insecure_channel(grpc_addr) as channel:
        stream: Any = channel.stream_stream(whole_path(rpc), None, None)
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST"):
            list(stream(iter([b"\xff", b"\xff"]), timeout=10))


@pytest.mark.parametrize("rpc", ["PutCheckpoint", "ListCheckpoints"])
def test_no_request_in_place_of_one(grpc_addr: str, rpc: str) -> None:
    """gRPC's own server lets such a call wait; it ends with its deadline or its connection."""
    with grpc.insecure_channel(grpc_addr) as channel:
        stream: Any = channel.stream_stream(whole_path(rpc), None, None)
        with refused(grpc.StatusCode.DEADLINE_EXCEEDED, None):
            list(stream(iter([]), timeout=0.2))
