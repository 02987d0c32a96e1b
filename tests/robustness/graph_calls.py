"""Notes the calls that a RemoteSaver makes, its keeper of leases too, each as it was really sent.

A saver's calls all go through two functions of the client, by which operations are sent. Here they are replaced in the
modules that a saver consists of. So what is noted is what a request holds once the saver has filled in its demands.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from checkpointd.client import calls
from checkpointd.client.connection import Connection
from checkpointd.client.errors import (
    Aborted,
    ClientClosed,
    DeadlineExceeded,
    NotFound,
    Unavailable,
)
from checkpointd.client.langgraph import leases, saver, writers
from checkpointd.client.rpcs import Operation
from checkpointd.v1.checkpoints_pb2 import (
    CheckpointPut,
    CommitRequest,
    GetChannelHistoryRequest,
    GetCheckpointRequest,
    GetCheckpointResponse,
    PutCheckpointRequest,
    PutWritesRequest,
    WritesPut,
)
from checkpointd.v1.core_pb2 import Checkpoint, Precondition, Value
from checkpointd.v1.leases_pb2 import AcquireLeaseRequest, Lease, ReleaseLeaseRequest, RenewLeaseRequest
from tests.robustness.contents import checkpoint_digest, hashed_digest, value_digest, write_digest
from tests.robustness.history import Call, Kind, Outcome, Put, Write, Writers
from tests.robustness.worker import Task

Result = TypeVar("Result")

MODULES = (saver, writers, leases)
"""The modules that a saver calls from."""

caller: ContextVar[str] = ContextVar("caller", default="the keeper of leases")
"""Who runs the graph. LangGraph's threads and tasks have the context of the run."""


