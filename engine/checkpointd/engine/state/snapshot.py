"""The state of a graph at one checkpoint (Pregel._prepare_state_snapshot, langgraph.pregel.debug.tasks_w_writes)."""

from collections.abc import Iterable, Mapping, Sequence

from checkpointd.engine.state import namespaces, values
from checkpointd.engine.state.apply import TaskWrites, apply_writes
from checkpointd.engine.state.attribution import attributed
from checkpointd.engine.state.channels import Channel
from checkpointd.engine.state.errors import Opaque, Refused
from checkpointd.engine.state.hydrate import Histories, hydrate
from checkpointd.engine.state.interrupts import interrupts
from checkpointd.engine.state.metadata import config, origin
from checkpointd.engine.state.task_status import TaskStatus, Written, null_writes
from checkpointd.engine.state.tasks import Task, next_tasks
from checkpointd.v1.core_pb2 import CheckpointTuple, Value
from checkpointd.v1.graph_pb2 import ChannelSelection, GraphSpec
from checkpointd.v1.states_pb2 import (
    ChannelWrites,
    StateConfig,
    StateSnapshot,
    StateTask,
    TaskPath,
    TaskResult,
    UnresolvedChannel,
)

_INPUT = "__input__"
_RETURN = "__return__"

_MAX_NAMED = 10  # in a warning


def snapshot(spec: GraphSpec, found: CheckpointTuple, histories: Histories, *, live: bool) -> StateSnapshot:
    """The state at a checkpoint. `histories` are those of `channels_to_replay`.

    Live, it is the present: what finished tasks wrote counts, they are not next, and their questions are answered.
    Otherwise it is a record: the values when the superstep began, all its tasks, and all that they asked.
    """
    source = origin(found)
    channels, warnings = hydrate(spec, found.checkpoint, histories)
    warnings += _contradictions(spec, found)
    tasks = next_tasks(spec, found.checkpoint, channels, found.checkpoint_ns, source.step + 1)
    if any(not task.id for task in tasks):
        warnings.append(
            f"the checkpoint's id {found.checkpoint.id!r} is not LangGraph's (a UUID), so tasks have no id here, and "
            "what they wrote or asked is not told"
        )
    known = attributed(tasks, found)
    warnings += known.warnings
    tasks, statuses = known.tasks, known.statuses
    output = {task.id: statuses[task.id].output for task in tasks if live and task.id in statuses}
    channels, problems = _present(spec, found, histories, channels, tasks, output)
    warnings += problems

    made = base(found)
    _add_values(made, spec.stream_channels, channels, warnings)
    made.next.extend(task.name for task in tasks if not output.get(task.id))
    for task in tasks:
        status = statuses.get(task.id, TaskStatus())
        added = made.tasks.add()
        _add_task(added, task, status, spec.stream_channels, live=live, warnings=warnings)
        if task.id and task.node.HasField("subgraph"):
            caller = known.callers.get(task.id, task.id)
            added.subgraph.thread_id = found.thread_id
            added.subgraph.checkpoint_ns = namespaces.of_task(found.checkpoint_ns, task.name, caller)
    for added in made.tasks:
        made.interrupts.extend(added.interrupts)
    made.warnings.extend(warnings)
    return made


def base(found: CheckpointTuple) -> StateSnapshot:
    """What a snapshot tells whatever the graph is: where the checkpoint stands and where it comes from."""
    parents, parent_id = origin(found).parents, found.parent_checkpoint_id
    return StateSnapshot(
        exists=True,
        config=config(found, found.checkpoint.id, parents),
        parent_config=config(found, parent_id, parents) if parent_id else None,
        metadata=found.metadata,
        created_at=found.checkpoint.ts,
    )


def empty(thread_id: str, checkpoint_ns: str) -> StateSnapshot:
    """The state of a namespace without checkpoints."""
    return StateSnapshot(config=StateConfig(thread_id=thread_id, checkpoint_ns=checkpoint_ns))


def _contradictions(spec: GraphSpec, found: CheckpointTuple) -> list[str]:
    """Warnings about what the checkpoint knows and the description does not. Names of LangGraph's own don't count, nor
    do functions that a task called, which have seen no channel."""
    seen = found.checkpoint.versions_seen
    known: dict[str, tuple[set[str], Iterable[str]]] = {
        "nodes": ({node.name for node in spec.nodes}, (name for name in seen if seen[name].versions)),
        "channels": ({channel.name for channel in spec.channels}, found.checkpoint.channel_versions),
    }
    warnings = []
    for what, (described, named) in known.items():
        if unknown := sorted(name for name in named if name not in described and not name.startswith("__")):
            warnings.append(
                f"the checkpoint has {what} that the graph's description does not have ({_some(unknown)}): another "
                "version of the graph wrote it; name that version in the request"
            )
    return warnings


