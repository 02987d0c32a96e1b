"""What a checkpoint's metadata says that its state depends on."""

import json
from dataclasses import dataclass, field
from typing import Any

from checkpointd.engine.state.values import is_text
from checkpointd.v1.core_pb2 import CheckpointTuple
from checkpointd.v1.states_pb2 import StateConfig


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a checkpoint came from."""

    step: int = -1
    parents: dict[str, str] = field(default_factory=dict)  # the checkpoints of the graphs around, by namespace
    deltas: tuple[str, ...] = ()  # channels that are stored as changes, as far as it names them


def origin(found: CheckpointTuple) -> Origin:
    """The origin that a checkpoint's metadata tells; of what is missing or of another shape, the default."""
    try:
        told: Any = json.loads(found.metadata.json or "{}")
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        return Origin()
    step = told.get("step")
    parents, counters = (told.get(key) for key in ("parents", "counters_since_delta_snapshot"))
    return Origin(
        step if isinstance(step, int) else -1,
        {ns: parent for ns, parent in _entries(parents) if is_text(ns) and is_text(parent)},
        tuple(sorted(name for name, _ in _entries(counters) if is_text(name))),
    )


def _entries(data: Any) -> list[tuple[Any, Any]]:
    return list(data.items()) if isinstance(data, dict) else []


def config(found: CheckpointTuple, checkpoint_id: str, parents: dict[str, str]) -> StateConfig:
    """What names a checkpoint of this one's namespace, with those around it (_config.patch_checkpoint_map)."""
    around = {**parents, found.checkpoint_ns: checkpoint_id} if parents else {}
    return StateConfig(
        thread_id=found.thread_id,
        checkpoint_ns=found.checkpoint_ns,
        checkpoint_id=checkpoint_id,
        checkpoint_map=around,
    )
