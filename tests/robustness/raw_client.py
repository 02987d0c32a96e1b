"""A worker that makes raw calls: writers that agree by the head, by leases, and not at all, on threads that all share.

Names of the store's threads begin with how their writers agree; new ones are begun every few seconds, so that none
grows for ever.
"""

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from checkpointd.client import Client
from checkpointd.client.errors import (
    Aborted,
    CheckpointdError,
    DeadlineExceeded,
    FailedPrecondition,
    NotFound,
    Unavailable,
)
from checkpointd.v1.core_pb2 import Precondition
from tests.robustness.contents import Author, Change, Known, checkpoint_digest
from tests.robustness.history import Call, Kind, Outcome, Writers
from tests.robustness.worker import Task

Result = TypeVar("Result")

_PERIOD = 15.0  # seconds for which threads of the store are written
_THREADS = {Writers.REFUSE: 5, Writers.LEASE: 8, Writers.FORK: 6}  # of the store, in each period
_CALLERS = {Writers.REFUSE: 2, Writers.LEASE: 2, Writers.FORK: 2}  # threads of this process
_NAMESPACES = ("", "", "", "inner:1")

_TIMEOUT = (3.0, 8.0)  # seconds that a client is patient
_TTL = (1.0, 3.0)  # seconds that a lease lasts
_WAIT = 2.0  # seconds to wait for one


def work(task: Task) -> None:
    """Call until told to stop."""
    timeout = task.random("timeout").uniform(*_TIMEOUT)
    with Client(task.settings.target, tenant=task.settings.tenant, timeout=timeout) as client:
        callers = [
            Caller(f"{task.settings.name}-{writers}{number}", task, client, writers)
            for writers, count in _CALLERS.items()
            for number in range(count)
        ]
        task.run_threads(threading.Thread(target=caller.run, name=caller.name) for caller in callers)