class Calls:
    """Notes what the savers of this process send and what they are told."""

    def __init__(self, task: Task, writers_of: Callable[[str], Writers]) -> None:
        """`writers_of` says how the writers of a thread agree."""
        self._task = task
        self._writers_of = writers_of
        # By thread, namespace, channel and version: the digests of values, which a put has once and then carries on.
        self._values: dict[tuple[str, str, str, str], str] = {}
        self._lock = threading.Lock()

    def install(self) -> None:
        """Note all calls from now on."""
        for module in MODULES:
            module.__dict__.update(call=self._call, acall=self._acall)

    def _call(self, connection: Connection, operation: Operation[Result]) -> Result:
        with self._noted(operation) as answer:
            result = calls.call(connection, operation)
            answer.append(result)
            return result

    async def _acall(self, connection: Connection, operation: Operation[Result]) -> Result:
        with self._noted(operation) as answer:
            result = await calls.acall(connection, operation)
            answer.append(result)
            return result

    @contextmanager
    def _noted(self, operation: Operation[Result]) -> Iterator[list[Result]]:
        """Around a call, which puts its answer into the list."""
        note = self._note(operation.request)
        answer: list[Result] = []
        note.start = time.monotonic_ns()
        try:
            yield answer
            note.outcome = Outcome.OK
        except NotFound:
            note.outcome = Outcome.OK if note.kind is Kind.READ else Outcome.UNKNOWN
            raise
        except Aborted as error:
            note.outcome, note.reason = Outcome.REFUSED, error.reason
            note.head = error.metadata.get("head", "")
            raise
        except (Unavailable, DeadlineExceeded, ClientClosed) as error:
            note.reason = error.grpc_error[:200] or type(error).__name__
            raise
        except asyncio.CancelledError:
            note.reason = "cancelled"
            raise
        except BaseException as error:
            note.reason = str(error)[:1000]
            self._task.violation(f"{note.kind} of {note.thread_id}: {type(error).__name__}: {note.reason}")
            raise
        finally:
            note.end = time.monotonic_ns()
            self._learn_from(note, answer)
            if _tells(operation.request):
                self._task.record(note)

    def _learn_from(self, note: Call, answer: list[Result]) -> None:
        for told in answer:
            if isinstance(told, Lease) and note.kind is Kind.ACQUIRE:
                note.token = told.fencing_token
            elif isinstance(told, GetCheckpointResponse):
                found = told.checkpoint_tuple.checkpoint
                # What was left out is what the client has. Nobody can have a value that is not stored.
                held = self._carried(note.thread_id, note.checkpoint_ns, found)
                held = {channel: known for channel, known in held.items() if channel in told.held_channels}
                note.head = found.id
                note.digest = checkpoint_digest(found, told.checkpoint_tuple.metadata, held)
                self._learn(note.thread_id, note.checkpoint_ns, found, held)

    def _note(self, request: object) -> Call:
        """What is known of a call before it is made."""
        match request:
            case PutCheckpointRequest():
                note = self._new(Kind.COMMIT, request.thread_id, request.put.checkpoint_ns)
                note.puts.append(self._put(request.thread_id, request.put))
                _demand(note, request.precondition)
            case PutWritesRequest():
                put = request.put
                note = self._new(Kind.COMMIT, request.thread_id, put.checkpoint_ns)
                note.writes += _writes(put)
                _demand(note, request.precondition)
            case CommitRequest():
                # What a run that saves at its end stores there: writes, perhaps with the checkpoint that follows and
                # with one before, all in one namespace.
                first = request.ops[0]
                checkpoint_ns = first.put_checkpoint.checkpoint_ns or first.put_writes.checkpoint_ns
                note = self._new(Kind.COMMIT, request.thread_id, checkpoint_ns)
                for op in request.ops:
                    if op.HasField("put_checkpoint"):
                        note.puts.append(self._put(request.thread_id, op.put_checkpoint))
                    else:
                        note.writes += _writes(op.put_writes)
                _demand(note, request.precondition)
            case GetCheckpointRequest() | GetChannelHistoryRequest():
                note = self._new(Kind.READ, request.thread_id, request.checkpoint_ns)
            case AcquireLeaseRequest():
                note = self._new(Kind.ACQUIRE, request.thread_id, "")
                note.holder = request.holder
            case RenewLeaseRequest() | ReleaseLeaseRequest():
                kind = Kind.RENEW if isinstance(request, RenewLeaseRequest) else Kind.RELEASE
                note = self._new(kind, request.thread_id, "")
                note.holder, note.token = request.holder, request.fencing_token
            case _:
                raise AssertionError(f"a saver is not expected to send {type(request).__name__}")
        return note

    def _new(self, kind: Kind, thread_id: str, checkpoint_ns: str) -> Call:
        return Call(
            client=f"{self._task.settings.name}: {caller.get()}",
            kind=kind,
            thread_id=thread_id,
            checkpoint_ns=checkpoint_ns,
            start=0,
            end=0,
            outcome=Outcome.UNKNOWN,
            writers=self._writers_of(thread_id),
        )

    def _put(self, thread_id: str, put: CheckpointPut) -> Put:
        carried = self._carried(thread_id, put.checkpoint_ns, put.checkpoint)
        for channel, said in put.channel_changes.items():
            carried[channel] = hashed_digest(said.encoding, said.hash)
            with self._lock:
                version = put.checkpoint.channel_versions[channel]
                self._values[thread_id, put.checkpoint_ns, channel, version] = carried[channel]
        self._learn(thread_id, put.checkpoint_ns, put.checkpoint, carried)
        return Put(
            put.checkpoint.id, put.parent_checkpoint_id, checkpoint_digest(put.checkpoint, put.metadata, carried)
        )

    def _carried(self, thread_id: str, checkpoint_ns: str, checkpoint: Checkpoint) -> dict[str, str]:
        """The values that the put of a checkpoint leaves out because they are there already."""
        with self._lock:
            return {
                channel: self._values[thread_id, checkpoint_ns, channel, version]
                for channel, version in checkpoint.channel_versions.items()
                if channel not in checkpoint.channel_values
                and (thread_id, checkpoint_ns, channel, version) in self._values
            }

    def _learn(
        self, thread_id: str, checkpoint_ns: str, checkpoint: Checkpoint, carried: dict[str, str] | None = None
    ) -> None:
        """Remember the values of a checkpoint. A channel that has a new version and no value is empty."""
        with self._lock:
            for channel, version in checkpoint.channel_versions.items():
                if carried is None or channel not in carried:
                    has = channel in checkpoint.channel_values
                    value = checkpoint.channel_values[channel] if has else Value()
                    self._values[thread_id, checkpoint_ns, channel, version] = value_digest(value)


def _writes(put: WritesPut) -> list[Write]:
    return [Write(put.checkpoint_id, put.task_id, one.idx, write_digest(one)) for one in put.writes]


def _tells(request: object) -> bool:
    """Whether the checker learns something from a call: not from reads of anything but a head."""
    if isinstance(request, GetCheckpointRequest):
        return not request.checkpoint_id
    return not isinstance(request, GetChannelHistoryRequest)


def _demand(note: Call, precondition: Precondition) -> None:
    note.token = precondition.fencing_token
    if precondition.HasField("expected_head"):
        note.expected_head = precondition.expected_head
