"""Group commit: what waits is stored together, in one statement, one round trip and one transaction.

A thread always goes through the same lane, a lane commits one batch at a time, and what arrives meanwhile is the next
batch. So a busy server makes few large transactions, and an idle one commits each op at once.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import psycopg

from checkpointd.engine import citus_commit
from checkpointd.engine.arrays import ConditionRows
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
from checkpointd.engine.event_log import EventLog
from checkpointd.engine.held import HeldConnection
from checkpointd.engine.prepared import Row, ServingConnection
from checkpointd.engine.tally import BatchObserver, CommitTally

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

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

    def __init__(self, database: Database, log: EventLog, observer: BatchObserver | None = None) -> None:
        self.log = log
        self.tally = CommitTally()
        self._lanes = [_Lane(database, self.tally, log, observer) for _ in range(database.write_connections)]

    @property
    def busy(self) -> int:
        """How many lanes are storing a batch."""
        return sum(lane.busy for lane in self._lanes)

    @property
    def queued(self) -> int:
        """How many commits wait for their batch."""
        return sum([len(lane.waiting) for lane in self._lanes])

    def commit(self, commit: Commit, read: Callable[[Stored], Answer]) -> asyncio.Future[Answer]:
        """Store a commit. The answer is what `read` makes of what its batch has stored, once that is durable. A
        checkpoint that has no sequence then was stored before and is hidden since.

        A caller that cancels the answer while it waits may or may not have been stored.

        Raises, mostly in the answer:
            EngineError: it was refused, and nothing of it is stored, or the database broke off and that is not known.
        """
        lane = self._lanes[hash((commit.tenant, commit.thread_id)) % len(self._lanes)]
        return lane.put(commit, read)

    async def close(self) -> None:
        """Wait until everything taken has been answered, then stop."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))


class _Waiting(NamedTuple):
    """A commit, and who waits for it."""

    commit: Commit
    read: Callable[[Stored], Any]
    answer: asyncio.Future[Any]
    cause: object = None  # for the observer, if there is one

    def tell(self, stored: Stored) -> None:
        if self.answer.done():
            return
        try:
            if (refused := stored.refusals.get((self.commit.tenant, self.commit.thread_id))) is None:
                self.answer.set_result(self.read(stored))
            else:
                self.answer.set_exception(refused)
        except Exception as fault:  # of `read`'s, which must not end the lane
            self.answer.set_exception(fault)


class _Lane:
    """One batch after the other. As long as all goes well there is no task that would have to be woken: a batch is sent
    in the step of the loop after the one in which its first commit came, and answered in the one in which PostgreSQL's
    answer comes. A task sees to what has to be waited for: a connection, a condition, trouble."""

    def __init__(self, database: Database, tally: CommitTally, log: EventLog, observer: BatchObserver | None) -> None:
        self.busy = False
        self.waiting: deque[_Waiting] = deque()
        self._held = HeldConnection(database.writing)
        self._one_thread = database.on_citus  # whose statements are of one node then
        self._tally = tally
        self._log = log
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._closed: asyncio.Future[None] | None = None

    def put(self, commit: Commit, read: Callable[[Stored], Answer]) -> asyncio.Future[Answer]:
        if self._closed is not None and not self.busy:
            raise DatabaseUnavailable
        answer: asyncio.Future[Answer] = self._loop.create_future()
        cause = None if self._observer is None else self._observer.cause()
        self.waiting.append(_Waiting(commit, read, answer, cause))
        if not self.busy:
            self.busy = True
            self._loop.call_soon(self._next)  # not at once: what comes in the same step goes along
        return answer

    async def close(self) -> None:
        self._closed = self._loop.create_future()
        if self.busy:
            await self._closed
        await self._held.give_back()

    def _next(self) -> None:
        """Begin with the next batch, if there is one."""
        batch = self._take()
        if not batch:
            self.busy = False
            if self._closed is not None and not self._closed.done():
                self._closed.set_result(None)
        elif not self._send(batch):
            self._task = self._loop.create_task(self._store_and_go_on(batch))

    def _send(self, waiting: list[_Waiting]) -> bool:
        """Send a batch without waiting for anything. False, and nothing is done, if that can't be."""
        connection = self._held.at_hand()
        if connection is None or connection.on_citus or any(one.commit.condition is not None for one in waiting):
            return False
        if connection.works_for is not None and connection.works_for != _tenants([one.commit for one in waiting]):
            return False

        def done(rows: list[Row], error: Exception | None) -> None:
            if error is None:
                try:
                    self._tell(waiting, _told(batch, rows), began)
                except Exception as fault:
                    error = fault
            if error is None and not connection.spent:
                self._next()
            else:
                self._task = self._loop.create_task(self._see_to(waiting, error, began))

        try:
            began = time.perf_counter()
            batch = Batch([one.commit for one in waiting])
            return connection.start(batch.statement(), batch.parameters(), done)
        except Exception:
            return False  # the way with a task comes to the same and answers with it

    def _tell(self, waiting: list[_Waiting], stored: Stored, began: float) -> None:
        for one in waiting:
            one.tell(stored)
        self._log.tell()
        self._count(waiting, began)

    def _count(self, waiting: list[_Waiting], began: float, error: Exception | None = None) -> None:
        self._tally.commits.observe(len(waiting))
        self._tally.seconds.observe(time.perf_counter() - began)
        if error is not None:
            self._tally.failed += 1
        if self._observer is not None:
            try:
                self._observer.stored([one.cause for one in waiting], began, error)
            except Exception:  # which must not hold up who commits
                _log.exception("who watches the commits has failed")

    async def _see_to(self, waiting: list[_Waiting], error: Exception | None, began: float) -> None:
        """See to what is left to do after a batch, and go on."""
        try:
            if error is None:
                await self._held.give_back_spent()
            elif isinstance(error, psycopg.errors.InvalidSqlStatementName):
                await self._store(waiting)  # where it is prepared again
            else:
                await self._failed(waiting, error, began)
        finally:
            self._next()

    async def _store_and_go_on(self, waiting: list[_Waiting]) -> None:
        try:
            await self._store(waiting)
        finally:
            self._next()

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        conditions: dict[tuple[str, str], bool] = {}  # by thread: whether its commit has one
        epochs: dict[tuple[str, str], int] = {}
        while self.waiting and len(batch) < _MAX_COMMITS:
            commit, _, answer, _ = self.waiting[0]
            if answer.cancelled():
                self.waiting.popleft()
                continue
            if batch and size + commit.size > _MAX_BYTES:
                break
            thread = (commit.tenant, commit.thread_id)
            if batch and self._one_thread and thread not in conditions:
                break
            has_condition = commit.condition is not None
            # A condition is about what is committed, which what is before it in the batch is not yet.
            if thread in conditions and (has_condition or conditions[thread]):
                break
            if commit.epoch is not None and epochs.setdefault(thread, commit.epoch) != commit.epoch:
                break
            conditions[thread] = has_condition
            batch.append(self.waiting.popleft())
            size += commit.size
        return batch

    async def _store(self, waiting: list[_Waiting]) -> None:
        """Store a batch and answer its callers."""
        began = time.perf_counter()
        try:
            stored = await store(await self._held.get(), [one.commit for one in waiting])
        except Exception as error:
            await self._failed(waiting, error, began)
        else:
            await self._held.give_back_spent()
            self._tell(waiting, stored, began)

    async def _failed(self, waiting: list[_Waiting], error: Exception, began: float) -> None:
        """One commit that the database refuses does not fail its neighbours: a refused batch is stored in halves,
        unless the database itself is the trouble."""
        refusal = await self._held.give_back(error) or error
        self._count(waiting, began, refusal)
        if len(waiting) > 1 and not isinstance(refusal, (DatabaseUnavailable, DatabaseReadOnly, DatabaseFull)):
            middle = len(waiting) // 2
            await self._store(waiting[:middle])
            await self._store(waiting[middle:])
            return
        for one in waiting:
            if not one.answer.done():
                # Each caller gets an exception of its own: one object raised in many tasks mixes their tracebacks.
                one.answer.set_exception(_copy(refusal))


