"""Verifying a database: is everything in it as it was stored?

A walk over all threads in the order of their keys, each as of one moment, beside whatever servers do meanwhile. What it
keeps in memory is bounded, but for the versions of one channel (their names) at a time.
"""

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import psycopg
from google.protobuf.message import DecodeError
from psycopg import Connection, IsolationLevel

from checkpointd.changes import hash_of
from checkpointd.engine.database import OLDEST_POSTGRES, first_line, where
from checkpointd.engine.errors import StartupError
from checkpointd.engine.sql import CITUS_STATEMENTS, STATEMENTS, migrations
from checkpointd.engine.value_trees import Channel
from checkpointd.v1.core_pb2 import Checkpoint, Value

# What is read at once: bytes, and rows.
_BYTES = 4 << 20
_ROWS = 500
_THREADS = 1000


class Fault(NamedTuple):
    """Something that is not as it was stored. What has no place in a part of the key is None."""

    tenant: str
    thread_id: str
    problem: str
    checkpoint_ns: str | None = None
    channel: str | None = None
    version: str | None = None
    checkpoint_id: str | None = None
    task_id: str | None = None
    idx: int | None = None


@dataclass(slots=True)
class Counts:
    """What was looked at so far."""

    threads: int = 0
    checkpoints: int = 0
    hidden: int = 0  # of the checkpoints: those that serve channel histories only
    values: int = 0
    changes: int = 0  # of the values: those that are stored as changes of others
    unused: int = 0  # of the values: those that no checkpoint names or needs
    writes: int = 0
    unhashed: int = 0  # values and writes that are stored without a hash, by older versions
    bytes: int = 0  # of values and writes, as their readers get them
    faults: int = 0


def connect(conninfo: str) -> "Connection[tuple[Any, ...]]":
    """A connection for a verification, which can't change anything.

    Raises:
        StartupError: the database can't be reached or read, or its schema is of another version; it says what to do.
    """
    try:
        connection = psycopg.connect(conninfo, autocommit=True, application_name="checkpointd verify")
    except psycopg.ProgrammingError:
        # Without libpq's reason, which quotes the URL and with it perhaps a password.
        raise StartupError("can't connect to the database: what was given is not a PostgreSQL URL") from None
    except psycopg.Error as error:
        raise StartupError(f"can't connect to the database {where(conninfo)}: {first_line(error)}") from error
    try:
        _prepare(connection)
    except psycopg.Error as error:
        connection.close()
        raise StartupError(f"can't read the database {where(conninfo)}: {first_line(error)}") from error
    except StartupError:
        connection.close()
        raise
    return connection


def _prepare(connection: "Connection[tuple[Any, ...]]") -> None:
    there = where(connection.info.dsn)
    if (version := connection.info.server_version) < OLDEST_POSTGRES * 10000:
        raise StartupError(
            f"the database {there} is PostgreSQL {version // 10000}, which is too old; "
            f"checkpointd needs {OLDEST_POSTGRES} or newer"
        )
    connection.execute(STATEMENTS["verify_session"].encode())
    if not _one(connection, "verify_schema")[0]:
        raise StartupError(f"the database {there} has no schema of checkpointd; give the one that its server uses")
    found, known = _one(connection, "verify_schema_version")[0], migrations()[-1][0]
    if found != known:
        older = (
            "start its server once with this version" if found < known else "verify it with the version that made it"
        )
        raise StartupError(
            f"the database {there} has schema version {found} and this checkpointd knows {known}; {older}"
        )
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    connection.read_only = True


def _one(connection: "Connection[tuple[Any, ...]]", statement: str, **parameters: object) -> tuple[Any, ...]:
    row = connection.execute(STATEMENTS[statement].encode(), parameters).fetchone()
    assert row is not None
    return row


