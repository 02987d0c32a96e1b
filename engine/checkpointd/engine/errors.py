"""What the engine refuses and why.

    EngineError
    ├── InvalidField           the caller's request breaks a rule of the contract
    ├── CheckpointNotFound
    ├── ThreadNotFound
    ├── ThreadExists
    ├── GraphNotFound
    ├── GraphUnknown
    ├── SubgraphNotFound
    ├── InvalidUpdate          the graph does not take the update
    ├── NeedsCode              the outcome of the update depends on the graph's code
    ├── NothingToCopy
    ├── HeadMoved              the precondition does not hold
    ├── LeaseLost              the precondition does not hold
    ├── AlreadyWritten         the precondition does not hold
    ├── BaseMismatch           a change of a value that is not stored
    ├── ValueDamaged           a stored value is not what it was
    ├── LeaseHeld              somebody else has it
    ├── ApiKeyNotFound
    ├── PolicyRemovesEverything
    ├── WatchTokenInvalid
    ├── WatchTokenExpired
    ├── WatchOff
    ├── DatabaseUnavailable    try again
    ├── DatabaseReadOnly       try again
    ├── DatabaseFull
    ├── QuotaExceeded          the tenant uses all that it may
    ├── ServerStopping         try again, here or elsewhere
    └── StartupError           the database can't serve as it is; for the person who starts the server

Each but the last stands for one reason of the contract (error_reason.proto).
"""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import psycopg_pool
from psycopg import errors as postgres

from checkpointd.v1.error_reason_pb2 import ErrorReason


class EngineError(Exception):
    """A refusal: a message for a person, the contract's reason, and its metadata for programs."""

    reason = ErrorReason.ERROR_REASON_UNSPECIFIED

    def __init__(self, message: str, /, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = metadata


class InvalidField(EngineError):
    """A field is empty, too long or not well formed. `metadata["field"]` names it."""

    reason = ErrorReason.ERROR_REASON_INVALID_FIELD

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}", field=field)


class CheckpointNotFound(EngineError):
    """There is no such checkpoint, or the namespace is empty."""

    reason = ErrorReason.ERROR_REASON_CHECKPOINT_NOT_FOUND

    def __init__(self, thread_id: str, checkpoint_ns: str, checkpoint_id: str) -> None:
        wanted = f"checkpoint {checkpoint_id!r}" if checkpoint_id else "checkpoint"
        super().__init__(
            f"thread {thread_id!r} has no {wanted} in namespace {checkpoint_ns!r}",
            thread_id=thread_id,
            checkpoint_ns=checkpoint_ns,
            checkpoint_id=checkpoint_id,
        )


class ThreadNotFound(EngineError):
    """Nothing is stored under this thread id."""

    reason = ErrorReason.ERROR_REASON_THREAD_NOT_FOUND

    def __init__(self, thread_id: str) -> None:
        super().__init__(f"there is no thread {thread_id!r}", thread_id=thread_id)


class ThreadExists(EngineError):
    """The target of a copy has a history of its own."""

    reason = ErrorReason.ERROR_REASON_THREAD_EXISTS

    def __init__(self, source: str, target: str) -> None:
        super().__init__(
            f"thread {target!r} has checkpoints or values that {source!r} does not have; copy to another id or delete "
            "it first",
            thread_id=target,
        )


class GraphNotFound(EngineError):
    """No graph is registered under this name or hash."""

    reason = ErrorReason.ERROR_REASON_GRAPH_NOT_FOUND

    def __init__(self, graph: str) -> None:
        super().__init__(
            f"no graph is registered under the name or hash {graph!r}; register it with RegisterGraph", graph=graph
        )


class GraphUnknown(EngineError):
    """No graph is known for this thread, and the request names none."""

    reason = ErrorReason.ERROR_REASON_GRAPH_UNKNOWN

    def __init__(self, thread_id: str, problem: str) -> None:
        super().__init__(f"{problem}; register it with RegisterGraph and name it in the request", thread_id=thread_id)


class SubgraphNotFound(EngineError):
    """No node of the graph leads to the namespace."""

    reason = ErrorReason.ERROR_REASON_SUBGRAPH_NOT_FOUND

    def __init__(self, checkpoint_ns: str) -> None:
        super().__init__(
            f"no node of the graph leads to the namespace {checkpoint_ns!r}; name that of a task's subgraph",
            checkpoint_ns=checkpoint_ns,
        )


