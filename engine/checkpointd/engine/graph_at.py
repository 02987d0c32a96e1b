"""Which graph the checkpoints of a namespace belong to, and where they are."""

from dataclasses import dataclass

from checkpointd.engine.graphs import Chosen
from checkpointd.engine.state import namespaces
from checkpointd.v1.graph_pb2 import GraphSpec


@dataclass(frozen=True, slots=True)
class GraphAt:
    """The graph of a namespace."""

    spec: GraphSpec | None
    checkpoint_ns: str  # where its checkpoints are
    warning: str = ""  # what a snapshot has to say of it

    @classmethod
    def of(cls, spec: GraphSpec, checkpoint_ns: str) -> "GraphAt":
        """The graph of this description, called in this namespace."""
        own = namespaces.own(spec, checkpoint_ns)
        if not spec.nodes:
            return cls(None, own, f"the graph of namespace {checkpoint_ns!r} runs elsewhere and is not described")
        return cls(spec, own)

    @classmethod
    def at(cls, chosen: Chosen, checkpoint_ns: str) -> "GraphAt":
        """The graph that a namespace belongs to, of those in the root's description. Where there is none, the root is
        used as LangGraph does."""
        if chosen.spec is None:
            return cls(None, checkpoint_ns, chosen.missing)
        described = namespaces.described(chosen.spec, checkpoint_ns)
        if described is not None:
            return cls.of(described, checkpoint_ns)
        return cls(
            chosen.spec,
            namespaces.own(chosen.spec, checkpoint_ns),
            f"no node of the graph leads to the namespace {checkpoint_ns!r}; this is its checkpoint as the root graph "
            "would read it",
        )


def checkpoint_key(tenant: str, thread_id: str, checkpoint_ns: str, checkpoint_id: str) -> dict[str, object]:
    """The parameters of a statement that name a checkpoint; with an empty id, the head of the namespace."""
    return {"tenant": tenant, "thread_id": thread_id, "checkpoint_ns": checkpoint_ns, "checkpoint_id": checkpoint_id}
