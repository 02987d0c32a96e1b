"""Which graph a namespace belongs to (Pregel._subgraph_for_namespace)."""

from checkpointd.v1.graph_pb2 import GraphSpec

LEVEL = "|"
TASK = ":"


def described(root: GraphSpec, checkpoint_ns: str) -> GraphSpec | None:
    """The description of the graph that a namespace belongs to; None when no node of the root graph leads there."""
    spec = root
    for part in checkpoint_ns.split(LEVEL) if checkpoint_ns else ():
        if part.isdigit():  # the number of a call among those that one task makes
            continue
        name = part.split(TASK)[0]
        node = next((node for node in spec.nodes if node.name == name and node.HasField("subgraph")), None)
        if node is None:
            return None
        spec = node.subgraph
    return spec


def own(spec: GraphSpec, checkpoint_ns: str) -> str:
    """Where a graph that was called in a namespace keeps its checkpoints: one that outlives its calls, without their
    task ids."""
    if not spec.per_thread:
        return checkpoint_ns
    return LEVEL.join(part.split(TASK)[0] for part in checkpoint_ns.split(LEVEL))


def of_task(checkpoint_ns: str, name: str, task_id: str) -> str:
    """The namespace of the graph that a task calls."""
    own_part = f"{name}{TASK}{task_id}"
    return f"{checkpoint_ns}{LEVEL}{own_part}" if checkpoint_ns else own_part
