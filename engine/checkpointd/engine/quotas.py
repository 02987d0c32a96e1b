"""What tenants may use: the service `Limits` of the contract, and the checks of what it says.

Every server knows all quotas, and looks at them again every few seconds. Who has none costs a look into a dictionary.
"""

import asyncio
import logging
import time
from datetime import datetime
from typing import Any, NamedTuple

from google.protobuf.message import Message

from checkpointd.engine import validate
from checkpointd.engine.database import Database
from checkpointd.engine.errors import EngineError, InvalidField, QuotaExceeded
from checkpointd.engine.row_security import EVERY_TENANT
from checkpointd.engine.sql import STATEMENTS
from checkpointd.engine.usage import UsageCount
from checkpointd.v1.limits_pb2 import (
    GetQuotaRequest,
    GetQuotaResponse,
    ListQuotasRequest,
    ListQuotasResponse,
    Quota,
    SetQuotaRequest,
    SetQuotaResponse,
    TenantQuota,
    Usage,
)

_log = logging.getLogger(__name__)

# Seconds between two looks at the quotas. The contract promises five.
_INTERVAL = 2.0

_DEFAULT_PAGE_SIZE = 100

_MOST = {"max_threads": 10**15, "max_bytes": 10**18, "max_ops_per_second": 10**9}

# The rpcs that store something, each with the field that names the thread, if it may make one.
STORING = {
    "PutCheckpoint": "thread_id",
    "PutWrites": "thread_id",
    "Commit": "thread_id",
    "UpdateState": "thread_id",
    "CopyThread": "target_thread_id",
    "RegisterGraph": "",
}


class _Row(NamedTuple):
    """A row of quotas.sql."""

    tenant: str
    max_threads: int | None
    max_bytes: int | None
    max_ops_per_second: int | None
    threads: int
    bytes: int
    counted_at: datetime | None

    def quota(self) -> Quota:
        return Quota(max_threads=self.max_threads, max_bytes=self.max_bytes, max_ops_per_second=self.max_ops_per_second)

    def usage(self) -> Usage | None:
        if self.counted_at is None:
            return None
        usage = Usage(threads=self.threads, bytes=self.bytes)
        usage.counted_at.FromDatetime(self.counted_at)
        return usage


class _Bucket:
    """A token bucket: so many operations a second, and those of one second that were left unused."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._tokens = float(rate)
        self._at = time.monotonic()

    def take(self, tenant: str) -> None:
        """Take one. Raises QuotaExceeded when there is none."""
        now = time.monotonic()
        self._tokens = min(self._tokens + (now - self._at) * self.rate, self.rate)
        self._at = now
        if self._tokens < 1:
            delay = (1 - self._tokens) / self.rate if self.rate else None
            raise QuotaExceeded(tenant, "ops_per_second", self.rate, delay)
        self._tokens -= 1


class Quotas:
    """The rpcs of the service, each as a method that takes the tenant and the request, and the checks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: dict[str, _Row] = {}
        self._buckets: dict[str, _Bucket] = {}
        self._usage = UsageCount(database)

    @property
    def any(self) -> bool:
        """Whether any tenant has one."""
        return bool(self._rows)

    def has(self, tenant: str) -> bool:
        """Whether `admit` has to be asked for a tenant's requests."""
        return tenant in self._rows

    async def admit(self, tenant: str, rpc: str, request: Message) -> None:
        """Count a request as an operation of its tenant.

        Raises:
            QuotaExceeded: the tenant uses all that it may.
        """
        row = self._rows.get(tenant)
        if row is None:
            return
        if (bucket := self._buckets.get(tenant)) is not None:
            bucket.take(tenant)
        if (field := STORING.get(rpc)) is None:
            return
        if row.max_bytes is not None and row.bytes >= row.max_bytes:
            raise QuotaExceeded(tenant, "bytes", row.max_bytes)
        if field and row.max_threads is not None and row.threads >= row.max_threads:
            # Threads that are there go on. Looked up for those only who are at their quota.
            (found,) = await self._read("thread_exists", tenant=tenant, thread_id=getattr(request, field))
            if not found[0]:
                raise QuotaExceeded(tenant, "threads", row.max_threads)

    async def set_quota(self, tenant: str, request: SetQuotaRequest) -> SetQuotaResponse:
        quota = request.quota
        values = {name: getattr(quota, name) if quota.HasField(name) else None for name in _MOST}  # type: ignore[arg-type]
        for name, value in values.items():
            if value is not None and not 0 <= value <= _MOST[name]:
                raise InvalidField(f"quota.{name}", f"is {value}; give it 0 to {_MOST[name]}, or leave it out")
        is_set = any(value is not None for value in values.values())
        async with self._database.changing(tenant) as connection:
            statement = STATEMENTS["set_quota" if is_set else "remove_quota"]
            await connection.execute(statement.encode(), {"tenant": tenant, **values})
        await self.refresh()
        return SetQuotaResponse()

    async def get_quota(self, tenant: str, request: GetQuotaRequest) -> GetQuotaResponse:
        response = GetQuotaResponse(quota=Quota())
        for row in map(_Row._make, await self._read("quota_of", tenant=tenant)):
            response = GetQuotaResponse(quota=row.quota(), usage=row.usage())
        return response

    async def list_quotas(self, request: ListQuotasRequest) -> ListQuotasResponse:
        if not 0 <= request.page_size <= validate.MAX_PAGE_SIZE:
            raise InvalidField("page_size", f"is {request.page_size}; give it 0 to {validate.MAX_PAGE_SIZE}")
        if request.page_token and not validate.is_tenant(request.page_token):
            raise InvalidField("page_token", "is not one that this call gave; start again without one")
        size = request.page_size or _DEFAULT_PAGE_SIZE
        # One more than wanted tells whether there is a next page.
        rows = [_Row(*row) for row in await self._read("quotas_after", tenant=request.page_token, size=size + 1)]
        found = [TenantQuota(tenant=row.tenant, quota=row.quota(), usage=row.usage()) for row in rows[:size]]
        return ListQuotasResponse(quotas=found, next_page_token=found[-1].tenant if len(rows) > size else "")

    async def run(self) -> None:
        """Keep what is known fresh, and count what tenants use, for ever."""
        while True:
            await asyncio.sleep(_INTERVAL)
            try:
                await self.refresh()
                if self._rows:
                    await self._usage.count()
            except EngineError as error:
                _log.warning("quotas stay as they were: %s", error)
            except Exception:
                _log.exception("quotas stay as they were")

    async def refresh(self) -> None:
        """Look at the quotas, and at what was counted."""
        rows: dict[str, _Row] = {}
        last = ""
        while found := await self._read("quotas_after", tenant=last, size=validate.MAX_PAGE_SIZE):
            rows.update((row[0], _Row(*row)) for row in found)
            last = found[-1][0]
        buckets = {}
        for tenant, row in rows.items():
            if (rate := row.max_ops_per_second) is not None:
                before = self._buckets.get(tenant)
                buckets[tenant] = before if before is not None and before.rate == rate else _Bucket(rate)
        self._rows, self._buckets = rows, buckets

    async def _read(self, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        async with self._database.reading(EVERY_TENANT) as cursor:
            await cursor.execute(STATEMENTS[statement].encode(), parameters)
            return await cursor.fetchall()
