"""Putting, getting and listing checkpoints: the service `Checkpoints` of the contract, without the wire."""

from collections.abc import AsyncIterator, Sequence

from checkpointd.engine import validate
from checkpointd.engine.batch import Op, prepare
from checkpointd.engine.committer import Committer
from checkpointd.engine.database import Database
from checkpointd.engine.errors import CheckpointNotFound, InvalidField
from checkpointd.engine.sql import STATEMENTS
from checkpointd.engine.tuples import channel_histories, checkpoint_tuples
from checkpointd.v1.checkpoints_pb2 import (
    CheckpointView,
    CommitRequest,
    CommitResponse,
    GetChannelHistoryRequest,
    GetChannelHistoryResponse,
    GetCheckpointRequest,
    GetCheckpointResponse,
    ListCheckpointsRequest,
    ListCheckpointsResponse,
    PutCheckpointRequest,
    PutCheckpointResponse,
    PutWritesRequest,
    PutWritesResponse,
)
from checkpointd.v1.core_pb2 import CheckpointTuple

# Pages of a list: the first is small, so that the first checkpoint comes at once; later ones aim at this many bytes.
_FIRST_PAGE = 4
_MAX_PAGE = 512
_PAGE_BYTES = 4 << 20

_MAX_SEQUENCE = 2**63 - 1


class Checkpoints:
    """The rpcs of the service, each as a method that takes the tenant and the request. Requests are consumed."""

    def __init__(self, database: Database, committer: Committer) -> None:
        self._database = database
        self._committer = committer

    async def put_checkpoint(self, tenant: str, request: PutCheckpointRequest) -> PutCheckpointResponse:
        (sequence,) = await self._commit(tenant, request.thread_id, [request.put])
        return PutCheckpointResponse(sequence=sequence)

    async def put_writes(self, tenant: str, request: PutWritesRequest) -> PutWritesResponse:
        await self._commit(tenant, request.thread_id, [request.put])
        return PutWritesResponse()

    async def commit(self, tenant: str, request: CommitRequest) -> CommitResponse:
        ops: list[Op] = []
        if not 1 <= len(request.ops) <= validate.MAX_ITEMS:
            raise InvalidField("ops", f"has {len(request.ops)} entries; give it 1 to {validate.MAX_ITEMS}")
        for number, op in enumerate(request.ops):
            match op.WhichOneof("op"):
                case "put_checkpoint":
                    ops.append(op.put_checkpoint)
                case "put_writes":
                    ops.append(op.put_writes)
                case _:
                    raise InvalidField(f"ops[{number}]", "is empty or of a kind that this server does not know")
        return CommitResponse(checkpoint_sequences=await self._commit(tenant, request.thread_id, ops))

    async def _commit(self, tenant: str, thread_id: str, ops: Sequence[Op]) -> list[int]:
        commit = prepare(tenant, thread_id, ops)
        if not commit.checkpoints and not commit.writes:
            return []
        return await self._committer.commit(commit)

    async def get_checkpoint(self, tenant: str, request: GetCheckpointRequest) -> GetCheckpointResponse:
        validate.checkpoint_key(request.thread_id, request.checkpoint_ns, request.checkpoint_id)
        found = await self._read("get_by_id" if request.checkpoint_id else "get_head", _key(tenant, request))
        if not found:
            raise CheckpointNotFound(request.thread_id, request.checkpoint_ns, request.checkpoint_id)
        return GetCheckpointResponse(checkpoint_tuple=found[0])

    async def list_checkpoints(
        self, tenant: str, request: ListCheckpointsRequest
    ) -> AsyncIterator[ListCheckpointsResponse]:
        for field, max_bytes in (
            ("thread_id", validate.THREAD_ID_BYTES),
            ("checkpoint_ns", validate.NAMESPACE_BYTES),
            ("checkpoint_id", validate.CHECKPOINT_ID_BYTES),
            ("before_checkpoint_id", validate.CHECKPOINT_ID_BYTES),
        ):
            validate.text(field, getattr(request, field), max_bytes, 0)
        validate.json_object("metadata_filter", request.metadata_filter)
        if request.limit < 0:
            raise InvalidField("limit", f"is {request.limit}; give it 0 or more, or leave it out for all")
        if request.view not in CheckpointView.values():
            raise InvalidField("view", f"is {request.view}, which this server does not know")
        scope = "thread" if request.thread_id else "tenant"
        parameters: dict[str, object] = {
            "tenant": tenant,
            "thread_id": request.thread_id,
            "checkpoint_id": request.checkpoint_id,
            "before": request.before_checkpoint_id,
            "filter": request.metadata_filter or "{}",
        }
        if request.HasField("checkpoint_ns"):
            if scope == "tenant":
                raise InvalidField("checkpoint_ns", "needs a thread_id beside it")
            scope = "namespace"
            parameters["checkpoint_ns"] = request.checkpoint_ns
        depth = "metadata" if request.view == CheckpointView.CHECKPOINT_VIEW_METADATA else "full"
        left = request.limit if request.HasField("limit") else _MAX_SEQUENCE
        async for found in self._pages(f"list_{scope}_{depth}", parameters, left):
            yield ListCheckpointsResponse(checkpoint_tuple=found)

    async def _pages(self, statement: str, parameters: dict[str, object], left: int) -> AsyncIterator[CheckpointTuple]:
        """Read a list in pages that each begin below the last checkpoint of the one before. No connection is held while
        the consumer takes its time."""
        size = _FIRST_PAGE
        parameters |= {"below": _MAX_SEQUENCE, "continued": False, "last_id": "", "last_thread": "", "last_ns": ""}
        while left > 0:
            parameters["size"] = asked = min(size, left)
            page = await self._read(statement, parameters)
            bytes_read = 0
            for found in page:
                bytes_read += found.ByteSize()
                yield found
            if len(page) < asked:
                return
            left -= asked
            last = page[-1]
            parameters |= {
                "below": last.sequence,
                "continued": True,
                "last_id": last.checkpoint.id,
                "last_thread": last.thread_id,
                "last_ns": last.checkpoint_ns,
            }
            size = max(1, min(_MAX_PAGE, size * 4, asked * _PAGE_BYTES // max(bytes_read, 1)))

    async def get_channel_history(self, tenant: str, request: GetChannelHistoryRequest) -> GetChannelHistoryResponse:
        validate.checkpoint_key(request.thread_id, request.checkpoint_ns, request.checkpoint_id)
        channels = validate.items("channels", request.channels, validate.CHANNEL_BYTES)
        statement = "history_by_id" if request.checkpoint_id else "history_of_head"
        async with self._database.reading() as cursor:
            await cursor.execute(
                STATEMENTS[statement].encode(), {**_key(tenant, request), "channels": channels}, prepare=True
            )
            histories = channel_histories(await cursor.fetchall(), channels)
        if histories is None:
            raise CheckpointNotFound(request.thread_id, request.checkpoint_ns, request.checkpoint_id)
        return GetChannelHistoryResponse(histories=histories)

    async def _read(self, statement: str, parameters: dict[str, object]) -> list[CheckpointTuple]:
        async with self._database.reading() as cursor:
            await cursor.execute(STATEMENTS[statement].encode(), parameters, prepare=True)
            rows = await cursor.fetchall()
        return checkpoint_tuples(rows)


def _key(tenant: str, request: GetCheckpointRequest | GetChannelHistoryRequest) -> dict[str, object]:
    return {
        "tenant": tenant,
        "thread_id": request.thread_id,
        "checkpoint_ns": request.checkpoint_ns,
        "checkpoint_id": request.checkpoint_id,
    }
