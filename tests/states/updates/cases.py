"""A case: a graph, what is played on a thread of it, the update that follows, and what comes of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig

from tests.states.corpus.playing import Build, Play


class Told(NamedTuple):
    """What one node is said to have written."""

    values: Any
    as_node: str | None = None
    task_id: str | None = None

    goto: Any = None
    """Where the node's conditional edges lead to: LangGraph asks them, the server has to be told."""


class Update(NamedTuple):
    """What is changed, and where."""

    supersteps: Sequence[Sequence[Told]]
    configurable: dict[str, Any]
    """Of the config, without the thread: the place, and what else is the caller's."""

    metadata: dict[str, Any]
    """Of the config."""


Way = Callable[[Play], Update]
Where = Callable[[Play], RunnableConfig]


class Case(NamedTuple):
    name: str
    build: Build
    prepare: Callable[[Play], None]
    update: Way

    refused: str = ""
    """The reason that the server gives, when the update is refused; LangGraph raises then."""

    stricter: str = ""
    """Why the server refuses what LangGraph takes: one of `allowed.STRICTER`."""


_cases: list[Case] = []


def case(
    name: str,
    build: Build,
    prepare: Callable[[Play], None],
    update: Way,
    *,
    refused: str = "",
    stricter: str = "",
) -> None:
    """Add a case. Names say what is updated, and how."""
    assert all(one.name != name for one in _cases), name
    _cases.append(Case(name, build, prepare, update, refused, stricter))


def cases() -> list[Case]:
    """Those of all modules that were imported."""
    return list(_cases)


def steps(*supersteps: Sequence[Told], at: Where | None = None, **more: Any) -> Way:
    """Updates superstep by superstep. `at` is where in the thread; `more` goes into the config's metadata."""

    def update(play: Play) -> Update:
        configurable = dict((at(play) if at else play.thread)["configurable"])
        del configurable["thread_id"]
        return Update(supersteps, configurable, more)

    return update


def one(
    values: Any,
    as_node: str | None = None,
    task_id: str | None = None,
    *,
    goto: Any = None,
    at: Where | None = None,
    **more: Any,
) -> Way:
    """A single update."""
    return steps([Told(values, as_node, task_id, goto)], at=at, **more)


def head(play: Play) -> RunnableConfig:
    """The head, by its id."""
    return play.state().config


def before(*nodes: str) -> Where:
    """The latest checkpoint from which exactly these nodes run next."""
    return lambda play: play.before(*nodes)


def inside(play: Play) -> RunnableConfig:
    """The subgraph that the first task which calls one is in, at its head."""
    configurable = dict(play.inner()["configurable"])
    del configurable["checkpoint_id"]
    configurable.pop("checkpoint_map", None)
    return {"configurable": configurable}


def nothing(play: Play) -> None:
    """Leave the thread empty."""


def invoked(given: Any, *, then: Callable[[Play], None] = nothing, **options: Any) -> Callable[[Play], None]:
    """One run, and something after it."""

    def prepare(play: Play) -> None:
        play.invoke(given, **options)
        then(play)

    return prepare
