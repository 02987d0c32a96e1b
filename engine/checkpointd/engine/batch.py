"""From ops to the rows of one commit statement. Pure.

`Commit` is what one caller wants stored, checked and packed once. `Batch` brings many of them together: each thread,
checkpoint, value and write is named once, as the statement needs it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from json.encoder import encode_basestring_ascii
from typing import Any

from checkpointd.changes import hash_of
from checkpointd.engine import validate
from checkpointd.engine.arrays import (
    BYTEA,
    INT2,
    INT4,
    INT8,
    NULL_BYTEA,
    NULL_INT8,
    NULL_TEXT,
    TEXT,
    UINT8,
    Cells,
    CheckpointRows,
    ConditionRows,
    Rows,
    ThreadRows,
    ValueRows,
    WriteRows,
    text,
)
from checkpointd.engine.errors import InvalidField
from checkpointd.engine.event_bodies import checkpoint_body, writes_body
from checkpointd.v1.checkpoints_pb2 import CheckpointPut, WritesPut
from checkpointd.v1.core_pb2 import Precondition

Op = CheckpointPut | WritesPut
CheckpointKey = tuple[str, str, str, str]  # tenant, thread_id, checkpoint_ns, checkpoint_id
ValueKey = tuple[str, str, str]  # checkpoint_ns, channel, version

# The last cells of a value that is stored whole, but for its hash.
_NO_LINK = NULL_TEXT + NULL_INT8 + NULL_BYTEA + INT2(0)


@dataclass(slots=True)
class _Row:
    """What is known of a row without the batch: all but its first cells, the thread's number and seq_back."""

    key: tuple[object, ...]
    lasting: bytes  # the cells that stay as first put, when the row is put again in one batch
    content: Cells  # the cells that become those of the last put
    op: int  # the place, within its commit, of the op that stores it


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

    def cells(self) -> Cells:
        """The cells of its row but for the first, the thread's number."""
        checkpoint_ns, channel, version = self.key
        names = text(checkpoint_ns) + text(channel) + text(version) + text(self.encoding)
        if (link := self.link) is None:
            return names + BYTEA[len(self.data)], self.data, _NO_LINK + UINT8(self.hash)
        base = text(link.base_version) + UINT8(link.base_hash)
        pieces = link.pieces
        return names + NULL_BYTEA + base + BYTEA[len(pieces)], pieces, INT2(link.links) + UINT8(self.hash)


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
    events: list[bytes] | None = None  # one an op; None: nobody is to be told
    size: int = 0  # bytes that will travel to the database, roughly
    checkpoints: list[_Row] = field(default_factory=list)
    values: list[NewValue] = field(default_factory=list)
    writes: list[_Row] = field(default_factory=list)

    def checkpoint_keys(self) -> list[CheckpointKey]:
        """The keys of the checkpoints put, in the order of their ops."""
        return [(self.tenant, self.thread_id, *row.key) for row in self.checkpoints]  # type: ignore[misc]


def prepare(
    tenant: str, thread_id: str, ops: Sequence[Op], precondition: Precondition | None = None, *, noted: bool = False
) -> Commit:
    """Check ops and pack what they store, if `noted` with events for those who watch. Takes the large values out of the
    messages rather than copy them."""
    validate.thread_id(thread_id)
    commit = Commit(tenant, thread_id, len(ops), events=[] if noted else None)
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
    versions, values = validate.checkpoint_put(put)
    metadata = put.metadata
    told = validate.metadata(metadata)
    run_id = told.get("run_id")
    commit.graph_hash = put.graph_hash.encode() or commit.graph_hash
    checkpoint = put.checkpoint
    namespace, checkpoint_id, parent_id = put.checkpoint_ns, checkpoint.id, put.parent_checkpoint_id
    for channel, value in values:
        data = value.data
        commit.values.append(NewValue((namespace, channel, versions[channel]), value.encoding, data, hash_of(data)))
        commit.size += len(data)
    # What has a column of its own leaves the message; the rest, with fields that only newer clients know, is the body.
    checkpoint.ClearField("id")
    checkpoint.ClearField("channel_versions")
    checkpoint.ClearField("channel_values")
    # Deterministic, so that a request which is sent again, also to another server, is the same bytes (commit_checked).
    body = checkpoint.SerializeToString(deterministic=True)
    native = metadata.native.SerializeToString(deterministic=True) if metadata.HasField("native") else None
    json = metadata.json.encode() or b"{}"
    lasting = text(namespace) + text(checkpoint_id) + (text(parent_id) if parent_id else NULL_TEXT)
    content = (
        (text(run_id) if isinstance(run_id, str) else NULL_TEXT) + text(_json(versions)) + TEXT[len(json)],
        json,
        (NULL_BYTEA if native is None else BYTEA[len(native)] + native) + BYTEA[len(body)],
        body,
    )
    commit.checkpoints.append(_Row((namespace, checkpoint_id), lasting, content, number))
    if commit.events is not None:
        commit.events.append(checkpoint_body(namespace, checkpoint_id, told))
    commit.size += len(body) + len(json)


def _json(strings: dict[str, str]) -> str:
    """A JSON object of strings. A third of what the encoder takes for one."""
    quoted = encode_basestring_ascii
    return "{" + ", ".join([f"{quoted(key)}: {quoted(value)}" for key, value in strings.items()]) + "}"


