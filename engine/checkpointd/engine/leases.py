"""Leases: the service `Leases` of the contract, without the wire."""

import asyncio
import time
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

from google.protobuf.duration_pb2 import Duration

from checkpointd.engine import validate
from checkpointd.engine.database import Database
from checkpointd.engine.errors import InvalidField, LeaseHeld, LeaseLost, ServerStopping
from checkpointd.engine.event_bodies import body
from checkpointd.engine.event_log import EventLog
from checkpointd.engine.sql import STATEMENTS
from checkpointd.v1.leases_pb2 import (
    AcquireLeaseRequest,
    AcquireLeaseResponse,
    Lease,
    ReleaseLeaseRequest,
    ReleaseLeaseResponse,
    RenewLeaseRequest,
    RenewLeaseResponse,
)
from checkpointd.v1.watch_pb2 import WatchEvent, WatchEventKind

_LONGEST = 3600.0  # seconds

# Seconds between looks at a lease that somebody else holds: the first pause, and what they grow to. What is given back
# through this server is known at once; through another one it is seen at the next look.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0

_Key = tuple[str, str]  # tenant, thread_id


class Leases:
    """The rpcs of the service, each as a method that takes the tenant and the request."""

    def __init__(self, database: Database, log: EventLog) -> None:
        self._database = database
        self._log = log
        self._stopping = False
        # What wakes those who wait for a lease; there is one for as long as somebody does.
        self._bells: WeakValueDictionary[_Key, asyncio.Event] = WeakValueDictionary()

    def stop_waiting(self) -> None:
        """Let no call wait any longer for a lease: those that do end with ServerStopping."""
        self._stopping = True
        for bell in list(self._bells.values()):
            bell.set()

    async def acquire_lease(self, tenant: str, request: AcquireLeaseRequest) -> AcquireLeaseResponse:
        parameters = _parameters(tenant, request.thread_id, request.holder)
        parameters["ttl"] = _ttl(request.ttl)
        parameters["body"] = _body(WatchEventKind.WATCH_EVENT_KIND_LEASE_TAKEN, request.holder)
        wait = validate.seconds("wait", request.wait, 0.0, _LONGEST) if request.HasField("wait") else 0.0
        end = time.monotonic() + wait
        pause = _FIRST_PAUSE
        while True:
            _end_if_cancelled()
            if row := await self._acquire(tenant, parameters):
                return AcquireLeaseResponse(lease=_lease(row))
            # While it is held it is only looked at: each try makes the holder's commits wait for a moment.
            while (held := await self._row("read_lease", parameters)) is not None:
                _, holder, _, remaining = held
                left = end - time.monotonic()
                if left <= 0:
                    raise LeaseHeld(request.thread_id, holder, remaining)
                await self._pause((tenant, request.thread_id), min(pause, remaining, left))
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def renew_lease(self, tenant: str, request: RenewLeaseRequest) -> RenewLeaseResponse:
        parameters = _parameters(tenant, request.thread_id, request.holder)
        parameters |= {"token": _token(request.fencing_token), "ttl": _ttl(request.ttl)}
        async with self._database.leasing(tenant) as connection:
            cursor = await connection.execute(connection.sql("renew_lease"), parameters, prepare=True)
            if row := await cursor.fetchone():
                return RenewLeaseResponse(lease=_lease(row))
        held = await self._row("read_lease", parameters)
        raise LeaseLost(request.thread_id, request.fencing_token, held[1] if held else None)

    async def release_lease(self, tenant: str, request: ReleaseLeaseRequest) -> ReleaseLeaseResponse:
        parameters = _parameters(tenant, request.thread_id, request.holder)
        parameters["token"] = _token(request.fencing_token)
        statement = "release_lease_noted" if self._log.on else "release_lease"
        parameters["body"] = _body(WatchEventKind.WATCH_EVENT_KIND_LEASE_ENDED, request.holder)
        async with self._database.leasing(tenant) as connection:
            await connection.execute(STATEMENTS[statement].encode(), parameters, prepare=True)
        self._log.tell()
        if (bell := self._bells.pop((tenant, request.thread_id), None)) is not None:
            bell.set()
        held = await self._row("read_lease", parameters)
        if held is not None and held[0] == request.fencing_token:
            raise LeaseHeld(request.thread_id, held[1], held[3])
        return ReleaseLeaseResponse()

    async def _pause(self, key: _Key, seconds: float) -> None:
        bell = self._bells.setdefault(key, asyncio.Event())
        with suppress(TimeoutError):
            await asyncio.wait_for(bell.wait(), seconds)
        if self._stopping:
            raise ServerStopping

    async def _acquire(self, tenant: str, parameters: dict[str, Any]) -> Any:
        # Not in a pipeline: a caller who leaves in the middle of one would leave its connection in a state of its own.
        async with self._database.leasing(tenant) as connection, connection.transaction():
            cursor = await connection.execute(STATEMENTS["lock_lease"].encode(), parameters, prepare=True)
            ((before,),) = await cursor.fetchall()
            if self._database.on_citus:  # where the statement that takes the lease can't draw its token
                cursor = await connection.execute(STATEMENTS["draw_token"].encode(), prepare=True)
                ((parameters["drawn"], parameters["now"]),) = await cursor.fetchall()
            cursor = await connection.execute(connection.sql("acquire_lease"), parameters, prepare=True)
            taken = await cursor.fetchone()
            if taken is not None and taken[0] != before:
                await self._log.note(connection, tenant, parameters["thread_id"], parameters["body"])
        if taken is not None:
            self._log.tell()
        return taken

    async def _row(self, statement: str, parameters: dict[str, Any]) -> Any:
        async with self._database.reading(parameters["tenant"]) as cursor:
            await cursor.execute(STATEMENTS[statement].encode(), parameters, prepare=True)
            return await cursor.fetchone()


def _end_if_cancelled() -> None:
    """A caller who has left must not take the lease later. The cancellation can be lost on its way, when it comes with
    the result of a wait (asyncio.wait_for before Python 3.12)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _parameters(tenant: str, thread_id: str, holder: str) -> dict[str, Any]:
    validate.thread_id(thread_id)
    validate.text("holder", holder, validate.THREAD_ID_BYTES)
    return {"tenant": tenant, "thread_id": thread_id, "holder": holder}


def _ttl(duration: Duration) -> float:
    return validate.seconds("ttl", duration, 1.0, _LONGEST)


def _token(token: int) -> int:
    if not 1 <= token <= validate.MAX_TOKEN:
        raise InvalidField("fencing_token", f"is {token}, which no lease has; give that of AcquireLease")
    return token


def _body(kind: WatchEventKind.ValueType, holder: str) -> bytes:
    """What is noted of a lease."""
    return body(WatchEvent(kind=kind, holder=holder))


def _lease(row: Any) -> Lease:
    token, holder, expires_at, remaining = row
    lease = Lease(fencing_token=token, holder=holder)
    lease.expires_at.FromDatetime(expires_at)
    lease.remaining.FromNanoseconds(round(remaining * 1e9))
    return lease
