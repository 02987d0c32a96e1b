"""Updates of a state: what they make of a checkpoint (Pregel.bulk_update_state). Pure.

Each superstep of updates makes one checkpoint out of the one before it. Nothing is stored here: what there is to store
is returned, so that a refused update leaves nothing behind.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from checkpointd.engine.errors import InvalidUpdate, NeedsCode, NothingToCopy
from checkpointd.engine.state import deltas, ids, values
from checkpointd.engine.state.apply import TaskWrites
from checkpointd.engine.state.attribution import Attributed, attributed
from checkpointd.engine.state.hydrate import Histories, hydrate, style_of
from checkpointd.engine.state.metadata import origin
from checkpointd.engine.state.next_checkpoint import VERSION, Base, Checkpoints, Place, seen_by_node, writes_put
from checkpointd.engine.state.node_writes import END, Names, input_writes, node_writes
from checkpointd.engine.state.seen import inferred_node
from checkpointd.engine.state.task_status import null_writes
from checkpointd.engine.state.tasks import next_tasks
from checkpointd.v1.checkpoints_pb2 import CheckpointPut, WritesPut
from checkpointd.v1.core_pb2 import Checkpoint, CheckpointTuple
from checkpointd.v1.graph_pb2 import NodeSpec
from checkpointd.v1.states_pb2 import StateUpdate, Superstep

_INPUT = "__input__"
_COPY = "__copy__"
_INTERRUPT = "__interrupt__"


@dataclass(slots=True)
class Outcome:
    """What is to be stored, in order; and the last checkpoint of it, as it will be read."""

    ops: list[CheckpointPut | WritesPut]
    head: CheckpointTuple


def update(
    place: Place,
    found: CheckpointTuple | None,
    histories: Histories,
    supersteps: Sequence[Superstep],
    *,
    superseded: bool,
    newest_id: str,
) -> Outcome:
    """Make the checkpoints of supersteps, each on top of the one before, the first on `found`.

    Args:
        place: the graph and the namespace.
        found: the checkpoint to build on; None for a namespace without one.
        histories: those of `channels_to_replay` for it.
        supersteps: the updates.
        superseded: whether it is another one than the head.
        newest_id: the greatest id of a checkpoint in the namespace.

    Raises:
        InvalidUpdate, NeedsCode, NothingToCopy: with the path of the part that is wrong.
    """
    base = _base(place, found, histories, superseded=superseded)
    update = _Update(place, newest_id)
    for number, superstep in enumerate(supersteps):
        base = update.superstep(f"supersteps[{number}].updates", base, superstep.updates)
    return Outcome(update.ops, base.found)


def _base(place: Place, found: CheckpointTuple | None, histories: Histories, *, superseded: bool) -> Base:
    if found is None:
        found = CheckpointTuple(thread_id=place.thread_id, checkpoint_ns=place.checkpoint_ns)
    elif 0 < found.checkpoint.v < VERSION:
        raise NeedsCode(
            "checkpoint_id",
            f"is {found.checkpoint.id!r}, written by an older LangGraph; let the graph run a step on this thread first",
        )
    channels, problems = hydrate(place.spec, found.checkpoint, histories)
    if problems:
        raise NeedsCode("graph", f"does not fit the thread: {problems[0]}")
    written = {pending.write.channel for pending in found.pending_writes}
    return Base(
        found, channels, superseded, written & deltas.delta_channels(place.spec), style_of(place.spec, found.checkpoint)
    )


class _Update:
    """One request: what it has made so far."""

    def __init__(self, place: Place, newest_id: str) -> None:
        self._place = place
        self._names = Names(place.spec)
        self._message_ids = deltas.MessageIds(place.spec)
        self._made = Checkpoints(place, newest_id)

    @property
    def ops(self) -> list[CheckpointPut | WritesPut]:
        return self._made.ops

    def superstep(self, at: str, base: Base, updates: Sequence[StateUpdate]) -> Base:
        """Apply the updates of one superstep; returns the new checkpoint."""
        first = updates[0]
        # With values, `__end__` is taken for a node, and there is none of this name.
        has_value = first.HasField("value") and not values.is_none(first.value)
        ends = first.as_node == END and not first.writes and not has_value
        alone = {_INPUT: self._input, _COPY: self._copy, END: self._end if ends else None}.get(first.as_node)
        if alone is None:
            return self._nodes(at, base, updates)
        if len(updates) > 1:
            raise InvalidUpdate(at, f"has {len(updates)} entries; {first.as_node} stands alone in its superstep")
        return alone(f"{at}[0]", base, first)

    def _nodes(self, at: str, base: Base, updates: Sequence[StateUpdate]) -> Base:
        """Updates in the name of nodes."""
        free = self._free_tasks(base)
        steps: list[TaskWrites] = []
        task_ids: list[str] = []
        for place, update in enumerate(updates):
            field_name = f"{at}[{place}]"
            _refuse_then(field_name, update)
            node = self._node(field_name, base, update, alone=len(updates) == 1)
            written = node_writes(field_name, self._names, node, update, base.style)
            written = self._message_ids.given(written, base.style)
            self._made.count(field_name, (value for _, value in written))
            # The path that sorts updates in their order; the trigger is none that could be consumed.
            steps.append(TaskWrites((_INTERRUPT, place), node.name, (_INTERRUPT,), written))
            task_ids.append(self._task_id(field_name, base, update, free.get(node.name, []), place))
        ops = [writes_put(base, task_id, step.path, step.writes) for task_id, step in zip(task_ids, steps, strict=True)]
        written_channels = {name for step in steps for name, _ in step.writes}
        base.forked |= deltas.overwritten(self._place.spec, (each for step in steps for each in step.writes))
        return self._made.commit(at, base, [steps], ops, "update", written_channels)

    def _node(self, at: str, base: Base, update: StateUpdate, *, alone: bool) -> NodeSpec:
        nodes = self._names.nodes
        name: str | None = update.as_node
        if not name:
            if not alone:
                raise self._no_node(at, "is empty; with several updates name the node of each:")
            name = inferred_node(self._place.spec, seen_by_node(base.found.checkpoint))
            if name is None:
                raise self._no_node(at, "is empty, and it is ambiguous which node wrote last; name one of")
        if name not in nodes:
            raise self._no_node(at, f"is {name!r}, which is no node of the graph; name one of")
        return nodes[name]

    def _no_node(self, at: str, problem: str) -> InvalidUpdate:
        return InvalidUpdate(f"{at}.as_node", f"{problem} {', '.join(self._names.nodes)}")

    def _task_id(self, at: str, base: Base, update: StateUpdate, free: list[str], place: int) -> str:
        if update.task_id:
            return update.task_id
        if free:
            return free.pop(0)
        return base.task_id(ids.update_task_id(base.found.checkpoint.id, place), at) if base.exists else ""

    def _free_tasks(self, base: Base) -> dict[str, list[str]]:
        """The ids of the tasks that were to run next, by node: what an update writes becomes their results."""
        free: dict[str, list[str]] = defaultdict(list)
        if base.exists:
            for task in self._tasks(base).tasks:
                if task.id:
                    free[task.name].append(task.id)
        return free

    def _tasks(self, base: Base) -> Attributed:
        found = base.found
        step = origin(found).step + 1
        return attributed(
            next_tasks(self._place.spec, found.checkpoint, base.channels, found.checkpoint_ns, step), found
        )

    def _end(self, at: str, base: Base, update: StateUpdate) -> Base:
        """Finish the superstep that was begun, with the work of the tasks that have finished."""
        _refuse_more(at, update)
        steps: list[list[TaskWrites]] = []
        if base.exists:
            pending = base.found.pending_writes
            if aside := null_writes(pending):
                steps.append([TaskWrites((), _INPUT, (), aside)])
            known = self._tasks(base)
            if known.warnings:
                raise NeedsCode(f"{at}.as_node", f"ends what can't be told: {known.warnings[0]}")
            statuses = known.statuses
            steps.append(
                [
                    TaskWrites(
                        task.path, task.name, task.triggers, statuses[task.id].output if task.id in statuses else ()
                    )
                    for task in known.tasks
                ]
            )
        return self._made.commit(at, base, steps, [], "update", None)

    def _input(self, at: str, base: Base, update: StateUpdate) -> Base:
        """The values as the graph's input, which cancels nothing."""
        _refuse_more(at, update)
        spec = self._place.spec
        written = self._message_ids.given(input_writes(at, spec.input_channels, update), base.style)
        base.forked |= deltas.overwritten(spec, written)
        ops: list[WritesPut] = []
        if base.exists:
            task_id = base.task_id(ids.input_task_id(base.found.checkpoint.id), at)
            ops.append(writes_put(base, task_id, None, written))
        return self._made.commit(at, base, [[TaskWrites((), _INPUT, (), written)]], ops, "input", None)

    def _copy(self, at: str, base: Base, update: StateUpdate) -> Base:
        """The checkpoint once more, as a sibling; and what follows it."""
        if update.writes or update.HasField("value") or update.HasField("goto"):
            raise InvalidUpdate(at, "has values or a goto, which a copy does not take; give them in `then`")
        if not base.exists:
            raise NothingToCopy(self._place.thread_id, self._place.checkpoint_ns)
        found, source = base.found, origin(base.found)
        copied = Checkpoint()
        copied.CopyFrom(found.checkpoint)
        copied.ClearField("updated_channels")
        copied.ClearField("extra")
        copied.v = VERSION
        put = self._made.put(copied, found.parent_checkpoint_id, source, "fork", source.counters)
        after = Base(self._made.found(put, copied), base.channels, style=base.style)
        if not update.then:
            return after
        free = self._free_tasks(after)
        grouped: dict[str, list[StateUpdate]] = defaultdict(list)
        for following in update.then:
            given = StateUpdate()
            given.CopyFrom(following)
            places = free.get(following.as_node, [])
            given.task_id = places.pop(0) if places else ""
            grouped[following.as_node].append(given)
        return self.superstep(f"{at}.then", after, [each for group in grouped.values() for each in group])


def _refuse_then(at: str, update: StateUpdate) -> None:
    if update.then:
        raise InvalidUpdate(f"{at}.then", f"is for as_node {_COPY} only; give these updates as the next superstep")


def _refuse_more(at: str, update: StateUpdate) -> None:
    """Refuse what means something for nodes only."""
    _refuse_then(at, update)
    if update.HasField("goto"):
        raise InvalidUpdate(f"{at}.goto", f"is for nodes; {update.as_node} leads nowhere by itself, so leave it out")
