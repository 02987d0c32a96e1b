"""Finding, copying, pruning and deleting threads: the service `Threads` of the contract, without the wire."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection

from checkpointd.engine import validate
from checkpointd.engine.changes import Changes
from checkpointd.engine.database import Database
from checkpointd.engine.errors import InvalidField, ThreadExists, ThreadNotFound
from checkpointd.engine.sql import STATEMENTS
from checkpointd.v1.threads_pb2 import (
    CopyThreadRequest,
    CopyThreadResponse,
    DeleteRunsRequest,
    DeleteRunsResponse,
    DeleteThreadRequest,
    DeleteThreadResponse,
    GetThreadRequest,
    GetThreadResponse,
    ListThreadsRequest,
    ListThreadsResponse,
    NamespaceHead,
    PruneStrategy,
    PruneThreadsRequest,
    PruneThreadsResponse,
    Thread,
    ThreadOrder,
)

_DEFAULT_PAGE_SIZE = 100


class Threads:
    """The rpcs of the service, each as a method that takes the tenant and the request."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changes = Changes(database)

    async def get_thread(self, tenant: str, request: GetThreadRequest) -> GetThreadResponse:
        validate.thread_id(request.thread_id)
        rows = await self._rows("get_thread", tenant=tenant, thread_id=request.thread_id)
        if not rows:
            raise ThreadNotFound(request.thread_id)
        created_at, updated_at, seq = rows[0][:3]
        heads = [
            NamespaceHead(checkpoint_ns=row[3], checkpoint_id=row[4], sequence=row[5], checkpoint_count=row[6])
            for row in rows
            if row[3] is not None
        ]
        return GetThreadResponse(thread=_thread(request.thread_id, created_at, updated_at, seq), heads=heads)

    async def list_threads(self, tenant: str, request: ListThreadsRequest) -> ListThreadsResponse:
        validate.text("thread_id_prefix", request.thread_id_prefix, validate.THREAD_ID_BYTES, 0)
        if not 0 <= request.page_size <= validate.MAX_PAGE_SIZE:
            raise InvalidField("page_size", f"is {request.page_size}; give it 0 to {validate.MAX_PAGE_SIZE}")
        if request.order not in ThreadOrder.values():
            raise InvalidField("order", f"is {request.order}, which this server does not know")
        size = request.page_size or _DEFAULT_PAGE_SIZE
        by_update = request.order == ThreadOrder.THREAD_ORDER_UPDATED
        token = _PageToken.read(request)
        rows = await self._rows(
            "list_threads_by_update" if by_update else "list_threads_by_id",
            tenant=tenant,
            prefix=request.thread_id_prefix,
            after_id=token.thread_id,
            after_time=token.updated_at,
            size=size + 1,  # one more than wanted tells whether there is a next page
        )
        threads = [_thread(*row) for row in rows[:size]]
        following = _PageToken(rows[size - 1][0], rows[size - 1][2]).write(request) if len(rows) > size else ""
        return ListThreadsResponse(threads=threads, next_page_token=following)

    async def delete_thread(self, tenant: str, request: DeleteThreadRequest) -> DeleteThreadResponse:
        validate.thread_id(request.thread_id)
        parameters = {"tenant": tenant, "thread_id": request.thread_id}

        async def delete(connection: AsyncConnection) -> DeleteThreadResponse:
            await connection.execute(STATEMENTS["delete_thread"].encode(), parameters)
            return DeleteThreadResponse()

        return await self._changes.make(tenant, request.thread_id, request, DeleteThreadResponse, delete)

    async def copy_thread(self, tenant: str, request: CopyThreadRequest) -> CopyThreadResponse:
        source, target = request.source_thread_id, request.target_thread_id
        validate.thread_id(source, "source_thread_id")
        validate.thread_id(target, "target_thread_id")
        if source == target:
            raise InvalidField("target_thread_id", "is the source's own id; give the copy another one")
        parameters = {"tenant": tenant, "source": source, "target": target}

        async def copy(connection: AsyncConnection) -> CopyThreadResponse:
            cursor = await connection.execute(STATEMENTS["copy_thread"].encode(), parameters)
            source_exists, target_has_own = await cursor.fetchone() or (False, False)
            if not source_exists:
                raise ThreadNotFound(source)
            if target_has_own:
                raise ThreadExists(source, target)
            return CopyThreadResponse()

        return await self._changes.make(tenant, target, request, CopyThreadResponse, copy)

    async def prune_threads(self, tenant: str, request: PruneThreadsRequest) -> PruneThreadsResponse:
        thread_ids = validate.items("thread_ids", request.thread_ids, validate.THREAD_ID_BYTES)
        validate.request_id(request.request_id)
        match request.strategy:
            case PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST:
                statement = "prune_thread"
            case PruneStrategy.PRUNE_STRATEGY_DELETE:
                statement = "delete_thread"
            case _:
                raise InvalidField("strategy", "is none that this server knows; choose KEEP_LATEST or DELETE")
        return PruneThreadsResponse(
            removed_checkpoints=sum(
                [await self._remove(statement, tenant, one, request) for one in dict.fromkeys(thread_ids)]
            )
        )

    async def delete_runs(self, tenant: str, request: DeleteRunsRequest) -> DeleteRunsResponse:
        run_ids = validate.items("run_ids", request.run_ids, validate.RUN_ID_BYTES)
        validate.request_id(request.request_id)
        removed = 0
        for (thread_id,) in await self._rows("threads_of_runs", tenant=tenant, run_ids=run_ids):
            removed += await self._remove("delete_runs_of_thread", tenant, thread_id, request, run_ids=run_ids)
        return DeleteRunsResponse(removed_checkpoints=removed)

    async def _rows(self, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        async with self._database.reading(str(parameters["tenant"])) as cursor:
            await cursor.execute(STATEMENTS[statement].encode(), parameters)
            return await cursor.fetchall()

    async def _remove(
        self,
        statement: str,
        tenant: str,
        thread_id: str,
        request: PruneThreadsRequest | DeleteRunsRequest,
        **more: object,
    ) -> int:
        """Remove something of one thread beside its writers: they wait for the transaction, and it sees all they have
        committed. Returns how many checkpoints left the lists."""
        parameters = {"tenant": tenant, "thread_id": thread_id, **more}

        async def remove(connection: AsyncConnection) -> PruneThreadsResponse:
            cursor = await connection.execute(STATEMENTS[statement].encode(), parameters)
            row = await cursor.fetchone()
            assert row is not None
            await connection.execute(STATEMENTS["forget_unwritten"].encode(), parameters)
            return PruneThreadsResponse(removed_checkpoints=row[0])

        answer = await self._changes.make(tenant, thread_id, request, PruneThreadsResponse, remove)
        return answer.removed_checkpoints


def _thread(thread_id: str, created_at: datetime, updated_at: datetime, seq: int) -> Thread:
    thread = Thread(thread_id=thread_id, sequence=seq)
    thread.created_at.FromDatetime(created_at)
    thread.updated_at.FromDatetime(updated_at)
    return thread


class _PageToken:
    """Where the next page begins: after a thread, in the order and with the prefix of the call that gave the token."""

    def __init__(self, thread_id: str, updated_at: datetime) -> None:
        self.thread_id = thread_id
        self.updated_at = updated_at

    @classmethod
    def read(cls, request: ListThreadsRequest) -> "_PageToken":
        """The token of a request; the beginning when it has none."""
        if not request.page_token:
            return cls("", datetime.min.replace(tzinfo=UTC))
        try:
            order, prefix, time, thread_id = urlsafe_b64decode(request.page_token).decode().split("\0")
            if (order, prefix) != (_order(request), request.thread_id_prefix):
                raise ValueError("of another list")
            return cls(thread_id, datetime.fromisoformat(time))
        except ValueError:
            raise InvalidField(
                "page_token", "is not one that a call with this order and prefix gave; start again without one"
            ) from None

    def write(self, request: ListThreadsRequest) -> str:
        parts = (_order(request), request.thread_id_prefix, self.updated_at.isoformat(), self.thread_id)
        return urlsafe_b64encode("\0".join(parts).encode()).decode()


def _order(request: ListThreadsRequest) -> str:
    return str(request.order or ThreadOrder.THREAD_ORDER_THREAD_ID)
