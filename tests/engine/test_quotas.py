"""Quotas as they are set, told and counted."""

import asyncio
import os

import psycopg
import pytest

from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import InvalidField, QuotaExceeded
from checkpointd.engine.usage import STEP, UsageCount
from checkpointd.v1.checkpoints_pb2 import CheckpointPut, GetCheckpointRequest, PutCheckpointRequest
from checkpointd.v1.core_pb2 import Checkpoint, Value
from checkpointd.v1.limits_pb2 import GetQuotaRequest, GetQuotaResponse, ListQuotasRequest, Quota, SetQuotaRequest
from checkpointd.v1.threads_pb2 import DeleteThreadRequest, PruneStrategy, PruneThreadsRequest

TENANT = "team"
_KIB = 1 << 10


@pytest.fixture
async def engine(engine: Engine) -> Engine:
    """One that counts when it is told to."""
    for task in engine._background:
        task.cancel()
    return engine


def _put(thread_id: str, checkpoint_id: str, size: int = 0) -> PutCheckpointRequest:
    put = CheckpointPut(checkpoint=Checkpoint(v=4, id=checkpoint_id))
    put.metadata.json = "{}"
    if size:
        put.checkpoint.channel_versions["a"] = checkpoint_id
        put.checkpoint.channel_values["a"].CopyFrom(Value(encoding="bytes", data=os.urandom(size)))
    return PutCheckpointRequest(thread_id=thread_id, put=put)


async def _set(engine: Engine, tenant: str = TENANT, /, **limits: int) -> None:
    await engine.quotas.set_quota(tenant, SetQuotaRequest(quota=Quota(**limits)))


async def _get(engine: Engine, tenant: str = TENANT) -> GetQuotaResponse:
    return await engine.quotas.get_quota(tenant, GetQuotaRequest())


async def _counted(engine: Engine, url: str) -> tuple[int, int]:
    """Threads and bytes, counted now."""
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE checkpointd.quotas SET claimed_until = '-infinity'")
    await UsageCount(engine.quotas._database).count(0)
    await engine.quotas.refresh()
    usage = (await _get(engine)).usage
    return usage.threads, usage.bytes


async def test_a_quota_is_what_was_said_last(engine: Engine) -> None:
    assert await _get(engine) == GetQuotaResponse(quota=Quota())
    await _set(engine, max_threads=0, max_bytes=10**18)
    assert (await _get(engine)).quota == Quota(max_threads=0, max_bytes=10**18)
    await _set(engine, max_ops_per_second=7)
    assert (await _get(engine)).quota == Quota(max_ops_per_second=7)
    assert engine.quotas.has(TENANT)
    assert not engine.quotas.has("other")
    await _set(engine)
    assert await _get(engine) == GetQuotaResponse(quota=Quota())
    assert not engine.quotas.any


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_threads", -1), ("max_threads", 10**15 + 1), ("max_bytes", 10**18 + 1), ("max_ops_per_second", 10**9 + 1)],
)
async def test_limits_out_of_their_range(engine: Engine, field: str, value: int) -> None:
    await _set(engine, max_threads=5)
    with pytest.raises(InvalidField, match=rf"quota\.{field} is {value}"):
        await _set(engine, **{field: value})
    assert (await _get(engine)).quota == Quota(max_threads=5)


async def test_quotas_are_listed_by_tenant_in_pages(engine: Engine) -> None:
    names = [f"t{number}" for number in range(5)]
    for number, name in enumerate(reversed(names)):
        await _set(engine, name, max_threads=number)
    found, token = [], ""
    for _ in range(3):
        page = await engine.quotas.list_quotas(ListQuotasRequest(page_size=2, page_token=token))
        found += [(one.tenant, one.quota.max_threads) for one in page.quotas]
        token = page.next_page_token
    assert found == [(name, 4 - number) for number, name in enumerate(names)]
    assert token == ""
    for request in (
        ListQuotasRequest(page_size=1001),
        ListQuotasRequest(page_size=-1),
        ListQuotasRequest(page_token="é"),
    ):
        with pytest.raises(InvalidField, match="page_"):
            await engine.quotas.list_quotas(request)


async def test_what_a_tenant_uses(engine: Engine, database_url: str) -> None:
    put = engine.checkpoints.put_checkpoint
    await _set(engine, max_bytes=10**9)
    for number in range(3):
        await put(TENANT, _put(f"t{number}", "c1", 10 * _KIB))
    await put("other", _put("t", "c1", 100 * _KIB))
    threads, size = await _counted(engine, database_url)
    assert threads == 3
    assert 30 * _KIB <= size <= 34 * _KIB
    await put(TENANT, _put("t0", "c2", 5 * _KIB))
    assert 34 * _KIB <= (await _counted(engine, database_url))[1] <= 40 * _KIB
    prune = PruneThreadsRequest(thread_ids=["t0"], strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST)
    await engine.threads.prune_threads(TENANT, prune)
    assert 25 * _KIB <= (await _counted(engine, database_url))[1] <= 29 * _KIB
    for number in range(3):
        await engine.threads.delete_thread(TENANT, DeleteThreadRequest(thread_id=f"t{number}"))
    assert await _counted(engine, database_url) == (0, 0)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM checkpointd.thread_bytes").fetchone() == (0,)


