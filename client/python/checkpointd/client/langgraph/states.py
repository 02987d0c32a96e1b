"""What RemoteSaver does with graphs: registers them, and reads and updates states without them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpointd.client import operations
from checkpointd.client.calls import acall, call
from checkpointd.client.connection import Connection
from checkpointd.client.langgraph.configs import checkpoint_id_of, place_of, read_config
from checkpointd.client.langgraph.graph_spec import graph_spec
from checkpointd.client.langgraph.needed import langgraph_needed
from checkpointd.client.langgraph.requests import filter_of
from checkpointd.client.langgraph.updates import update_state
from checkpointd.client.langgraph.writers import Writers
from checkpointd.client.listing import aeach, each
from checkpointd.client.rpcs import Listing, Operation
from checkpointd.v1.graph_pb2 import GraphSpec
from checkpointd.v1.states_pb2 import GraphRef, RegisterGraphResponse, StateSnapshot, UpdateStateResponse

if TYPE_CHECKING:
    from langgraph.pregel import Pregel

    from checkpointd.client.langgraph.snapshots import RemoteSnapshot
    from checkpointd.client.langgraph.updates import Target

    Reader = Callable[[StateSnapshot, RunnableConfig | None], RemoteSnapshot]


class Registered:
    """The graph that a saver, and every clone of it, names in what it puts. Reading and setting its hash is atomic."""

    def __init__(self) -> None:
        self.graph_hash = ""
        self.spec: GraphSpec | None = None

    def take(self, graph_hash: str, spec: GraphSpec) -> str:
        """From now on this graph. Returns the hash."""
        self.graph_hash, self.spec = graph_hash, spec
        return graph_hash


class States:
    """The part of RemoteSaver that knows graphs.

    The methods that register and read need LangGraph itself, and raise ImportError without.
    """

    serde: SerializerProtocol
    _connection: Connection
    _writers: Writers

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # One object, so that the clones which LangGraph makes of a saver (`with_allowlist`) share what is registered.
        self._registered = Registered()

    def register(self, graph: Pregel[Any, Any, Any, Any], name: str | None = None) -> str:
        """Let the server know a compiled graph, so that anyone can read the state of its threads without its code.

        From now on the checkpoints that this saver puts name this graph, and a thread remembers the last one named.
        A saver names one graph at a time, the one registered last: give graphs that run side by side a saver each,
        or else those who read say which graph they mean (`get_state(..., graph_name=...)`). Registering the same
        graph again, in any process, changes nothing; a changed graph becomes the next version under its name.

        Args:
            graph: what `StateGraph.compile()` or `@entrypoint` gives, or a Pregel made by hand.
            name: 1 to 255 bytes; the graph's own name by default.

        Returns:
            The hash that names this description of the graph everywhere.

        Raises:
            ImportError: LangGraph is not installed.
            TypeError: the graph is not a compiled one.
            InvalidRequest: the server refuses the name or the description.
        """
        spec = graph_spec(graph, serde=self.serde)
        registered = call(self._connection, _register(graph, spec, name))
        return self._registered.take(registered.graph_hash, spec)

    async def aregister(self, graph: Pregel[Any, Any, Any, Any], name: str | None = None) -> str:
        """As `register`."""
        spec = graph_spec(graph, serde=self.serde)
        registered = await acall(self._connection, _register(graph, spec, name))
        return self._registered.take(registered.graph_hash, spec)

    def get_state(
        self, config: RunnableConfig, *, subgraphs: bool = False, graph_name: str | None = None
    ) -> RemoteSnapshot:
        """The state of a thread, as the `get_state` of its graph gives it, but without the graph.

        Args:
            config: the thread; a namespace for a subgraph's state; a checkpoint for that of the past.
            subgraphs: whether tasks that call a graph have its state in them.
            graph_name: the registered graph that is meant; by default the one that wrote the thread.

        Returns:
            The snapshot; what needs the graph's code, or a graph that nobody registered, is in its `unresolved` and
            `warnings`. Of a thread without checkpoints it is empty.

        Raises:
            NotFound: there is no such checkpoint, or no graph of this name.
            UnreadableValue: a value can't be read with this saver's serialiser.
            ImportError: LangGraph is not installed.
        """
        read = _reader(self.serde)
        return read(call(self._connection, _get_state(config, subgraphs, graph_name)), config)

    async def aget_state(
        self, config: RunnableConfig, *, subgraphs: bool = False, graph_name: str | None = None
    ) -> RemoteSnapshot:
        """As `get_state`."""
        read = _reader(self.serde)
        return read(await acall(self._connection, _get_state(config, subgraphs, graph_name)), config)

    def get_state_history(
        self,
        config: RunnableConfig,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
        graph_name: str | None = None,
    ) -> Iterator[RemoteSnapshot]:
        """The states of a namespace, newest commit first, as the `get_state_history` of its graph gives them.

        Args:
            config: the thread, and the namespace of a subgraph; with a checkpoint, only that one.
            filter: keeps checkpoints whose metadata has these values, which must be JSON's.
            before: keeps checkpoints that came before the one that this config names.
            limit: the greatest number to return.
            graph_name: the registered graph that is meant; by default the one that wrote the thread.

        Raises: as `get_state`, while it is read.
        """
        read = _reader(self.serde)
        listing = _get_state_history(config, filter, before, limit, graph_name)
        return (read(found, None) for found in each(self._connection, listing))

    async def aget_state_history(
        self,
        config: RunnableConfig,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
        graph_name: str | None = None,
    ) -> AsyncIterator[RemoteSnapshot]:
        """As `get_state_history`."""
        read = _reader(self.serde)
        listing = _get_state_history(config, filter, before, limit, graph_name)
        async with contextlib.aclosing(aeach(self._connection, listing)) as messages:
            async for found in messages:
                yield read(found, None)

    def update_state(
        self,
        config: RunnableConfig,
        values: Any,
        as_node: str | None = None,
        task_id: str | None = None,
        *,
        goto: Target | Sequence[Target] | None = None,
        graph_name: str | None = None,
        expected_head: str | None = None,
    ) -> RunnableConfig:
        """Change a thread's state as if a node had written it, as the `update_state` of its graph does, without it.

        What LangGraph asks the graph's code, the server has to be told: `goto` decides a node's conditional edges.
        Where nobody can tell it, as with a reducer of the user's own, it refuses the update.

        Args:
            config: the thread; a namespace for a subgraph's state; a checkpoint to build on it and not on the head. Its
                metadata goes into the new checkpoint's, as when the graph runs.
            values: a dict by key of the state, a pydantic model or a dataclass for one, Commands, any value where the
                state is one bare value, or None. A Command's goto is one with `goto`.
            as_node: the node that is said to have written them; by default the one that ran last, if that is one. Also
                LangGraph's `__input__`, `__copy__` and END.
            task_id: the task whose result it becomes; by default the node's next one, or a new one.
            goto: where the node leads to beside its plain edges: nodes, Sends, END; `()` for nowhere else.
            graph_name: the registered graph that is meant; by default the one that this saver registered, or else the
                one that wrote the thread.
            expected_head: the checkpoint that must be the head of the namespace; "" if there must be none.

        Returns:
            The config of the new checkpoint.

        Raises:
            InvalidRequest: the graph does not take this update.
            NotFound: there is no such checkpoint, graph or subgraph.
            GraphUnknown: no graph is known for the thread.
            NeedsCode: the outcome depends on the graph's code.
            FailedPrecondition: there is nothing to copy.
            HeadMoved: another checkpoint is the head.
        """
        supersteps = (((values, as_node, task_id, goto),),)
        operation = self._update(config, supersteps, graph_name, expected_head)
        return read_config(self._writers.update(config, operation).config)

    async def aupdate_state(
        self,
        config: RunnableConfig,
        values: Any,
        as_node: str | None = None,
        task_id: str | None = None,
        *,
        goto: Target | Sequence[Target] | None = None,
        graph_name: str | None = None,
        expected_head: str | None = None,
    ) -> RunnableConfig:
        """As `update_state`."""
        supersteps = (((values, as_node, task_id, goto),),)
        operation = self._update(config, supersteps, graph_name, expected_head)
        return read_config((await self._writers.aupdate(config, operation)).config)

    def bulk_update_state(
        self,
        config: RunnableConfig,
        supersteps: Iterable[Iterable[Sequence[Any]]],
        *,
        graph_name: str | None = None,
        expected_head: str | None = None,
    ) -> RunnableConfig:
        """As `update_state`, for several nodes in a superstep and several supersteps on top of each other.

        All of it is stored, or nothing, and the last superstep's checkpoint is the new head.

        Args:
            config: as for `update_state`; the metadata goes into that of each new checkpoint.
            supersteps: each has updates `(values, as_node, task_id, goto)`, of which only the values must be there:
                LangGraph's StateUpdate is one.
            graph_name: as for `update_state`.
            expected_head: as for `update_state`.
        """
        operation = self._update(config, supersteps, graph_name, expected_head)
        return read_config(self._writers.update(config, operation).config)

    async def abulk_update_state(
        self,
        config: RunnableConfig,
        supersteps: Iterable[Iterable[Sequence[Any]]],
        *,
        graph_name: str | None = None,
        expected_head: str | None = None,
    ) -> RunnableConfig:
        """As `bulk_update_state`."""
        operation = self._update(config, supersteps, graph_name, expected_head)
        return read_config((await self._writers.aupdate(config, operation)).config)

    def _update(
        self,
        config: RunnableConfig,
        supersteps: Iterable[Iterable[Sequence[Any]]],
        graph_name: str | None,
        expected_head: str | None,
    ) -> Operation[UpdateStateResponse]:
        graph = _graph(graph_name)
        if graph is None and self._registered.graph_hash:
            graph = GraphRef(hash=self._registered.graph_hash)
        return update_state(config, supersteps, self.serde, graph=graph, expected_head=expected_head)


def _register(graph: Pregel[Any, Any, Any, Any], spec: GraphSpec, name: str | None) -> Operation[RegisterGraphResponse]:
    return operations.register_graph(graph_name=graph.get_name() if name is None else name, spec=spec)


def _get_state(config: RunnableConfig, subgraphs: bool, graph_name: str | None) -> Operation[StateSnapshot]:
    thread_id, checkpoint_ns, checkpoint_id = place_of(config)
    # That the key is there counts: with None as its value it means the head as it was, as in LangGraph.
    names_one = "checkpoint_id" in config["configurable"]
    return operations.get_state(
        thread_id=thread_id,
        checkpoint_ns=checkpoint_ns,
        checkpoint_id=checkpoint_id if names_one else None,
        subgraphs=subgraphs,
        graph=_graph(graph_name),
    )


def _get_state_history(
    config: RunnableConfig,
    matching: dict[str, Any] | None,
    before: RunnableConfig | None,
    limit: int | None,
    graph_name: str | None,
) -> Listing[StateSnapshot]:
    thread_id, checkpoint_ns, checkpoint_id = place_of(config)
    return operations.get_state_history(
        thread_id=thread_id,
        checkpoint_ns=checkpoint_ns,
        checkpoint_id=checkpoint_id,
        before_checkpoint_id=checkpoint_id_of(before),
        metadata_filter=filter_of(matching),
        limit=limit,
        graph=_graph(graph_name),
    )


def _graph(name: str | None) -> GraphRef | None:
    return None if name is None else GraphRef(name=name)


def _reader(serde: SerializerProtocol) -> Reader:
    with langgraph_needed("reading a state"):
        from checkpointd.client.langgraph.snapshots import read_snapshot  # noqa: PLC0415 - imports LangGraph
    return lambda message, asked: read_snapshot(message, serde, asked)