async def store(connection: ServingConnection, commits: list[Commit]) -> Stored:
    """Store commits in one round trip, in a transaction of its own. A thread whose commit has a condition must have no
    other."""
    if connection.works_for is not None:
        await connection.work_for(_tenants(commits))
    batch = Batch(commits)
    conditions = batch.conditions()
    if not conditions.count and not connection.on_citus:
        return _told(batch, await connection.run(batch.statement(), batch.parameters()))
    stored = Stored()
    by_thread = {(one.tenant, one.thread_id): one for one in commits}
    if connection.on_citus:
        async with connection.transaction():
            rows = await citus_commit.store(connection, batch)
    else:
        rows = await _checked(connection, batch, conditions)
    for kind, number, checkpoint_ns, name, version, count, holder in rows:
        thread = batch.thread(number)
        if kind < 2:
            _tell(stored, batch, number, kind, checkpoint_ns, name, version, count)
        else:
            stored.refusals[thread] = _refusal(kind, by_thread[thread], checkpoint_ns, name, holder)
    return stored


async def store_within(connection: ServingConnection, commit: Commit) -> None:
    """Store a commit without a condition in the transaction that the connection is in."""
    batch = Batch([commit])
    if connection.on_citus:
        await citus_commit.store(connection, batch)
    else:
        await connection.execute(connection.sql(batch.statement()), batch.parameters(), prepare=True)


async def _checked(connection: ServingConnection, batch: Batch, conditions: ConditionRows) -> list[Any]:
    parameters = {**batch.parameters(), "conditions": conditions}
    async with connection.pipeline(), connection.transaction(), connection.cursor(binary=True) as cursor:
        for statement in ("lock_threads", "lock_leases"):
            await connection.execute(connection.sql(statement), parameters, prepare=True)
        await cursor.execute(connection.sql(batch.named("commit_checked")), parameters, prepare=True)
        await connection.execute(connection.sql("forget_empty"), parameters, prepare=True)
        return list(await cursor.fetchall())


def _tenants(commits: list[Commit]) -> str:
    return ",".join(sorted({commit.tenant for commit in commits}))


def _told(batch: Batch, rows: list[Row]) -> Stored:
    """What a batch without conditions has stored."""
    stored = Stored()
    for kind, number, checkpoint_ns, name, version, count in rows:
        _tell(stored, batch, number, kind, checkpoint_ns, name, version, count)
    return stored


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


def _copy(error: Exception) -> Exception:
    try:
        twin = type(error).__new__(type(error), *error.args)
    except TypeError:  # an exception that can't be made so must not end the lane
        return error
    twin.__dict__.update(error.__dict__)
    twin.__cause__ = error.__cause__
    return twin