async def test_a_thread_that_has_not_changed_is_not_counted_again(engine: Engine, database_url: str) -> None:
    await _set(engine, max_bytes=10**9)
    for number in range(2 * STEP + 1):
        await engine.checkpoints.put_checkpoint(TENANT, _put(f"t{number}", "c1"))
    assert (await _counted(engine, database_url))[0] == 2 * STEP + 1
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE checkpointd.thread_bytes SET bytes = 1")
    await engine.checkpoints.put_checkpoint(TENANT, _put("t0", "c2", _KIB))
    threads, size = await _counted(engine, database_url)
    assert threads == 2 * STEP + 1
    assert 2 * STEP + _KIB < size < 2 * STEP + 2 * _KIB


async def test_one_server_counts_at_a_time(engine: Engine, database_url: str) -> None:
    names = {f"t{number}" for number in range(20)}
    for name in names:
        await _set(engine, name, max_threads=1)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE checkpointd.quotas SET counted_at = NULL, claimed_until = '-infinity'")
    database = Database(database_url, write_connections=1, read_connections=3)
    await database.open()
    counted = await asyncio.gather(*(UsageCount(database).count(3600) for _ in range(3)))
    await database.close()
    assert sorted(name for names in counted for name in names) == sorted(names)


async def test_who_has_used_it_up_can_read_and_delete(engine: Engine, database_url: str) -> None:
    admit = engine.quotas.admit
    await engine.checkpoints.put_checkpoint(TENANT, _put("t", "c1", _KIB))
    await _set(engine, max_bytes=_KIB)
    await admit(TENANT, "PutCheckpoint", _put("t", "c2"))  # not counted yet
    await _counted(engine, database_url)
    for rpc in ("PutCheckpoint", "PutWrites", "Commit", "UpdateState", "CopyThread", "RegisterGraph"):
        with pytest.raises(QuotaExceeded, match="may store 1024 bytes; delete something") as caught:
            await admit(TENANT, rpc, _put("t", "c2"))
        assert caught.value.metadata == {"quota": "bytes", "limit": "1024"}
    for rpc in ("GetCheckpoint", "DeleteThread", "PruneThreads", "DeleteRuns", "AcquireLease", "ListThreads"):
        await admit(TENANT, rpc, DeleteThreadRequest(thread_id="t"))
    await admit("other", "PutCheckpoint", _put("t", "c2"))
    await engine.threads.delete_thread(TENANT, DeleteThreadRequest(thread_id="t"))
    await _counted(engine, database_url)
    await admit(TENANT, "PutCheckpoint", _put("t", "c2"))


async def test_threads_that_are_there_go_on(engine: Engine, database_url: str) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, _put("t", "c1"))
    await _set(engine, max_threads=1)
    await _counted(engine, database_url)
    await engine.quotas.admit(TENANT, "PutCheckpoint", _put("t", "c2"))
    with pytest.raises(QuotaExceeded, match="may have 1 threads; delete some") as caught:
        await engine.quotas.admit(TENANT, "PutCheckpoint", _put("u", "c1"))
    assert caught.value.metadata == {"quota": "threads", "limit": "1"}
    with pytest.raises(InvalidField):
        await engine.quotas.admit(TENANT, "PutCheckpoint", _put("\0", "c1"))


async def test_operations_are_counted_by_the_second(engine: Engine) -> None:
    await _set(engine, max_ops_per_second=2)
    get = GetCheckpointRequest(thread_id="t")
    await engine.quotas.admit(TENANT, "GetCheckpoint", get)
    await engine.quotas.admit(TENANT, "GetCheckpoint", get)
    with pytest.raises(QuotaExceeded, match="2 requests a second; try again in") as caught:
        await asyncio.gather(*(engine.quotas.admit(TENANT, "GetCheckpoint", get) for _ in range(100)))
    delay = int(caught.value.metadata["retry_after_ms"])
    assert 1 <= delay <= 500
    await engine.quotas.refresh()  # which does not fill the bucket
    await asyncio.sleep(delay / 1000)
    await engine.quotas.admit(TENANT, "GetCheckpoint", get)
    await _set(engine, max_ops_per_second=0)
    with pytest.raises(QuotaExceeded, match="0 requests a second; let an operator") as caught:
        await engine.quotas.admit(TENANT, "GetCheckpoint", get)
    assert caught.value.metadata == {"quota": "ops_per_second", "limit": "0"}
