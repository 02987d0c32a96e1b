"""Whose the writes on a checkpoint are: a task has an id of its own in each language.

LangGraph for Python and LangGraph.js know a task by a hash of where it comes from, but not by the same one, and they
name the namespace of a graph that it calls after it. A thread that both have worked on holds writes of one task under
two ids. Here they are put together, under the id of who wrote last.
"""

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from checkpointd.engine.state import ids, objects, values
from checkpointd.engine.state.apply import PULL, PUSH, path_text
from checkpointd.engine.state.errors import Opaque
from checkpointd.engine.state.metadata import origin
from checkpointd.engine.state.namespaces import LEVEL, TASK
from checkpointd.engine.state.task_status import NULL_TASK_ID, TaskStatus, task_statuses
from checkpointd.engine.state.tasks import SENDS, Task
from checkpointd.engine.state.versions import newer
from checkpointd.v1.core_pb2 import Checkpoint, CheckpointTuple, PendingWrite

# Of one superstep, whose tasks' ids are looked for.
_MOST_UPDATES = 1000

_START = "__start__"
_BRANCH = "branch:to:"
_JOIN = "join:"


@dataclass(slots=True)
class Attributed:
    """The tasks of a checkpoint, with the ids that they are known by."""

    tasks: list[Task]
    statuses: dict[str, TaskStatus]  # by these ids
    callers: dict[str, str] = field(default_factory=dict)  # the id in the namespace of what a task calls, where another
    warnings: list[str] = field(default_factory=list)


def attributed(tasks: Sequence[Task], found: CheckpointTuple) -> Attributed:
    """Give the writes on a checkpoint to its tasks. `tasks` have the ids of LangGraph for Python."""
    pending = found.pending_writes
    candidates = _of_js(pending)
    # In a namespace that LangGraph.js named, Python hashes another name, which only the checkpoint above tells.
    parts = found.checkpoint_ns.split(LEVEL)
    paths = _by_path(pending) if any(_may_be_js(part.rpartition(TASK)[2]) for part in parts) else {}
    if not candidates and not paths:
        return Attributed(list(tasks), task_statuses(pending))
    sequences: dict[str, list[int]] = defaultdict(list)
    for write in pending:
        sequences[write.task_id].append(write.sequence)

    step = origin(found).step + 1
    makes_js = _JsIds(found.checkpoint, found.checkpoint_ns, step)
    known: list[tuple[Task, list[str]]] = []  # each with its ids in the other language, the likeliest first
    for task in tasks:
        others = list(makes_js.of(task)) if task.id else []
        known.append((task, [*others, *paths.get(path_text(task.path), ())]))
    only_js = not any(task.id in sequences for task, _ in known)
    only_js = only_js and any(other in candidates for _, others in known for other in others)
    made = Attributed([], {})
    aliases: dict[str, str] = {}
    for task, others in known:
        stored = [task_id for task_id in (task.id, *others) if task_id in sequences]
        likeliest = next(iter(others), task.id) if only_js else task.id
        shown = max(stored, key=lambda task_id: max(sequences[task_id]), default=likeliest)
        made.tasks.append(replace(task, id=shown))
        if stored:
            aliases |= dict.fromkeys(stored, shown)
            made.callers[shown] = min(stored, key=lambda task_id: min(sequences[task_id]))
    made.statuses = task_statuses(_merged(pending, aliases))
    if lost := _of_no_task(found, candidates - aliases.keys()):
        made.warnings.append(
            f"LangGraph.js stored what {lost} of its tasks wrote or asked, which are none of those known here, so it "
            "is left out: let the thread be read, or go on, in JavaScript"
        )
    return made


def _of_no_task(found: CheckpointTuple, unknown: set[str]) -> int:
    """How many of these ids of tasks, which nothing here has, are not those of updates: LangGraph for Python says no
    path with these, and makes their ids as LangGraph.js does."""
    base = found.checkpoint.id
    left = unknown - {ids.input_task_id(base)}
    for place in range(_MOST_UPDATES):
        if not left:
            break
        left.discard(ids.update_task_id(base, place) or "")
    return len(left)


def statuses_of(found: CheckpointTuple) -> tuple[dict[str, TaskStatus], list[str]]:
    """The status of every task that has written something, where the graph is not known, and warnings. What is known
    of the tasks is what LangGraph's compiler says in the names of channels."""
    candidates = _of_js(found.pending_writes)
    if not candidates:
        return task_statuses(found.pending_writes), []
    by_path = _by_path(found.pending_writes)
    makes_js = _JsIds(found.checkpoint, found.checkpoint_ns, origin(found).step + 1)
    aliases: dict[str, str] = {}
    for task_id, path in makes_js.of_names():
        if task_id in candidates:
            same = [task_id, *by_path.get(path, ())]
            aliases |= dict.fromkeys(same, task_id)
    statuses = task_statuses(_merged(found.pending_writes, aliases))
    unsure = sum(
        bool(status.interrupts) for task_id, status in statuses.items() if task_id in candidates - aliases.keys()
    )
    # Python's tasks may be these, under their other ids.
    if not (unsure and by_path):
        return statuses, []
    return statuses, [f"{unsure} of the tasks that ask are LangGraph.js's, and may have been answered in Python"]