def _add_writes(commit: Commit, number: int, put: WritesPut) -> None:
    validate.writes_put(put)
    namespace, checkpoint_id, task_id = put.checkpoint_ns, put.checkpoint_id, put.task_id
    of_task = text(namespace) + text(checkpoint_id) + text(task_id)
    task_path = text(put.task_path)
    for write in put.writes:
        idx, value = write.idx, write.value
        data = value.data
        names = of_task + INT4(idx) + task_path + text(write.channel) + text(value.encoding)
        content = (names + BYTEA[len(data)], data, UINT8(hash_of(data)))
        commit.writes.append(_Row((namespace, checkpoint_id, task_id, idx), b"", content, number))
        commit.size += len(data)
    if commit.events is not None:
        commit.events.append(writes_body(namespace, checkpoint_id, task_id, [write.channel for write in put.writes]))


@dataclass(slots=True)
class _Thread:
    """What a batch stores of a thread."""

    number: int
    ops: int = 0
    graph_hash: bytes | None = None
    condition: Condition | None = None
    epoch: int | None = None
    events: list[bytes] = field(default_factory=list)
    # By their keys. Of a checkpoint and a write, with the place of the op that gives its seq.
    checkpoints: dict[tuple[object, ...], tuple[int, _Row]] = field(default_factory=dict)
    values: dict[ValueKey, NewValue] = field(default_factory=dict)
    writes: dict[tuple[object, ...], tuple[int, _Row]] = field(default_factory=dict)

    def add(self, commit: Commit) -> None:
        for row in commit.checkpoints:
            if (first := self.checkpoints.get(row.key)) is None:
                self.checkpoints[row.key] = self.ops + row.op, row
            else:
                self.checkpoints[row.key] = first[0], replace(row, lasting=first[1].lasting)
        for value in commit.values:
            self.values.setdefault(value.key, value)
        for row in commit.writes:
            if row.key not in self.writes or row.key[-1] < 0:  # type: ignore[operator]
                self.writes[row.key] = self.ops + row.op, row
        self.ops += commit.ops
        self.graph_hash = commit.graph_hash or self.graph_hash
        self.condition = commit.condition
        if commit.events is not None:
            self.events += commit.events
        self.epoch = commit.epoch if self.epoch is None else self.epoch


class Batch:
    """Commits that go to the database together."""

    def __init__(self, commits: Sequence[Commit]) -> None:
        self._threads: dict[tuple[str, str], _Thread] = {}
        self._with_checkpoints = self._with_writes = self.noted = False
        for commit in commits:
            self.noted |= commit.events is not None
            self._with_checkpoints |= bool(commit.checkpoints)
            self._with_writes |= bool(commit.writes)
            key = commit.tenant, commit.thread_id
            if (thread := self._threads.get(key)) is None:
                thread = self._threads[key] = _Thread(len(self._threads) + 1)
            thread.add(commit)
        self._numbered = list(self._threads.items())

    def thread(self, number: int) -> tuple[str, str]:
        """The tenant and the id of a thread, by its number in the statement."""
        return self._numbered[number - 1][0]

    def value(self, number: int, key: ValueKey) -> NewValue:
        """The value that is to be stored under a key of that thread: the first one, when several commits have one."""
        return self._numbered[number - 1][1].values[key]

    def statement(self) -> str:
        """The statement that stores them, where they have no conditions: the one that does least beside."""
        one = len(self._threads) == 1
        if not self._with_checkpoints:
            return self.named("commit_writes_of_one" if one else "commit_writes")
        if not one:
            return self.named("commit")
        return self.named("commit_of_one" if self._with_writes else "commit_checkpoints_of_one")

    def named(self, statement: str) -> str:
        """The statement, or the one that does the same with events."""
        return f"{statement}_noted" if self.noted else statement

    def conditions(self) -> ConditionRows:
        """The conditions of the threads that have one."""
        rows = ConditionRows()
        for thread in self._threads.values():
            if (condition := thread.condition) is not None:
                expected = NULL_TEXT if condition.expected_head is None else text(condition.expected_head)
                token = NULL_INT8 if condition.token is None else INT8(condition.token)
                rows.add((INT4(thread.number), text(condition.checkpoint_ns), expected, token))
        return rows

    def parameters(self) -> dict[str, Rows]:
        """The parameters of the statement `commit`, and of those for a part of what it does."""
        threads, checkpoints, values, writes = ThreadRows(), CheckpointRows(), ValueRows(), WriteRows()
        for (tenant, thread_id), thread in self._threads.items():
            number, ops, graph_hash = thread.number, thread.ops, thread.graph_hash
            graph = NULL_TEXT if graph_hash is None else TEXT[len(graph_hash)] + graph_hash
            epoch = NULL_INT8 if thread.epoch is None else INT8(thread.epoch)
            threads.add((text(tenant), text(thread_id), INT8(ops), graph, epoch, _events(thread.events)))
            for place, row in thread.checkpoints.values():
                checkpoints.add_sequenced(number, ops - place, (row.lasting, *row.content))
            for value in thread.values.values():
                values.add_numbered(number, value.cells())
            for place, row in thread.writes.values():
                writes.add_sequenced(number, ops - place, row.content)
        return {"threads": threads, "checkpoints": checkpoints, "values": values, "writes": writes}

    def of_one(self) -> dict[str, Any]:
        """What names the only thread, and the parts of its row, as parameters of their own."""
        (((tenant, thread_id), thread),) = self._numbered
        return {
            "tenant": tenant,
            "thread_id": thread_id,
            "commits": thread.ops,
            "graph_hash": None if thread.graph_hash is None else thread.graph_hash.decode(),
            "epoch": thread.epoch,
        }

    @property
    def has_checkpoints(self) -> bool:
        return self._with_checkpoints

    @property
    def has_writes(self) -> bool:
        return self._with_writes


def _events(bodies: list[bytes]) -> bytes:
    """The cell of a thread's events, of which the messages, one after the other, are one message."""
    if not bodies:
        return NULL_BYTEA
    body = b"".join(bodies)
    return BYTEA[len(body)] + body
