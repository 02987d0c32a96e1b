"""What a watch is told under many writers, breaks and slow readers: everything once, each thread's in its order."""

import asyncio
import random
from collections.abc import AsyncIterator

import psycopg
import pytest

from checkpointd.engine import Database, Engine, arrays
from checkpointd.engine.batch import prepare
from checkpointd.engine.committer import store_within
from checkpointd.engine.prepared import ServingConnection
from checkpointd.v1.threads_pb2 import DeleteThreadRequest
from tests.engine.watching import Watch, kind_of, watching
from tests.messages import checkpoint_put, put_checkpoint

TENANT = "tenant"


@pytest.fixture
async def engines(database_url: str) -> AsyncIterator[list[Engine]]:
    """Two servers' engines on one database."""
    both = [Engine(Database(database_url)) for _ in range(2)]
    for engine in both:
        await engine.open()
    yield both
    for engine in both:
        await engine.close()


async def _write(engine: Engine, writer: int, committed: dict[str, list[tuple[int, str]]], count: int) -> None:
    """Commit to threads that others write too."""
    chance = random.Random(writer)
    for number in range(count):
        thread_id, checkpoint_id = f"t{chance.randrange(5)}", f"{writer}-{number}"
        answer = await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint(thread_id, checkpoint_id))
        committed.setdefault(thread_id, []).append((answer.sequence, checkpoint_id))


def _by_thread(watch: Watch) -> dict[str, list[tuple[int, str]]]:
    told: dict[str, list[tuple[int, str]]] = {}
    for event in watch.events:
        told.setdefault(event.thread_id, []).append((event.sequence, event.checkpoint_id))
    return told


async def test_all_that_is_committed_is_told_once_and_in_order(engines: list[Engine]) -> None:
    committed: dict[str, list[tuple[int, str]]] = {}
    async with watching(engines[0], TENANT) as here, watching(engines[1], TENANT) as there:
        await asyncio.gather(*(_write(engines[writer % 2], writer, committed, 40) for writer in range(20)))
        await asyncio.gather(here.until(800), there.until(800))
    expected = {thread_id: sorted(commits) for thread_id, commits in committed.items()}
    assert _by_thread(here) == expected
    assert _by_thread(there) == expected
    # One order for all servers, so that a token of one is good at another.
    assert [event.checkpoint_id for event in here.events] == [event.checkpoint_id for event in there.events]


async def test_breaks_make_no_gap_and_no_duplicate(engines: list[Engine]) -> None:
    committed: dict[str, list[tuple[int, str]]] = {}
    chance = random.Random(1)
    async with watching(engines[0], TENANT) as watch:
        token = watch.token
    whole = Watch(engines[0], TENANT, watch.request)
    writing = asyncio.gather(*(_write(engines[writer % 2], writer, committed, 40) for writer in range(10)))
    while len(whole.events) < 400:
        async with watching(engines[chance.randrange(2)], TENANT, token=token) as part:
            while not part.events:
                await part.step()
            kept = part.events[: chance.randrange(len(part.events)) + 1]
        whole.events += kept
        token = kept[-1].token
    await writing
    assert _by_thread(whole) == {thread_id: sorted(commits) for thread_id, commits in committed.items()}


async def test_a_transaction_that_commits_late_is_told_in_its_place(engine: Engine, database_url: str) -> None:
    """Three transactions that begin in one order and commit in another: the first one writes t last."""

    async def begun(connection: psycopg.AsyncConnection) -> None:
        await connection.execute("SELECT pg_current_xact_id()")

    async with watching(engine, TENANT) as watch:
        async with (
            await ServingConnection.connect(database_url) as first,
            await ServingConnection.connect(database_url) as between,
        ):
            await begun(first)
            await begun(between)
            await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "earlier"))
            await _store(first, "t", "later")
            await first.commit()
            # Both are committed, and neither may be told before the other, while `between` may write something yet.
            await _store(between, "u", "other")
            await between.commit()
        await watch.until(3)
    assert [event.checkpoint_id for event in watch.events if event.thread_id == "t"] == ["earlier", "later"]


async def _store(connection: ServingConnection, thread_id: str, checkpoint_id: str) -> None:
    connection.learn(await arrays.register(connection))
    await store_within(connection, prepare(TENANT, thread_id, [checkpoint_put(checkpoint_id)], noted=True))


async def test_who_reads_slowly_gets_all_and_holds_up_nobody(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checkpointd.engine.watch_feed._MOST_WAITING", 10)
    committed: dict[str, list[tuple[int, str]]] = {}
    async with watching(engine, TENANT) as slow, watching(engine, TENANT) as fast:
        writing = asyncio.gather(*(_write(engine, writer, committed, 50) for writer in range(10)))
        await fast.until(500)
        await writing
        assert not slow.events
        await slow.until(500)
    expected = {thread_id: sorted(commits) for thread_id, commits in committed.items()}
    assert _by_thread(fast) == expected
    assert _by_thread(slow) == expected


async def test_a_thread_that_is_made_anew_is_told_in_order(engines: list[Engine]) -> None:
    async def again(engine: Engine, name: str) -> None:
        for number in range(30):
            await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", f"{name}{number}"))
            await engine.threads.delete_thread(TENANT, DeleteThreadRequest(thread_id="t"))

    async with watching(engines[0], TENANT) as watch:
        await asyncio.gather(*(again(engine, name) for engine, name in zip(engines, "ab", strict=True)))
        while sum(kind_of(event) == "checkpoint" for event in watch.events) < 60 or (
            kind_of(watch.events[-1]) != "thread_deleted"
        ):
            await watch.step()
    # As often as the thread was deleted, it begins at 1 again, and removes what was told since.
    since: list[int] = []
    for event in watch.events:
        if kind_of(event) == "thread_deleted":
            assert event.removed_checkpoints == len(since)
            since = []
        else:
            assert event.sequence == len(since) + 1
            since.append(event.sequence)
