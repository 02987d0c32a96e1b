"""What a checkpoint tells of a thread's state when the graph is not known."""

from checkpointd.engine.state import values
from checkpointd.engine.state.attribution import statuses_of
from checkpointd.engine.state.interrupts import interrupts
from checkpointd.engine.state.metadata import origin
from checkpointd.engine.state.snapshot import base
from checkpointd.v1.core_pb2 import CheckpointTuple
from checkpointd.v1.states_pb2 import StateSnapshot

_ROOT_CHANNEL = "__root__"

# How LangGraph names the channels that are no state: its own, and those that lead from node to node.
_INTERNAL = ("__", "branch:", "join:", "start:")


def snapshot(found: CheckpointTuple, reason: str, *, live: bool) -> StateSnapshot:
    """The stored values, the interrupts, and a warning that says what is missing and, with `reason`, why."""
    made = base(found)
    made.next_unknown = True
    stored = found.checkpoint.channel_values
    for name in stored:
        if not name.startswith(_INTERNAL):
            made.values[name].CopyFrom(values.unwrapped(stored[name]))
    if _ROOT_CHANNEL in stored:
        made.root_value.CopyFrom(values.unwrapped(stored[_ROOT_CHANNEL]))
    warnings = [
        f"{reason}: next and tasks are not known, and values are those stored at the checkpoint, without what was "
        "written since; register the graph (RegisterGraph) and name it in the request"
    ]
    if missing := [name for name in sorted(origin(found).counters) if name not in stored]:
        warnings.append(
            f"the values of {', '.join(map(repr, missing))} are stored as changes and left out; GetChannelHistory has "
            "them"
        )
    statuses, problems = statuses_of(found)
    warnings += problems
    for status in statuses.values():
        if not (live and status.output):
            asked, problems = interrupts(status.interrupts)
            made.interrupts.extend(asked)
            warnings += problems
    made.warnings.extend(warnings)
    return made
