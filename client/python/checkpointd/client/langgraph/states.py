"""What RemoteSaver does with graphs: registers them, and reads states without them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpointd.client import operations
from checkpointd.client.calls import acall, call
from checkpointd.client.connection import Connection
from checkpointd.client.langgraph.configs import checkpoint_id_of, place_of
from checkpointd.client.langgraph.graph_spec import graph_spec
from checkpointd.client.langgraph.needed import langgraph_needed
from checkpointd.client.langgraph.requests import filter_of
from checkpointd.client.listing import aeach, each
from checkpointd.client.rpcs import Listing, Operation
from checkpointd.v1.states_pb2 import GraphRef, RegisterGraphResponse, StateSnapshot

if TYPE_CHECKING:
    from langgraph.pregel import Pregel

    from checkpointd.client.langgraph.snapshots import RemoteSnapshot

    Reader = Callable[[StateSnapshot, RunnableConfig | None], RemoteSnapshot]


class Registered:
    """The graph that a saver, and every clone of it, names in what it puts. Reading and setting it is atomic."""

    def __init__(self) -> None:
        self.graph_hash = ""


class States:
    """The part of RemoteSaver that knows graphs. These methods need LangGraph itself, and raise ImportError without."""

    serde: SerializerProtocol
    _connection: Connection

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
        registered = call(self._connection, _register(graph, name, self.serde))
        self._registered.graph_hash = registered.graph_hash
        return registered.graph_hash

    async def aregister(self, graph: Pregel[Any, Any, Any, Any], name: str | None = None) -> str:
        """As `register`."""
        registered = await acall(self._connection, _register(graph, name, self.serde))
        self._registered.graph_hash = registered.graph_hash
        return registered.graph_hash

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


def _register(
    graph: Pregel[Any, Any, Any, Any], name: str | None, serde: SerializerProtocol
) -> Operation[RegisterGraphResponse]:
    spec = graph_spec(graph, serde=serde)
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