def _some(names: Sequence[str]) -> str:
    """The first of some names, for a person."""
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more


def _present(
    spec: GraphSpec,
    found: CheckpointTuple,
    histories: Histories,
    channels: dict[str, Channel],
    tasks: Sequence[Task],
    output: Mapping[str, Sequence[Written]],
) -> tuple[dict[str, Channel], list[str]]:
    """The channels with what has been written since the checkpoint: beside all tasks, then by those in `output`.

    Where LangGraph could not apply it and would raise, the channels as they were before, and a warning.
    """
    aside = [TaskWrites((), _INPUT, (), written)] if (written := null_writes(found.pending_writes)) else []
    finished = [
        TaskWrites(task.path, task.name, task.triggers, output[task.id]) for task in tasks if output.get(task.id)
    ]
    warnings: list[str] = []
    for steps in ([aside, finished], [aside], []):
        try:
            for step in steps:
                _apply(channels, step, found)
            break
        except (Refused, Opaque) as problem:
            warnings = warnings or [
                f"the values are those before writes of this superstep that can't be applied to them: {problem}"
            ]
            channels, _ = hydrate(spec, found.checkpoint, histories)
    return channels, warnings


def _apply(channels: Mapping[str, Channel], step: Sequence[TaskWrites], found: CheckpointTuple) -> None:
    if step:
        versions = dict(found.checkpoint.channel_versions)
        apply_writes(channels, step, versions, {}, next_version=None, triggers=())


def _add_values(
    made: StateSnapshot, selection: ChannelSelection, channels: Mapping[str, Channel], warnings: list[str]
) -> None:
    for name in selection.names:
        channel = channels[name]
        if channel.available():
            try:
                made.values[name].CopyFrom(channel.value())
            except Opaque as problem:
                warnings.append(f"the value of channel {name!r} {problem}; it is left out")
        if channel.unresolved:
            base = channel.value() if channel.available() else None
            made.unresolved.append(UnresolvedChannel(channel=name, base=base, writes=channel.unresolved))
            warnings.append(
                f"channel {name!r} is folded by code that the server does not have; its value here is what it was "
                "before the writes listed as unresolved"
            )
    if selection.single:
        (name,) = selection.names
        made.root_value.CopyFrom(made.values.get(name, values.NULL))
        made.values.clear()


def _add_task(
    made: StateTask,
    task: Task,
    status: TaskStatus,
    selection: ChannelSelection,
    *,
    live: bool,
    warnings: list[str],
) -> None:
    made.id, made.name = task.id, task.name
    place = task.path[1]
    made.path.CopyFrom(TaskPath(push=place) if isinstance(place, int) else TaskPath(pull=place))
    if status.error is not None:
        made.error.CopyFrom(status.error)
    if not (live and status.output):
        asked, problems = interrupts(status.interrupts)
        made.interrupts.extend(asked)
        warnings += problems
    if status.output:
        made.result.CopyFrom(_result(status.output, selection))


def _result(output: Sequence[Written], selection: ChannelSelection) -> TaskResult:
    """What a finished task gave: what it returned, or what it wrote to the state (debug.map_task_result_writes)."""
    for channel, value in output:
        if channel == _RETURN:
            return TaskResult(value=value)
    names = set(selection.names)
    written: dict[str, list[Value]] = {}
    for channel, value in output:
        if channel in names:
            before = written.get(channel, [])
            # Nothing, followed by something, leaves no trace.
            written[channel] = [value] if len(before) == 1 and values.is_none(before[0]) else [*before, value]
    if not selection.single:
        return TaskResult(writes=[ChannelWrites(channel=name, values=given) for name, given in written.items()])
    return TaskResult(value=_bare(next(iter(written.values()), [])))


def _bare(written: Sequence[Value]) -> Value:
    """The result of a graph whose state is one bare value."""
    if len(written) <= 1:
        return written[0] if written else values.NULL
    try:
        return values.encode({"$writes": [values.decode(value) for value in written]}, *written)
    except Opaque:
        return written[-1]
