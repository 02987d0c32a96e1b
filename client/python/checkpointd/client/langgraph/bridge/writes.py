"""Pending writes that LangGraph.js stored, given to the tasks of Python's LangGraph that they are of."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from langgraph.checkpoint.base import PendingWrite

from checkpointd.client.errors import UnknownTask
from checkpointd.client.langgraph.bridge.ids import may_be_js
from checkpointd.client.langgraph.bridge.tasks import Task
from checkpointd.v1 import core_pb2 as core

INTERRUPT = "__interrupt__"
_RESUME = "__resume__"


def from_js(pending: Iterable[core.PendingWrite]) -> bool:
    """Whether LangGraph.js may have stored one of these writes: it says no path, and its ids have a form."""
    return any(not write.task_path and may_be_js(write.task_id) for write in pending)


def given(
    pending: Sequence[core.PendingWrite],
    values: Sequence[PendingWrite],
    of_js: Mapping[str, Task],
    renamed: Callable[[str, Task], str],
) -> list[PendingWrite]:
    """Pending writes with the ids of Python's tasks, in the order in which a superstep applies them.

    Where both languages wrote at one place of a task, the first stays; of a special write (idx below 0), the last.

    Args:
        pending: the writes as they are stored.
        values: the same, loaded.
        of_js: by LangGraph.js's id, the tasks that the checkpoint may lead to.
        renamed: gives Python's id of an interrupt that LangGraph.js stored, with this id, for this task.

    Raises:
        UnknownTask: an answer to an interrupt is stored for a task that is not among them. To go on without it would
            give it to another question.
    """
    chosen: dict[tuple[str, int], tuple[int, str, PendingWrite]] = {}
    for stored, loaded in zip(pending, values, strict=True):
        task_id, channel, value = loaded
        path, idx, write = stored.task_path, stored.write.idx, loaded
        task = None if path else of_js.get(task_id)
        if task is not None:
            asked = value if isinstance(value, list) else [value]
            own = [_renamed(one, task, renamed) for one in asked] if channel == INTERRUPT else value
            path, write = task.path, (task.python_id, channel, own)
        elif not path and channel == _RESUME and may_be_js(task_id):
            raise UnknownTask(
                f"an answer is stored for task {task_id!r}, which LangGraph.js began and which none of the tasks of "
                "this checkpoint is known to be",
                metadata={"task_id": task_id},
            )
        key = write[0], idx
        before = chosen.get(key)
        if before is None or (stored.sequence > before[0]) == (idx < 0):
            chosen[key] = stored.sequence, path, write
    order = sorted(chosen, key=lambda key: (chosen[key][1], *key))
    return [chosen[key][2] for key in order]


def _renamed(one: Any, task: Task, renamed: Callable[[str, Task], str]) -> Any:
    # By its shape: langgraph.types has the class, which is not needed to import a saver.
    if not isinstance(getattr(one, "id", None), str):
        return one
    copied = copy.copy(one)
    copied.id = renamed(one.id, task)
    return copied
