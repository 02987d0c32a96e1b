"""What the writers of a thread owe each other.

Nothing ("fork"), a head that has not moved ("refuse"), or a lease ("lease"). The rule that a parent must be the head
would alone break LangGraph's own ways to fork. So a run may build on a checkpoint that it was pointed to (by its id, or
by a list of what came before another one), it may copy one (`source` "fork"), and it may begin a subgraph anew that it
replays from before its first checkpoint.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata

from checkpointd.client import rpcs
from checkpointd.client.calls import acall, call
from checkpointd.client.connection import Connection
from checkpointd.client.errors import InvalidRequest
from checkpointd.client.langgraph import runs
from checkpointd.client.langgraph.configs import Place, place_of
from checkpointd.client.langgraph.leases import Lease, Leases
from checkpointd.client.langgraph.runs import Run, Turn
from checkpointd.client.langgraph.sending import Sending
from checkpointd.client.rpcs import Operation
from checkpointd.v1.checkpoints_pb2 import CommitOp, CommitRequest
from checkpointd.v1.core_pb2 import CheckpointTuple, Precondition

Mode = Literal["fork", "refuse", "lease"]
_MODES = ("fork", "refuse", "lease")

# The step of such a checkpoint; that of an input is -1.
_BEFORE_INPUT = -2

# What the contract allows, in seconds.
_SHORTEST_TTL, _LONGEST = 1.0, 3600.0

Result = TypeVar("Result")


class Write(NamedTuple):
    """What a write of a saver's does."""

    on: Place  # the checkpoint that it builds on, or that a task started from
    puts: str = ""  # the id of the checkpoint that it puts; "" for a task's writes
    forks: bool = False  # whether it says itself that it forks
    begins: bool = False  # whether it is one that LangGraph makes for a new thread, to put a run's writes on

    @classmethod
    def of_checkpoint(cls, config: RunnableConfig, place: Place, metadata: CheckpointMetadata) -> Write:
        """That of a checkpoint, put at this place."""
        return cls(
            place_of(config),
            puts=place.checkpoint_id,
            forks=metadata.get("source") == "fork",
            begins=metadata.get("step") == _BEFORE_INPUT,
        )

    @classmethod
    def of_task(cls, config: RunnableConfig) -> Write:
        """That of what a task wrote."""
        return cls(place_of(config))


