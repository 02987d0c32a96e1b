"""Values sent as changes, and reads that leave out what the caller has, through two servers on one database."""

import random
from typing import Any

import grpc
import pytest

from checkpointd.changes import change, hash_of
from checkpointd.v1.checkpoints_pb2 import (
    CommitOp,
    CommitRequest,
    GetChannelHistoryRequest,
    GetCheckpointRequest,
    GetCheckpointResponse,
    PutCheckpointRequest,
)
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.core_pb2 import HeldValue, Piece
from checkpointd.v1.threads_pb2 import (
    CopyThreadRequest,
    DeleteThreadRequest,
    ListThreadsRequest,
    PruneStrategy,
    PruneThreadsRequest,
)
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.messages import put_checkpoint
from tests.server.conftest import TwoServers
from tests.server.wire import invalid, refused
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("stays_well")

_DICE = random.Random(5)
_FIRST = _DICE.randbytes(9000)
_SECOND = _FIRST[:4000] + b"in the middle" + _FIRST[4000:] + _DICE.randbytes(700)


@pytest.fixture(scope="module")
def server(two_servers: TwoServers) -> ServerProcess:
    return two_servers.first


@pytest.fixture
def stubs(grpc_channel: grpc.Channel, second_channel: grpc.Channel) -> list[CheckpointsStub]:
    """A stub of each server, of a tenant whose thread `t` has the checkpoint `1` with the first value."""
    stubs = [CheckpointsStub(grpc_channel), CheckpointsStub(second_channel)]
    stubs[0].PutCheckpoint(put_checkpoint("t", "1", values={"a": _FIRST}))
    return stubs


def _changed(checkpoint_id: str, base: bytes, base_version: str, data: bytes, **more: Any) -> PutCheckpointRequest:
    """A put of the value as a change of the base."""
    request = put_checkpoint("t", checkpoint_id, versions={"a": f"v{checkpoint_id}"}, **more)
    said = request.put.channel_changes["a"]
    said.base_version, said.base_hash, said.encoding, said.hash = base_version, hash_of(base), "bytes", hash_of(data)
    pieces = change(base, data)
    assert pieces is not None
    said.pieces.extend(pieces)
    return request


def _get(stub: CheckpointsStub, checkpoint_id: str = "", *held: HeldValue, thread_id: str = "t") -> Any:
    request = GetCheckpointRequest(thread_id=thread_id, checkpoint_id=checkpoint_id, held_values=held)
    return stub.GetCheckpoint(request)


def _data(answer: GetCheckpointResponse) -> bytes:
    return answer.checkpoint_tuple.checkpoint.channel_values["a"].data


def test_a_change_is_read_as_the_whole_value_everywhere(stubs: list[CheckpointsStub]) -> None:
    request = _changed("2", _FIRST, "v1", _SECOND)
    assert request.ByteSize() < 1200
    answer = stubs[0].PutCheckpoint(request)
    assert answer.takes_changes
    for stub in stubs:
        assert _data(_get(stub)) == _SECOND
        assert _data(_get(stub, "1")) == _FIRST


def test_the_other_server_takes_a_change_of_what_this_one_stored(stubs: list[CheckpointsStub]) -> None:
    value, version = _FIRST, "v1"
    for number in range(2, 80):
        new = value + _DICE.randbytes(50)
        stubs[number % 2].PutCheckpoint(_changed(str(number), value, version, new))
        value, version = new, f"v{number}"
    assert [_data(_get(stub)) for stub in stubs] == [value, value]


def test_changes_go_in_a_commit_too(stubs: list[CheckpointsStub]) -> None:
    third = _SECOND + b"more"
    puts = [_changed("2", _FIRST, "v1", _SECOND).put, _changed("3", _FIRST, "v1", third).put]
    stubs[0].Commit(CommitRequest(thread_id="t", ops=[CommitOp(put_checkpoint=put) for put in puts]))
    assert [_data(_get(stubs[1], name)) for name in "123"] == [_FIRST, _SECOND, third]


