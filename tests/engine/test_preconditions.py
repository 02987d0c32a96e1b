"""Preconditions are checked where the write is stored: who loses stores nothing."""

import asyncio

import pytest
from google.protobuf.duration_pb2 import Duration

from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import HeadMoved, InvalidField, LeaseHeld, LeaseLost
from checkpointd.v1.checkpoints_pb2 import CommitRequest, ListCheckpointsRequest
from checkpointd.v1.core_pb2 import Precondition
from checkpointd.v1.leases_pb2 import AcquireLeaseRequest, ReleaseLeaseRequest, RenewLeaseRequest
from checkpointd.v1.threads_pb2 import DeleteThreadRequest, ListThreadsRequest
from tests.engine.reading import TENANT
from tests.messages import checkpoint_put, commit, writes_put


def _commit(name: str, *, head: str | None = None, token: int = 0, thread: str = "t", ns: str = "") -> CommitRequest:
    """A checkpoint with a write of its own."""
    request = commit(
        thread, checkpoint_put(name, ns=ns, values={"a": name}), writes_put(name, "task", [(0, "a", "w")], ns=ns)
    )
    request.precondition.CopyFrom(Precondition(expected_head=head, fencing_token=token))
    return request


async def _put(engine: Engine, name: str, **more: object) -> int:
    (sequence,) = (await engine.checkpoints.commit(TENANT, _commit(name, **more))).checkpoint_sequences  # type: ignore[arg-type]
    return int(sequence)


async def _listed(engine: Engine, thread: str = "t") -> list[str]:
    request = ListCheckpointsRequest(thread_id=thread)
    return [
        found.checkpoint_tuple.checkpoint.id async for found in engine.checkpoints.list_checkpoints(TENANT, request)
    ]


async def _acquire(engine: Engine, holder: str, *, ttl: int = 60, wait: int | None = None) -> int:
    request = AcquireLeaseRequest(thread_id="t", holder=holder, ttl=Duration(seconds=ttl))
    if wait is not None:
        request.wait.CopyFrom(Duration(seconds=wait))
    return int((await engine.leases.acquire_lease(TENANT, request)).lease.fencing_token)


async def test_the_head_that_is_expected(engine: Engine) -> None:
    await _put(engine, "c1", head="")
    for wrong in ("", "c0"):
        with pytest.raises(HeadMoved) as caught:
            await _put(engine, "c2", head=wrong)
        assert caught.value.metadata["head"] == "c1"
    await _put(engine, "c2", head="c1")
    await _put(engine, "fork")
    assert await _listed(engine) == ["fork", "c2", "c1"]


async def test_what_is_refused_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(HeadMoved):
        await _put(engine, "c1", head="c0")
    assert not (await engine.threads.list_threads(TENANT, ListThreadsRequest())).threads


async def test_sent_again_it_holds_as_it_did(engine: Engine) -> None:
    first = await _put(engine, "c1", head="")
    second = await _put(engine, "c2", head="c1")
    assert [await _put(engine, "c1", head=""), await _put(engine, "c2", head="c1")] == [first, second]
    assert await _listed(engine) == ["c2", "c1"]


async def test_one_namespace_only(engine: Engine) -> None:
    request = _commit("c1", head="")
    request.ops.extend(_commit("c2", ns="sub").ops)
    with pytest.raises(InvalidField):
        await engine.checkpoints.commit(TENANT, request)


async def test_many_at_once_make_one_chain(engine: Engine, database_url: str) -> None:
    """Writers on two servers that each expect what they saw: of those that expect the same, one is stored."""
    other = Engine(Database(database_url))
    await other.open()
    try:
        head = ""
        for step in range(10):
            outcomes = await asyncio.gather(
                *(_put((engine, other)[n % 2], f"c{step}-{n}", head=head) for n in range(8)),
                *(_put(engine, f"c{step}-{n}", thread=f"other-{n}") for n in range(8)),
                return_exceptions=True,
            )
            assert sum(isinstance(outcome, HeadMoved) for outcome in outcomes) == 7
            head = (await _listed(engine))[0]
        assert len(await _listed(engine)) == 10
    finally:
        await other.close()


async def test_a_lease(engine: Engine) -> None:
    first = await _acquire(engine, "a")
    assert await _acquire(engine, "a") == first
    with pytest.raises(LeaseHeld) as caught:
        await _acquire(engine, "b")
    assert caught.value.metadata["holder"] == "a"
    await _put(engine, "c1", token=first)
    with pytest.raises(LeaseLost):
        await _put(engine, "c2", token=first + 1000)
    for _ in range(2):
        await engine.leases.release_lease(TENANT, ReleaseLeaseRequest(thread_id="t", holder="a", fencing_token=first))
    with pytest.raises(LeaseLost):
        await _put(engine, "c2", token=first)
    second = await _acquire(engine, "b")
    assert second > first
    for holder, token in (("a", first), ("b", first), ("a", second)):
        renewal = RenewLeaseRequest(thread_id="t", holder=holder, fencing_token=token, ttl=Duration(seconds=9))
        with pytest.raises(LeaseLost):
            await engine.leases.renew_lease(TENANT, renewal)
    with pytest.raises(LeaseHeld):
        await engine.leases.release_lease(TENANT, ReleaseLeaseRequest(thread_id="t", holder="a", fencing_token=second))
    assert await _listed(engine) == ["c1"]


async def test_a_lease_that_has_ended(engine: Engine) -> None:
    first = await _acquire(engine, "a", ttl=1)
    second = await _acquire(engine, "b", wait=30)
    assert second > first
    with pytest.raises(LeaseLost) as caught:
        await _put(engine, "c1", token=first)
    assert caught.value.metadata["holder"] == "b"
    await _put(engine, "c1", token=second)


async def test_a_deleted_thread_stays_deleted(engine: Engine) -> None:
    token = await _acquire(engine, "a")
    await _put(engine, "c1", token=token)
    await engine.threads.delete_thread(TENANT, DeleteThreadRequest(thread_id="t"))
    with pytest.raises(LeaseLost):
        await _put(engine, "c2", token=token)
    with pytest.raises(HeadMoved):
        await _put(engine, "c2", head="c1")
    assert await _acquire(engine, "b") > token
    assert await _listed(engine) == []
