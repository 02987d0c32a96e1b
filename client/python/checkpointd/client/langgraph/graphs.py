"""Compiled graphs, taken apart: what a GraphSpec says of a graph and of the graphs that its nodes call."""

from typing import Any

from langgraph.channels.base import BaseChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.pregel import Pregel

from checkpointd.client.langgraph.graph_channels import describe_channel
from checkpointd.client.langgraph.graph_nodes import describe_node
from checkpointd.client.langgraph.portable import PortableSerializer
from checkpointd.v1 import graph_pb2 as specs

_STYLES = {
    str: specs.VERSION_STYLE_TEXT,
    int: specs.VERSION_STYLE_INTEGER,
    float: specs.VERSION_STYLE_FLOAT,
}


def describe(graph: object, serde: SerializerProtocol | None) -> specs.GraphSpec:
    """The spec of a graph. Raises TypeError for what is no compiled graph."""
    if not isinstance(graph, Pregel):
        advice = "; call its compile() and give that" if hasattr(graph, "compile") else ""
        raise TypeError(f"a compiled graph has a spec, {type(graph).__name__} does not{advice}")
    spec = specs.GraphSpec()
    _describe(graph, _style(graph.checkpointer), _readable(serde), spec)
    return spec


def _describe(
    graph: Pregel[Any, Any, Any, Any],
    style: specs.VersionStyle.ValueType,
    serde: SerializerProtocol,
    into: specs.GraphSpec,
) -> None:
    for name, channel in sorted(graph.channels.items()):
        if isinstance(channel, BaseChannel):
            describe_channel(name, channel, serde, into.channels.add())
        else:
            into.managed.append(name)
    for name, node in graph.nodes.items():
        described = into.nodes.add()
        describe_node(graph, name, node, serde, described)
        # LangGraph looks at the first subgraph only.
        for subgraph in node.subgraphs[:1]:
            described.subgraph.SetInParent()
            # What is no Pregel runs elsewhere (RemoteGraph); the node is known to call it, and nothing more.
            if isinstance(subgraph, Pregel):
                _describe(subgraph, style, serde, described.subgraph)
    _select(graph.input_channels, into.input_channels)
    # Without names LangGraph takes all channels, in the order in which they were made, which may be that of a set.
    _select(graph.stream_channels or sorted(graph.stream_channels_asis), into.stream_channels)
    into.per_thread = graph.checkpointer is True
    into.version_style = style


def _select(channels: str | Any, into: specs.ChannelSelection) -> None:
    into.single = isinstance(channels, str)
    into.names.extend([channels] if isinstance(channels, str) else channels)


def _style(checkpointer: object) -> specs.VersionStyle.ValueType:
    """How the graph's own saver makes versions; as RemoteSaver does when it has none."""
    if not isinstance(checkpointer, BaseCheckpointSaver):
        return specs.VERSION_STYLE_TEXT
    return _STYLES.get(type(checkpointer.get_next_version(None, None)), specs.VERSION_STYLE_TEXT)


def _readable(serde: SerializerProtocol | None) -> SerializerProtocol:
    """The serialiser for a spec's values. One that encrypts would give other bytes each time."""
    if serde is None:
        return PortableSerializer()
    return serde.serde if isinstance(serde, EncryptedSerializer) else serde
