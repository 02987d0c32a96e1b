"""UpdateState: read, worked out and committed while the thread's writers wait."""

import asyncio
from collections.abc import Sequence
from typing import Any

from checkpointd.engine.batch import Commit, Op, prepare
from checkpointd.engine.changes import Changes
from checkpointd.engine.committer import store_within
from checkpointd.engine.database import Database
from checkpointd.engine.errors import (
    CheckpointNotFound,
    GraphUnknown,
    HeadMoved,
    InvalidField,
    InvalidUpdate,
    LeaseLost,
    SubgraphNotFound,
)
from checkpointd.engine.event_log import EventLog
from checkpointd.engine.graph_at import GraphAt, checkpoint_key
from checkpointd.engine.graphs import Chosen, Graphs
from checkpointd.engine.prepared import ServingConnection
from checkpointd.engine.reads import Held, Reads
from checkpointd.engine.replay import replayed_histories
from checkpointd.engine.state import metadata, namespaces
from checkpointd.engine.state.next_checkpoint import Place
from checkpointd.engine.state.update import update
from checkpointd.engine.tuples import checkpoint_tuples
from checkpointd.engine.update_request import check
from checkpointd.v1.checkpoints_pb2 import CheckpointPut
from checkpointd.v1.core_pb2 import CheckpointTuple
from checkpointd.v1.states_pb2 import UpdateStateRequest, UpdateStateResponse


class Updates:
    """The rpc of the service States that writes."""

    def __init__(self, database: Database, log: EventLog, graphs: Graphs) -> None:
        self._changes = Changes(database, log)
        self._log = log
        self._graphs = graphs

    async def update_state(self, tenant: str, request: UpdateStateRequest) -> UpdateStateResponse:
        more = check(request)

        async def change(connection: ServingConnection) -> UpdateStateResponse:
            head = await self._update(connection, tenant, request, more)
            source = metadata.origin(head)
            parent_id = head.parent_checkpoint_id
            return UpdateStateResponse(
                config=metadata.config(head, head.checkpoint.id, source.parents),
                parent_config=metadata.config(head, parent_id, source.parents) if parent_id else None,
            )

        return await self._changes.make(tenant, request.thread_id, request, UpdateStateResponse, change)

    async def _update(
        self, connection: ServingConnection, tenant: str, request: UpdateStateRequest, more: dict[str, Any]
    ) -> CheckpointTuple:
        """Work the update out and store it; returns the new head."""
        reads = Reads(Held(connection))
        chosen, graph, found = await self._read(reads, tenant, request)
        assert chosen.spec is not None
        assert graph.spec is not None
        key = checkpoint_key(tenant, request.thread_id, graph.checkpoint_ns, "")
        ((head_id, newest_id),) = await reads.rows("namespace_ends", key)
        await self._hold(reads, tenant, request, graph.checkpoint_ns, head_id)
        histories = await replayed_histories(reads, tenant, graph.spec, found) if found is not None else {}
        place = Place(graph.spec, request.thread_id, graph.checkpoint_ns, chosen.spec.version_style, more)

        def worked_out() -> tuple[Commit, CheckpointTuple]:
            superseded = found is not None and found.checkpoint.id != head_id
            outcome = update(place, found, histories, request.supersteps, superseded=superseded, newest_id=newest_id)
            for op in outcome.ops:
                if isinstance(op, CheckpointPut):
                    op.graph_hash = chosen.graph_hash
            return _prepared(tenant, request.thread_id, outcome.ops, self._log.on), outcome.head

        # Many supersteps on large values take seconds, in which everybody else must be answered too.
        commit, head = await asyncio.to_thread(worked_out)
        await store_within(connection, commit)
        return head

    async def _read(
        self, reads: Reads, tenant: str, request: UpdateStateRequest
    ) -> tuple[Chosen, GraphAt, CheckpointTuple | None]:
        """The graph, that of the namespace, and the checkpoint to build on."""
        choice = self._graphs.choice(request.graph if request.HasField("graph") else None)
        key = checkpoint_key(tenant, request.thread_id, request.checkpoint_ns, request.checkpoint_id)
        suffix = "by_id" if request.checkpoint_id else "of_head"
        chosen, rows = choice.made(await reads.rows(f"state_{suffix}", {**key, **choice.parameters}))
        if chosen.spec is None:
            raise GraphUnknown(request.thread_id, chosen.missing)
        if namespaces.described(chosen.spec, request.checkpoint_ns) is None:
            raise SubgraphNotFound(request.checkpoint_ns)
        graph = GraphAt.at(chosen, request.checkpoint_ns)
        if graph.spec is None:
            raise GraphUnknown(request.thread_id, graph.warning)
        if graph.checkpoint_ns == request.checkpoint_ns:
            tuples = checkpoint_tuples(rows)
        else:
            key = checkpoint_key(tenant, request.thread_id, graph.checkpoint_ns, request.checkpoint_id)
            tuples = await reads.tuples("get_by_id" if request.checkpoint_id else "get_head", key)
        if request.checkpoint_id and not tuples:
            raise CheckpointNotFound(request.thread_id, graph.checkpoint_ns, request.checkpoint_id)
        return chosen, graph, tuples[0] if tuples else None

    @staticmethod
    async def _hold(reads: Reads, tenant: str, request: UpdateStateRequest, checkpoint_ns: str, head_id: str) -> None:
        """Refuse when the precondition does not hold."""
        precondition = request.precondition
        if token := precondition.fencing_token:
            held = await reads.rows("keep_lease", {"tenant": tenant, "thread_id": request.thread_id})
            if not held or held[0][0] != token:
                raise LeaseLost(request.thread_id, token, held[0][1] if held else None, head_id)
        if precondition.HasField("expected_head") and precondition.expected_head != head_id:
            raise HeadMoved(request.thread_id, checkpoint_ns, precondition.expected_head, head_id)


def _prepared(tenant: str, thread_id: str, ops: Sequence[Op], noted: bool) -> Commit:
    """The commit of what an update made. What is too long in it has grown out of what the thread or the graph has: a
    version, a name made of two, metadata that names the graphs around."""
    try:
        return prepare(tenant, thread_id, ops, noted=noted)
    except InvalidField as problem:
        raise InvalidUpdate("supersteps", f"make a checkpoint that can't be stored: {problem.message}") from None