class Writers:
    """How a saver and its clones write. One object for all of them."""

    def __init__(self, connection: Connection, mode: Mode, lease_ttl: float, lease_wait: float) -> None:
        if mode not in _MODES:
            raise _refused("writers", mode, f"choose one of {', '.join(_MODES)}")
        if not (isinstance(lease_ttl, int | float) and _SHORTEST_TTL <= lease_ttl <= _LONGEST):
            raise _refused("lease_ttl", lease_ttl, f"give it {_SHORTEST_TTL:g} to {_LONGEST:g} seconds")
        if not (isinstance(lease_wait, int | float) and 0 <= lease_wait <= _LONGEST):
            raise _refused("lease_wait", lease_wait, f"give it 0 to {_LONGEST:g} seconds")
        self._connection = connection
        self._checked = mode != "fork"
        self._leases = Leases(connection, lease_ttl, lease_wait) if mode == "lease" else None

    def close(self) -> None:
        """Give back what is held."""
        if self._leases is not None:
            self._leases.close()

    def begin(self, config: RunnableConfig) -> None:
        """Before a run reads: take the thread's lease if the run has none."""
        if not self._checked or (run := runs.begin(config)) is None:
            return
        thread_id = place_of(config).thread_id
        if self._leases is not None and self._shared(run, config, thread_id) is None:
            lease = run.leases[thread_id] = self._leases.acquire(thread_id)
            runs.at_end(config, lease)
        self._hold(run, config)

    async def abegin(self, config: RunnableConfig) -> None:
        """As `begin`."""
        if not self._checked or (run := runs.begin(config)) is None:
            return
        thread_id = place_of(config).thread_id
        if self._leases is not None and self._shared(run, config, thread_id) is None:
            lease = run.leases[thread_id] = await self._leases.aacquire(thread_id)
            runs.at_end(config, lease)
        self._hold(run, config)

    def _hold(self, run: Run, config: RunnableConfig) -> None:
        """Let what a run that saves at its end writes wait for its checkpoint, or for the very end if there is none."""
        if not runs.saves_at_end(config):
            return
        write = Write(place_of(config))
        postponed = run.chain(write.on.thread_id, write.on.checkpoint_ns).postponed

        def rest(lease: Lease | None) -> Operation[Any] | None:
            postponed.at_end = False
            if not (ops := postponed.take()):
                return None
            operation = rpcs.COMMIT.of(CommitRequest(thread_id=write.on.thread_id, ops=ops))
            _demand(operation, postponed.expected_head, lease)
            return operation

        def send() -> None:
            with self._lease(run, config, write) as lease:
                if (operation := rest(lease)) is not None:
                    call(self._connection, operation)

        async def asend() -> None:
            async with self._alease(run, config, write) as lease:
                if (operation := rest(lease)) is not None:
                    await acall(self._connection, operation)

        postponed.at_end = postponed.at_end or runs.before_end(config, send, asend)

    def found(self, config: RunnableConfig, checkpoint_id: str) -> None:
        """After a read: the config named this checkpoint, or it is the head; "" if there is none."""
        if not self._checked:
            return
        run, asked = runs.current(config), place_of(config)
        if not asked.checkpoint_id:
            runs.found_head(run, asked._replace(checkpoint_id=checkpoint_id))
        elif checkpoint_id:
            runs.choose(run, asked)

    def listed(self, config: RunnableConfig | None, found: CheckpointTuple | None) -> None:
        """A list that a run asked for has this checkpoint; None: nothing."""
        if self._checked and config is not None and (run := runs.current(config)):
            if found is None:
                run.anew.add(place_of(config)._replace(checkpoint_id=""))
            else:
                run.chosen.add(Place(found.thread_id, found.checkpoint_ns, found.checkpoint.id))

    def merges(self, config: RunnableConfig) -> bool:
        """Whether what is sent with this config may go with a later write, in one commit."""
        return self._checked and runs.saves_at_end(config)

    def send(
        self,
        config: RunnableConfig,
        operation: Operation[Any],
        does: Callable[[], Write],
        sending: Sending | None = None,
    ) -> object:
        """Make a call that writes, now or with the checkpoint that it belongs to; a checkpoint with its `sending`."""
        make = call if sending is None else partial(sending.send, call)
        if not self._checked:
            return make(self._connection, operation)
        write = does()
        with self._turn(config, write) as (run, turn):
            turn.wait(self._connection.timeout)
            with self._lease(run, config, write) as lease:
                ready = _ready(operation, run, write, lease)
                return None if ready is None else make(self._connection, ready)

    async def asend(
        self,
        config: RunnableConfig,
        operation: Operation[Any],
        does: Callable[[], Write],
        sending: Sending | None = None,
    ) -> object:
        """As `send`."""
        make = acall if sending is None else partial(sending.asend, acall)
        if not self._checked:
            return await make(self._connection, operation)
        write = does()
        with self._turn(config, write) as (run, turn):
            await turn.await_(self._connection.timeout)
            async with self._alease(run, config, write) as lease:
                ready = _ready(operation, run, write, lease)
                return None if ready is None else await make(self._connection, ready)

    def update(self, config: RunnableConfig, operation: Operation[Result]) -> Result:
        """Make a call that reads and writes in one."""
        with self._lease(runs.current(config), config, Write(place_of(config))) as lease:
            _fence(operation, lease)
            return call(self._connection, operation)

    async def aupdate(self, config: RunnableConfig, operation: Operation[Result]) -> Result:
        """As `update`."""
        async with self._alease(runs.current(config), config, Write(place_of(config))) as lease:
            _fence(operation, lease)
            return await acall(self._connection, operation)

    @contextmanager
    def _turn(self, config: RunnableConfig, write: Write) -> Iterator[tuple[Run | None, Turn]]:
        """The write's place in the order of its run."""
        run = runs.current(config)
        if run is None:
            yield None, Turn.alone()
            return
        chain = run.chain(write.on.thread_id, write.on.checkpoint_ns)
        turn = chain.turn(put=bool(write.puts))
        try:
            yield run, turn
            if write.puts:
                chain.head = write.puts
                chain.postponed.saved = not write.begins
        finally:
            turn.end()

    @contextmanager
    def _lease(self, run: Run | None, config: RunnableConfig, write: Write) -> Iterator[Lease | None]:
        """The run's lease, or outside of runs one for this write."""
        if self._leases is None:
            yield None
        elif (shared := self._shared(run, config, write.on.thread_id)) is not None:
            yield shared
        else:
            lease = self._leases.acquire(write.on.thread_id)
            try:
                yield lease
            finally:
                lease.give_back()

    @asynccontextmanager
    async def _alease(self, run: Run | None, config: RunnableConfig, write: Write) -> AsyncIterator[Lease | None]:
        """As `_lease`."""
        if self._leases is None:
            yield None
        elif (shared := self._shared(run, config, write.on.thread_id)) is not None:
            yield shared
        else:
            lease = await self._leases.aacquire(write.on.thread_id)
            try:
                yield lease
            finally:
                await lease.agive_back()

    def _shared(self, run: Run | None, config: RunnableConfig, thread_id: str) -> Lease | None:
        """The lease that the run has, or the run around it."""
        assert self._leases is not None
        if run is not None and (lease := run.leases.get(thread_id)) is not None:
            return lease
        if not (runs.is_nested(config) or runs.is_within(thread_id)):
            return None
        if (lease := self._leases.live(thread_id)) is None:
            return None
        if run is not None:
            run.leases[thread_id] = lease
        return lease


