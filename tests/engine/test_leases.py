"""Leases beside the writes that they fence: what waits for what, and what a caller that leaves has taken."""

import asyncio
import random
from collections.abc import AsyncIterator

import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration

from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import HeadMoved, LeaseHeld, LeaseLost
from checkpointd.v1.checkpoints_pb2 import CommitRequest
from checkpointd.v1.core_pb2 import Precondition
from checkpointd.v1.leases_pb2 import AcquireLeaseRequest, ReleaseLeaseRequest, RenewLeaseRequest
from checkpointd.v1.threads_pb2 import DeleteThreadRequest
from tests.engine.reading import TENANT, ids
from tests.messages import checkpoint_put, commit

_MINUTE = Duration(seconds=60)
_HOUR = Duration(seconds=3600)


@pytest.fixture
async def other(engine: Engine, database_url: str) -> AsyncIterator[Engine]:
    """Another engine on the same database."""
    running = Engine(Database(database_url))
    await running.open()
    yield running
    await running.close()


@pytest.fixture
async def connection(engine: Engine, database_url: str) -> AsyncIterator["psycopg.AsyncConnection[tuple[object]]"]:
    """A connection to the engine's database, beside it."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as opened:
        yield opened


async def _acquire(engine: Engine, holder: str, thread_id: str = "t", wait: Duration | None = None) -> int:
    request = AcquireLeaseRequest(thread_id=thread_id, holder=holder, ttl=_MINUTE, wait=wait)
    return (await engine.leases.acquire_lease(TENANT, request)).lease.fencing_token


async def _release(engine: Engine, holder: str, token: int, thread_id: str = "t") -> None:
    request = ReleaseLeaseRequest(thread_id=thread_id, holder=holder, fencing_token=token)
    await engine.leases.release_lease(TENANT, request)


def _commit(name: str, token: int, thread_id: str = "t") -> CommitRequest:
    request = commit(thread_id, checkpoint_put(name))
    request.precondition.CopyFrom(Precondition(fencing_token=token))
    return request


async def _waits_for_a_lock(connection: "psycopg.AsyncConnection[tuple[object]]") -> None:
    """Return when some statement on this database waits for a lock of another one."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(60):
        while (await (await connection.execute(query)).fetchone()) == (0,):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0)


async def test_who_takes_over_waits_for_a_write_under_the_lease(
    engine: Engine, connection: "psycopg.AsyncConnection[tuple[object]]", database_url: str
) -> None:
    """As long as a commit has found its lease to last and is not through, nobody else gets it, expired or not."""
    await _acquire(engine, "a")
    async with await psycopg.AsyncConnection.connect(database_url) as writer:
        await writer.execute("SELECT FROM checkpointd.leases FOR SHARE")  # as lock_leases and keep_lease do
        taking = asyncio.create_task(_acquire(engine, "b", wait=_HOUR))
        await writer.execute("SELECT 1")
        expiring = asyncio.create_task(
            connection.execute("UPDATE checkpointd.leases SET expires_at = clock_timestamp()")
        )
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as looking:
            await _waits_for_a_lock(looking)
        assert not taking.done()
        await writer.commit()
        await expiring
        assert await taking


async def test_a_write_waits_for_who_takes_over(
    engine: Engine, connection: "psycopg.AsyncConnection[tuple[object]]", database_url: str
) -> None:
    """A commit that comes while its lease is being given to somebody else sees that it was."""
    token = await _acquire(engine, "a")
    async with await psycopg.AsyncConnection.connect(database_url) as taker:
        await taker.execute("UPDATE checkpointd.leases SET token = token + 1, holder = 'b'")
        writing = engine.checkpoints.commit(TENANT, _commit("c1", token))
        await _waits_for_a_lock(connection)
        assert not writing.done()
        await taker.commit()
        with pytest.raises(LeaseLost) as caught:
            await writing
    assert caught.value.metadata["holder"] == "b"
    assert await ids(engine, "t") == []


async def test_a_lease_that_ends_while_a_write_waits_for_its_turn(
    engine: Engine, connection: "psycopg.AsyncConnection[tuple[object]]", database_url: str
) -> None:
    """It counts whether the lease lasts when the write is stored, and not when it came."""
    token = await _acquire(engine, "a")
    await engine.checkpoints.commit(TENANT, _commit("c1", token))
    async with await psycopg.AsyncConnection.connect(database_url) as before:
        await before.execute("SELECT FROM checkpointd.threads FOR UPDATE")
        writing = engine.checkpoints.commit(TENANT, _commit("c2", token))
        await _waits_for_a_lock(connection)
        await connection.execute("UPDATE checkpointd.leases SET expires_at = clock_timestamp()")
        await before.commit()
        with pytest.raises(LeaseLost):
            await writing
    assert await ids(engine, "t") == ["c1"]


async def _cancelled(waiting: "list[asyncio.Task[int]]") -> int:
    """Cancel tasks, and return how many of them go on regardless."""
    for each in waiting:
        each.cancel()
    done, going_on = await asyncio.wait(waiting, timeout=20)
    for each in going_on:
        each.cancel()
    return len(going_on) + sum(not each.cancelled() for each in done)


async def test_who_was_cancelled_while_waiting_takes_nothing(engine: Engine, other: Engine) -> None:
    """Also of so many that they wait for connections, where a cancellation may get lost (asyncio.wait_for before Python
    3.12 drops one that comes as the result does)."""
    token = await _acquire(engine, "a")
    for _ in range(10):
        waiting = [asyncio.create_task(_acquire(engine, f"b{n}", wait=_HOUR)) for n in range(50)]
        await _acquire(engine, "a")
        assert await _cancelled(waiting) == 0
    await _release(engine, "a", token)
    assert await _acquire(other, "c") > token


async def test_waiters_do_not_keep_connections(engine: Engine) -> None:
    token = await _acquire(engine, "a")
    waiting = [asyncio.create_task(_acquire(engine, f"b{n}", wait=_HOUR)) for n in range(100)]
    for n in range(20):
        await engine.checkpoints.commit(TENANT, _commit(f"c{n}", token))
    await _cancelled(waiting)
    assert len(await ids(engine, "t")) == 20


async def test_everything_at_once_on_few_threads(engine: Engine, other: Engine) -> None:
    """Leases taken, kept and given back, writes under them and deletes, in any order: nothing waits in a circle."""

    async def work(number: int) -> None:
        choose, holder = random.Random(number), f"holder {number}"
        held: dict[str, int] = {}
        for step in range(40):
            each, thread_id = (engine, other)[choose.randrange(2)], f"t{choose.randrange(3)}"
            token = held.get(thread_id, 10**9)
            try:
                match choose.randrange(6):
                    case 0:
                        held[thread_id] = await _acquire(each, holder, thread_id)
                    case 1:
                        renewal = RenewLeaseRequest(
                            thread_id=thread_id, holder=holder, fencing_token=token, ttl=_MINUTE
                        )
                        await each.leases.renew_lease(TENANT, renewal)
                    case 2:
                        await _release(each, holder, token, thread_id)
                    case 3:
                        await each.threads.delete_thread(TENANT, DeleteThreadRequest(thread_id=thread_id))
                    case 4:
                        plain = commit(thread_id, checkpoint_put(f"{number}-{step}"))
                        plain.precondition.expected_head = "never"
                        await each.checkpoints.commit(TENANT, plain)
                    case _:
                        await each.checkpoints.commit(TENANT, _commit(f"{number}-{step}", token, thread_id))
            except (LeaseHeld, LeaseLost, HeadMoved):
                pass

    await asyncio.gather(*(work(number) for number in range(16)))
