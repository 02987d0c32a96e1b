"""Which versions nodes have seen: the node that an update is taken for, and bumps by snapshots.

A snapshot of a channel that was not written needs a version of its own. It is no write: who had seen the version before
has seen it too, and what they really read is kept under a name that is no node's (langgraph.pregel._checkpoint).
"""

from collections.abc import Mapping

from checkpointd.engine.state.versions import greatest, is_set
from checkpointd.v1.graph_pb2 import GraphSpec

Seen = dict[str, dict[str, str]]

_BUMPS = "__snapshot_bumps__"
_LEVEL = "|"
_TASK = ":"


def inferred_node(spec: GraphSpec, seen: Seen) -> str | None:
    """The node that wrote last, which an update without as_node is taken for; None when that is not one node
    (Pregel._infer_as_node)."""
    names = [node.name for node in spec.nodes]
    if len(names) == 1:
        return names[0]
    seen = _without_bumps(seen)
    if not any(is_set(version) for versions in seen.values() for version in versions.values()):
        single = spec.input_channels.names[0] if spec.input_channels.single else None
        return single if single in names else None
    reads = [(version, name) for name in names for version in seen.get(name, {}).values()]
    newest = greatest(version for version, _ in reads)
    readers = [name for version, name in reads if version == newest]
    # A node that read two of its triggers at one version is ambiguous with itself, in LangGraph too.
    return readers[0] if len(readers) == 1 else None


def _without_bumps(seen: Seen) -> Seen:
    marks = seen.get(_BUMPS)
    if not marks:
        return seen
    read: Seen = {}
    for node, versions in seen.items():
        if node == _BUMPS:
            continue
        read[node] = {}
        for channel, version in versions.items():
            advanced, really = f"{node}{_LEVEL}{channel}", f"{node}{_TASK}{channel}"
            if marks.get(advanced) != version:
                read[node][channel] = version
            elif really in marks:
                read[node][channel] = marks[really]
    return read


def mark_bumps(spec: GraphSpec, seen: Seen, bumped: Mapping[str, tuple[str | None, str]]) -> None:
    """Let who had seen the version before a bump see the one after it. `bumped`: by channel, both versions."""
    for channel, (old, _) in bumped.items():
        if old is None:  # never written: who never ran must not start on it
            for described in spec.nodes:
                if channel in described.triggers:
                    seen.setdefault(described.name, {})
    marks = seen.get(_BUMPS, {})
    for node, versions in seen.items():
        if node == _BUMPS:
            continue
        for channel, (old, new) in bumped.items():
            if versions.get(channel) != old:
                continue
            advanced, really = f"{node}{_LEVEL}{channel}", f"{node}{_TASK}{channel}"
            if old is not None and marks.get(advanced) != old:
                marks[really] = old
            marks[advanced] = new
            versions[channel] = new
    if marks:
        seen[_BUMPS] = marks
