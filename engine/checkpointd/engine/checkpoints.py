"""Putting, getting and listing checkpoints: the service `Checkpoints` of the contract, without the wire."""

import asyncio
import logging
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from checkpointd.engine import validate, values
from checkpointd.engine.batch import Commit, Op, prepare
from checkpointd.engine.committer import Committer, Stored
from checkpointd.engine.database import Database
from checkpointd.engine.errors import BaseGone, CheckpointNotFound, InvalidField, ValueDamaged
from checkpointd.engine.graph_at import checkpoint_key
from checkpointd.engine.reads import MAX_SEQUENCE, Reads
from checkpointd.engine.stored_values import MOST_BYTES
from checkpointd.engine.tally import CacheTally
from checkpointd.engine.tuples import Known
from checkpointd.v1.checkpoints_pb2 import (
    CheckpointPut,
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

_log = logging.getLogger(__name__)

Response = TypeVar("Response")

_Write = PutCheckpointRequest | PutWritesRequest | CommitRequest


class Checkpoints:
    """The rpcs of the service, each as a method that takes the tenant and the request. Requests are consumed.

    Those that write return their answer as a future: there is a commit for each, and a task for each would cost as much
    as what it does.
    """

    def __init__(self, database: Database, committer: Committer, value_cache: int) -> None:
        self._reads = Reads(database, on_citus=database.on_citus)
        self._committer = committer
        self._memory = values.Memory(value_cache)
        self.cache: CacheTally = self._memory.tally

    def put_checkpoint(self, tenant: str, request: PutCheckpointRequest) -> Future[PutCheckpointResponse]:
        return self._commit(
            tenant,
            request,
            [request.put],
            lambda sequences: PutCheckpointResponse(sequence=sequences[0], takes_changes=True),
        )

    def put_writes(self, tenant: str, request: PutWritesRequest) -> Future[PutWritesResponse]:
        return self._commit(tenant, request, [request.put], lambda _: PutWritesResponse())

    def commit(self, tenant: str, request: CommitRequest) -> Future[CommitResponse]:
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
        return self._commit(tenant, request, ops, lambda sequences: CommitResponse(checkpoint_sequences=sequences))

    def _commit(
        self, tenant: str, request: _Write, ops: Sequence[Op], respond: Callable[[list[int]], Response]
    ) -> Future[Response]:
        """Store ops, and respond with the sequences of their checkpoints. Raises what can be refused at once."""
        changed = [op for op in ops if isinstance(op, CheckpointPut) and op.channel_changes]
        if changed:
            return asyncio.ensure_future(self._commit_changed(tenant, request, ops, changed, respond))
        commit, planned = self._plan(tenant, request, ops)
        if commit.epoch is not None:
            return asyncio.ensure_future(self._commit_linked(commit, planned, respond))
        return self._store(commit, planned, respond)

    async def _commit_changed(
        self,
        tenant: str,
        request: _Write,
        ops: Sequence[Op],
        changed: Sequence[CheckpointPut],
        respond: Callable[[list[int]], Response],
    ) -> Response:
        """Store ops with values that are said by their changes."""
        await self._make_whole(tenant, request.thread_id, changed)
        commit, planned = self._plan(tenant, request, ops)
        return await self._commit_linked(commit, planned, respond)

    async def _commit_linked(
        self, commit: Commit, planned: values.Planned, respond: Callable[[list[int]], Response]
    ) -> Response:
        """Store values as changes, or whole where their bases may be gone."""
        try:
            return await self._store(commit, planned, respond)
        except BaseGone:
            self._memory.forget_thread(commit.tenant, commit.thread_id)
            return await self._store(commit, values.store_whole(commit), respond)

    def _plan(self, tenant: str, request: _Write, ops: Sequence[Op]) -> tuple[Commit, values.Planned]:
        precondition = request.precondition if request.HasField("precondition") else None
        commit = prepare(tenant, request.thread_id, ops, precondition, noted=self._committer.log.on)
        return commit, values.plan(self._memory, commit)

    def _store(
        self, commit: Commit, planned: values.Planned, respond: Callable[[list[int]], Response]
    ) -> Future[Response]:
        if commit.ops == 0 and commit.condition is None:
            nothing: Future[Response] = asyncio.get_running_loop().create_future()
            nothing.set_result(respond([]))
            return nothing

        def read(stored: Stored) -> Response:
            values.remember(self._memory, commit, planned, stored)
            return respond([stored.sequences.get(key, 0) for key in commit.checkpoint_keys()])

        return self._committer.commit(commit, read)

    async def _make_whole(self, tenant: str, thread_id: str, puts: Sequence[CheckpointPut]) -> None:
        """Put whole values in the place of changes."""
        for put in puts:
            validate.checkpoint_key(thread_id, put.checkpoint_ns, "")
        if (size := sum(map(values.check, puts))) > MOST_BYTES:
            raise InvalidField(
                "put.channel_changes.pieces", f"give {size} bytes together; send at most {MOST_BYTES} in one request"
            )
        for put in puts:
            for channel, said in put.channel_changes.items():
                base = await self._base(tenant, thread_id, put.checkpoint_ns, channel, said.base_version)
                values.whole(put, channel, base, thread_id)
            put.ClearField("channel_changes")

    async def _base(
        self, tenant: str, thread_id: str, checkpoint_ns: str, channel: str, version: str
    ) -> values.KnownValue | None:
        """A value that is stored; None when it is not, or can't be read."""
        place = (tenant, thread_id, checkpoint_ns)
        base = self._memory.at(place).get(channel)
        if base is not None and base.version == version:
            return base
        self.cache.misses += 1
        try:
            base = await self._reads.value(checkpoint_key(tenant, thread_id, checkpoint_ns, ""), channel, version)
        except ValueDamaged as damage:
            _log.error("thread %r of tenant %r: %s", thread_id, tenant, damage.message)
            return None
        if base is not None:
            self._memory.keep(place, channel, base)
        return base

    async def get_checkpoint(self, tenant: str, request: GetCheckpointRequest) -> GetCheckpointResponse:
        validate.checkpoint_key(request.thread_id, request.checkpoint_ns, request.checkpoint_id)
        known = self._known(tenant, request)
        statement = "get_by_id" if request.checkpoint_id else "get_head"
        response = GetCheckpointResponse(takes_changes=True)
        if not await self._reads.tuples(statement, _key(tenant, request), known, lambda: response.checkpoint_tuple):
            raise CheckpointNotFound(request.thread_id, request.checkpoint_ns, request.checkpoint_id)
        response.held_channels.extend(sorted(known.left_out))
        return response

    def _known(self, tenant: str, request: GetCheckpointRequest) -> Known:
        """What of a checkpoint need not be read: it is in memory here, or the caller has it."""
        place = (tenant, request.thread_id, request.checkpoint_ns)
        known = Known()
        for channel, value in self._memory.at(place).items():
            known.values[channel, value.version, value.hash, value.encoding] = value.data
        if len(request.held_values) > validate.MAX_ITEMS:
            raise InvalidField(
                "held_values", f"has {len(request.held_values)} entries; give it at most {validate.MAX_ITEMS}"
            )
        for held in request.held_values:
            validate.text("held_values.channel", held.channel, validate.CHANNEL_BYTES)
            validate.text("held_values.version", held.version, validate.VERSION_BYTES)
            validate.text("held_values.encoding", held.encoding, validate.ENCODING_BYTES)
            known.values[held.channel, held.version, held.hash, held.encoding] = None
        return known

    async def list_checkpoints(
        self, tenant: str, request: ListCheckpointsRequest
    ) -> AsyncIterator[ListCheckpointsResponse]:
        validate.text("thread_id", request.thread_id, validate.THREAD_ID_BYTES, 0)
        validate.text("checkpoint_ns", request.checkpoint_ns, validate.NAMESPACE_BYTES, 0)
        validate.text("checkpoint_id", request.checkpoint_id, validate.CHECKPOINT_ID_BYTES, 0)
        validate.selection(request.before_checkpoint_id, request.metadata_filter, request.limit)
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
        left = request.limit if request.HasField("limit") else MAX_SEQUENCE
        async for found in self._reads.pages(f"list_{scope}_{depth}", parameters, left):
            yield ListCheckpointsResponse(checkpoint_tuple=found)

    async def get_channel_history(self, tenant: str, request: GetChannelHistoryRequest) -> GetChannelHistoryResponse:
        validate.checkpoint_key(request.thread_id, request.checkpoint_ns, request.checkpoint_id)
        channels = validate.items("channels", request.channels, validate.CHANNEL_BYTES)
        statement = "history_by_id" if request.checkpoint_id else "history_of_head"
        histories = await self._reads.histories(statement, _key(tenant, request), channels)
        if histories is None:
            raise CheckpointNotFound(request.thread_id, request.checkpoint_ns, request.checkpoint_id)
        return GetChannelHistoryResponse(histories=histories)


def _key(tenant: str, request: GetCheckpointRequest | GetChannelHistoryRequest) -> dict[str, object]:
    return checkpoint_key(tenant, request.thread_id, request.checkpoint_ns, request.checkpoint_id)
