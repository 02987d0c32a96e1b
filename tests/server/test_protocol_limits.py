"""Numbers, counts, enums, page tokens and missing messages: at the limit, one beyond it, and absurd."""

from base64 import urlsafe_b64encode
from typing import Any

import grpc
import pytest

from checkpointd.v1 import checkpoints_pb2 as messages
from checkpointd.v1.core_pb2 import Value
from checkpointd.v1.threads_pb2 import (
    DeleteRunsRequest,
    ListThreadsRequest,
    PruneStrategy,
    PruneThreadsRequest,
    ThreadOrder,
)
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.messages import checkpoint_put, put_checkpoint, put_writes, writes_put
from tests.server.whole_requests import whole_request
from tests.server.wire import ids, invalid, invoke

pytestmark = pytest.mark.usefixtures("stays_well")

_MOST = 1000


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[ThreadsStub]:
    return ThreadsStub


def _counted(rpc: str, count: int) -> Any:
    """A request with so many entries in its list."""
    names = [f"n{number}" for number in range(count)]
    match rpc:
        case "Commit":
            puts = (messages.CommitOp(put_checkpoint=checkpoint_put(name)) for name in names)
            return messages.CommitRequest(thread_id="t", ops=puts)
        case "GetChannelHistory":
            return messages.GetChannelHistoryRequest(thread_id="t", channels=names)
        case "PruneThreads":
            return PruneThreadsRequest(thread_ids=names, strategy=PruneStrategy.PRUNE_STRATEGY_DELETE)
    return DeleteRunsRequest(run_ids=names)


_LISTS = {"Commit": "ops", "GetChannelHistory": "channels", "PruneThreads": "thread_ids", "DeleteRuns": "run_ids"}


@pytest.mark.parametrize("rpc", _LISTS)
def test_lists_take_a_thousand(grpc_channel: grpc.Channel, rpc: str) -> None:
    invoke(grpc_channel, "PutCheckpoint", put_checkpoint("t", "c"))
    (answer,) = invoke(grpc_channel, rpc, _counted(rpc, _MOST))
    if rpc == "Commit":
        assert answer.checkpoint_sequences == list(range(2, _MOST + 2))
    if rpc == "GetChannelHistory":
        assert len(answer.histories) == _MOST


@pytest.mark.parametrize("rpc", _LISTS)
def test_lists_refuse_one_more(grpc_channel: grpc.Channel, grpc_stub: ThreadsStub, rpc: str) -> None:
    with invalid(_LISTS[rpc]):
        invoke(grpc_channel, rpc, _counted(rpc, _MOST + 1))
    assert not grpc_stub.ListThreads(ListThreadsRequest()).threads


@pytest.mark.parametrize("rpc", ["GetChannelHistory", "PruneThreads", "DeleteRuns"])
def test_repetitions_count(grpc_channel: grpc.Channel, rpc: str) -> None:
    request = _counted(rpc, 1)
    getattr(request, _LISTS[rpc]).extend(["n0"] * _MOST)
    with invalid(_LISTS[rpc]):
        invoke(grpc_channel, rpc, request)


@pytest.mark.parametrize("rpc", ["PruneThreads", "DeleteRuns"])
def test_empty_lists_change_nothing(grpc_channel: grpc.Channel, rpc: str) -> None:
    invoke(grpc_channel, "PutCheckpoint", put_checkpoint("t", "c"))
    (answer,) = invoke(grpc_channel, rpc, _counted(rpc, 0))
    assert answer.removed_checkpoints == 0
    assert ids(invoke(grpc_channel, "ListCheckpoints", messages.ListCheckpointsRequest())) == ["c"]


def test_an_empty_list_of_channels_gives_an_empty_answer(grpc_channel: grpc.Channel) -> None:
    invoke(grpc_channel, "PutCheckpoint", put_checkpoint("t", "c"))
    (answer,) = invoke(grpc_channel, "GetChannelHistory", _counted("GetChannelHistory", 0))
    assert not answer.histories


def test_a_commit_of_nothing_is_refused(grpc_channel: grpc.Channel) -> None:
    with invalid("ops"):
        invoke(grpc_channel, "Commit", messages.CommitRequest(thread_id="t"))