@pytest.mark.parametrize("wrong", ["version", "hash", "thread", "namespace"])
def test_a_base_that_is_not_there_is_refused(stubs: list[CheckpointsStub], wrong: str) -> None:
    request = _changed("2", _FIRST, "v1", _SECOND)
    match wrong:
        case "version":
            request.put.channel_changes["a"].base_version = "v0"
        case "hash":
            request.put.channel_changes["a"].base_hash += 1
        case "thread":
            request.thread_id = "u"
        case _:
            request.put.checkpoint_ns = "n"
    for stub in stubs:
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "BASE_MISMATCH") as found:
            stub.PutCheckpoint(request)
        assert found.metadata["channel"] == "a"
        assert "send the whole value" in found.message
    assert _get(stubs[0]).checkpoint_tuple.checkpoint.id == "1"


@pytest.mark.parametrize("how", ["delete", "delete and put", "prune"])
def test_a_base_that_was_removed_by_the_other_server(
    stubs: list[CheckpointsStub], second_channel: grpc.Channel, how: str
) -> None:
    """This server still has it in memory. A base that is gone is refused or not needed, and never missed."""
    stubs[0].PutCheckpoint(_changed("2", _FIRST, "v1", _SECOND))
    threads = ThreadsStub(second_channel)
    if how == "prune":
        stubs[1].PutCheckpoint(put_checkpoint("t", "x", values={"a": "small"}))
        threads.PruneThreads(PruneThreadsRequest(thread_ids=["t"], strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST))
    else:
        threads.DeleteThread(DeleteThreadRequest(thread_id="t"))
        if how == "delete and put":
            stubs[1].PutCheckpoint(put_checkpoint("t", "2", values={"a": _FIRST}))
    third = _SECOND + b"more"
    stubs[0].PutCheckpoint(_changed("3", _SECOND, "v2", third))
    assert [_data(_get(stub)) for stub in stubs] == [third, third]
    # And what comes next is made from that.
    stubs[0].PutCheckpoint(_changed("4", third, "v3", third + b"again"))
    assert [_data(_get(stub)) for stub in stubs] == [third + b"again"] * 2


def test_a_prune_and_a_copy_keep_what_values_are_made_from(
    stubs: list[CheckpointsStub], grpc_channel: grpc.Channel
) -> None:
    value = _FIRST
    for number in range(2, 70):
        value += _DICE.randbytes(60)
        stubs[0].PutCheckpoint(put_checkpoint("t", str(number), parent=str(number - 1), values={"a": value}))
    threads = ThreadsStub(grpc_channel)
    threads.CopyThread(CopyThreadRequest(source_thread_id="t", target_thread_id="copy"))
    threads.PruneThreads(PruneThreadsRequest(thread_ids=["t"], strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST))
    assert [_data(_get(stub)) for stub in stubs] == [value, value]
    threads.DeleteThread(DeleteThreadRequest(thread_id="t"))
    assert [_data(_get(stub, thread_id="copy")) for stub in stubs] == [value, value]
    history = stubs[1].GetChannelHistory(GetChannelHistoryRequest(thread_id="copy", channels=["a"]))
    assert len(history.histories["a"].seed.data) == len(value) - 60


def test_the_value_that_is_stored_first_stays(stubs: list[CheckpointsStub]) -> None:
    other = _FIRST + b"other"
    stubs[0].PutCheckpoint(put_checkpoint("t", "2", values={"a": other}, versions={"a": "v1"}))
    assert [_data(_get(stub)) for stub in stubs] == [_FIRST, _FIRST]
    # And what was not stored is no base.
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "BASE_MISMATCH"):
        stubs[0].PutCheckpoint(_changed("3", other, "v1", other + b"x"))


_ONE = Piece(offset=0, length=1)


@pytest.mark.parametrize(
    ("pieces", "field", "named"),
    [
        ([Piece(offset=9000, length=1)], "pieces", "takes 1 bytes from 9000 on"),
        ([Piece(offset=2**64 - 1, length=9)], "pieces", "takes 9 bytes from"),
        ([Piece(offset=2**64 - 1, length=2**64 - 1)], "pieces", "bytes together"),
        ([_ONE] * 1001, "pieces", "more than 1000 pieces"),
        ([Piece(offset=0, length=9000)] * 1000, "hash", "channel 'a'"),
        ([_ONE], "hash", "channel 'a'"),
        ([], "hash", "channel 'a'"),
    ],
    ids=["beyond", "far beyond", "without end", "too many", "long", "something else", "nothing"],
)
def test_a_change_that_does_not_give_what_it_says(
    stubs: list[CheckpointsStub], pieces: list[Piece], field: str, named: str
) -> None:
    request = _changed("2", _FIRST, "v1", _SECOND)
    del request.put.channel_changes["a"].pieces[:]
    request.put.channel_changes["a"].pieces.extend(pieces)
    with invalid(f"put.channel_changes.{field}") as found:
        stubs[0].PutCheckpoint(request)
    assert named in found.message
    assert _get(stubs[0]).checkpoint_tuple.checkpoint.id == "1"


