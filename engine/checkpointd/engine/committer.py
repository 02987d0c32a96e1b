"""Group commit: what waits is stored together, in one statement, one round trip and one transaction.

A thread always goes through the same lane, a lane commits one batch at a time, and what arrives meanwhile is the next
batch. So a busy server makes few large transactions, and an idle one commits each op at once.
"""

import asyncio
from collections import deque
from zlib import crc32

from psycopg import AsyncConnection

from checkpointd.engine.batch import Batch, CheckpointKey, Commit
from checkpointd.engine.database import Database
from checkpointd.engine.errors import DatabaseFull, DatabaseReadOnly, DatabaseUnavailable
from checkpointd.engine.sql import STATEMENTS

# A batch ends at whichever comes first. The bytes bound what is copied at once and how long a small op waits for large
# ones; a single commit above it goes alone.
_MAX_COMMITS = 512
_MAX_BYTES = 8 << 20

Sequences = dict[CheckpointKey, int]


class Committer:
    """Takes commits from any number of callers; answers each when it is durable."""

    def __init__(self, database: Database) -> None:
        self._lanes = [_Lane(database) for _ in range(database.write_connections)]

    async def commit(self, commit: Commit) -> list[int]:
        """Store a commit and return the sequences of its checkpoints, in order (0: stored before and hidden since).

        A caller that is cancelled while waiting may or may not have been stored.

        Raises:
            EngineError: it was refused, and nothing of it is stored, or the database broke off and that is not known.
        """
        lane = self._lanes[crc32(f"{commit.tenant}\0{commit.thread_id}".encode()) % len(self._lanes)]
        sequences = await lane.put(commit)
        return [sequences.get(key, 0) for key in commit.checkpoint_keys()]

    async def close(self) -> None:
        """Wait until everything taken has been answered, then stop."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))


class _Lane:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[tuple[Commit, asyncio.Future[Sequences]]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run())

    def put(self, commit: Commit) -> asyncio.Future[Sequences]:
        if self._task.done():
            raise DatabaseUnavailable
        answer: asyncio.Future[Sequences] = asyncio.get_running_loop().create_future()
        self._waiting.append((commit, answer))
        self._wake.set()
        return answer

    async def close(self) -> None:
        self._closing = True
        self._wake.set()
        await self._task

    async def _run(self) -> None:
        while not (self._closing and not self._waiting):
            await self._wake.wait()
            self._wake.clear()
            while batch := self._take():
                await self._store(batch)

    def _take(self) -> list[tuple[Commit, asyncio.Future[Sequences]]]:
        batch: list[tuple[Commit, asyncio.Future[Sequences]]] = []
        size = 0
        while self._waiting and len(batch) < _MAX_COMMITS:
            commit, answer = self._waiting[0]
            if batch and size + commit.size > _MAX_BYTES:
                break
            self._waiting.popleft()
            if not answer.cancelled():
                batch.append((commit, answer))
                size += commit.size
        return batch

    async def _store(self, batch: list[tuple[Commit, asyncio.Future[Sequences]]]) -> None:
        """Store a batch and answer its callers. One commit that the database refuses does not fail its neighbours: a
        refused batch is stored in halves, unless the database itself is the trouble."""
        try:
            async with self._database.writing() as connection:
                sequences = await store(connection, [commit for commit, _ in batch])
        except Exception as error:
            refusal = error
        else:
            for _, answer in batch:
                if not answer.done():
                    answer.set_result(sequences)
            return
        if len(batch) > 1 and not isinstance(refusal, (DatabaseUnavailable, DatabaseReadOnly, DatabaseFull)):
            middle = len(batch) // 2
            await self._store(batch[:middle])
            await self._store(batch[middle:])
            return
        for _, answer in batch:
            if not answer.done():
                # Each caller gets an exception of its own: one object raised in many tasks mixes their tracebacks.
                answer.set_exception(_copy(refusal))


async def store(connection: AsyncConnection, commits: list[Commit]) -> Sequences:
    """Store commits in one statement; returns the sequences of their checkpoints."""
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(STATEMENTS["commit"].encode(), Batch(commits).parameters(), prepare=True)
        return {(row[0], row[1], row[2], row[3]): row[4] async for row in cursor}


def _copy(error: Exception) -> Exception:
    try:
        twin = type(error).__new__(type(error), *error.args)
    except TypeError:  # an exception that can't be made so must not end the lane
        return error
    twin.__dict__.update(error.__dict__)
    twin.__cause__ = error.__cause__
    return twin