def _of_js(pending: Iterable[PendingWrite]) -> set[str]:
    """The ids of tasks that LangGraph.js may have made: it says no path, and its ids have a form."""
    return {write.task_id for write in pending if not write.task_path and _may_be_js(write.task_id)}


def _may_be_js(task_id: str) -> bool:
    """Whether an id is a UUID of version 5, as those of LangGraph.js are; and one in 64 of Python's."""
    return len(task_id) == 36 and task_id[14] == "5" and task_id[19] in "89ab"


def _by_path(pending: Iterable[PendingWrite]) -> dict[str, list[str]]:
    """The ids of tasks by the paths that Python's LangGraph says beside them."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for write in pending:
        if write.task_path:
            found[write.task_path][write.task_id] = None
    return {path: list(task_ids) for path, task_ids in found.items()}


def _merged(pending: Iterable[PendingWrite], aliases: Mapping[str, str]) -> list[PendingWrite]:
    """Writes with the ids that their tasks are known by. Where two stand at one place of a task, the first stays; of
    special ones (idx below 0), the last (core.proto, Write)."""
    chosen: dict[tuple[str, int, int], PendingWrite] = {}
    for place, write in enumerate(pending):
        known = aliases.get(write.task_id)
        if known is None or write.task_id == NULL_TASK_ID:
            chosen[write.task_id, write.write.idx, place] = write
            continue
        key = known, write.write.idx, -1
        before = chosen.get(key)
        if before is None or (write.sequence > before.sequence) == (write.write.idx < 0):
            chosen[key] = PendingWrite(task_id=known, write=write.write, sequence=write.sequence)
    return sorted(chosen.values(), key=lambda write: write.write.idx)  # stable: tasks keep their order


class _JsIds:
    """Makes the ids of LangGraph.js for the tasks of a checkpoint (its pregel/algo.js, _prepareSingleTask)."""

    def __init__(self, checkpoint: Checkpoint, checkpoint_ns: str, step: int) -> None:
        self._checkpoint = checkpoint
        self._before = f"{checkpoint_ns}{LEVEL}" if checkpoint_ns else ""
        self._step = str(step)
        self._namespace: uuid.UUID | None = None
        with suppress(ValueError):  # of an id that LangGraph does not make; nobody hashes it
            self._namespace = uuid.UUID(checkpoint.id)

    def of(self, task: Task) -> Iterator[str]:
        """The ids that a task may have: LangGraph.js hashes one of its triggers."""
        where = task.path[1]
        if isinstance(where, int):
            yield from self._id(task.name, PUSH, str(where))
        else:
            yield from self._pulled(task.name, task.triggers)

    def of_names(self) -> Iterator[tuple[str, str]]:
        """The ids of all tasks that the names of the checkpoint's channels tell of, and their paths in Python."""
        for place, node in self._sent():
            for task_id in self._id(node, PUSH, str(place)):
                yield task_id, path_text((PUSH, place, False))
        for name, triggers in _triggers(self._checkpoint.channel_versions).items():
            for task_id in self._pulled(name, triggers):
                yield task_id, path_text((PULL, name))

    def _sent(self) -> Iterator[tuple[int, str]]:
        stored = self._checkpoint.channel_values
        try:
            sends = values.items(stored[SENDS]) if SENDS in stored else []
        except Opaque:
            return
        for place, send in enumerate(sends):
            if (node := objects.send_node(send)) is not None:
                yield place, node

    def _pulled(self, name: str, triggers: Iterable[str]) -> Iterator[str]:
        for trigger in sorted(triggers, key=lambda trigger: self._consumed(name, trigger)):
            yield from self._id(name, PULL, [trigger])

    def _consumed(self, name: str, trigger: str) -> bool:
        """Whether a node has seen what a trigger holds. LangGraph.js takes the first one that it has not, in an order
        in which edges stand before joins, as they do when they are sorted."""
        checkpoint = self._checkpoint
        seen = checkpoint.versions_seen[name].versions if name in checkpoint.versions_seen else {}
        return not newer(checkpoint.channel_versions.get(trigger), seen.get(trigger))

    def _id(self, name: str, kind: str, last: str | list[str]) -> Iterator[str]:
        if self._namespace is not None:
            parts = [f"{self._before}{name}", self._step, name, kind, last]
            yield str(uuid.uuid5(self._namespace, json.dumps(parts, ensure_ascii=False, separators=(",", ":"))))


def _triggers(channels: Iterable[str]) -> dict[str, list[str]]:
    """By node, the channels that can trigger it, of names that LangGraph's compiler makes."""
    found: dict[str, list[str]] = defaultdict(list)
    for channel in channels:
        if channel == _START:
            found[_START].append(channel)
        elif channel.startswith(_BRANCH):
            found[channel.removeprefix(_BRANCH)].append(channel)
        elif channel.startswith(_JOIN):
            # join:a+b:node, where a node's name holds no colon (langgraph.graph.state, _validate).
            found[channel.rpartition(":")[2]].append(channel)
    return found
