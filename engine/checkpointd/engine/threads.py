"""Finding, copying, pruning and deleting threads: the service `Threads` of the contract, without the wire."""

from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from checkpointd.engine import citus, thread_search, validate
from checkpointd.engine.changes import Changes
from checkpointd.engine.database import Database
from checkpointd.engine.errors import InvalidField, ThreadExists, ThreadNotFound
from checkpointd.engine.event_bodies import body, removal_body
from checkpointd.engine.event_log import EventLog
from checkpointd.engine.prepared import ServingConnection
from checkpointd.engine.sql import STATEMENTS
from checkpointd.engine.thread_search import PageToken
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
    ThreadSize,
    UpdateThreadRequest,
    UpdateThreadResponse,
)
from checkpointd.v1.watch_pb2 import WatchEvent, WatchEventKind

_DEFAULT_PAGE_SIZE = 100

# How many columns tell of a thread (thread_as_told).
_TOLD = 7

# The statements that remove something of a thread: what they are to those who watch.
_REMOVALS = {
    "prune_thread": WatchEventKind.WATCH_EVENT_KIND_THREAD_PRUNED,
    "delete_runs_of_thread": WatchEventKind.WATCH_EVENT_KIND_RUNS_DELETED,
    "delete_thread": WatchEventKind.WATCH_EVENT_KIND_THREAD_DELETED,
}


