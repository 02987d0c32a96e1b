"""Writes are applied as LangGraph applies them: channels, versions, versions seen, and what counts as updated."""

from collections.abc import Iterable
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.base import Checkpoint
from langgraph.errors import InvalidUpdateError
from langgraph.pregel._algo import PregelTaskWrites, task_path_str
from langgraph.pregel._algo import apply_writes as langgraphs_apply_writes

from checkpointd.engine.state.apply import TaskPath, TaskWrites, apply_writes, path_text
from checkpointd.engine.state.errors import Refused
from checkpointd.engine.state.hydrate import channel
from tests.engine.state.kinds import KINDS
from tests.engine.state.langgraph_values import dumped, loaded

_CHANNELS = ("last_value", "any_value", "ephemeral", "after_finish", "barrier", "topic", "binop", "untracked")
_TRIGGERS = ("ephemeral", "after_finish", "barrier")

_WRITES = st.one_of(
    st.tuples(st.sampled_from(["last_value", "any_value", "ephemeral", "after_finish", "topic"]), st.integers(0, 2)),
    st.tuples(st.just("barrier"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("binop"), st.lists(st.integers(0, 2), max_size=2)),
    st.tuples(st.sampled_from(["__no_writes__", "__return__", "__resume__", "unknown"]), st.just(1)),
)
_PATHS = st.one_of(
    st.tuples(st.just("__pregel_pull"), st.sampled_from("abc")),
    st.tuples(st.just("__pregel_push"), st.integers(0, 12), st.just(False)),
)
_TASKS = st.builds(
    PregelTaskWrites,
    path=_PATHS,
    name=st.sampled_from("abc"),
    writes=st.lists(_WRITES, max_size=3),
    triggers=st.lists(st.sampled_from([*_TRIGGERS, "__pregel_push", "unknown"]), max_size=2, unique=True),
)
_STEPS = st.lists(st.lists(_TASKS, min_size=1, max_size=3), min_size=1, max_size=4)


def _ours(tasks: Iterable[PregelTaskWrites]) -> list[TaskWrites]:
    return [
        TaskWrites(
            cast(TaskPath, task.path), task.name, task.triggers, [(name, dumped(value)) for name, value in task.writes]
        )
        for task in tasks
    ]


@given(steps=_STEPS, counting=st.booleans())
def test_steps_are_applied_as_langgraph_does(steps: list[list[PregelTaskWrites]], counting: bool) -> None:
    theirs = {name: KINDS[name].make() for name in _CHANNELS}
    ours = {name: channel(KINDS[name].spec, None) for name in _CHANNELS}
    checkpoint: Any = Checkpoint(
        v=4, id="", ts="", channel_values={}, channel_versions={}, versions_seen={}, updated_channels=None
    )
    versions: dict[str, str] = {}
    seen: dict[str, dict[str, str]] = {}
    for number, tasks in enumerate(steps, start=1):
        following = f"{number:05d}" if counting else None
        count: Any = (lambda current, channel, number=number: f"{number:05d}") if counting else None
        try:
            expected = langgraphs_apply_writes(checkpoint, theirs, tasks, count, dict.fromkeys(_TRIGGERS, ()))
        except InvalidUpdateError:
            expected = None
        try:
            updated = apply_writes(ours, _ours(tasks), versions, seen, next_version=following, triggers=_TRIGGERS)
        except Refused:
            updated = None
        assert updated == expected
        assert seen == checkpoint["versions_seen"]
        if updated is None:
            return
        assert versions == checkpoint["channel_versions"]
        for name in _CHANNELS:
            assert ours[name].available() == theirs[name].is_available(), name
            if ours[name].available():
                assert loaded(ours[name].value()) == theirs[name].get(), name


@given(path=_PATHS | st.just(()))
def test_paths_sort_as_langgraphs_do(path: Any) -> None:
    assert path_text(path) == task_path_str(path)