def _ready(operation: Operation[Any], run: Run | None, write: Write, lease: Lease | None) -> Operation[Any] | None:
    """The call to make, with what must hold when it is carried out; None: what it stores goes with a later one."""
    expected_head = _expected_head(run, write)
    postponed = None if run is None else run.chain(write.on.thread_id, write.on.checkpoint_ns).postponed
    if postponed is not None and postponed.at_end:
        put = operation.request.put
        if write.begins:
            op = CommitOp(put_checkpoint=put)
        elif not write.puts and not postponed.saved:
            op = CommitOp(put_writes=put)
        else:
            op = None
        if op is not None and postponed.add(op, expected_head):
            return None
        if postponed.ops:
            # Of what was postponed nothing is stored yet.
            expected_head = postponed.expected_head
        if op is None and (ops := postponed.take()):
            request = CommitRequest(thread_id=operation.request.thread_id, ops=ops)
            request.ops.add().put_checkpoint.MergeFrom(put)
            operation = rpcs.COMMIT.of(request)
    _demand(operation, expected_head, lease)
    return operation


def _demand(operation: Operation[Any], expected_head: str | None, lease: Lease | None) -> None:
    if expected_head is not None:
        operation.request.precondition.expected_head = expected_head
    _fence(operation, lease)


def _fence(operation: Operation[Any], lease: Lease | None) -> None:
    if lease is not None:
        precondition: Precondition = operation.request.precondition
        precondition.fencing_token = lease.token


def _expected_head(run: Run | None, write: Write) -> str | None:
    """The head that a write is to find; None: any."""
    if write.forks:
        return None
    head = None if run is None else run.chain(write.on.thread_id, write.on.checkpoint_ns).head
    # A node may look at what its run has stored, and does not point the run to it.
    if write.on.checkpoint_id != head and runs.is_chosen(run, write.on):
        return None
    # What a task writes belongs to a checkpoint that may not be stored yet, or that this run has gone past.
    return write.on.checkpoint_id if write.puts or head is None else head


def _refused(field: str, value: object, advice: str) -> InvalidRequest:
    return InvalidRequest(f"{field} is {value!r}; {advice}", reason="INVALID_FIELD", metadata={"field": field})
