"""What a node writes for an update that is made in its name (langgraph.graph.state, attach_node and attach_edge)."""

from collections.abc import Iterable, Iterator

from checkpointd.engine.errors import InvalidUpdate, NeedsCode
from checkpointd.engine.state import values
from checkpointd.engine.state.errors import Opaque
from checkpointd.engine.state.portable import plain
from checkpointd.engine.state.task_status import Written
from checkpointd.engine.state.tasks import SENDS
from checkpointd.v1.core_pb2 import Value
from checkpointd.v1.graph_pb2 import ChannelSelection, GraphSpec, NodeSpec
from checkpointd.v1.states_pb2 import Goto, Send, StateUpdate

END = "__end__"

_ROOT = "__root__"
_EDGE = "branch:to:"


class Names:
    """Of a graph's nodes and channels, at hand for many updates."""

    def __init__(self, spec: GraphSpec) -> None:
        self.nodes = {node.name: node for node in spec.nodes}
        self.channels = frozenset(channel.name for channel in spec.channels)
        self._keys: dict[str, frozenset[str]] = {}
        self._ends: dict[str, set[str] | None] = {}
        self._static: dict[tuple[str, str], list[Written]] = {}

    def keys(self, node: NodeSpec) -> frozenset[str]:
        """The keys of an update that a node keeps."""
        if node.name not in self._keys:
            self._keys[node.name] = frozenset(node.update.keys.names)
        return self._keys[node.name]

    def static(self, node: NodeSpec, style: str) -> list[Written]:
        """What a node writes whatever it returns, on a thread of this style (values.style_of)."""
        key = node.name, style
        if key not in self._static:
            self._static[key] = [(write.channel, values.styled(write.value, style)) for write in node.static_writes]
        return self._static[key]

    def ends(self, node: NodeSpec) -> set[str] | None:
        """Where a node's conditional edges may lead to; None where that is not said, or it has none."""
        if node.name not in self._ends:
            said = node.branches and all(branch.HasField("ends") for branch in node.branches)
            ends = {end for branch in node.branches for end in (*branch.ends.names, END)}
            self._ends[node.name] = ends if said else None
        return self._ends[node.name]


def node_writes(field: str, names: Names, node: NodeSpec, update: StateUpdate, style: str) -> list[Written]:
    """The writes of a node, in order: what it keeps of the values, and where it leads to.

    `style` is the encoding of what it writes without being told (values.style_of).

    Raises:
        InvalidUpdate: the values or targets are none that the node can write.
        NeedsCode: only the node's code knows what it writes.
    """
    if not node.has_writers:
        raise InvalidUpdate(f"{field}.as_node", f"is {node.name!r}, which writes nothing; name another node")
    if node.opaque_writers:
        raise NeedsCode(
            f"{field}.as_node",
            f"is {node.name!r}, which writes by code of its own; update it where the graph's code is",
        )
    kept = _kept(field, names, node, update)
    static = names.static(node, style)
    if not update.HasField("goto"):
        _refuse_choice(field, node)
        return [*kept, *static]
    chosen = list(_chosen(f"{field}.goto", names, node, update.goto, style))
    # A conditional edge is taken after the plain ones, what a Command says before them.
    return [*kept, *static, *chosen] if node.branches else [*kept, *chosen, *static]


def _kept(field: str, known: Names, node: NodeSpec, update: StateUpdate) -> list[Written]:
    match node.update.WhichOneof("kind"):
        case "keys":
            names = known.keys(node)
            return [(key, value) for key, value in by_key(field, update) if key in names]
        case "root":
            whole = as_one(field, update)
            return [] if values.is_none(whole) else [(_ROOT, whole)]
        case "passthrough":
            whole = as_one(field, update)
            skipped = frozenset(node.update.skip_null) if values.is_none(whole) else ()
            return [(name, whole) for name in node.update.passthrough.names if name not in skipped]
    return []


