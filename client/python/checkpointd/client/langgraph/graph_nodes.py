"""Nodes of a compiled graph: what makes them run and what they write, as far as it can be said without their code."""

from typing import Any, NamedTuple

from langchain_core.runnables import Runnable
from langgraph._internal._constants import TASKS
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.graph._branch import BranchSpec
from langgraph.graph.state import CompiledStateGraph, _control_branch, _get_root
from langgraph.pregel import Pregel
from langgraph.pregel._read import PregelNode
from langgraph.pregel._write import (
    PASSTHROUGH,
    SKIP_WRITE,
    ChannelWrite,
    ChannelWriteEntry,
    ChannelWriteTupleEntry,
)
from langgraph.types import Send

from checkpointd.client.langgraph.values import dump
from checkpointd.v1 import graph_pb2 as specs

# Functions that LangGraph makes anew for each graph, by module and qualified name.
_KEEP_KEYS = ("langgraph.graph.state", "CompiledStateGraph.attach_node.<locals>._get_updates")
_KEEP_WHOLE = {
    # An entrypoint's value is its return value and the next call's `previous`. Only `entrypoint.final` makes them
    # different; who updates an entrypoint's state takes that apart first.
    ("langgraph.func", "entrypoint.__call__.<locals>._pluck_return_value"),
    ("langgraph.func", "entrypoint.__call__.<locals>._pluck_save_value"),
}


class _Unsayable(Exception):
    """A write that a spec can't describe."""


class _Static(NamedTuple):
    channel: str
    value: object


def describe_node(
    graph: Pregel[Any, Any, Any, Any], name: str, node: PregelNode, serde: SerializerProtocol, into: specs.NodeSpec
) -> None:
    """Put a node into a spec, all but the graph that it calls."""
    into.name = name
    into.triggers.extend(sorted(node.triggers))
    if isinstance(node.channels, str):
        into.input_single = node.channels
    into.runnable = node.node is not None
    into.has_writers = bool(node.flat_writers)
    static: list[_Static] = []
    for writer in node.writers:
        try:
            _describe_writer(graph, name, writer, static, into)
        except _Unsayable:
            into.opaque_writers = True
    # Sorted by channel only: the order of writes to one channel means something.
    for write in sorted(static, key=lambda write: write.channel):
        described = into.static_writes.add(channel=write.channel)
        dump(serde, write.value, described.value, f"what node {name!r} writes to {write.channel!r}")


def _describe_writer(
    graph: Pregel[Any, Any, Any, Any],
    node: str,
    writer: Runnable[Any, Any],
    static: list[_Static],
    into: specs.NodeSpec,
) -> None:
    if type(writer) is not ChannelWrite:
        _describe_branch(graph, node, writer, into)
        return
    for entry in writer.writes:
        if isinstance(entry, Send):
            static.append(_Static(TASKS, entry))
        elif isinstance(entry, ChannelWriteTupleEntry):
            _describe_mapper(entry, into)
        elif entry.value is PASSTHROUGH:
            _describe_passthrough(entry, into)
        elif entry.mapper is not None:
            raise _Unsayable
        elif entry.value is not SKIP_WRITE and not (entry.skip_none and entry.value is None):
            static.append(_Static(entry.channel, entry.value))


def _describe_mapper(entry: ChannelWriteTupleEntry, into: specs.NodeSpec) -> None:
    """How a StateGraph's node turns its update into writes."""
    mapper = entry.mapper
    if entry.value is not PASSTHROUGH:
        raise _Unsayable
    if mapper is _get_root:
        _keep("root", into)
        into.update.root = True
    elif _identity(mapper) == _KEEP_KEYS:
        _keep("keys", into)
        into.update.keys.names.extend(sorted(_enclosed(mapper, "output_keys")))
        into.update.keys.SetInParent()
    elif mapper is not _control_branch:  # which takes a Command's goto, and adds nothing to a plain update
        raise _Unsayable


def _describe_passthrough(entry: ChannelWriteEntry, into: specs.NodeSpec) -> None:
    if entry.mapper is not None and _identity(entry.mapper) not in _KEEP_WHOLE:
        raise _Unsayable
    _keep("passthrough", into)
    into.update.passthrough.names.append(entry.channel)
    if entry.skip_none:
        into.update.skip_null.append(entry.channel)


def _keep(kind: str, node: specs.NodeSpec) -> None:
    """Refuse a second way of keeping parts of an update."""
    if node.update.WhichOneof("kind") not in (None, kind):
        raise _Unsayable


def _describe_branch(
    graph: Pregel[Any, Any, Any, Any], node: str, writer: Runnable[Any, Any], into: specs.NodeSpec
) -> None:
    """A conditional edge. Its name is the builder's; that it is really this node's is seen by identity."""
    branch = getattr(getattr(writer, "func", None), "__self__", None)
    if not isinstance(branch, BranchSpec) or not isinstance(graph, CompiledStateGraph):
        raise _Unsayable
    for name, known in graph.builder.branches.get(node, {}).items():
        if known is branch:
            described = into.branches.add(name=name)
            if branch.ends:
                described.ends.names.extend(sorted(set(branch.ends.values())))
            return
    raise _Unsayable


def _identity(function: object) -> tuple[str | None, str | None]:
    return getattr(function, "__module__", None), getattr(function, "__qualname__", None)


def _enclosed(function: Any, variable: str) -> Any:
    """A variable that a function took from around it."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    try:
        return cells[variable].cell_contents
    except (KeyError, ValueError) as error:
        raise _Unsayable from error
