"""Updates of a state: what they make of a checkpoint (Pregel.bulk_update_state). Pure.

Each superstep of updates makes one checkpoint out of the one before it. Nothing is stored here: what there is to store
is returned, so that a refused update leaves nothing behind.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from checkpointd.engine.errors import InvalidUpdate, NeedsCode, NothingToCopy
from checkpointd.engine.state import deltas, ids, values
from checkpointd.engine.state.apply import TaskPath, TaskWrites, apply_writes, path_text
from checkpointd.engine.state.channels import Channel
from checkpointd.engine.state.errors import Opaque, Refused
from checkpointd.engine.state.folded import Folded
from checkpointd.engine.state.hydrate import Histories, hydrate
from checkpointd.engine.state.metadata import Origin, metadata_text, origin
from checkpointd.engine.state.node_writes import END, input_writes, node_writes
from checkpointd.engine.state.seen import Seen, inferred_node, mark_bumps
from checkpointd.engine.state.task_status import Written, null_writes, task_statuses
from checkpointd.engine.state.tasks import next_tasks
from checkpointd.engine.state.versions import greatest, successor
from checkpointd.v1.checkpoints_pb2 import CheckpointPut, WritesPut
from checkpointd.v1.core_pb2 import Checkpoint, CheckpointTuple, Write
from checkpointd.v1.graph_pb2 import GraphSpec, NodeSpec, VersionStyle
from checkpointd.v1.states_pb2 import StateUpdate, Superstep

_INPUT = "__input__"
_COPY = "__copy__"
_INTERRUPT = "__interrupt__"
_VERSION = 4  # of a checkpoint's shape


@dataclass(frozen=True, slots=True)
class Place:
    """Where an update is made."""

    spec: GraphSpec
    thread_id: str
    checkpoint_ns: str
    style: VersionStyle.ValueType  # of versions, where there are none yet
    metadata: Mapping[str, Any]  # the caller's, for each new checkpoint


@dataclass(slots=True)
class _Base:
    """The checkpoint that a superstep builds on, or none; see `found.checkpoint.id`."""

    found: CheckpointTuple
    channels: dict[str, Channel]
    superseded: bool = False
    forked: set[str] = field(default_factory=set)  # delta channels whose walk must stop at the new checkpoint

    @property
    def exists(self) -> bool:
        return bool(self.found.checkpoint.id)

    def task_id(self, made: str | None, field_name: str) -> str:
        if made is None:
            raise NeedsCode(
                field_name, f"is on the checkpoint {self.found.checkpoint.id!r}, whose id is not LangGraph's (a UUID)"
            )
        return made


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


def _base(place: Place, found: CheckpointTuple | None, histories: Histories, *, superseded: bool) -> _Base:
    if found is None:
        found = CheckpointTuple(thread_id=place.thread_id, checkpoint_ns=place.checkpoint_ns)
    elif 0 < found.checkpoint.v < _VERSION:
        raise NeedsCode(
            "checkpoint_id",
            f"is {found.checkpoint.id!r}, written by an older LangGraph; let the graph run a step on this thread first",
        )
    channels, problems = hydrate(place.spec, found.checkpoint, histories)
    if problems:
        raise NeedsCode("graph", f"does not fit the thread: {problems[0]}")
    written = {pending.write.channel for pending in found.pending_writes}
    return _Base(found, channels, superseded, written & deltas.delta_channels(place.spec))


class _Update:
    """One request: what it has made so far."""

    def __init__(self, place: Place, newest_id: str) -> None:
        self._place = place
        self._newest_id = newest_id
        self.ops: list[CheckpointPut | WritesPut] = []

    def superstep(self, at: str, base: _Base, updates: Sequence[StateUpdate]) -> _Base:
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

    def _nodes(self, at: str, base: _Base, updates: Sequence[StateUpdate]) -> _Base:
        """Updates in the name of nodes."""
        free = self._free_tasks(base)
        steps: list[TaskWrites] = []
        task_ids: list[str] = []
        for place, update in enumerate(updates):
            field_name = f"{at}[{place}]"
            _refuse_then(field_name, update)
            node = self._node(field_name, base, update, alone=len(updates) == 1)
            written = deltas.with_message_ids(self._place.spec, node_writes(field_name, self._place.spec, node, update))
            # The path that sorts updates in their order; the trigger is none that could be consumed.
            steps.append(TaskWrites((_INTERRUPT, place), node.name, (_INTERRUPT,), written))
            task_ids.append(self._task_id(field_name, base, update, free.get(node.name, []), place))
        ops = [
            _writes_put(base, task_id, step.path, step.writes) for task_id, step in zip(task_ids, steps, strict=True)
        ]
        written_channels = {name for step in steps for name, _ in step.writes}
        base.forked |= deltas.overwritten(self._place.spec, (each for step in steps for each in step.writes))
        return self._commit(at, base, [steps], ops, "update", written_channels)

    def _node(self, at: str, base: _Base, update: StateUpdate, *, alone: bool) -> NodeSpec:
        names = {node.name: node for node in self._place.spec.nodes}
        listed = ", ".join(names)
        name: str | None = update.as_node
        if not name:
            if not alone:
                raise InvalidUpdate(f"{at}.as_node", f"is empty; with several updates name the node of each: {listed}")
            name = inferred_node(self._place.spec, _seen(base.found.checkpoint))
            if name is None:
                raise InvalidUpdate(
                    f"{at}.as_node", f"is empty, and it is ambiguous which node wrote last; name one of {listed}"
                )
        if name not in names:
            raise InvalidUpdate(f"{at}.as_node", f"is {name!r}, which is no node of the graph; name one of {listed}")
        return names[name]

    def _task_id(self, at: str, base: _Base, update: StateUpdate, free: list[str], place: int) -> str:
        if update.task_id:
            return update.task_id
        if free:
            return free.pop(0)
        return base.task_id(ids.update_task_id(base.found.checkpoint.id, place), at) if base.exists else ""

    def _free_tasks(self, base: _Base) -> dict[str, list[str]]:
        """The ids of the tasks that were to run next, by node: what an update writes becomes their results."""
        free: dict[str, list[str]] = defaultdict(list)
        if base.exists:
            for task in self._tasks(base):
                if task.id:
                    free[task.name].append(task.id)
        return free

    def _tasks(self, base: _Base) -> Any:
        found = base.found
        return next_tasks(
            self._place.spec, found.checkpoint, base.channels, found.checkpoint_ns, origin(found).step + 1
        )

    def _end(self, at: str, base: _Base, update: StateUpdate) -> _Base:
        """Finish the superstep that was begun, with the work of the tasks that have finished."""
        _refuse_more(at, update)
        steps: list[list[TaskWrites]] = []
        if base.exists:
            pending = base.found.pending_writes
            if aside := null_writes(pending):
                steps.append([TaskWrites((), _INPUT, (), aside)])
            statuses = task_statuses(pending)
            steps.append(
                [
                    TaskWrites(
                        task.path, task.name, task.triggers, statuses[task.id].output if task.id in statuses else ()
                    )
                    for task in self._tasks(base)
                ]
            )
        return self._commit(at, base, steps, [], "update", None)

    def _input(self, at: str, base: _Base, update: StateUpdate) -> _Base:
        """The values as the graph's input, which cancels nothing."""
        _refuse_more(at, update)
        spec = self._place.spec
        written = deltas.with_message_ids(spec, input_writes(at, spec.input_channels, update))
        base.forked |= deltas.overwritten(spec, written)
        ops: list[WritesPut] = []
        if base.exists:
            task_id = base.task_id(ids.input_task_id(base.found.checkpoint.id), at)
            ops.append(_writes_put(base, task_id, None, written))
        return self._commit(at, base, [[TaskWrites((), _INPUT, (), written)]], ops, "input", None)

    def _copy(self, at: str, base: _Base, update: StateUpdate) -> _Base:
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
        copied.v = _VERSION
        put = self._put(copied, found.parent_checkpoint_id, source, "fork", source.counters)
        after = _Base(self._found(put, copied), base.channels)
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

    def _commit(
        self,
        at: str,
        base: _Base,
        steps: Sequence[Sequence[TaskWrites]],
        ops: Sequence[WritesPut],
        kind: str,
        written: set[str] | None,
    ) -> _Base:
        """Apply steps, one after the other, and make the checkpoint that holds the outcome. `written` are the channels
        that count as updated; None: those that the steps changed."""
        spec, before = self._place.spec, base.found.checkpoint
        channels, versions, seen = base.channels, dict(before.channel_versions), _seen(before)
        triggers = {trigger for node in spec.nodes for trigger in node.triggers}
        changed: set[str] = set()
        try:
            for step in steps:
                following = successor(greatest(versions.values()), self._place.style)
                changed |= apply_writes(channels, step, versions, seen, next_version=following, triggers=triggers)
        except Refused as problem:
            raise InvalidUpdate(at, f"can't be applied: {problem}") from None
        except Opaque as problem:
            raise NeedsCode(at, f"can't be applied without the graph's code: {problem}") from None
        if base.exists:
            self._store_writes(base, ops)
        _refuse_unresolved(at, channels, {name for step in steps for task in step for name, _ in task.writes})
        source = origin(base.found)
        plan = deltas.Plan(
            spec,
            channels,
            versions,
            counters=source.counters if base.exists else None,
            updated=changed if written is None else written,
            forked=base.forked,
        )
        made = Checkpoint(v=_VERSION)
        made.channel_versions.update(versions)
        self._add_values(at, made, channels, plan.snapshots, before, seen)
        for node, versions_seen in seen.items():
            made.versions_seen[node].versions.update(versions_seen)
        put = self._put(made, base.found.checkpoint.id, source, kind, plan.counters, exists=base.exists)
        for channel, version in before.channel_versions.items():
            # What the base stores under the same version is there already.
            if made.channel_versions.get(channel) == version:
                put.checkpoint.channel_values.pop(channel, None)
        return _Base(self._found(put, made), self._hydrated(made, channels))

    def _store_writes(self, base: _Base, ops: Sequence[WritesPut]) -> None:
        """Keep the writes on the base, where walks through history read them. Those on a checkpoint that others have
        built on would be read for them too: then the new checkpoint holds the channels whole instead."""
        if base.superseded:
            names = deltas.delta_channels(self._place.spec)
            base.forked |= {write.channel for op in ops for write in op.writes if write.channel in names}
        else:
            self.ops.extend(op for op in ops if op.writes)

    def _add_values(
        self,
        at: str,
        made: Checkpoint,
        channels: Mapping[str, Channel],
        snapshots: set[str],
        before: Checkpoint,
        seen: Seen,
    ) -> None:
        """Add what the channels store (_checkpoint.create_checkpoint)."""
        bumped: dict[str, tuple[str | None, str]] = {}
        for name, channel in channels.items():
            version = made.channel_versions.get(name)
            if name in snapshots:
                if channel.unresolved or not channel.available():
                    raise NeedsCode(at, f"needs the whole value of channel {name!r}, whose reducer is the graph's own")
                if version is None or version == before.channel_versions.get(name):
                    following = successor(version, self._place.style)
                    bumped[name] = (version, following)
                    made.channel_versions[name] = following
                made.channel_values[name].CopyFrom(values.wrapped(channel.value()))
            elif version is not None and (stored := channel.stored()) is not None:
                made.channel_values[name].CopyFrom(stored)
        if bumped:
            mark_bumps(self._place.spec, seen, bumped)

    def _put(
        self,
        made: Checkpoint,
        parent_id: str,
        source: Origin,
        kind: str,
        counters: deltas.Counters,
        *,
        exists: bool = True,
    ) -> CheckpointPut:
        """Number and date a checkpoint, and keep it to be stored."""
        # Input to a checkpoint that does not tell its step begins anew.
        step = -1 if kind == "input" and not (exists and source.tells_step) else source.step + 1
        self._newest_id = made.id = ids.checkpoint_id(self._newest_id, step)
        made.ts = datetime.now(UTC).isoformat()
        put = CheckpointPut(checkpoint_ns=self._place.checkpoint_ns, checkpoint=made, parent_checkpoint_id=parent_id)
        put.metadata.json = metadata_text(kind, step, source.told_parents, counters, self._place.metadata)
        if kind == "fork":
            put.checkpoint.ClearField("channel_values")  # of versions that are all stored
        self.ops.append(put)
        return put

    def _found(self, put: CheckpointPut, made: Checkpoint) -> CheckpointTuple:
        """A checkpoint that is to be stored, as it will be read."""
        return CheckpointTuple(
            thread_id=self._place.thread_id,
            checkpoint_ns=self._place.checkpoint_ns,
            checkpoint=made,
            metadata=put.metadata,
            parent_checkpoint_id=put.parent_checkpoint_id,
        )

    def _hydrated(self, made: Checkpoint, live: Mapping[str, Channel]) -> dict[str, Channel]:
        """The channels of a checkpoint that is to be stored. What only its history will tell is known already."""
        channels, _ = hydrate(self._place.spec, made, {})
        return {
            name: live[name] if isinstance(channel, Folded) and name not in made.channel_values else channel
            for name, channel in channels.items()
        }


