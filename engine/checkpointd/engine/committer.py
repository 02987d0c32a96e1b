"""Group commit: what waits is stored together, in one statement, one round trip and one transaction.

A thread always goes through the same lane, a lane commits one batch at a time, and what arrives meanwhile is the next
batch. So a busy server makes few large transactions, and an idle one commits each op at once.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from psycopg import AsyncConnection

from checkpointd.engine.arrays import ConditionRows, Rows
from checkpointd.engine.batch import Batch, CheckpointKey, Commit, NewValue, ValueKey
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
from checkpointd.engine.held import HeldConnection
from checkpointd.engine.prepared import Cells, ServingConnection
from checkpointd.engine.sql import STATEMENTS

# A batch ends at whichever comes first. The bytes bound what is copied at once and how long a small op waits for large
# ones; a single commit above it goes alone.
_MAX_COMMITS = 512
_MAX_BYTES = 8 << 20


@dataclass(slots=True)
class Stored:
    """What a batch has stored."""

    sequences: dict[CheckpointKey, int] = field(default_factory=dict)
    # By tenant, thread and value: the large values that were not there before, each with the thread's epoch. The batch
    # may have had another one under the same key, which is not stored.
    values: dict[tuple[str, str, ValueKey], tuple[NewValue, int]] = field(default_factory=dict)
    refusals: dict[tuple[str, str], EngineError] = field(default_factory=dict)
    """By tenant and thread: why its commit, which has a condition, is not stored."""


class Committer:
    """Takes commits from any number of callers; answers each when it is durable."""

    def __init__(self, database: Database) -> None:
        self._lanes = [_Lane(database) for _ in range(database.write_connections)]

    async def commit(self, commit: Commit) -> Stored:
        """Store a commit and return what its batch has stored. A checkpoint that has no sequence then was stored before
        and is hidden since.

        A caller that is cancelled while waiting may or may not have been stored.

        Raises:
            EngineError: it was refused, and nothing of it is stored, or the database broke off and that is not known.
        """
        lane = self._lanes[crc32(f"{commit.tenant}\0{commit.thread_id}".encode()) % len(self._lanes)]
        return await lane.put(commit)

    async def close(self) -> None:
        """Wait until everything taken has been answered, then stop."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))


class _Lane:
    def __init__(self, database: Database) -> None:
        self._held = HeldConnection(database)
        self._waiting: deque[tuple[Commit, asyncio.Future[Stored]]] = deque()
        self._idle: asyncio.Future[None] | None = None  # done when there is something to do again
        self._closing = False
        self._task = asyncio.create_task(self._run())

    def put(self, commit: Commit) -> asyncio.Future[Stored]:
        if self._task.done():
            raise DatabaseUnavailable
        answer: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._waiting.append((commit, answer))
        self._wake()
        return answer

    async def close(self) -> None:
        self._closing = True
        self._wake()
        await self._task

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                if batch := self._take():
                    await self._store(batch)
                elif self._closing:
                    return
                else:
                    self._idle = loop.create_future()
                    await self._idle
        finally:
            await self._held.give_back()

    def _take(self) -> list[tuple[Commit, asyncio.Future[Stored]]]:
        batch: list[tuple[Commit, asyncio.Future[Stored]]] = []
        size = 0
        conditions: dict[tuple[str, str], bool] = {}  # by thread: whether its commit has one
        epochs: dict[tuple[str, str], int] = {}
        while self._waiting and len(batch) < _MAX_COMMITS:
            commit, answer = self._waiting[0]
            if answer.cancelled():
                self._waiting.popleft()
                continue
            if batch and size + commit.size > _MAX_BYTES:
                break
            thread = (commit.tenant, commit.thread_id)
            has_condition = commit.condition is not None
            # A condition is about what is committed, which what is before it in the batch is not yet.
            if thread in conditions and (has_condition or conditions[thread]):
                break
            if commit.epoch is not None and epochs.setdefault(thread, commit.epoch) != commit.epoch:
                break
            conditions[thread] = has_condition
            batch.append(self._waiting.popleft())
            size += commit.size
        return batch

    async def _store(self, batch: list[tuple[Commit, asyncio.Future[Stored]]]) -> None:
        """Store a batch and answer its callers. One commit that the database refuses does not fail its neighbours: a
        refused batch is stored in halves, unless the database itself is the trouble."""
        try:
            stored = await store(await self._held.get(), [commit for commit, _ in batch])
        except Exception as error:
            refusal = await self._held.give_back(error) or error
        else:
            await self._held.give_back_spent()
            for commit, answer in batch:
                if answer.done():
                    continue
                if (refused := stored.refusals.get((commit.tenant, commit.thread_id))) is None:
                    answer.set_result(stored)
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


