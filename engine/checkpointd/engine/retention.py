"""Retention: the service `Retention` of the contract, without the wire, and its policies carried out."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from google.protobuf.duration_pb2 import Duration
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from checkpointd.engine import citus, validate
from checkpointd.engine.database import Database
from checkpointd.engine.errors import InvalidField, PolicyRemovesEverything
from checkpointd.engine.event_bodies import removal_body
from checkpointd.engine.event_log import EventLog
from checkpointd.engine.sql import STATEMENTS
from checkpointd.v1.retention_pb2 import (
    ApplyRetentionPolicyRequest,
    ApplyRetentionPolicyResponse,
    DeleteRetentionPolicyRequest,
    DeleteRetentionPolicyResponse,
    ListRetentionPoliciesRequest,
    ListRetentionPoliciesResponse,
    RetentionPolicy,
    SetRetentionPolicyRequest,
    SetRetentionPolicyResponse,
)
from checkpointd.v1.watch_pb2 import WatchEventKind

_NAME_BYTES = 63
_SHORTEST, _LONGEST = 60.0, 100 * 366 * 24 * 3600.0  # seconds
_MOST_KEPT = 1_000_000

# Threads that one call looks at, and how many of them it changes at most: so that each takes a moment only.
_PAGE = 500
_MOST_CHANGED = 50

# How a thread is locked, what removes, and what is told of it.
_OF_WHOLE = ("lock_idle_thread", "delete_thread", WatchEventKind.WATCH_EVENT_KIND_THREAD_DELETED)
_OF_CHECKPOINTS = (
    "lock_unwritten_thread",
    "prune_thread_by_policy",
    WatchEventKind.WATCH_EVENT_KIND_THREAD_PRUNED,
)


class Retention:
    """The rpcs of the service, each as a method that takes the tenant and the request."""

    def __init__(self, database: Database, log: EventLog) -> None:
        self._database = database
        self._log = log

    async def set_retention_policy(self, tenant: str, request: SetRetentionPolicyRequest) -> SetRetentionPolicyResponse:
        policy = request.policy
        terms = terms_of(policy)
        if not request.remove_everything:
            await self._check(tenant, terms)
        row = {"tenant": tenant, "name": policy.name, "policy": policy.SerializeToString(deterministic=True)}
        async with self._database.changing(tenant) as connection:
            await connection.execute(STATEMENTS["set_retention_policy"].encode(), row)
        return SetRetentionPolicyResponse()

    async def list_retention_policies(
        self, tenant: str, request: ListRetentionPoliciesRequest
    ) -> ListRetentionPoliciesResponse:
        return ListRetentionPoliciesResponse(policies=[policy for _, policy in await self.policies(tenant)])

    async def delete_retention_policy(
        self, tenant: str, request: DeleteRetentionPolicyRequest
    ) -> DeleteRetentionPolicyResponse:
        validate.text("name", request.name, _NAME_BYTES)
        async with self._database.changing(tenant) as connection:
            parameters = {"tenant": tenant, "name": request.name}
            await connection.execute(STATEMENTS["delete_retention_policy"].encode(), parameters)
        return DeleteRetentionPolicyResponse()

    async def apply_retention_policy(
        self, tenant: str, request: ApplyRetentionPolicyRequest
    ) -> ApplyRetentionPolicyResponse:
        terms = terms_of(request.policy)
        after = _position(request.page_token)
        if not request.dry_run and not request.remove_everything and not after:
            await self._check(tenant, terms)
        response, _ = await self.page(tenant, terms, after, dry_run=request.dry_run)
        if not after:
            ((response.total_threads,),) = await self._rows(tenant, "count_threads_of_tenant")
        return response

    async def policies(self, tenant: str) -> list[tuple[str, RetentionPolicy]]:
        """A tenant's policies, or all with EVERY_TENANT, each with its tenant."""
        rows = await self._rows(tenant, "retention_policies")
        return [(owner, RetentionPolicy.FromString(policy)) for owner, policy in rows]

    async def page(
        self, tenant: str, terms: dict[str, Any], after: str, *, dry_run: bool = False
    ) -> tuple[ApplyRetentionPolicyResponse, str]:
        """Carry out a policy's terms for the next threads, or say what that would be; and the last of them."""
        response = ApplyRetentionPolicyResponse()
        candidates = await self._rows(tenant, "retention_candidates", after=after, size=_PAGE, **terms)
        changed = 0
        for thread_id, idle, may_be_pruned in candidates:
            response.threads += 1
            after = thread_id
            if idle or may_be_pruned:
                changed += 1
                act = self._would_go if dry_run else self._remove
                await act({"tenant": tenant, "thread_id": thread_id, **terms}, response, whole=idle)
            if changed == _MOST_CHANGED:
                break
        if response.threads == _PAGE or changed == _MOST_CHANGED:
            response.next_page_token = urlsafe_b64encode(after.encode()).decode()
        return response, after

    async def _check(self, tenant: str, terms: dict[str, Any]) -> None:
        if terms["delete_idle_after"] is None:
            return
        for (threads,) in await self._rows(tenant, "deletes_every_thread", **terms):
            raise PolicyRemovesEverything(threads)

    async def _would_go(
        self, parameters: dict[str, Any], response: ApplyRetentionPolicyResponse, *, whole: bool
    ) -> None:
        statement = "thread_size" if whole else "would_be_pruned"
        tenant = parameters.pop("tenant")
        ((count, *_, size),) = await self._rows(tenant, statement, **parameters)
        response.removed_threads += whole
        response.removed_checkpoints += count
        response.removed_bytes += size

    async def _remove(self, parameters: dict[str, Any], response: ApplyRetentionPolicyResponse, *, whole: bool) -> None:
        """In a transaction of its own: a writer of this thread waits for it, and of no other."""
        lock, remove, kind = _OF_WHOLE if whole else _OF_CHECKPOINTS
        tenant = parameters["tenant"]
        async with self._database.changing(tenant) as connection, connection.transaction():
            locked = await connection.execute(connection.sql(lock), parameters)
            if not locked.rowcount:  # somebody writes it, or has done so meanwhile
                return
            before = await _size(connection, parameters)
            cursor = await connection.execute(connection.sql(remove), parameters)
            ((changed, count, *todo),) = await cursor.fetchall()
            if todo:
                await citus.carry_out_removal(connection, parameters, todo)
            if changed:
                await self._log.note(connection, tenant, parameters["thread_id"], removal_body(kind, count))
            after = 0 if whole else await _size(connection, parameters)
        self._log.tell()
        response.removed_threads += whole
        response.removed_checkpoints += count
        response.removed_bytes += max(0, before - after)

    async def _rows(self, tenant: str, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        async with self._database.reading(tenant) as cursor:
            await cursor.execute(self._database.sql(statement), {"tenant": tenant, **parameters})
            return await cursor.fetchall()


async def _size(connection: AsyncConnection, parameters: dict[str, Any]) -> int:
    cursor = await connection.execute(STATEMENTS["thread_size"].encode(), parameters)
    ((*_, size),) = await cursor.fetchall()
    return int(size)


def terms_of(policy: RetentionPolicy) -> dict[str, Any]:
    """What the statements need of a policy. Raises InvalidField for one that makes no sense."""
    validate.text("policy.name", policy.name, _NAME_BYTES)
    validate.labels("policy.labels", policy.labels)
    if policy.keep_last > _MOST_KEPT:
        raise InvalidField("policy.keep_last", f"is {policy.keep_last}; give it 1 to {_MOST_KEPT}, or leave it out")
    keep_metadata = validate.json_object("policy.keep_metadata", policy.keep_metadata)
    terms = {
        "labels": Jsonb(dict(policy.labels)),
        "delete_idle_after": _seconds(policy, "delete_idle_after"),
        "keep_last": policy.keep_last or None,
        "max_age": _seconds(policy, "max_age"),
        "keep_metadata": Jsonb(keep_metadata),
    }
    if all(terms[name] is None for name in ("delete_idle_after", "keep_last", "max_age")):
        raise InvalidField("policy", "removes nothing; give it delete_idle_after, keep_last or max_age")
    return terms


def _seconds(policy: RetentionPolicy, field: str) -> float | None:
    if not policy.HasField(field):  # type: ignore[arg-type]
        return None
    given: Duration = getattr(policy, field)
    return validate.seconds(f"policy.{field}", given, _SHORTEST, _LONGEST)


def _position(token: str) -> str:
    try:
        after = urlsafe_b64decode(token).decode()
        validate.text("page_token", after, validate.THREAD_ID_BYTES, 0)
        return after
    except ValueError:
        raise InvalidField("page_token", "is not one that this call gave; start again without one") from None