@pytest.mark.parametrize("limit", [-1, -(2**31), -(2**63)])
def test_negative_limits_are_refused(grpc_channel: grpc.Channel, limit: int) -> None:
    with invalid("limit"):
        invoke(grpc_channel, "ListCheckpoints", messages.ListCheckpointsRequest(limit=limit))


@pytest.mark.parametrize(("limit", "found"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (2**31, 3), (2**63 - 1, 3)])
def test_limits(grpc_channel: grpc.Channel, limit: int, found: int) -> None:
    for number in range(3):
        invoke(grpc_channel, "PutCheckpoint", put_checkpoint("t", f"c{number}"))
    for thread_id in ("t", ""):
        request = messages.ListCheckpointsRequest(thread_id=thread_id, limit=limit)
        assert ids(invoke(grpc_channel, "ListCheckpoints", request)) == ["c2", "c1", "c0"][:found]


@pytest.mark.parametrize("page_size", [-1, 1001, 2**31 - 1, -(2**31)])
def test_page_sizes_out_of_range_are_refused(grpc_stub: ThreadsStub, page_size: int) -> None:
    with invalid("page_size"):
        grpc_stub.ListThreads(ListThreadsRequest(page_size=page_size))


@pytest.mark.parametrize(("page_size", "found"), [(0, 100), (1, 1), (100, 100), (1000, 101)])
def test_page_sizes(grpc_channel: grpc.Channel, grpc_stub: ThreadsStub, page_size: int, found: int) -> None:
    for number in range(101):
        invoke(grpc_channel, "PutCheckpoint", put_checkpoint(f"t{number}", "c"))
    answer = grpc_stub.ListThreads(ListThreadsRequest(page_size=page_size))
    assert len(answer.threads) == found
    assert bool(answer.next_page_token) == (found < 101)


def _token(*parts: str) -> str:
    return urlsafe_b64encode("\0".join(parts).encode()).decode()


_GARBAGE_TOKENS = [
    "x",
    "x" * 100_000,
    "=",
    "é",
    "AAAA",
    _token("a"),
    _token("0", "", "not a time", "t"),
    _token("0", "", "2020-01-01T00:00:00+23:59", "t"),
    _token("0", "", "2020-01-01T00:00:00+00:00"),
    _token("0", "", "2020-01-01T00:00:00+00:00", "t", "u"),
    urlsafe_b64encode(b"\xff\xfe").decode(),
]


@pytest.mark.parametrize("order", [ThreadOrder.THREAD_ORDER_THREAD_ID, ThreadOrder.THREAD_ORDER_UPDATED])
@pytest.mark.parametrize("token", _GARBAGE_TOKENS, ids=range(len(_GARBAGE_TOKENS)))
def test_page_tokens_of_garbage_are_refused(grpc_stub: ThreadsStub, token: str, order: ThreadOrder.ValueType) -> None:
    with invalid(""):
        grpc_stub.ListThreads(ListThreadsRequest(page_token=token, order=order))


@pytest.mark.parametrize(
    "other",
    [
        ListThreadsRequest(order=ThreadOrder.THREAD_ORDER_UPDATED),
        ListThreadsRequest(thread_id_prefix="t"),
        ListThreadsRequest(order=ThreadOrder.THREAD_ORDER_UPDATED, thread_id_prefix="t"),
    ],
    ids=["order", "prefix", "both"],
)
def test_a_page_token_of_another_list_is_refused(
    grpc_channel: grpc.Channel, grpc_stub: ThreadsStub, other: ListThreadsRequest
) -> None:
    for thread_id in ("t1", "t2"):
        invoke(grpc_channel, "PutCheckpoint", put_checkpoint(thread_id, "c"))
    mine = ListThreadsRequest(page_size=1)
    for giver, taker in ((mine, other), (other, mine)):
        giver.page_size = taker.page_size = 1
        giver.ClearField("page_token")
        taker.page_token = grpc_stub.ListThreads(giver).next_page_token
        assert taker.page_token
        with invalid("page_token"):
            grpc_stub.ListThreads(taker)


