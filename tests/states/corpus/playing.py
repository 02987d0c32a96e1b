"""A scenario: a graph, and what is done to one thread of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.pregel import Pregel
from langgraph.types import Command, StateSnapshot

Graph = Pregel[Any, Any, Any, Any]
Build = Callable[[BaseCheckpointSaver[Any] | None], Graph]


class Broken(Exception):
    """What a node raises to fail."""


@dataclass
class Play:
    """One thread and its graph. Every move returns what the graph gave."""

    graph: Graph
    thread: RunnableConfig
    one_by_one: bool = True
    """Whether the nodes of a superstep run one after another, in order. A function that waits for its tasks can't."""

    recursion_limit: int = 25

    def invoke(self, given: Any, at: RunnableConfig | None = None, **options: Any) -> Any:
        """Run to the end or to an interrupt, storing each superstep before the next."""
        config: RunnableConfig = {
            **(at or self.thread),
            "max_concurrency": 1 if self.one_by_one else None,
            "recursion_limit": self.recursion_limit,
        }
        return self.graph.invoke(given, config, **{"durability": "sync", **options})

    def resume(self, answer: Any) -> Any:
        """Answer what was asked: the one question, or by the ids of several."""
        return self.invoke(Command(resume=answer))

    def breaks(self, given: Any, at: RunnableConfig | None = None, error: type[Exception] = Broken) -> None:
        """Run into a failure."""
        with pytest.raises(error):
            self.invoke(given, at)

    def update(self, values: Any, as_node: str | None = None, at: RunnableConfig | None = None) -> RunnableConfig:
        """Change the state, at the head or at a checkpoint."""
        return self.graph.update_state(at or self.thread, values, as_node)

    def state(self, *, subgraphs: bool = False) -> StateSnapshot:
        return self.graph.get_state(self.thread, subgraphs=subgraphs)

    def asked(self) -> list[str]:
        """The ids of the questions that wait."""
        return [question.id for question in self.state().interrupts]

    def before(self, *nodes: str) -> RunnableConfig:
        """The latest checkpoint from which exactly these nodes run next."""
        return next(state.config for state in self.graph.get_state_history(self.thread) if state.next == nodes)

    def inner(self) -> RunnableConfig:
        """The subgraph that the first task which calls one is in."""
        states = (task.state for task in self.state(subgraphs=True).tasks)
        return next(state.config for state in states if isinstance(state, StateSnapshot))


class Scenario(NamedTuple):
    name: str
    build: Build
    play: Callable[[Play], None]


_scenarios: list[Scenario] = []


def scenario(build: Build) -> Callable[[Callable[[Play], None]], Callable[[Play], None]]:
    """Add what the function plays, on this graph, to the corpus."""

    def add(play: Callable[[Play], None]) -> Callable[[Play], None]:
        _scenarios.append(Scenario(f"{build.__name__}-{play.__name__}", build, play))
        return play

    return add


def scenarios() -> list[Scenario]:
    """Those of all modules that were imported."""
    return list(_scenarios)