class InvalidUpdate(EngineError):
    """The graph does not take the update. `metadata["field"]` names the part that is wrong."""

    reason = ErrorReason.ERROR_REASON_INVALID_UPDATE

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}", field=field)


class NeedsCode(EngineError):
    """The outcome of the update depends on code of the graph. `metadata["field"]` names the part that does."""

    reason = ErrorReason.ERROR_REASON_NEEDS_CODE

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}", field=field)


class NothingToCopy(EngineError):
    """There is no checkpoint to copy."""

    reason = ErrorReason.ERROR_REASON_NOTHING_TO_COPY

    def __init__(self, thread_id: str, checkpoint_ns: str) -> None:
        super().__init__(
            f"thread {thread_id!r} has no checkpoint in namespace {checkpoint_ns!r} to copy; update it as another node",
            thread_id=thread_id,
            checkpoint_ns=checkpoint_ns,
        )


class HeadMoved(EngineError):
    """The head of the namespace is not the one that the precondition names."""

    reason = ErrorReason.ERROR_REASON_HEAD_MOVED

    def __init__(self, thread_id: str, checkpoint_ns: str, expected_head: str, head: str) -> None:
        found = f"is {head!r}" if head else "does not exist"
        super().__init__(
            f"the head of thread {thread_id!r}, namespace {checkpoint_ns!r}, {found} and is not {expected_head!r}; "
            "read the state again and decide anew",
            thread_id=thread_id,
            checkpoint_ns=checkpoint_ns,
            expected_head=expected_head,
            head=head,
        )


class LeaseLost(EngineError):
    """The token is not that of the thread's lease, or the lease has ended."""

    reason = ErrorReason.ERROR_REASON_LEASE_LOST

    def __init__(self, thread_id: str, token: int, holder: str | None, head: str | None = None) -> None:
        """`holder` has the lease now, None for nobody; `head` is that of the namespace to be written."""
        now = f", and {holder!r} has it now" if holder else ""
        super().__init__(
            f"the lease of thread {thread_id!r} with the token {token} has ended{now}; acquire it again, and read the "
            "thread anew",
            thread_id=thread_id,
            fencing_token=str(token),
            **({"holder": holder} if holder else {}),
            **({"head": head} if head is not None else {}),
        )


class AlreadyWritten(EngineError):
    """A write would stay without effect: its task has written something else there."""

    reason = ErrorReason.ERROR_REASON_ALREADY_WRITTEN

    def __init__(self, thread_id: str, checkpoint_ns: str, head: str) -> None:
        super().__init__(
            f"a task of thread {thread_id!r}, namespace {checkpoint_ns!r}, has written something else; the head "
            f"is {head!r}; run again from what is there",
            thread_id=thread_id,
            checkpoint_ns=checkpoint_ns,
            head=head,
        )


class LeaseHeld(EngineError):
    """Somebody else holds the lease."""

    reason = ErrorReason.ERROR_REASON_LEASE_HELD

    def __init__(self, thread_id: str, holder: str, expires_in: float) -> None:
        super().__init__(
            f"the lease of thread {thread_id!r} is held by {holder!r}; wait for longer, or try again later",
            thread_id=thread_id,
            holder=holder,
            expires_in_ms=str(max(0, round(expires_in * 1000))),
        )


class ApiKeyNotFound(EngineError):
    """The tenant has no such API key, or it has ended."""

    reason = ErrorReason.ERROR_REASON_API_KEY_NOT_FOUND

    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no API key {key_id!r}; see ListApiKeys", key_id=key_id)


class PolicyRemovesEverything(EngineError):
    """The retention policy would delete every thread of the tenant, and nobody said that this is meant."""

    reason = ErrorReason.ERROR_REASON_POLICY_REMOVES_EVERYTHING

    def __init__(self, threads: int) -> None:
        super().__init__(
            f"the policy would delete all {threads} threads of the tenant; say remove_everything if that is meant",
            threads=str(threads),
        )


class DatabaseUnavailable(EngineError):
    """PostgreSQL can't be reached or broke off; a write may or may not have been stored."""

    reason = ErrorReason.ERROR_REASON_DATABASE_UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("the database is not available at the moment; try again")


class DatabaseReadOnly(EngineError):
    """PostgreSQL takes no writes, as a standby does during a failover."""

    reason = ErrorReason.ERROR_REASON_DATABASE_READ_ONLY

    def __init__(self) -> None:
        super().__init__("the database is read-only at the moment; try again")


class DatabaseFull(EngineError):
    """PostgreSQL has no room left on its disk."""

    reason = ErrorReason.ERROR_REASON_DATABASE_FULL

    def __init__(self) -> None:
        super().__init__("the database has no space left; free some, then send the request again")


