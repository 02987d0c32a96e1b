"""Group commit: what waits is stored together, in one statement, one round trip and one transaction.

A thread always goes through the same lane, a lane commits one batch at a time, and what arrives meanwhile is the next
batch. So a busy server makes few large transactions, and an idle one commits each op at once.
"""

import asyncio
from collections import deque
from zlib import crc32

from checkpointd.engine.arrays import ConditionRows, Rows
from checkpointd.engine.batch import Batch, CheckpointKey, Commit
from checkpointd.engine.database import Database
from checkpointd.engine.errors import (
    AlreadyWritten,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnavailable,
    EngineError,
    HeadMoved,
    LeaseLost,
)
from checkpointd.engine.prepared import Cells, ServingConnection
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
        conditions: dict[tuple[str, str], bool] = {}  # by thread: whether its commit has one
        while self._waiting and len(batch) < _MAX_COMMITS:
            commit, answer = self._waiting[0]
            if batch and size + commit.size > _MAX_BYTES:
                break
            thread = (commit.tenant, commit.thread_id)
            has_condition = commit.condition is not None
            # A condition is about what is committed, which what is before it in the batch is not yet.
            if thread in conditions and (has_condition or conditions[thread]):
                break
            conditions[thread] = has_condition
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
                sequences, refusals = await store(connection, [commit for commit, _ in batch])
        except Exception as error:
            refusal = error
        else:
            for commit, answer in batch:
                if answer.done():
                    continue
                if (refused := refusals.get((commit.tenant, commit.thread_id))) is None:
                    answer.set_result(sequences)
                else:
                    answer.set_exception(refused)
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


Refusals = dict[tuple[str, str], EngineError]
"""By tenant and thread: why its commit, which has a condition, is not stored."""


async def store(connection: ServingConnection, commits: list[Commit]) -> tuple[Sequences, Refusals]:
    """Store commits in one round trip; returns the sequences of their checkpoints, and which of them were refused. A
    thread whose commit has a condition must have no other."""
    batch = Batch(commits)
    conditions = batch.conditions()
    if conditions.count:
        return await _store_checked(
            connection, batch, conditions, {(one.tenant, one.thread_id): one for one in commits}
        )
    rows = await connection.run("commit", batch.parameters())
    return {_key(row): _sequence(row[4]) for row in rows}, {}


async def _store_checked(
    connection: ServingConnection, batch: Batch, conditions: ConditionRows, commits: dict[tuple[str, str], Commit]
) -> tuple[Sequences, Refusals]:
    parameters: dict[str, Rows] = {**batch.parameters(), "conditions": conditions}
    async with connection.pipeline(), connection.transaction(), connection.cursor(binary=True) as cursor:
        for statement in ("lock_threads", "lock_leases"):
            await connection.execute(STATEMENTS[statement].encode(), parameters, prepare=True)
        await cursor.execute(STATEMENTS["commit_checked"].encode(), parameters, prepare=True)
        await connection.execute(STATEMENTS["forget_empty"].encode(), parameters, prepare=True)
        rows = await cursor.fetchall()
    sequences: Sequences = {}
    refusals: Refusals = {}
    for kind, tenant, thread_id, checkpoint_ns, checkpoint_id, seq, holder in rows:
        if kind == 0:
            sequences[tenant, thread_id, checkpoint_ns, checkpoint_id] = seq
            continue
        condition = commits[tenant, thread_id].condition
        assert condition is not None
        refused: EngineError
        match kind:
            case 1:
                refused = HeadMoved(thread_id, checkpoint_ns, condition.expected_head or "", checkpoint_id)
            case 2:
                refused = LeaseLost(thread_id, condition.token or 0, holder, checkpoint_id)
            case _:
                refused = AlreadyWritten(thread_id, checkpoint_ns, checkpoint_id)
        refusals[tenant, thread_id] = refused
    return sequences, refusals


def _key(row: Cells) -> CheckpointKey:
    tenant, thread_id, checkpoint_ns, checkpoint_id = (str(cell, "utf-8") for cell in row[:4] if cell is not None)
    return tenant, thread_id, checkpoint_ns, checkpoint_id


def _sequence(cell: bytes | None) -> int:
    return int.from_bytes(cell or b"")


def _copy(error: Exception) -> Exception:
    try:
        twin = type(error).__new__(type(error), *error.args)
    except TypeError:  # an exception that can't be made so must not end the lane
        return error
    twin.__dict__.update(error.__dict__)
    twin.__cause__ = error.__cause__
    return twin