class Threads:
    """The rpcs of the service, each as a method that takes the tenant and the request."""

    def __init__(self, database: Database, log: EventLog) -> None:
        self._database = database
        self._log = log
        self._changes = Changes(database, log)

    async def get_thread(self, tenant: str, request: GetThreadRequest) -> GetThreadResponse:
        validate.thread_id(request.thread_id)
        named = {"tenant": tenant, "thread_id": request.thread_id}
        rows = await self._rows("get_thread", **named)
        if not rows:
            raise ThreadNotFound(request.thread_id)
        told, namespaces = rows[0][:_TOLD], [row[_TOLD:] for row in rows]
        response = GetThreadResponse(
            thread=_thread(*told),
            heads=[
                NamespaceHead(checkpoint_ns=name, checkpoint_id=head, sequence=seq, checkpoint_count=count)
                for name, head, seq, count in namespaces
                if name is not None
            ],
        )
        if request.with_size:
            ((checkpoints, writes, values, size),) = await self._rows("thread_size", **named)
            response.size.CopyFrom(ThreadSize(checkpoints=checkpoints, writes=writes, values=values, bytes=size))
        return response

    async def list_threads(self, tenant: str, request: ListThreadsRequest) -> ListThreadsResponse:
        if not 0 <= request.page_size <= validate.MAX_PAGE_SIZE:
            raise InvalidField("page_size", f"is {request.page_size}; give it 0 to {validate.MAX_PAGE_SIZE}")
        if request.order not in ThreadOrder.values():
            raise InvalidField("order", f"is {request.order}, which this server does not know")
        size = request.page_size or _DEFAULT_PAGE_SIZE
        statement, wanted = thread_search.search(request)
        token = PageToken.read(request)
        rows = await self._rows(
            statement,
            tenant=tenant,
            after_id=token.thread_id,
            after_time=token.updated_at,
            size=size + 1,  # one more than wanted tells whether there is a next page
            **wanted,
        )
        threads = [_thread(*row) for row in rows[:size]]
        following = PageToken(rows[size - 1][0], rows[size - 1][2]).write(request) if len(rows) > size else ""
        return ListThreadsResponse(threads=threads, next_page_token=following)

    async def update_thread(self, tenant: str, request: UpdateThreadRequest) -> UpdateThreadResponse:
        validate.thread_id(request.thread_id)
        validate.labels("set_labels", request.set_labels)
        removed = validate.items("remove_labels", request.remove_labels, validate.LABEL_KEY_BYTES)
        validate.text("owner", request.owner, validate.OWNER_BYTES, 0)
        parameters = {
            "tenant": tenant,
            "thread_id": request.thread_id,
            "owner": request.owner if request.HasField("owner") else None,
            "set_labels": Jsonb(dict(request.set_labels)),
            "remove_labels": [key for key in removed if key not in request.set_labels],
        }
        async with self._database.changing(tenant) as connection, connection.transaction():
            changed = await connection.execute(STATEMENTS["update_thread"].encode(), parameters)
            if not changed.rowcount:
                raise ThreadNotFound(request.thread_id)
            cursor = await connection.execute(STATEMENTS["count_labels"].encode(), parameters)
            ((count,),) = await cursor.fetchall()
            if count > validate.MAX_LABELS:
                problem = f"would make {count} labels; a thread has at most {validate.MAX_LABELS}, so remove some"
                raise InvalidField("set_labels", problem)
            cursor = await connection.execute(STATEMENTS["one_thread"].encode(), parameters)
            ((*told,),) = await cursor.fetchall()
            event = WatchEvent(kind=WatchEventKind.WATCH_EVENT_KIND_THREAD_UPDATED)
            await self._log.note(connection, tenant, request.thread_id, body(event))
        self._log.tell()
        return UpdateThreadResponse(thread=_thread(*told))

    async def delete_thread(self, tenant: str, request: DeleteThreadRequest) -> DeleteThreadResponse:
        validate.thread_id(request.thread_id)
        parameters = {"tenant": tenant, "thread_id": request.thread_id}

        async def delete(connection: ServingConnection) -> DeleteThreadResponse:
            cursor = await connection.execute(STATEMENTS["delete_thread"].encode(), parameters)
            existed, removed = await cursor.fetchone() or (False, 0)
            if existed:
                event = removal_body(_REMOVALS["delete_thread"], removed)
                await self._log.note(connection, tenant, request.thread_id, event)
            return DeleteThreadResponse()

        return await self._changes.make(tenant, request.thread_id, request, DeleteThreadResponse, delete)

    async def copy_thread(self, tenant: str, request: CopyThreadRequest) -> CopyThreadResponse:
        source, target = request.source_thread_id, request.target_thread_id
        validate.thread_id(source, "source_thread_id")
        validate.thread_id(target, "target_thread_id")
        if source == target:
            raise InvalidField("target_thread_id", "is the source's own id; give the copy another one")
        parameters = {"tenant": tenant, "source": source, "target": target}

        async def copy(connection: ServingConnection) -> CopyThreadResponse:
            if self._database.on_citus:
                source_exists, target_has_own = await citus.copy_thread(connection, parameters)
            else:
                cursor = await connection.execute(STATEMENTS["copy_thread"].encode(), parameters)
                source_exists, target_has_own = await cursor.fetchone() or (False, False)
            if not source_exists:
                raise ThreadNotFound(source)
            if target_has_own:
                raise ThreadExists(source, target)
            event = WatchEvent(kind=WatchEventKind.WATCH_EVENT_KIND_THREAD_COPIED, source_thread_id=source)
            await self._log.note(connection, tenant, target, body(event))
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
            await cursor.execute(self._database.sql(statement), parameters)
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

        async def remove(connection: ServingConnection) -> PruneThreadsResponse:
            cursor = await connection.execute(connection.sql(statement), parameters)
            changed, removed, *todo = await cursor.fetchone() or (False, 0)
            if todo:
                await citus.carry_out_removal(connection, parameters, todo)
            await connection.execute(STATEMENTS["forget_unwritten"].encode(), parameters)
            if changed:
                await self._log.note(connection, tenant, thread_id, removal_body(_REMOVALS[statement], removed))
            return PruneThreadsResponse(removed_checkpoints=removed)

        answer = await self._changes.make(tenant, thread_id, request, PruneThreadsResponse, remove)
        return answer.removed_checkpoints


def _thread(
    thread_id: str,
    created_at: datetime,
    updated_at: datetime,
    seq: int,
    owner: str | None,
    labels: dict[str, str] | None,
    status: int,
) -> Thread:
    """The message for a row of thread_as_told."""
    thread = Thread(thread_id=thread_id, sequence=seq, owner=owner or "", labels=labels or {})
    thread.created_at.FromDatetime(created_at)
    thread.updated_at.FromDatetime(updated_at)
    thread.status = status  # type: ignore[assignment]  # the statement tells the contract's numbers
    return thread