def by_key(field: str, update: StateUpdate) -> list[Written]:
    """The values of an update by key of the state; none for null."""
    if not update.HasField("value"):
        return [(given.channel, value) for given in update.writes for value in given.values]
    found = plain(_decoded(f"{field}.value", update.value))
    if found is None:
        return []
    if not isinstance(found, dict):
        raise InvalidUpdate(f"{field}.value", "is not an object; give the values by key of the state")
    return [
        (key, _encoded(f"{field}.value[{key!r}]", value, update.value))
        for key, value in found.items()
        if values.is_text(key)
    ]


def as_one(field: str, update: StateUpdate) -> Value:
    """The values of an update as one value; null for none."""
    if update.HasField("value"):
        return update.value
    if not update.writes:
        return values.NULL
    given = by_key(field, update)
    whole = {key: _decoded(f"{field}.writes[{key!r}]", value) for key, value in given}
    return _encoded(f"{field}.writes", whole, *(value for _, value in given))


def input_writes(field: str, selection: ChannelSelection, update: StateUpdate) -> list[Written]:
    """The writes of a graph's input (langgraph.pregel._io.map_input).

    Raises:
        InvalidUpdate: there are none.
    """
    if selection.single:
        whole = as_one(field, update)
        found = [] if values.is_none(whole) else [(selection.names[0], whole)]
    else:
        found = [(key, value) for key, value in by_key(field, update) if key in selection.names]
    if not found:
        names = ", ".join(selection.names)
        wanted = f"give some for {names}" if names else "it takes none"
        raise InvalidUpdate(field, f"has no values for the graph's input; {wanted}")
    return found


def _refuse_choice(field: str, node: NodeSpec) -> None:
    if node.branches:
        names = ", ".join(repr(branch.name) for branch in node.branches)
        ends = sorted({end for branch in node.branches for end in branch.ends.names})
        where = f" ({', '.join(ends)})" if ends else ""
        raise NeedsCode(
            f"{field}.goto",
            f"is missing: node {node.name!r} has the conditional edge {names}, whose choice only the graph's code can "
            f"make; name the nodes that it leads to{where}, or give a goto without targets for none",
        )


def _chosen(field: str, names: Names, node: NodeSpec, goto: Goto, style: str) -> Iterator[Written]:
    ends = names.ends(node)
    for place, target in enumerate(goto.targets):
        at = f"{field}.targets[{place}]"
        match target.WhichOneof("kind"):
            case "node":
                name, channel, value = target.node, f"{_EDGE}{target.node}", values.NULL
            case "send":
                name, channel = target.send.node, SENDS
                value = _send(at, target.send, style)
            case _:
                raise InvalidUpdate(at, "names no target; give a node or a Send")
        if ends is not None and name not in ends:
            raise InvalidUpdate(at, f"is {name!r}; the conditional edges of node {node.name!r} lead to {_list(ends)}")
        if target.node == END:
            continue
        if name not in names.nodes or channel not in names.channels:
            known = _list(names.nodes)
            raise InvalidUpdate(at, f"is {name!r}, which is no node that one can go to; name one of {known}")
        yield channel, value


def _send(field: str, send: Send, style: str) -> Value:
    place = f"{field}.send.input"
    argument = send.input if send.HasField("input") else values.NULL
    _decoded(place, argument)
    try:
        return values.send(send.node, argument, style)
    except Opaque as problem:
        raise InvalidUpdate(place, f"{problem}; give it another form") from None


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(name for name in names if name != "__start__"))


def _decoded(field: str, value: Value) -> object:
    try:
        return values.decode(value)
    except Opaque as problem:
        raise _unreadable(field, value, problem) from None


def _unreadable(field: str, value: Value, problem: Opaque) -> InvalidUpdate | NeedsCode:
    if value.encoding in values.KNOWN:
        return InvalidUpdate(field, f"{problem}; serialise it again")
    return NeedsCode(field, f"{problem}; give the values by key, or in the encoding {values.PORTABLE}, msgpack or json")


def _encoded(field: str, data: object, *like: Value) -> Value:
    try:
        return values.encode(data, *like)
    except Opaque as problem:
        raise InvalidUpdate(field, f"{problem}; give it another form") from None