def test_a_change_that_would_be_huge(stubs: list[CheckpointsStub]) -> None:
    large = bytes(1 << 20)
    stubs[0].PutCheckpoint(put_checkpoint("t", "2", values={"a": large}))
    request = _changed("3", large, "v2", large + b"x")
    request.put.channel_changes["a"].pieces.extend([Piece(offset=0, length=1 << 20)] * 64)
    with invalid("put.channel_changes.pieces") as found:
        stubs[0].PutCheckpoint(request)
    assert "bytes together" in found.message


@pytest.mark.parametrize(
    ("field", "text"),
    [
        *(("base_version", text) for text in ("", "x" * 256, "\0")),
        *(("encoding", text) for text in ("", "x" * 65, "\0")),
    ],
)
def test_the_limits_of_a_change(stubs: list[CheckpointsStub], field: str, text: str) -> None:
    request = _changed("2", _FIRST, "v1", _SECOND)
    setattr(request.put.channel_changes["a"], field, text)
    with invalid(f"put.channel_changes.{field}"):
        stubs[0].PutCheckpoint(request)


@pytest.mark.parametrize("channel", ["", "x" * 1025, "\0", "unversioned"])
def test_the_channel_of_a_change(stubs: list[CheckpointsStub], channel: str) -> None:
    request = _changed("2", _FIRST, "v1", _SECOND)
    request.put.channel_changes[channel].CopyFrom(request.put.channel_changes.pop("a"))
    with pytest.raises(grpc.RpcError) as caught:
        stubs[0].PutCheckpoint(request)
    assert caught.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)


def test_a_value_and_its_change(stubs: list[CheckpointsStub], grpc_channel: grpc.Channel) -> None:
    request = _changed("2", _FIRST, "v1", _SECOND)
    request.put.checkpoint.channel_values["a"].encoding = "bytes"
    with invalid("put.channel_changes"):
        stubs[0].PutCheckpoint(request)
    (thread,) = ThreadsStub(grpc_channel).ListThreads(ListThreadsRequest()).threads
    assert thread.sequence == 1


def test_what_the_caller_has_is_left_out(stubs: list[CheckpointsStub]) -> None:
    stubs[0].PutCheckpoint(put_checkpoint("t", "2", values={"a": _SECOND, "b": "small"}))
    held = HeldValue(channel="a", version="v2", hash=hash_of(_SECOND), encoding="bytes")
    other = HeldValue(channel="b", version="v1", hash=hash_of(b"small"), encoding="bytes")
    for stub in stubs:
        answer = _get(stub, "", held, other)
        assert list(answer.held_channels) == ["a"]
        assert list(answer.checkpoint_tuple.checkpoint.channel_values) == ["b"]
        assert answer.takes_changes
        assert answer.ByteSize() < 500


@pytest.mark.parametrize("wrong", ["version", "hash", "channel", "encoding", "gone"])
def test_what_the_caller_has_and_is_something_else(stubs: list[CheckpointsStub], wrong: str) -> None:
    held = HeldValue(channel="a", version="v1", hash=hash_of(_FIRST), encoding="bytes")
    match wrong:
        case "version":
            held.version = "v2"
        case "hash":
            held.hash ^= 1
        case "channel":
            held.channel = "b"
        case "encoding":
            held.encoding = "json"
        case _:
            stubs[1].PutCheckpoint(put_checkpoint("t", "2", values={"a": _SECOND}))
    expected = _SECOND if wrong == "gone" else _FIRST
    for stub in stubs:
        answer = _get(stub, "", held)
        assert not answer.held_channels
        assert _data(answer) == expected


def test_too_many_held_values(stubs: list[CheckpointsStub]) -> None:
    held = [HeldValue(channel="a", version=str(number), encoding="bytes") for number in range(1001)]
    with invalid("held_values"):
        _get(stubs[0], "", *held)
    assert _data(_get(stubs[0], "", *held[:1000])) == _FIRST
