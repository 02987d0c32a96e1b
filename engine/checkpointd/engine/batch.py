"""From ops to the rows of one commit statement. Pure.

`Commit` is what one caller wants stored, checked and packed once. `Batch` brings many of them together: each thread,
checkpoint, value and write is named once, as the statement needs it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from checkpointd.changes import hash_of
from checkpointd.engine import validate
from checkpointd.engine.arrays import (
    INT2,
    INT4,
    INT8,
    UINT8,
    CheckpointRows,
    ConditionRows,
    Rows,
    ThreadRows,
    ValueRows,
    WriteRows,
    cells,
)
from checkpointd.engine.errors import InvalidField
from checkpointd.v1.checkpoints_pb2 import CheckpointPut, WritesPut
from checkpointd.v1.core_pb2 import Precondition

Op = CheckpointPut | WritesPut
CheckpointKey = tuple[str, str, str, str]  # tenant, thread_id, checkpoint_ns, checkpoint_id
ValueKey = tuple[str, str, str]  # checkpoint_ns, channel, version

# A row's first columns are known only within a batch: the thread's number, and seq_back where the row has a seq.
_NUMBERED = 1
_SEQUENCED = 2


@dataclass(slots=True)
class _Row:
    key: tuple[object, ...]
    lasting: list[bytes]  # the cells that stay as first put, when the row is put again in one batch
    content: list[bytes]  # the cells that become those of the last put
    op: int = 0  # the place, within its commit, of the op that stores it


@dataclass(frozen=True, slots=True)
class Link:
    """How a value is stored as the change of another one."""

    base_version: str
    base_hash: int
    pieces: bytes  # a ValueChange
    links: int


@dataclass(slots=True)
class NewValue:
    """A value to be stored."""

    key: ValueKey
    encoding: str
    data: bytes
    hash: int
    link: Link | None = None  # None: it is stored whole

    def row(self) -> list[bytes]:
        """The cells that are known without the batch."""
        link = self.link
        return cells(
            ValueRows.columns[_NUMBERED:],
            (
                *(part.encode() for part in self.key),
                self.encoding.encode(),
                self.data if link is None else None,
                None if link is None else link.base_version.encode(),
                None if link is None else UINT8(link.base_hash),
                None if link is None else link.pieces,
                INT2(0 if link is None else link.links),
                UINT8(self.hash),
            ),
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold for a commit to be stored."""

    checkpoint_ns: str
    expected_head: str | None
    token: int | None


@dataclass(slots=True)
class Commit:
    """The ops of one caller on one thread, which are stored all or none."""

    tenant: str
    thread_id: str
    ops: int
    graph_hash: bytes | None = None  # of the last checkpoint that names one
    condition: Condition | None = None
    epoch: int | None = None  # of the thread, in which the bases of the values that are changes were there
    size: int = 0  # bytes that will travel to the database, roughly
    checkpoints: list[_Row] = field(default_factory=list)
    values: list[NewValue] = field(default_factory=list)
    writes: list[_Row] = field(default_factory=list)

    def checkpoint_keys(self) -> list[CheckpointKey]:
        """The keys of the checkpoints put, in the order of their ops."""
        return [(self.tenant, self.thread_id, *row.key) for row in self.checkpoints]  # type: ignore[misc]


def prepare(tenant: str, thread_id: str, ops: Sequence[Op], precondition: Precondition | None = None) -> Commit:
    """Check ops and pack what they store. Takes the large values out of the messages rather than copy them."""
    validate.thread_id(thread_id)
    commit = Commit(tenant, thread_id, len(ops))
    for number, op in enumerate(ops, start=1):
        if isinstance(op, CheckpointPut):
            _add_checkpoint(commit, number, op)
        else:
            _add_writes(commit, number, op)
    commit.condition = _condition(ops, precondition)
    if not commit.checkpoints and not commit.writes:
        commit.ops = 0  # which leaves no trace; a condition is checked all the same
    return commit


def _condition(ops: Sequence[Op], precondition: Precondition | None) -> Condition | None:
    if precondition is None:
        return None
    validate.precondition(precondition)
    expected = precondition.expected_head if precondition.HasField("expected_head") else None
    namespaces = {op.checkpoint_ns for op in ops}
    if expected is not None and len(namespaces) > 1:
        raise InvalidField("precondition.expected_head", "is of one namespace, and the ops are of several; split them")
    if expected is None and not precondition.fencing_token:
        return None
    return Condition(min(namespaces, default=""), expected, precondition.fencing_token or None)


def _add_checkpoint(commit: Commit, number: int, put: CheckpointPut) -> None:
    if not put.HasField("checkpoint"):
        raise InvalidField("put.checkpoint", "is missing; send the checkpoint to store")
    validate.checkpoint_put(put)
    metadata = validate.metadata(put.metadata)
    commit.graph_hash = put.graph_hash.encode() or commit.graph_hash
    checkpoint = put.checkpoint
    namespace, checkpoint_id = put.checkpoint_ns, checkpoint.id
    versions = dict(checkpoint.channel_versions)
    for channel, value in checkpoint.channel_values.items():
        data = value.data
        commit.values.append(NewValue((namespace, channel, versions[channel]), value.encoding, data, hash_of(data)))
        commit.size += len(data)
    run_id = metadata.get("run_id")
    # What has a column of its own leaves the message; the rest, with fields that only newer clients know, is the body.
    checkpoint.ClearField("id")
    checkpoint.ClearField("channel_versions")
    checkpoint.ClearField("channel_values")
    # Deterministic, so that a request which is sent again, also to another server, is the same bytes (commit_checked).
    body = checkpoint.SerializeToString(deterministic=True)
    lasting = (namespace.encode(), checkpoint_id.encode(), put.parent_checkpoint_id.encode() or None)
    content = (
        run_id.encode() if isinstance(run_id, str) else None,
        json.dumps(versions).encode(),
        put.metadata.json.encode() or b"{}",
        put.metadata.native.SerializeToString(deterministic=True) if put.metadata.HasField("native") else None,
        body,
    )
    middle = _SEQUENCED + len(lasting)
    commit.checkpoints.append(
        _Row(
            (namespace, checkpoint_id),
            cells(CheckpointRows.columns[_SEQUENCED:middle], lasting),
            cells(CheckpointRows.columns[middle:], content),
            number,
        )
    )
    commit.size += len(body) + len(put.metadata.json)


