"""Descriptions of graphs: checked before they are stored, and named by their content."""

from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256

from checkpointd.engine import validate
from checkpointd.engine.errors import InvalidField
from checkpointd.engine.state import values
from checkpointd.engine.state.errors import Opaque
from checkpointd.v1.core_pb2 import Value
from checkpointd.v1.graph_pb2 import (
    ChannelSelection,
    ChannelSpec,
    GraphSpec,
    NodeSpec,
    Reducer,
    ReducerKind,
    VersionStyle,
)

MAX_BYTES = 1 << 20

# Graphs within graphs. A namespace has room for no more: each level has a task's id in it.
MAX_DEPTH = 20

_ROOT_CHANNEL = "__root__"


def graph_hash(encoded: bytes) -> str:
    """The name of a description, from what `canonical` gives."""
    return sha256(encoded).hexdigest()


def canonical(spec: GraphSpec) -> bytes:
    """A checked description as bytes, the same for the same graph: what has no order is sorted, in place."""
    _sort(spec)
    return spec.SerializeToString(deterministic=True)


def _sort(spec: GraphSpec) -> None:
    spec.channels.sort(key=lambda channel: channel.name)
    spec.managed.sort()
    for channel in spec.channels:
        channel.barrier.names.sort() if channel.HasField("barrier") else None
    for node in spec.nodes:
        node.triggers.sort()
        # Those to one channel keep their order, which means something, as does that of branches.
        node.static_writes.sort(key=lambda write: write.channel)
        for branch in node.branches:
            branch.ends.names.sort() if branch.HasField("ends") else None
        if node.HasField("subgraph"):
            _sort(node.subgraph)


def check(field: str, spec: GraphSpec) -> None:
    """Check a description.

    Raises:
        InvalidField: with the path of the part that is wrong.
    """
    if spec.ByteSize() > MAX_BYTES:
        raise InvalidField(field, f"has {spec.ByteSize()} bytes; give it at most {MAX_BYTES}")
    if not spec.nodes:
        raise InvalidField(f"{field}.nodes", "is empty; describe the graph's nodes")
    _graph(field, spec, 1)


def _graph(field: str, spec: GraphSpec, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidField(field, f"is nested more than {MAX_DEPTH} graphs deep; make it flatter")
    channels = _names(f"{field}.channels", (channel.name for channel in spec.channels))
    for place, channel in enumerate(spec.channels):
        _channel(f"{field}.channels[{place}]", channel)
    managed = _names(f"{field}.managed", spec.managed)
    if both := channels & managed:
        raise InvalidField(f"{field}.managed", f"names {min(both)!r}, which is a channel; name it once")
    _names(f"{field}.nodes", (node.name for node in spec.nodes))
    readable = channels | managed
    for place, node in enumerate(spec.nodes):
        _node(f"{field}.nodes[{place}]", node, channels, readable, depth)
    for name, selection in (("input_channels", spec.input_channels), ("stream_channels", spec.stream_channels)):
        _selection(f"{field}.{name}", selection, channels)
    _known(f"{field}.version_style", spec.version_style, VersionStyle.values())


def _names(field: str, names: Iterable[str]) -> set[str]:
    known: set[str] = set()
    for place, name in enumerate(names):
        validate.text(f"{field}[{place}]", name, validate.CHANNEL_BYTES)
        if name in known:
            raise InvalidField(f"{field}[{place}]", f"is {name!r} for the second time; name each once")
        known.add(name)
    return known


def _among(field: str, names: Iterable[str], known: Collection[str], what: str = "channel") -> None:
    for place, name in enumerate(names):
        _is_known(f"{field}[{place}]", name, known, what)


def _is_known(field: str, name: str, known: Collection[str], what: str = "channel") -> None:
    if name not in known:
        raise InvalidField(field, f"is {name!r}, which is no {what} of this graph; describe it too")


def _known(field: str, number: int, numbers: Sequence[int]) -> None:
    if number not in numbers:
        raise InvalidField(field, f"is {number}, which this server does not know; use a newer one")


def _selection(field: str, selection: ChannelSelection, channels: Collection[str]) -> None:
    if selection.single and len(selection.names) != 1:
        raise InvalidField(f"{field}.names", f"has {len(selection.names)} entries; a single one has one")
    _among(f"{field}.names", selection.names, channels)


def _channel(field: str, channel: ChannelSpec) -> None:
    match channel.WhichOneof("kind"):
        case None:
            raise InvalidField(f"{field}.kind", "is missing, or one that this server does not know; say how it updates")
        case "barrier":
            _names(f"{field}.barrier.names", channel.barrier.names)
        case "binop":
            _reducer(f"{field}.binop.reducer", channel.binop.reducer)
            if channel.binop.HasField("initial"):
                _value(f"{field}.binop.initial", channel.binop.initial)
        case "delta":
            _reducer(f"{field}.delta.reducer", channel.delta.reducer)
            if channel.delta.HasField("initial"):
                _value(f"{field}.delta.initial", channel.delta.initial)
            if not channel.delta.snapshot_frequency:
                raise InvalidField(f"{field}.delta.snapshot_frequency", "is 0; give it 1 or more")


def _reducer(field: str, reducer: Reducer) -> None:
    if reducer.kind == ReducerKind.REDUCER_KIND_UNSPECIFIED:
        raise InvalidField(f"{field}.kind", "is missing; say REDUCER_KIND_OPAQUE for a function of your own")
    _known(f"{field}.kind", reducer.kind, ReducerKind.values())


def _value(field: str, value: Value) -> None:
    validate.text(f"{field}.encoding", value.encoding, validate.ENCODING_BYTES)
    if value.encoding in values.KNOWN:
        try:
            values.decode(value)
        except Opaque as problem:
            raise InvalidField(field, f"{problem}; serialise it again") from None


def _node(field: str, node: NodeSpec, channels: set[str], readable: set[str], depth: int) -> None:
    """Check a node; `readable` are the channels and what is managed. Sets, for a description has room for tens of
    thousands of names on both sides of each look-up."""
    _among(f"{field}.triggers", node.triggers, channels)
    if node.HasField("input_single"):
        _is_known(f"{field}.input_single", node.input_single, readable)
    match node.update.WhichOneof("kind"):
        case "root":
            _is_known(f"{field}.update.root", _ROOT_CHANNEL, channels)
        case "keys":
            _among(f"{field}.update.keys.names", node.update.keys.names, readable)
        case "passthrough":
            _among(f"{field}.update.passthrough.names", node.update.passthrough.names, channels)
    _among(
        f"{field}.update.skip_null", node.update.skip_null, set(node.update.passthrough.names), "passthrough channel"
    )
    for place, write in enumerate(node.static_writes):
        _is_known(f"{field}.static_writes[{place}].channel", write.channel, channels)
        _value(f"{field}.static_writes[{place}].value", write.value)
    _names(f"{field}.branches", (branch.name for branch in node.branches))
    if node.HasField("subgraph"):
        _graph(f"{field}.subgraph", node.subgraph, depth + 1)