class QuotaExceeded(EngineError):
    """The tenant uses all that it may. `metadata["quota"]` says of what."""

    reason = ErrorReason.ERROR_REASON_QUOTA_EXCEEDED

    def __init__(self, tenant: str, quota: str, limit: int, retry_after: float | None = None) -> None:
        """`retry_after` is after how many seconds there may be room; None when it takes more than waiting."""
        delay = None if retry_after is None else max(1, math.ceil(retry_after * 1000))
        many, advice = {
            "threads": (f"have {limit} threads", "delete some, or let an operator allow more"),
            "bytes": (f"store {limit} bytes", "delete something, or let an operator allow more"),
            "ops_per_second": (f"make {limit} requests a second", "let an operator allow more"),
        }[quota]
        super().__init__(
            f"the tenant {tenant!r} may {many}; {f'try again in {delay} ms' if delay else advice}",
            quota=quota,
            limit=str(limit),
            **({"retry_after_ms": str(delay)} if delay else {}),
        )


class BaseMismatch(EngineError):
    """A value was sent as the change of one that is not stored, or not so."""

    reason = ErrorReason.ERROR_REASON_BASE_MISMATCH

    def __init__(self, thread_id: str, checkpoint_ns: str, channel: str, version: str) -> None:
        super().__init__(
            f"the value of channel {channel!r} is sent as a change of version {version!r}, which is not stored, or not "
            "with that hash; send the whole value",
            thread_id=thread_id,
            checkpoint_ns=checkpoint_ns,
            channel=channel,
            version=version,
        )


class ValueDamaged(EngineError):
    """A stored value can't be given back as it was."""

    reason = ErrorReason.ERROR_REASON_VALUE_DAMAGED

    def __init__(self, version: str, problem: str) -> None:
        super().__init__(
            f"a stored value, version {version!r}, is damaged: {problem}; see `checkpointd verify`", version=version
        )


class BaseGone(Exception):
    """The base of a change may not be stored any more. Of no concern to callers: the value is stored whole."""


class ServerStopping(EngineError):
    """No new calls are taken, and nobody may wait any longer."""

    reason = ErrorReason.ERROR_REASON_SERVER_STOPPING

    def __init__(self) -> None:
        super().__init__("the server is stopping; try again")


class WatchTokenInvalid(EngineError):
    """A token that no watch of this kind gave, here and to this tenant."""

    reason = ErrorReason.ERROR_REASON_WATCH_TOKEN_INVALID

    def __init__(self) -> None:
        super().__init__(
            "the token is not one of this watch; give one that a watch with the same thread and filters gave, of this "
            "tenant and database, or none, to watch from now on"
        )


class WatchTokenExpired(EngineError):
    """Events that should be told after a token are not there any more."""

    reason = ErrorReason.ERROR_REASON_WATCH_TOKEN_EXPIRED

    def __init__(self) -> None:
        super().__init__(
            "events after the token are not kept any more; watch without a token, then read what you watch anew"
        )


class WatchOff(EngineError):
    """No events are written."""

    reason = ErrorReason.ERROR_REASON_WATCH_OFF

    def __init__(self) -> None:
        super().__init__(
            "this server writes no events; start all servers of the database with --watch on", option="--watch"
        )


class StartupError(EngineError):
    """The database can't serve as it is: unreachable, too old, read-only, of another encoding, or newer than us."""


def from_postgres(error: Exception) -> EngineError | BaseGone | None:
    """The engine's error for one of the driver's, or None if there is no sensible one (then it is a fault of ours)."""
    match error:
        case psycopg.Error(sqlstate="CK001"):
            return BaseGone()
        case postgres.ReadOnlySqlTransaction():
            return DatabaseReadOnly()
        case postgres.DiskFull():
            return DatabaseFull()
        case psycopg.DataError() | postgres.ProgramLimitExceeded():
            # Validation should have caught it. The driver's text may quote data, so it stays out of the answer.
            return InvalidField("request", "holds a value that the database can't store")
        case (
            psycopg.OperationalError()
            | psycopg.InterfaceError()
            | psycopg_pool.PoolClosed()
            | postgres.IdleInTransactionSessionTimeout()
        ):
            return DatabaseUnavailable()
    return None


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """The one seam at which the driver's errors become the engine's."""
    try:
        yield
    except psycopg.Error as error:
        known = from_postgres(error)
        if known is None:
            raise
        raise known from error