def _add_writes(commit: Commit, number: int, put: WritesPut) -> None:
    validate.writes_put(put)
    namespace, checkpoint_id, task_id = put.checkpoint_ns, put.checkpoint_id, put.task_id
    of_task = (namespace.encode(), checkpoint_id.encode(), task_id.encode())
    task_path = put.task_path.encode()
    for write in put.writes:
        data = write.value.data
        encoding = write.value.encoding.encode()
        row = (*of_task, INT4(write.idx), task_path, write.channel.encode(), encoding, data, UINT8(hash_of(data)))
        key = (namespace, checkpoint_id, task_id, write.idx)
        commit.writes.append(_Row(key, [], cells(WriteRows.columns[_SEQUENCED:], row), number))
        commit.size += len(data)


@dataclass(slots=True)
class _Thread:
    number: int
    ops: int = 0
    graph_hash: bytes | None = None
    condition: Condition | None = None
    epoch: int | None = None


class Batch:
    """Commits that go to the database together."""

    def __init__(self, commits: Sequence[Commit]) -> None:
        self._threads: dict[tuple[str, str], _Thread] = {}
        self._checkpoints: dict[tuple[object, ...], tuple[_Thread, int, _Row]] = {}
        self._values: dict[tuple[object, ...], tuple[_Thread, NewValue]] = {}
        self._writes: dict[tuple[object, ...], tuple[_Thread, int, _Row]] = {}
        for commit in commits:
            self._add(commit)
        self._numbered = list(self._threads)

    def _add(self, commit: Commit) -> None:
        thread = self._threads.setdefault((commit.tenant, commit.thread_id), _Thread(len(self._threads) + 1))
        for row in commit.checkpoints:
            key = (thread.number, *row.key)
            first = self._checkpoints.setdefault(key, (thread, thread.ops + row.op, row))
            if first[2] is not row:
                self._checkpoints[key] = (thread, first[1], replace(row, lasting=first[2].lasting))
        for value in commit.values:
            self._values.setdefault((thread.number, *value.key), (thread, value))
        for row in commit.writes:
            key = (thread.number, *row.key)
            if key not in self._writes or row.key[-1] < 0:  # type: ignore[operator]
                self._writes[key] = (thread, thread.ops + row.op, row)
        thread.ops += commit.ops
        thread.graph_hash = commit.graph_hash or thread.graph_hash
        thread.condition = commit.condition
        thread.epoch = commit.epoch if thread.epoch is None else thread.epoch

    def thread(self, number: int) -> tuple[str, str]:
        """The tenant and the id of a thread, by its number in the statement."""
        return self._numbered[number - 1]

    def value(self, number: int, key: ValueKey) -> NewValue:
        """The value that is to be stored under a key of that thread: the first one, when several commits have one."""
        return self._values[number, *key][1]

    def statement(self) -> str:
        """The statement that stores them, where they have no conditions: the one that does least beside."""
        if not self._checkpoints:
            return "commit_writes" if len(self._threads) > 1 else "commit_writes_of_one"
        return "commit" if self._writes or len(self._threads) > 1 else "commit_checkpoints_of_one"

    def conditions(self) -> ConditionRows:
        """The conditions of the threads that have one."""
        rows = ConditionRows()
        for thread in self._threads.values():
            if (condition := thread.condition) is not None:
                expected = None if condition.expected_head is None else condition.expected_head.encode()
                token = None if condition.token is None else INT8(condition.token)
                row = (INT4(thread.number), condition.checkpoint_ns.encode(), expected, token)
                rows.add(cells(ConditionRows.columns, row))
        return rows

    def parameters(self) -> dict[str, Rows]:
        """The parameters of the statement `commit`, and of those for a part of what it does."""
        threads, checkpoints, values, writes = ThreadRows(), CheckpointRows(), ValueRows(), WriteRows()
        for (tenant, thread_id), thread in self._threads.items():
            epoch = None if thread.epoch is None else INT8(thread.epoch)
            row = (tenant.encode(), thread_id.encode(), INT8(thread.ops), thread.graph_hash, epoch)
            threads.add(cells(ThreadRows.columns, row))
        for rows, entries in ((checkpoints, self._checkpoints), (writes, self._writes)):
            for thread, place, entry in entries.values():
                numbers = (INT4(thread.number), INT8(thread.ops - place))
                rows.add([*cells(rows.columns[:_SEQUENCED], numbers), *entry.lasting, *entry.content])
        for thread, value in self._values.values():
            values.add(cells(ValueRows.columns[:_NUMBERED], (INT4(thread.number),)) + value.row())
        return {"threads": threads, "checkpoints": checkpoints, "values": values, "writes": writes}
