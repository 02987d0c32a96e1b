"""What the writes on a checkpoint say of the tasks that started from it (langgraph.pregel._task_status)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from checkpointd.v1.core_pb2 import PendingWrite, Value

ERROR = "__error__"
INTERRUPT = "__interrupt__"
_ERROR_SOURCE_NODE = "__error_source_node__"
_RESUME = "__resume__"

# What describes a task rather than being its output.
_CONTROL = frozenset((ERROR, INTERRUPT, _ERROR_SOURCE_NODE, _RESUME))

NULL_TASK_ID = "00000000-0000-0000-0000-000000000000"

Written = tuple[str, Value]


@dataclass(slots=True)
class TaskStatus:
    """What a task has done so far."""

    output: list[Written] = field(default_factory=list)  # in order; not empty once the task has finished
    interrupts: list[Value] = field(default_factory=list)  # serialised lists of what it asked last
    error: Value | None = None


def task_statuses(pending: Iterable[PendingWrite]) -> dict[str, TaskStatus]:
    """The status of every task that has written something, by task id. The null task is input, no task."""
    statuses: dict[str, TaskStatus] = {}
    for written in pending:
        if written.task_id == NULL_TASK_ID:
            continue
        status = statuses.setdefault(written.task_id, TaskStatus())
        channel, value = written.write.channel, written.write.value
        if channel == INTERRUPT:
            status.interrupts.append(value)
        elif channel == ERROR:
            status.error = value if status.error is None else status.error
        elif channel not in _CONTROL:
            status.output.append((channel, value))
    return statuses


def null_writes(pending: Iterable[PendingWrite]) -> list[Written]:
    """What was written beside all tasks: a resume's input, for one."""
    return [(written.write.channel, written.write.value) for written in pending if written.task_id == NULL_TASK_ID]