@pytest.mark.parametrize("number", [3, 99, -1, 2**31 - 1])
def test_unknown_enum_numbers_are_refused(grpc_channel: grpc.Channel, number: int) -> None:
    invoke(grpc_channel, "PutCheckpoint", put_checkpoint("t", "c"))
    for rpc, field in (("ListThreads", "order"), ("ListCheckpoints", "view"), ("PruneThreads", "strategy")):
        request = whole_request(rpc)
        setattr(request, field, number)
        with invalid(field):
            invoke(grpc_channel, rpc, request)
    assert ids(invoke(grpc_channel, "ListCheckpoints", messages.ListCheckpointsRequest())) == ["c"]


def test_a_prune_without_a_strategy_is_refused(grpc_channel: grpc.Channel, grpc_stub: ThreadsStub) -> None:
    invoke(grpc_channel, "PutCheckpoint", put_checkpoint("t", "c"))
    with invalid("strategy"):
        grpc_stub.PruneThreads(PruneThreadsRequest(thread_ids=["t"]))
    assert ids(invoke(grpc_channel, "ListCheckpoints", messages.ListCheckpointsRequest())) == ["c"]


def _without(rpc: str, *path: str) -> tuple[str, Any]:
    request = whole_request(rpc)
    owner = request
    for step in path[:-1]:
        owner = owner[int(step)] if step.isdecimal() else getattr(owner, step)
    owner.ClearField(path[-1])
    return rpc, request


@pytest.mark.parametrize(
    ("rpc", "request_", "named"),
    [
        (*_without("PutCheckpoint", "put"), "checkpoint"),
        (*_without("PutCheckpoint", "put", "checkpoint"), "checkpoint"),
        (*_without("PutWrites", "put"), "checkpoint_id"),
        (*_without("PutWrites", "put", "writes", "0", "value"), "encoding"),
        (*_without("Commit", "ops", "0", "put_checkpoint"), "ops[0]"),
        (*_without("Commit", "ops", "1", "put_writes"), "ops[1]"),
        (*_without("Commit", "ops", "0", "put_checkpoint", "checkpoint"), "checkpoint"),
        (*_without("PutCheckpoint", "put", "checkpoint", "channel_versions"), "channel_values"),
    ],
    ids=["put", "checkpoint", "writes", "value", "op-0", "op-1", "checkpoint-of-op", "version"],
)
def test_a_missing_message_is_refused(grpc_channel: grpc.Channel, rpc: str, request_: Any, named: str) -> None:
    with invalid(named):
        invoke(grpc_channel, rpc, request_)
    assert not ThreadsStub(grpc_channel).ListThreads(ListThreadsRequest()).threads


def test_one_bad_op_stores_nothing_of_a_commit(grpc_channel: grpc.Channel) -> None:
    good = [messages.CommitOp(put_checkpoint=checkpoint_put(f"c{number}", values={"a": "1"})) for number in range(3)]
    bad = writes_put("c0", "task", [(0, "a", b"1"), (1, "", b"2")])
    request = messages.CommitRequest(thread_id="t", ops=[*good, messages.CommitOp(put_writes=bad)])
    with invalid("channel"):
        invoke(grpc_channel, "Commit", request)
    assert not ThreadsStub(grpc_channel).ListThreads(ListThreadsRequest()).threads


def test_writes_of_nothing_store_nothing(grpc_channel: grpc.Channel) -> None:
    invoke(grpc_channel, "PutWrites", put_writes("t", "c", "task", []))
    assert not ThreadsStub(grpc_channel).ListThreads(ListThreadsRequest()).threads


def test_an_empty_value_and_every_encoding_are_taken(grpc_channel: grpc.Channel) -> None:
    request = put_checkpoint("t", "c", versions={"a": "1", "b": "1"})
    request.put.checkpoint.channel_values["a"].CopyFrom(Value(encoding="null"))
    request.put.checkpoint.channel_values["b"].CopyFrom(Value(encoding="Of my own: é", data=bytes(range(256))))
    invoke(grpc_channel, "PutCheckpoint", request)
    (answer,) = invoke(grpc_channel, "GetCheckpoint", messages.GetCheckpointRequest(thread_id="t"))
    assert answer.checkpoint_tuple.checkpoint.channel_values == request.put.checkpoint.channel_values
