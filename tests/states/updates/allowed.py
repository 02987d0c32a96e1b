"""The differences of an update from LangGraph's that are allowed, each by its name and with its reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from langgraph.channels.delta import DeltaChannel
from langgraph.graph.message import _messages_delta_reducer

from checkpointd.client.langgraph import PortableSerializer
from tests.states.comparing import same
from tests.states.corpus.playing import Graph
from tests.states.updates.cases import Update
from tests.states.updates.differing import NOTHING, Differing
from tests.states.updates.photos import Stored


class Problem(NamedTuple):
    """A difference, with what it takes to judge it."""

    graph: Graph
    update: Update
    differing: Differing


class Allowed(NamedTuple):
    name: str
    reason: str
    applies: Callable[[Problem], bool]

    by_chance: bool = False
    """Whether it comes and goes with the order of Python's sets, which is another one in each process."""


def _says_none(problem: Problem) -> bool:
    way, expected, actual = problem.differing
    return way[-2:] == ("extra", "updated_channels") and expected == Stored("null", b"") and actual == NOTHING


def _orders_edges(problem: Problem) -> bool:
    way, expected, actual = problem.differing
    return way[-1] == "edges" and isinstance(actual, str) and sorted(expected.split()) == sorted(actual.split())


def _orders_set(problem: Problem) -> bool:
    _, expected, actual = problem.differing
    if not (isinstance(expected, Stored) and isinstance(actual, Stored)):
        return False
    mine, theirs = (PortableSerializer().loads_typed(stored) for stored in (expected, actual))
    holds_set = any(isinstance(part, set) for part in (mine, *(mine if isinstance(mine, list | tuple) else ())))
    return holds_set and same(mine, theirs)


def _leaves_whole(problem: Problem) -> bool:
    way, expected, actual = problem.differing
    channels = [channel for channel in problem.graph.channels.values() if isinstance(channel, DeltaChannel)]
    if all(channel.reducer is _messages_delta_reducer for channel in channels):
        return False
    if "counters_since_delta_snapshot" in way:
        return True
    held = problem.graph.channels.get(str(way[-1]))
    return way[-2:-1] == ("channel_values",) and held in channels and NOTHING in (expected, actual)


def _tells_all(problem: Problem) -> bool:
    way, expected, _ = problem.differing
    return way[-2:-1] == ("metadata",) and expected == NOTHING and way[-1] in problem.update.metadata


ALLOWED: tuple[Allowed, ...] = (
    Allowed(
        "no key where LangGraph has None",
        "the channels that an update changed are not told: in Python by a key with None, in the contract by no field",
        _says_none,
    ),
    Allowed(
        "the order of a node's edges",
        "LangGraph writes them in the order of a set, which is another one in each process; each is null and no order "
        "of them means anything",
        _orders_edges,
        by_chance=True,
    ),
    Allowed(
        "the order within a set",
        "a set, such as that of the arms which a join has seen, is stored as a list in the order of the set",
        _orders_set,
        by_chance=True,
    ),
    Allowed(
        "a whole left to the graph",
        "a state stored as changes with a reducer of the user's own is due to be stored whole; the server can't, "
        "counts on, and leaves it to the graph's own next superstep",
        _leaves_whole,
    ),
    Allowed(
        "the caller's metadata on every checkpoint",
        "LangGraph loses it after the first superstep and on copies; the contract has it on all that a request makes",
        _tells_all,
    ),
)

STRICTER = {
    "opaque reducer": "the reducer is the user's own",
    "opaque delta": "the reducer of a state stored as changes is the user's own, and the new checkpoint must hold all",
    "values of a copy": "LangGraph passes over values of a copy that are no list of updates, which hides a mistake",
}


def allowed(problem: Problem) -> str | None:
    """The name of the allowed difference that this is."""
    return next((one.name for one in ALLOWED if one.applies(problem)), None)