@dataclass
class Verification:
    """One walk.

    Args:
        connection: what `connect` gave.
        tenant: only this one's threads; "" for all tenants'.
        thread_id: only the thread, or threads, of this id; "" for all.
        on_progress: is called now and then, when there is more in `counts`.
    """

    connection: "Connection[tuple[Any, ...]]"
    tenant: str = ""
    thread_id: str = ""
    on_progress: Callable[[], None] = lambda: None
    counts: Counts = field(default_factory=Counts)

    def total(self) -> int | None:
        """How many threads a walk over all of them will find, roughly; None when it is over some of them only."""
        if self.tenant or self.thread_id:
            return None
        return int(_one(self.connection, "verify_total")[0])

    def run(self) -> Iterator[Fault]:
        """Walk, and tell what is wrong, in the order of the keys.

        Raises psycopg.OperationalError when the database goes away.
        """
        for tenant, thread_id in self._threads():
            thread = _Thread(self, tenant, thread_id)
            try:
                with self.connection.transaction():
                    for fault in thread.run():
                        self.counts.faults += 1
                        yield fault
            except (psycopg.InternalError, psycopg.DataError) as error:
                # A page or a large value that PostgreSQL itself finds broken.
                self.counts.faults += 1
                yield Fault(tenant, thread_id, f"PostgreSQL can't read all of the thread: {first_line(error)}")
            self.on_progress()

    def _threads(self) -> Iterator[tuple[str, str]]:
        if self.tenant and self.thread_id:
            yield self.tenant, self.thread_id
            return
        on_citus = _one(self.connection, "is_citus")[0]
        next_page = (CITUS_STATEMENTS if on_citus else STATEMENTS)["verify_page"]
        after = (self.tenant, "")
        while True:
            parameters = {"tenant": self.tenant, "tenant_after": after[0], "thread_after": after[1], "size": _THREADS}
            page = self.connection.execute(next_page.encode(), parameters).fetchall()
            for tenant, thread_id in page:
                if self.thread_id in ("", thread_id):
                    yield tenant, thread_id
            if len(page) < _THREADS:
                return
            after = page[-1][0], page[-1][1]


