"""What a checkpoint's metadata says that its state depends on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from checkpointd.engine.state.values import is_text
from checkpointd.v1.core_pb2 import CheckpointTuple
from checkpointd.v1.states_pb2 import StateConfig

_COUNTERS = "counters_since_delta_snapshot"

_MOST = 1 << 62


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a checkpoint came from."""

    step: int = -1
    parents: dict[str, str] = field(default_factory=dict)  # the checkpoints of the graphs around, by namespace
    tells_step: bool = False
    told_parents: Any = field(default_factory=dict)  # as they were told, to be told again
    counters: dict[str, tuple[int, int]] = field(default_factory=dict)  # since the last snapshot of each delta channel


def origin(found: CheckpointTuple) -> Origin:
    """The origin that a checkpoint's metadata tells; of what is missing or of another shape, the default."""
    try:
        told: Any = json.loads(found.metadata.json or "{}")
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        return Origin()
    step, parents = told.get("step"), told.get("parents")
    return Origin(
        step if _is_number(step) else -1,
        {ns: parent for ns, parent in _entries(parents) if is_text(ns) and is_text(parent)},
        step is not None,
        {} if parents is None else parents,
        {
            name: (counted[0], counted[1])
            for name, counted in _entries(told.get(_COUNTERS))
            if is_text(name) and isinstance(counted, list) and len(counted) == 2 and all(map(_is_number, counted))
        },
    )


def metadata_text(
    source: str, step: int, parents: Any, counters: Mapping[str, tuple[int, int]], more: Mapping[str, Any]
) -> str:
    """The metadata of a checkpoint that an update makes. What the caller adds replaces nothing."""
    made: dict[str, Any] = {"source": source, "step": step, "parents": parents}
    if counters:
        made[_COUNTERS] = counters
    whole = {**made, **{key: more[key] for key in more if key not in made}}
    # Without spaces, so that it is not longer than what the caller gave, which has a limit.
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


def _is_number(data: Any) -> TypeGuard[int]:
    """Whether data is a number that steps reach. Python can't even write one of more than 4300 digits."""
    return isinstance(data, int) and abs(data) < _MOST


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