def _seen(checkpoint: Checkpoint) -> Seen:
    return {node: dict(seen.versions) for node, seen in checkpoint.versions_seen.items()}


def _refuse_then(at: str, update: StateUpdate) -> None:
    if update.then:
        raise InvalidUpdate(f"{at}.then", f"is for as_node {_COPY} only; give these updates as the next superstep")


def _refuse_more(at: str, update: StateUpdate) -> None:
    """Refuse what means something for nodes only."""
    _refuse_then(at, update)
    if update.HasField("goto"):
        raise InvalidUpdate(f"{at}.goto", f"is for nodes; {update.as_node} leads nowhere by itself, so leave it out")


def _refuse_unresolved(at: str, channels: Mapping[str, Channel], written: set[str]) -> None:
    """Refuse writes that only the graph's code can fold. A delta channel may keep them as they are."""
    for name in sorted(written & channels.keys()):
        channel = channels[name]
        if channel.unresolved and not channel.keeps_writes:
            raise NeedsCode(
                at,
                f"writes to channel {name!r}, which is folded by code that the server does not have; read its value, "
                "fold it where that code is, and send an Overwrite with the precondition expected_head",
            )


def _writes_put(base: _Base, task_id: str, path: TaskPath | None, written: Sequence[Written]) -> WritesPut:
    """The writes of a task on the base, as its graph would have stored them."""
    return WritesPut(
        checkpoint_ns=base.found.checkpoint_ns,
        checkpoint_id=base.found.checkpoint.id,
        task_id=task_id,
        task_path=path_text(path) if path is not None else "",
        writes=[Write(idx=place, channel=name, value=value) for place, (name, value) in enumerate(written)],
    )
