"""The tasks that a checkpoint leads to, with the ids that each language gives them."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from checkpointd.client.langgraph.bridge.ids import LEVEL, PULL, PUSH, js_task_id, python_task_id
from checkpointd.v1.graph_pb2 import GraphSpec

# Of a node, the channels that trigger it, as its graph says; None where no graph was registered.
Triggers = Mapping[str, Sequence[str]] | None

_START = "__start__"
_SENDS = "__pregel_tasks"
_BRANCH = "branch:to:"
_JOIN = "join:"


class Task(NamedTuple):
    """A task that a checkpoint may lead to."""

    name: str
    path: str  # as Python's LangGraph sends it with a task's writes
    python_id: str
    # LangGraph.js hashes one trigger: an id for each that it may have been, the one that it looks at first in front.
    js_ids: tuple[str, ...]
    certain: bool  # whether the node's triggers are known, and not only supposed


def tasks_of(
    checkpoint: Mapping[str, Any], step: int, python_ns: str, js_ns: str, triggers: Triggers
) -> Iterator[Task]:
    """The tasks that a checkpoint may lead to, in its namespace as each language names it, at this step."""
    try:
        checkpoint_id = uuid.UUID(checkpoint["id"])
    except ValueError:
        return  # none that LangGraph makes; nobody hashes it
    for place, send in enumerate(checkpoint["channel_values"].get(_SENDS) or ()):
        node = getattr(send, "node", None)
        if not isinstance(node, str):
            continue  # no Send: LangGraph passes over it too, and counts its place
        where = str(place)
        yield Task(
            node,
            f"~{PUSH}, {place:010d}, {False:010d}",
            python_task_id(checkpoint_id, python_ns, step, node, PUSH, where),
            (js_task_id(checkpoint_id, js_ns, step, node, PUSH, where),),
            certain=True,
        )
    for name, channels in _triggers(checkpoint["channel_versions"]).items():
        known = None if triggers is None else triggers.get(name)
        yield Task(
            name,
            f"~{PULL}, {name}",
            python_task_id(checkpoint_id, python_ns, step, name, PULL, *sorted(known or channels)),
            tuple(
                js_task_id(checkpoint_id, js_ns, step, name, PULL, [channel])
                for channel in sorted(channels, key=partial(_seen, checkpoint, name))
            ),
            certain=known is not None,
        )


def _seen(checkpoint: Mapping[str, Any], node: str, channel: str) -> tuple[bool, bool]:
    """Sorts a node's triggers as LangGraph.js looks at them: those it has not consumed, and an edge before a join."""
    version = checkpoint["channel_versions"][channel]
    consumed = checkpoint["versions_seen"].get(node, {}).get(channel) == version
    return consumed, channel.startswith(_JOIN)


def _triggers(versions: Mapping[str, object]) -> dict[str, list[str]]:
    """By node, the channels of a checkpoint that can trigger it. LangGraph's compiler makes their names."""
    found: dict[str, list[str]] = {}
    for channel in versions:
        if channel == _START:
            found.setdefault(_START, []).append(channel)
        elif channel.startswith(_BRANCH):
            found.setdefault(channel.removeprefix(_BRANCH), []).append(channel)
        elif channel.startswith(_JOIN):
            # join:a+b:node, where a node's name holds no colon (langgraph.graph.state, _validate).
            found.setdefault(channel.rpartition(":")[2], []).append(channel)
    return found


def triggers_in(graph: GraphSpec | None, checkpoint_ns: str) -> Triggers:
    """The triggers of the nodes of the graph that a namespace belongs to; None where its description is not known."""
    for part in checkpoint_ns.split(LEVEL) if checkpoint_ns else ():
        if graph is not None and not part.isdigit():  # a number counts the calls that one task makes
            name = part.partition(":")[0]
            graph = next(
                (node.subgraph for node in graph.nodes if node.name == name and node.HasField("subgraph")), None
            )
    return None if graph is None else {node.name: node.triggers for node in graph.nodes}
