"""Which tasks a checkpoint leads to (langgraph.pregel._algo.prepare_next_tasks)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha1

from xxhash import xxh3_128_hexdigest

from checkpointd.engine.state import objects
from checkpointd.engine.state.apply import PULL, PUSH, TaskPath
from checkpointd.engine.state.channels import Channel, TopicValue
from checkpointd.engine.state.versions import newer
from checkpointd.v1.core_pb2 import Checkpoint
from checkpointd.v1.graph_pb2 import GraphSpec, NodeSpec

SENDS = "__pregel_tasks"


@dataclass(frozen=True, slots=True)
class Task:
    """One run of a node in the superstep after a checkpoint."""

    id: str  # empty when the checkpoint's id is none that LangGraph could make a task's id of
    node: NodeSpec
    path: TaskPath
    triggers: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.node.name


def next_tasks(
    spec: GraphSpec, checkpoint: Checkpoint, channels: Mapping[str, Channel], checkpoint_ns: str, step: int
) -> list[Task]:
    """The tasks of superstep `step`, in LangGraph's order: those that were sent, then the nodes that are triggered."""
    return [
        *_sent(spec, checkpoint, channels, checkpoint_ns, step),
        *_pulled(spec, checkpoint, channels, checkpoint_ns, step),
    ]


def _sent(
    spec: GraphSpec, checkpoint: Checkpoint, channels: Mapping[str, Channel], checkpoint_ns: str, step: int
) -> Iterator[Task]:
    sends = channels.get(SENDS)
    if not isinstance(sends, TopicValue):
        return
    nodes = {node.name: node for node in spec.nodes}
    for place, send in enumerate(sends.entries):
        node = nodes.get(objects.send_node(send) or "")
        if node is not None and node.runnable:
            task_id = _task_id(checkpoint, checkpoint_ns, node.name, step, PUSH, str(place))
            yield Task(task_id, node, (PUSH, place, False), (PUSH,))


def _pulled(
    spec: GraphSpec, checkpoint: Checkpoint, channels: Mapping[str, Channel], checkpoint_ns: str, step: int
) -> Iterator[Task]:
    if not checkpoint.channel_versions:
        return
    for node in spec.nodes:
        if node.runnable and _triggered(node, checkpoint, channels) and _has_input(node, channels):
            triggers = tuple(sorted(node.triggers))
            task_id = _task_id(checkpoint, checkpoint_ns, node.name, step, PULL, *triggers)
            yield Task(task_id, node, (PULL, node.name), triggers)


def _triggered(node: NodeSpec, checkpoint: Checkpoint, channels: Mapping[str, Channel]) -> bool:
    """Whether a trigger of the node holds something that it has not seen. A node that never ran has seen nothing."""
    available = (name for name in node.triggers if channels[name].available())
    if node.name not in checkpoint.versions_seen:
        return any(True for _ in available)
    versions, seen = checkpoint.channel_versions, checkpoint.versions_seen[node.name].versions
    return any(newer(versions.get(name), seen.get(name)) for name in available)


def _has_input(node: NodeSpec, channels: Mapping[str, Channel]) -> bool:
    """Whether a node that takes one channel's bare value gets one (_algo._proc_input)."""
    if not node.HasField("input_single"):
        return True
    return node.input_single in channels and channels[node.input_single].available()


def _task_id(checkpoint: Checkpoint, checkpoint_ns: str, name: str, step: int, *parts: str) -> str:
    """The id of a task: a hash of where it comes from. Empty when the checkpoint's id is no hexadecimal number."""
    try:
        namespace = bytes.fromhex(checkpoint.id.replace("-", ""))
    except ValueError:
        return ""
    path = f"{checkpoint_ns}|{name}" if checkpoint_ns else name
    source = namespace + "".join((path, str(step), name, *parts)).encode()
    # Checkpoints of the first version, which nothing writes any more, went by SHA-1.
    digest = sha1(source, usedforsecurity=False).hexdigest() if checkpoint.v == 1 else xxh3_128_hexdigest(source)
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
