"""Two engines on one database, as two servers are, at the same threads at the same time."""

import asyncio
import random
from collections.abc import Awaitable

import psycopg
import pytest

from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import ThreadExists, ThreadNotFound
from checkpointd.v1.threads_pb2 import DeleteThreadRequest
from tests.engine.reading import TENANT, get, history, ids, values, writes
from tests.engine.test_removal import copy, delete_runs, prune, rows
from tests.messages import checkpoint_put, commit, put_checkpoint, put_writes, writes_put

_STEPS = 40


class Pair:
    """Two engines, of which each call takes one by chance."""

    def __init__(self, engines: list[Engine], seed: int) -> None:
        self._engines = engines
        self.random = random.Random(seed)

    @property
    def engine(self) -> Engine:
        return self.random.choice(self._engines)


async def delete(engine: Engine, thread_id: str) -> None:
    await engine.threads.delete_thread(TENANT, DeleteThreadRequest(thread_id=thread_id))


async def _write(pair: Pair, thread_id: str) -> None:
    """A run that goes on while its thread is pruned, copied and relieved of old runs: what it reads stays right."""
    log: list[str] = []
    beside: list[Awaitable[object]] = []
    for step in range(_STEPS):
        snapshot = step % 7 == 0
        own = {"plain": f"p{step}"} | ({"log": "".join(log)} if snapshot else {})
        metadata = {"run_id": f"{thread_id}-{step // 10}"}
        put = put_checkpoint(
            thread_id,
            f"{step}",
            parent=f"{step - 1}" if step else "",
            values=own,
            versions={"log": f"v{step}"},
            metadata=metadata | ({} if snapshot else {"counters_since_delta_snapshot": {"log": [1, 1]}}),
        )
        await pair.engine.checkpoints.put_checkpoint(TENANT, put)
        if step % 3 == 0:
            beside.append(asyncio.create_task(prune(pair.engine, thread_id)))
        if step % 10 == 9:
            beside.append(asyncio.create_task(delete_runs(pair.engine, f"{thread_id}-{step // 10 - 1}")))
        task = [(0, "log", f"w{step}")]
        await pair.engine.checkpoints.put_writes(TENANT, put_writes(thread_id, f"{step}", "task", task))
        found = await get(pair.engine, thread_id)
        assert values(found) == {channel: data.encode() for channel, data in own.items()}
        assert writes(found) == [("task", 0, "log", f"w{step}".encode())]
        if not snapshot:
            seed, changes = (await history(pair.engine, thread_id, "log"))["log"]
            assert b"".join([seed or b"", *changes]) == "".join(log).encode()
        if step % 8 == 7:
            await copy(pair.engine, thread_id, f"{thread_id}-copy")
            assert values(await get(pair.engine, f"{thread_id}-copy")) == values(found)
            await delete(pair.engine, f"{thread_id}-copy")
        log.append(f"w{step}")
    await asyncio.gather(*beside)


async def _quarrel(pair: Pair) -> None:
    """Commits, prunes, copies and deletes of a few threads, whatever others do to them."""
    for number in range(_STEPS):
        thread_id, other = pair.random.sample(["a", "b", "c"], 2)
        match pair.random.randrange(10):
            case 0:
                await prune(pair.engine, thread_id)
            case 1 | 2:
                await delete(pair.engine, thread_id)
            case 3:
                try:
                    await copy(pair.engine, thread_id, other)
                except (ThreadExists, ThreadNotFound):
                    continue
            case 4:
                await delete_runs(pair.engine, f"run{number % 3}")
            case _:
                checkpoint_id = f"{pair.random.randrange(20)}"
                put = checkpoint_put(checkpoint_id, values={"a": f"{number}"}, metadata={"run_id": f"run{number % 3}"})
                task = writes_put(checkpoint_id, "task", [(0, "a", "1"), (-1, "e", f"{number}")])
                await pair.engine.checkpoints.commit(TENANT, commit(thread_id, put, task))


@pytest.mark.parametrize("seed", [1, 2])
async def test_two_servers_at_the_same_threads(database_url: str, seed: int) -> None:
    engines = [Engine(Database(database_url, write_connections=3, read_connections=6)) for _ in range(2)]
    await asyncio.gather(*(engine.open() for engine in engines))
    pairs = [Pair(engines, seed * 100 + number) for number in range(13)]
    # Nothing fails: no deadlock, no row in another's way.
    await asyncio.gather(
        *(_write(pair, f"run{number}") for number, pair in enumerate(pairs[:3])), *map(_quarrel, pairs[3:])
    )
    with psycopg.connect(database_url) as connection:
        threads = [row[0] for row in connection.execute("SELECT thread_id FROM checkpointd.threads").fetchall()]
    await asyncio.gather(*(delete(engines[0], thread_id) for thread_id in threads))
    assert rows(database_url) == {"threads": 0, "checkpoints": 0, "channel_values": 0, "writes": 0}
    await asyncio.gather(*(engine.close() for engine in engines))


async def test_copies_of_two_sources_into_one_target_do_not_mix(engine: Engine) -> None:
    sources = ("a", "b")
    for source in sources:
        puts = [checkpoint_put(f"{source}{number}") for number in range(40)]
        await engine.checkpoints.commit(TENANT, commit(source, *puts))
    for attempt in range(10):
        answers = await asyncio.gather(*(copy(engine, one, f"t{attempt}") for one in sources), return_exceptions=True)
        (winner,) = (source for source, answer in zip(sources, answers, strict=True) if answer is None)
        assert any(isinstance(answer, ThreadExists) for answer in answers)
        assert await ids(engine, f"t{attempt}") == await ids(engine, winner)


async def test_who_holds_a_thread_too_long_does_not_hold_up_the_others(engine: Engine, database_url: str) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("held", "1"))
    with psycopg.connect(database_url) as holder:
        holder.execute("SELECT FROM checkpointd.threads WHERE thread_id = 'held' FOR UPDATE")
        # Two changes wait for the thread; reads, and changes' share of the connections, are not theirs alone.
        waiting = [asyncio.create_task(delete(engine, "held")) for _ in range(4)]
        await asyncio.gather(*(get(engine, "held") for _ in range(20)))
        holder.rollback()
    await asyncio.gather(*waiting)
    assert await ids(engine, "held") == []