async def store(connection: ServingConnection, commits: list[Commit]) -> Stored:
    """Store commits in one round trip, in a transaction of its own. A thread whose commit has a condition must have no
    other."""
    batch = Batch(commits)
    conditions = batch.conditions()
    stored = Stored()
    if not conditions.count:
        for row in await connection.run(batch.statement(), batch.parameters()):
            kind, number, checkpoint_ns, name, version, count = _read(row)
            _tell(stored, batch, number, kind, checkpoint_ns, name, version, count)
        return stored
    by_thread = {(one.tenant, one.thread_id): one for one in commits}
    for kind, number, checkpoint_ns, name, version, count, holder in await _checked(connection, batch, conditions):
        thread = batch.thread(number)
        if kind < 2:
            _tell(stored, batch, number, kind, checkpoint_ns, name, version, count)
        else:
            stored.refusals[thread] = _refusal(kind, by_thread[thread], checkpoint_ns, name, holder)
    return stored


async def store_within(connection: AsyncConnection, commit: Commit) -> None:
    """Store a commit without a condition in the transaction that the connection is in."""
    await connection.execute(STATEMENTS["commit"].encode(), Batch([commit]).parameters(), prepare=True)


async def _checked(connection: ServingConnection, batch: Batch, conditions: ConditionRows) -> list[Any]:
    parameters: dict[str, Rows] = {**batch.parameters(), "conditions": conditions}
    async with connection.pipeline(), connection.transaction(), connection.cursor(binary=True) as cursor:
        for statement in ("lock_threads", "lock_leases"):
            await connection.execute(STATEMENTS[statement].encode(), parameters, prepare=True)
        await cursor.execute(STATEMENTS["commit_checked"].encode(), parameters, prepare=True)
        await connection.execute(STATEMENTS["forget_empty"].encode(), parameters, prepare=True)
        return list(await cursor.fetchall())


def _tell(
    stored: Stored, batch: Batch, thread_no: int, kind: int, checkpoint_ns: str, name: str, version: str, number: int
) -> None:
    thread = batch.thread(thread_no)
    if kind == 0:
        stored.sequences[*thread, checkpoint_ns, name] = number
    else:
        key = (checkpoint_ns, name, version)
        stored.values[*thread, key] = batch.value(thread_no, key), number


def _refusal(kind: int, commit: Commit, checkpoint_ns: str, head: str, holder: str) -> EngineError:
    condition = commit.condition
    assert condition is not None
    match kind:
        case 2:
            return HeadMoved(commit.thread_id, checkpoint_ns, condition.expected_head or "", head)
        case 3:
            return LeaseLost(commit.thread_id, condition.token or 0, holder, head)
    return AlreadyWritten(commit.thread_id, checkpoint_ns, head)


def _read(row: Cells) -> tuple[int, int, str, str, str, int]:
    """The binary cells of a row of the statement `told`."""
    kind, number, checkpoint_ns, name, version, count = (cell or b"" for cell in row)
    return (
        int.from_bytes(kind),
        int.from_bytes(number),
        str(checkpoint_ns, "utf-8"),
        str(name, "utf-8"),
        str(version, "utf-8"),
        int.from_bytes(count),
    )


def _copy(error: Exception) -> Exception:
    try:
        twin = type(error).__new__(type(error), *error.args)
    except TypeError:  # an exception that can't be made so must not end the lane
        return error
    twin.__dict__.update(error.__dict__)
    twin.__cause__ = error.__cause__
    return twin