class Caller:
    """A thread of execution that makes calls, one after the other, and notes each."""

    def __init__(self, name: str, task: Task, client: Client, writers: Writers) -> None:
        self.name = name
        self._task = task
        self._client = client
        self._writers = writers
        self._dice: random.Random = task.random(name)
        self._author = Author(name, self._dice)
        self._thread_id = ""
        self._ns = ""

    def run(self) -> None:
        """Work on one thread of the store after the other."""
        sessions = {Writers.REFUSE: self._refuse, Writers.LEASE: self._lease, Writers.FORK: self._fork}
        while not self._stopping:
            period = int((time.monotonic_ns() - self._task.settings.began) / 1e9 / _PERIOD)
            number = self._dice.randrange(_THREADS[self._writers])
            self._thread_id = f"{self._writers}-{period}-{number}"
            self._ns = self._dice.choice(_NAMESPACES)
            try:
                sessions[self._writers]()
            except Exception as error:
                self._task.violation(f"{self.name}: {type(error).__name__}: {error}")
                self._task.stopping.wait(1)

    @property
    def _stopping(self) -> bool:
        return self._task.stopping.is_set()

    # How writers agree.

    def _refuse(self) -> None:
        head = self._read()
        for _ in range(self._dice.randint(3, 12)):
            if self._stopping or head is None:
                return
            expected = Precondition(expected_head=head.checkpoint_id)
            if head.checkpoint_id and self._dice.random() < 0.1:
                self._writes_alone(head, expected)
            change, new = self._author.supersteps(head, self._ns, self._some())
            outcome = self._commit(change, expected)
            head = new if outcome is Outcome.OK else self._read()

    def _lease(self) -> None:
        holder = self._author.new_id()
        ttl = self._dice.uniform(*_TTL)
        token = self._acquire(holder, ttl)
        head = self._read() if token else None
        uncertain = False
        for _ in range(self._dice.randint(1, 10)):
            if self._stopping or head is None:
                break
            fate = self._dice.random()
            if fate < 0.15:
                self._of_lease(Kind.RENEW, token, holder=holder, ttl=ttl)
            elif fate < 0.2:
                self._task.stopping.wait(ttl + 0.1)  # it has ended by now, and what comes is too late
            elif fate < 0.23:
                self._delete()  # which ends the lease too
            precondition = Precondition(fencing_token=token)
            # A head is not expected of each write, but of all that follow one which may still be on its way.
            alone = fate > 0.85 and not uncertain
            if not alone:
                precondition.expected_head = head.checkpoint_id
            change, new = self._author.supersteps(head, self._ns, self._some())
            outcome = self._commit(change, precondition)
            if alone and outcome is Outcome.UNKNOWN:
                return  # and let the lease end by itself
            uncertain = uncertain or outcome is Outcome.UNKNOWN
            head = new if outcome is Outcome.OK else self._read()
        if token and self._dice.random() < 0.7:
            self._of_lease(Kind.RELEASE, token, holder=holder)
            if head is not None and self._dice.random() < 0.1:
                change, _ = self._author.supersteps(head, self._ns, 1)
                self._commit(change, Precondition(fencing_token=token))

    def _fork(self) -> None:
        head = self._read()
        for _ in range(self._dice.randint(3, 12)):
            if self._stopping or head is None:
                return
            if self._dice.random() < 0.1:
                self._orphan(head)
            change, new = self._author.supersteps(head, self._ns, self._dice.randint(10, 100))
            if self._commit(change) is Outcome.OK:
                head = new
            elif self._dice.random() < 0.5:
                head = self._read()

    def _writes_alone(self, head: Known, precondition: Precondition) -> None:
        """One task's writes in a call of their own, as a saver without atomic supersteps sends them."""
        change = Change(self._ns)
        self._author.task(change, head.checkpoint_id)
        put = change.ops[0].put_writes
        send = partial(
            self._client.put_writes,
            checkpoint_id=put.checkpoint_id,
            task_id=put.task_id,
            writes=put.writes,
            checkpoint_ns=self._ns,
        )
        self._commit(change, precondition, send)

    def _orphan(self, head: Known) -> None:
        """Writes of a checkpoint that comes later, if ever."""
        later = Change(self._ns)
        self._author.checkpoint(later, head)
        writes = Change(self._ns)
        self._author.task(writes, later.puts[0].checkpoint_id)
        self._commit(writes)
        if self._dice.random() < 0.5:
            put = later.ops[0].put_checkpoint
            send = partial(
                self._client.put_checkpoint,
                checkpoint=put.checkpoint,
                metadata=put.metadata,
                checkpoint_ns=self._ns,
                parent_checkpoint_id=put.parent_checkpoint_id,
            )
            self._commit(later, None, send)

    def _some(self) -> int:
        """How many supersteps to store at once: mostly one, as graphs do."""
        return 1 if self._dice.random() < 0.5 else self._dice.randint(2, 40)

    # The calls.

    def _call(self, call: Call, send: Callable[[], Result]) -> Result | None:
        """Make a call and note what came of it. None: it failed."""
        call.start = time.monotonic_ns()
        result = None
        try:
            result = send()
            call.outcome = Outcome.OK
        except NotFound as error:
            call.outcome = Outcome.OK  # the answer to a read: there is none
            if call.kind is not Kind.READ:
                raise AssertionError(f"{call.kind} of {call.thread_id}: {error}") from error
        except Aborted as error:
            call.outcome, call.reason = Outcome.REFUSED, error.reason
            call.head = error.metadata.get("head", "")
        except (Unavailable, DeadlineExceeded) as error:
            call.reason = error.grpc_error[:200]
        except CheckpointdError as error:
            call.reason = str(error)[:1000]
            self._task.violation(f"{call.kind} of {call.thread_id}: {type(error).__name__}: {call.reason}")
        call.end = time.monotonic_ns()
        return result

    def _new(self, kind: Kind, **more: Any) -> Call:
        return Call(
            client=self.name,
            kind=kind,
            thread_id=self._thread_id,
            checkpoint_ns=self._ns,
            start=0,
            end=0,
            outcome=Outcome.UNKNOWN,
            writers=self._writers,
            **more,
        )

    def _commit(
        self, change: Change, precondition: Precondition | None = None, send: Callable[..., object] | None = None
    ) -> Outcome:
        call = self._new(Kind.COMMIT, puts=change.puts, writes=change.writes)
        if precondition is not None:
            call.token = precondition.fencing_token
            if precondition.HasField("expected_head"):
                call.expected_head = precondition.expected_head
        send = send or partial(self._send, change)
        self._call(call, partial(send, thread_id=self._thread_id, precondition=precondition))
        self._task.record(call)
        return call.outcome

    def _send(self, change: Change, **more: Any) -> None:
        """Commit, as changes of values first, which only a server that has what they are made from takes."""
        try:
            self._client.commit(ops=change.as_changes(), **more)
        except FailedPrecondition as error:
            if error.reason != "BASE_MISMATCH":
                raise
            self._client.commit(ops=change.ops, **more)

    def _read(self) -> Known | None:
        """The head; None when it is not known."""
        call = self._new(Kind.READ)
        found = self._call(
            call, partial(self._client.get_checkpoint, thread_id=self._thread_id, checkpoint_ns=self._ns)
        )
        if found is not None:
            call.head = found.checkpoint.id
            call.digest = checkpoint_digest(found.checkpoint, found.metadata)
        self._task.record(call)
        if call.outcome is not Outcome.OK:
            return None
        return Known() if found is None else Known.of(found)

    def _delete(self) -> None:
        call = self._new(Kind.DELETE)
        self._call(call, partial(self._client.delete_thread, thread_id=self._thread_id))
        self._task.record(call)

    def _acquire(self, holder: str, ttl: float) -> int:
        """A lease's token; 0 when there was none to be had."""
        call = self._new(Kind.ACQUIRE, holder=holder)
        acquire = partial(self._client.acquire_lease, thread_id=self._thread_id, holder=holder, ttl=ttl, wait=_WAIT)
        lease = self._call(call, acquire)
        if lease is not None:
            call.token = lease.fencing_token
        self._task.record(call)
        return call.token

    def _of_lease(self, kind: Kind, token: int, holder: str, **more: float) -> None:
        call = self._new(kind, token=token, holder=holder)
        send: Callable[..., object] = self._client.renew_lease if kind is Kind.RENEW else self._client.release_lease
        self._call(call, partial(send, thread_id=self._thread_id, fencing_token=token, holder=holder, **more))
        self._task.record(call)
