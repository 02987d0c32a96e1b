"""What the state of a thread is: the service `States` of the contract, without the wire."""

from collections.abc import AsyncIterator

from checkpointd.engine import validate
from checkpointd.engine.database import Database
from checkpointd.engine.errors import CheckpointNotFound, InvalidField
from checkpointd.engine.event_log import EventLog
from checkpointd.engine.graph_at import GraphAt, checkpoint_key
from checkpointd.engine.graphs import Graphs
from checkpointd.engine.reads import MAX_SEQUENCE, Reads
from checkpointd.engine.replay import replayed_histories
from checkpointd.engine.state import bare, snapshot
from checkpointd.engine.state import spec as specs
from checkpointd.engine.tuples import checkpoint_tuples
from checkpointd.engine.updates import Updates
from checkpointd.v1.core_pb2 import CheckpointTuple
from checkpointd.v1.graph_pb2 import GraphSpec
from checkpointd.v1.states_pb2 import (
    GetStateHistoryRequest,
    GetStateHistoryResponse,
    GetStateRequest,
    GetStateResponse,
    RegisterGraphRequest,
    RegisterGraphResponse,
    StateSnapshot,
    UpdateStateRequest,
    UpdateStateResponse,
)


class States:
    """The rpcs of the service, each as a method that takes the tenant and the request. Requests are consumed."""

    def __init__(self, database: Database, log: EventLog) -> None:
        self._reads = Reads(database)
        self._graphs = Graphs(database)
        self._updates = Updates(database, log, self._graphs)

    async def register_graph(self, tenant: str, request: RegisterGraphRequest) -> RegisterGraphResponse:
        validate.text("graph_name", request.graph_name, validate.GRAPH_NAME_BYTES)
        if not request.HasField("spec"):
            raise InvalidField("spec", "is missing; send the description of the graph")
        specs.check("spec", request.spec)
        graph_hash, version = await self._graphs.register(tenant, request.graph_name, request.spec)
        return RegisterGraphResponse(graph_hash=graph_hash, version=version)

    async def get_state(self, tenant: str, request: GetStateRequest) -> GetStateResponse:
        thread_id, checkpoint_ns, checkpoint_id = request.thread_id, request.checkpoint_ns, request.checkpoint_id
        validate.checkpoint_key(thread_id, checkpoint_ns, checkpoint_id)
        choice = self._graphs.choice(request.graph if request.HasField("graph") else None)
        key = checkpoint_key(tenant, thread_id, checkpoint_ns, checkpoint_id)
        statement = "by_id" if checkpoint_id else "of_head"
        chosen, rows = choice.made(await self._reads.rows(f"state_{statement}", {**key, **choice.parameters}))
        graph = GraphAt.at(chosen, checkpoint_ns)
        if graph.checkpoint_ns == checkpoint_ns:
            found = checkpoint_tuples(rows)
        else:
            key = checkpoint_key(tenant, thread_id, graph.checkpoint_ns, checkpoint_id)
            found = await self._reads.tuples("get_by_id" if checkpoint_id else "get_head", key)
        if not found:
            if checkpoint_id:
                raise CheckpointNotFound(thread_id, checkpoint_ns, checkpoint_id)
            return GetStateResponse(snapshot=snapshot.empty(thread_id, graph.checkpoint_ns))
        made = await self._snapshot(tenant, graph, found[0], live=not request.HasField("checkpoint_id"))
        if request.subgraphs and graph.spec is not None:
            await self._add_subgraphs(tenant, made, graph.spec)
        return GetStateResponse(snapshot=made)

    async def get_state_history(
        self, tenant: str, request: GetStateHistoryRequest
    ) -> AsyncIterator[GetStateHistoryResponse]:
        validate.checkpoint_key(request.thread_id, request.checkpoint_ns, request.checkpoint_id)
        validate.selection(request.before_checkpoint_id, request.metadata_filter, request.limit)
        choice = self._graphs.choice(request.graph if request.HasField("graph") else None)
        scope = {"tenant": tenant, "thread_id": request.thread_id}
        chosen, _ = choice.made(await self._reads.rows("choose_graph", {**scope, **choice.parameters}))
        graph = GraphAt.at(chosen, request.checkpoint_ns)
        parameters = {
            **checkpoint_key(tenant, request.thread_id, graph.checkpoint_ns, request.checkpoint_id),
            "before": request.before_checkpoint_id,
            "filter": request.metadata_filter or "{}",
        }
        left = request.limit if request.HasField("limit") else MAX_SEQUENCE
        async for found in self._reads.pages("list_namespace_full", parameters, left):
            try:
                made = await self._snapshot(tenant, graph, found, live=False)
            except CheckpointNotFound:  # removed since the page was read
                continue
            yield GetStateHistoryResponse(snapshot=made)

    async def update_state(self, tenant: str, request: UpdateStateRequest) -> UpdateStateResponse:
        return await self._updates.update_state(tenant, request)

    async def _snapshot(self, tenant: str, graph: GraphAt, found: CheckpointTuple, *, live: bool) -> StateSnapshot:
        """The state at a checkpoint that was found. Raises CheckpointNotFound when it is removed meanwhile."""
        if graph.spec is None:
            return bare.snapshot(found, graph.warning, live=live)
        histories = await replayed_histories(self._reads, tenant, graph.spec, found)
        made = snapshot.snapshot(graph.spec, found, histories, live=live)
        if graph.warning:
            made.warnings.append(graph.warning)
        return made

    async def _add_subgraphs(self, tenant: str, made: StateSnapshot, spec: GraphSpec) -> None:
        """Add the present states of the graphs that tasks call, and of those that these call."""
        subgraphs = {node.name: node.subgraph for node in spec.nodes if node.HasField("subgraph")}
        for task in made.tasks:
            if not task.HasField("subgraph"):
                continue
            called = GraphAt.of(subgraphs[task.name], task.subgraph.checkpoint_ns)
            key = checkpoint_key(tenant, task.subgraph.thread_id, called.checkpoint_ns, "")
            found = await self._reads.tuples("get_head", key)
            if not found:
                task.subgraph_state.CopyFrom(snapshot.empty(task.subgraph.thread_id, called.checkpoint_ns))
                continue
            task.subgraph_state.CopyFrom(await self._snapshot(tenant, called, found[0], live=True))
            if called.spec is not None:
                await self._add_subgraphs(tenant, task.subgraph_state, called.spec)
