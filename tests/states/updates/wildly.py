"""Updates at random, of the random graphs and threads. The same seed gives the same ones."""

from __future__ import annotations

from random import Random
from typing import Any

from langgraph.graph import END, START
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Overwrite, Send

from checkpointd.client import CheckpointdError
from tests.states.corpus.playing import Graph, Play
from tests.states.updates.cases import Told, Update


def update(random: Random, seed: int, play: Play) -> Update:
    """One to three supersteps, each of one to three updates or of a mark, at the head or at any checkpoint.

    `seed` is what chance begins with when the update is made: then it says what the conditional edges choose.
    """
    states = list(play.graph.get_state_history(play.thread))
    configurable: dict[str, Any] = {}
    if states and random.random() < 0.35:
        configurable = {"checkpoint_id": random.choice(states).config["configurable"]["checkpoint_id"]}
    nodes = [name for name in play.graph.nodes if name != START]
    supersteps = [_superstep(random, play.graph, nodes) for _ in range(random.choice([1, 1, 1, 2, 3]))]
    chance = Random(seed)
    told = [[_choosing(one, play.graph, [*nodes, END], chance) for one in superstep] for superstep in supersteps]
    return Update(told, configurable, {})


def _choosing(told: Told, graph: Graph, ends: list[str], chance: Random) -> Told:
    """With the goto that the node's conditional edge, of which it has one at most, will choose."""
    return told._replace(goto=[chance.choice(ends)]) if _branches(graph, told.as_node) else told


def _branches(graph: Graph, node: str | None) -> bool:
    assert isinstance(graph, CompiledStateGraph)
    return bool(graph.builder.branches.get(node or ""))


def contradiction(expected: Exception | None, actual: Exception | None) -> str:
    """What is wrong with who refused: the server may need code where LangGraph has it; else both must refuse."""
    refusal = actual.reason if isinstance(actual, CheckpointdError) else ""
    if refusal == "NEEDS_CODE" or (expected and refusal in ("INVALID_UPDATE", "NOTHING_TO_COPY")):
        return ""
    return f"LangGraph: {expected!r}; server: {actual!r}"


def _superstep(random: Random, graph: Graph, nodes: list[str]) -> list[Told]:
    match random.choices(["nodes", "unnamed", "start", "input", "end", "copy"], [12, 2, 2, 2, 2, 2])[0]:
        case "nodes":
            return [_node(random, graph, nodes) for _ in range(random.choice([1, 1, 1, 2, 3]))]
        case "unnamed":
            return [Told(_values(random))]
        case "start":
            return [Told(_values(random), START)]
        case "input":
            return [Told({"log": ["input"], **_values(random)}, "__input__")]
        case "end":
            return [Told(None, END)]
    following = [(_values(random), random.choice(nodes)) for _ in range(random.choice([0, 0, 1, 2]))]
    free = [one for one in following if not _branches(graph, one[1])]  # an update of a copy has no goto here
    return [Told(free or None, "__copy__")]


def _node(random: Random, graph: Graph, nodes: list[str]) -> Told:
    node, values = random.choice(nodes), random.choice([_values(random), _values(random), None])
    if not _branches(graph, node) and random.random() < 0.3:
        targets: list[Any] = [random.choice([*nodes, END, Send(random.choice(nodes), {"log": ["sent"]})])]
        return Told(Command(update=values, goto=targets), node)
    return Told(values, node)


def _values(random: Random) -> dict[str, Any]:
    """Any keys; seldom those that only the user's own code can fold."""
    often: dict[str, Any] = {
        "log": ["put"],
        "number": random.randint(0, 3),
        "last": random.choice(["put", None]),
        "greatest": random.randint(-3, 9),
        "table": {"put": random.randint(0, 3)},
        "any": "put",
        "maybe": 1,
        "once": "put",
        "never": "put",
        "unknown": "put",
    }
    seldom: dict[str, Any] = {
        "own": ["put"],
        "changes": random.choice([["put"], Overwrite(["put"])]),
        "number": Overwrite(7),
        "table": {"__overwrite__": {}},
        "greatest": "none",
        "log": {"type": "__overwrite__", "value": ["over"]},
    }
    values = {key: value for key, value in often.items() if random.random() < 0.3}
    return values | {key: value for key, value in seldom.items() if random.random() < 0.05}
