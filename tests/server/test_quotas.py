"""Quotas of tenants, over the wire: by calls and by sessions, of every server that shares the database."""

import itertools
import time
from collections.abc import Iterator

import grpc
import pytest

from checkpointd.client import Client, QuotaExceeded
from checkpointd.v1.checkpoints_pb2 import GetCheckpointRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.limits_pb2 import GetQuotaRequest, ListQuotasRequest, Quota, SetQuotaRequest, Usage
from checkpointd.v1.limits_pb2_grpc import LimitsStub
from checkpointd.v1.threads_pb2 import DeleteThreadRequest, ListThreadsRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.messages import put_checkpoint
from tests.server.conftest import TwoServers
from tests.server.session_carriers import CARRIERS, opened
from tests.server.wire import error_reason, invalid, refused
from tests.server_process import ServerProcess, eventually

pytestmark = pytest.mark.usefixtures("stays_well")

_FULL = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture(scope="module")
def server(two_servers: TwoServers) -> ServerProcess:
    return two_servers.first


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[LimitsStub]:
    return LimitsStub


@pytest.fixture
def limits(grpc_stub: LimitsStub) -> Iterator[LimitsStub]:
    yield grpc_stub
    grpc_stub.SetQuota(SetQuotaRequest())


def _set(limits: LimitsStub, **quota: int) -> None:
    limits.SetQuota(SetQuotaRequest(quota=Quota(**quota)))


def _usage(limits: LimitsStub) -> Usage:
    return limits.GetQuota(GetQuotaRequest()).usage


def _reason(stub: CheckpointsStub, thread_id: str, checkpoint_id: str = "c") -> str | None:
    try:
        stub.PutCheckpoint(put_checkpoint(thread_id, checkpoint_id))
    except grpc.RpcError as error:
        return error_reason(error)  # type: ignore[arg-type]
    return None


def test_a_quota_of_threads(limits: LimitsStub, checkpoints: CheckpointsStub, threads: ThreadsStub) -> None:
    for name in ("a", "b"):
        assert _reason(checkpoints, name) is None
    _set(limits, max_threads=2)
    eventually("they are counted", lambda: _usage(limits).threads == 2)
    names = (f"t{number}" for number in itertools.count())
    eventually("no new one is taken", lambda: _reason(checkpoints, next(names)) == "QUOTA_EXCEEDED")
    there = {thread.thread_id for thread in threads.ListThreads(ListThreadsRequest()).threads}
    with refused(_FULL, "QUOTA_EXCEEDED") as found:
        checkpoints.PutCheckpoint(put_checkpoint("c", "c"))
    assert found.metadata == {"quota": "threads", "limit": "2"}
    assert _reason(checkpoints, "a", "c2") is None
    assert {thread.thread_id for thread in threads.ListThreads(ListThreadsRequest()).threads} == there
    for name in there:
        threads.DeleteThread(DeleteThreadRequest(thread_id=name))
    eventually("there is room again", lambda: _reason(checkpoints, "d") is None)


def test_a_quota_of_bytes_is_heeded_by_every_server(
    limits: LimitsStub, checkpoints: CheckpointsStub, threads: ThreadsStub, second_channel: grpc.Channel
) -> None:
    checkpoints.PutCheckpoint(put_checkpoint("a", "c", values={"x": bytes(10_000)}))
    _set(limits, max_bytes=5000)
    elsewhere = CheckpointsStub(second_channel)
    for stub in (checkpoints, elsewhere):
        eventually("nothing is taken", lambda stub=stub: _reason(stub, "a", "c2") == "QUOTA_EXCEEDED")  # type: ignore[misc]
        with refused(_FULL, "QUOTA_EXCEEDED") as found:
            stub.PutCheckpoint(put_checkpoint("a", "c2"))
        assert found.metadata == {"quota": "bytes", "limit": "5000"}
        assert stub.GetCheckpoint(GetCheckpointRequest(thread_id="a")).checkpoint_tuple.checkpoint.id
    assert _usage(limits).bytes >= 10_000
    threads.DeleteThread(DeleteThreadRequest(thread_id="a"))
    eventually("there is room again", lambda: _reason(elsewhere, "a") is None)


def test_a_quota_of_operations(limits: LimitsStub, checkpoints: CheckpointsStub, tenant: str, grpc_addr: str) -> None:
    _set(limits, max_ops_per_second=10)
    calls = [checkpoints.PutCheckpoint.future(put_checkpoint("t", f"c{number}")) for number in range(100)]
    refusals = [call.exception() for call in calls if call.exception() is not None]
    assert refusals
    assert {error_reason(error) for error in refusals} == {"QUOTA_EXCEEDED"}  # type: ignore[arg-type]
    # A client waits for as long as it is told to. Ten were left from before; the others take a second for each ten.
    with Client(grpc_addr, tenant=tenant) as client:
        began = time.monotonic()
        for _ in range(30):
            client.get_thread(thread_id="t")
        assert time.monotonic() - began > 1.9
        _set(limits, max_ops_per_second=0)
        with pytest.raises(QuotaExceeded, match="0 requests a second"):
            client.get_thread(thread_id="t")
    # Who sets quotas is free.
    assert limits.GetQuota(GetQuotaRequest()).quota.max_ops_per_second == 0


@pytest.mark.parametrize("kind", CARRIERS)
def test_ops_of_sessions_count(kind: str, limits: LimitsStub, grpc_addr: str, tenant: str) -> None:
    for session in opened(kind, grpc_addr, tenant):
        (number,) = session.send(put_checkpoint("t", "c"))
        assert session.answer(number).put_checkpoint.sequence == 1
        _set(limits, max_ops_per_second=5)
        numbers = session.send(*(GetCheckpointRequest(thread_id="t") for _ in range(100)))
        answers = [session.answer(number) for number in numbers]
        errors = [answer.error for answer in answers if answer.WhichOneof("answer") == "error"]
        assert {(error.code, error.reason) for error in errors} == {(_FULL.value[0], "QUOTA_EXCEEDED")}
        assert all(int(error.metadata["retry_after_ms"]) <= 200 for error in errors)
        assert 5 <= len(answers) - len(errors) < 100
        _set(limits)
        numbers = session.send(*(GetCheckpointRequest(thread_id="t") for _ in range(100)))
        assert all(session.answer(number).HasField("get_checkpoint") for number in numbers)


def test_a_list_of_all_tenants(limits: LimitsStub, tenant: str) -> None:
    _set(limits, max_threads=5)
    found = {one.tenant: one.quota for one in limits.ListQuotas(ListQuotasRequest(page_size=1000)).quotas}
    assert found[tenant] == Quota(max_threads=5)
    with invalid("page_token"):
        limits.ListQuotas(ListQuotasRequest(page_token="no tenant's name"))
    with invalid("quota.max_bytes"):
        _set(limits, max_bytes=-1)