class _Thread:
    """The walk over one thread, in a transaction."""

    def __init__(self, walk: Verification, tenant: str, thread_id: str) -> None:
        self._connection = walk.connection
        self._counts = walk.counts
        self._on_progress = walk.on_progress
        self._tenant, self._thread_id = tenant, thread_id
        self._key = {"tenant": tenant, "thread_id": thread_id}

    def run(self) -> Iterator[Fault]:
        exists, values, checkpoints, largest_checkpoint, writes, largest_write = _one(
            self._connection, "verify_thread", **self._key
        )
        if not exists and not (values or checkpoints or writes):
            return  # deleted since its key was read, or there is none of the id that was asked for
        self._counts.threads += 1
        if not exists:
            yield self._fault("rows of it are stored, and the thread is not")
        if checkpoints:
            for row in self._rows("verify_checkpoints", checkpoints, largest_checkpoint):
                yield from self._checkpoint(*row)
        if values:
            yield from self._values()
            self._counts.unused += _one(self._connection, "verify_unused", **self._key)[0]
        if writes:
            for row in self._rows("verify_writes", writes, largest_write):
                yield from self._write(*row)

    def _fault(self, problem: str, **place: Any) -> Fault:
        return Fault(self._tenant, self._thread_id, problem, **place)

    def _rows(self, statement: str, count: int, largest: int) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement, so many at a time that they fit in memory."""
        size = max(1, min(_ROWS, _BYTES // max(largest, 1)))
        if count <= size:
            yield from self._connection.execute(STATEMENTS[statement].encode(), self._key, binary=True)
            return
        with self._connection.cursor("verify", binary=True) as cursor:
            cursor.execute(STATEMENTS[statement].encode(), self._key)
            while rows := cursor.fetchmany(size):
                yield from rows
                self._on_progress()

    def _checkpoint(
        self,
        checkpoint_ns: str,
        checkpoint_id: str,
        hidden: bool,
        channel_versions: str,
        metadata: str,
        native: bytes | None,
        body: bytes,
    ) -> Iterator[Fault]:
        self._counts.checkpoints += 1
        self._counts.hidden += hidden
        problems = [
            problem
            for wrong, problem in (
                (not _is_message(Checkpoint, body), "its body can't be read"),
                (native is not None and not _is_message(Value, native), "its native metadata can't be read"),
                (not _is_map(metadata), "its metadata is not a JSON object"),
                (not _is_map(channel_versions, of=str), "its channel versions are not a map of strings"),
            )
            if wrong
        ]
        if problems:
            yield self._fault("; ".join(problems), checkpoint_ns=checkpoint_ns, checkpoint_id=checkpoint_id)

    def _write(
        self, checkpoint_ns: str, checkpoint_id: str, task_id: str, idx: int, data: bytes, number: int | None
    ) -> Iterator[Fault]:
        self._counts.writes += 1
        self._counts.bytes += len(data)
        if number is None:
            self._counts.unhashed += 1
        elif hash_of(data) != number % (1 << 64):
            place = {"checkpoint_ns": checkpoint_ns, "checkpoint_id": checkpoint_id, "task_id": task_id, "idx": idx}
            yield self._fault("it is not what its hash says", **place)

    def _values(self) -> Iterator[Fault]:
        with closing(self._batches()) as batches:
            for batch in batches:
                parameters = {
                    **self._key,
                    "namespaces": [channel.checkpoint_ns for channel, _ in batch],
                    "channels": [channel.channel for channel, _ in batch],
                    "versions": [version for _, version in batch],
                }
                rows = self._connection.execute(STATEMENTS["verify_values"].encode(), parameters, binary=True)
                for (channel, version), row in zip(batch, rows, strict=True):
                    yield from self._value(channel, version, *row)
                self._on_progress()

    def _value(
        self,
        channel: Channel,
        version: str,
        data: bytes | None,
        base_version: str | None,
        pieces: bytes | None,
        number: int | None,
    ) -> Iterator[Fault]:
        self._counts.values += 1
        self._counts.changes += base_version is not None
        self._counts.unhashed += number is None and base_version is None
        try:
            self._counts.bytes += channel.build(version, data, base_version, pieces, number)
        except ValueError as problem:
            yield self._fault(
                str(problem), checkpoint_ns=channel.checkpoint_ns, channel=channel.channel, version=version
            )

    def _batches(self) -> Generator[list[tuple[Channel, str]], None, None]:
        """All values, each after the one that it is a change of, as many at a time as are to be read at once."""
        batch: list[tuple[Channel, str]] = []
        size = 0
        with self._connection.cursor("bases", binary=True) as cursor:
            cursor.execute(STATEMENTS["verify_bases"].encode(), self._key)
            cursor.itersize = 10 * _ROWS
            for (checkpoint_ns, name), rows in groupby(cursor, key=lambda row: (row[0], row[1])):
                bases: dict[str, str | None] = {}
                sizes: dict[str, int] = {}
                for _, _, version, base_version, stored in rows:
                    bases[version], sizes[version] = base_version, stored
                channel = Channel(checkpoint_ns, name, bases)
                for version in channel.ordered:
                    if batch and (size + sizes[version] > _BYTES or len(batch) >= _ROWS):
                        yield batch
                        batch, size = [], 0
                    batch.append((channel, version))
                    size += sizes[version]
        if batch:
            yield batch


def _is_message(kind: type[Checkpoint] | type[Value], data: bytes) -> bool:
    try:
        kind.FromString(data)
    except DecodeError:
        return False
    return True


def _is_map(source: str, of: type = object) -> bool:
    """Whether a text is a JSON object, with values of this type."""
    try:
        parsed = json.loads(source)
    except (ValueError, RecursionError):
        return False
    return isinstance(parsed, dict) and all(isinstance(value, of) for value in parsed.values())
