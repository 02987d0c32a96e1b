"""graph_spec: a compiled LangGraph graph as a message of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpointd.client.langgraph.needed import langgraph_needed
from checkpointd.v1.graph_pb2 import GraphSpec

if TYPE_CHECKING:
    from langgraph.pregel import Pregel


def graph_spec(graph: Pregel[Any, Any, Any, Any], *, serde: SerializerProtocol | None = None) -> GraphSpec:
    """Describe a compiled graph without its code, so that a server can say what a thread's state is.

    The same graph gives the same bytes (`SerializeToString`) in every process, under any hash seed. What a spec can't
    say is marked as opaque: reducers, channels and writers of the user's own.

    Args:
        graph: what `StateGraph.compile()` or `@entrypoint` gives, or a Pregel made by hand. Its subgraphs are described
            within it.
        serde: how values in the spec become bytes; a `PortableSerializer` by default. Give it the one that the
            graph's checkpointer has.

    Raises:
        ImportError: LangGraph is not installed, or is not one whose graphs can be read.
        TypeError: the graph is something else, such as a StateGraph that is not compiled.
    """
    with langgraph_needed("graph_spec"):
        from checkpointd.client.langgraph import graphs  # noqa: PLC0415 - imports LangGraph
    return graphs.describe(graph, serde)
