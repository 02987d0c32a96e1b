"""Graphs and threads at random: combinations that nobody thought of. The same seed gives the same ones."""

from __future__ import annotations

import operator
from collections.abc import Callable
from random import Random
from typing import Annotated, Any, TypedDict

from langgraph.channels import AnyValue, BinaryOperatorAggregate, EphemeralValue, UntrackedValue
from langgraph.channels.delta import DeltaChannel
from langgraph.errors import EmptyInputError, GraphRecursionError, InvalidUpdateError
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Overwrite, Send, interrupt

from tests.states.corpus.folding import extend
from tests.states.corpus.playing import Broken, Graph, Play

# What a move may end with: it leaves behind what it leaves behind.
_ENDS = (Broken, EmptyInputError, GraphRecursionError, InvalidUpdateError)


class Wild(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    number: Annotated[int, operator.add]
    last: str | None
    own: Annotated[list[str], lambda old, new: old + new]
    greatest: Annotated[int, BinaryOperatorAggregate(int, max)]
    table: Annotated[dict[str, int], operator.or_]
    changes: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=3)]
    any: Annotated[str, AnyValue]
    once: Annotated[str, EphemeralValue]
    never: Annotated[str, UntrackedValue]
    maybe: Annotated[int | None, operator.add]


def build(random: Random, saver: Any, depth: int = 0) -> Graph:
    """Two to five nodes, some of them subgraphs, edges, joins and branches among them."""
    names = [f"{'abc'[depth]}{number}" for number in range(random.randint(2, 5))]
    graph: StateGraph[Any] = StateGraph(Wild)
    for name in names:
        defer = random.random() < 0.15
        if depth < 2 and random.random() < 0.22:
            subgraph = build(random, random.choice([None, None, None, True]), depth + 1)
            graph.add_node(name, subgraph if random.random() < 0.5 else _caller(name, subgraph), defer=defer)
        else:
            graph.add_node(name, _node(random, name, names), destinations=tuple(names), defer=defer)
    graph.add_edge(START, names[0])
    for _ in range(random.randint(1, len(names) + 2)):
        start, end = random.choice([START, *names]), random.choice(names)
        graph.add_edge(start, end)
    if len(names) > 2 and random.random() < 0.5:
        graph.add_edge(random.sample(names, 2), random.choice(names))
    if random.random() < 0.5:
        ends = [*names, END]
        known = ends if random.random() < 0.5 else None
        graph.add_conditional_edges(random.choice(names), lambda state: random.choice(ends), known)
    before = random.sample(names, 1) if random.random() < 0.25 else None
    after = random.sample(names, 1) if random.random() < 0.2 else None
    return graph.compile(checkpointer=saver, interrupt_before=before, interrupt_after=after)


def play(random: Random, play: Play) -> None:
    """One to eight moves."""
    nodes = [name for name in play.graph.nodes if name != START]
    for _ in range(random.randint(1, 8)):
        try:
            _move(random, play, nodes)
        except _ENDS:
            continue


def _move(random: Random, play: Play, nodes: list[str]) -> None:
    states = list(play.graph.get_state_history(play.thread))
    at = random.choice(states).config if states and random.random() < 0.3 else None
    options = {"durability": random.choice(["sync", "sync", "async", "exit"])}
    update = _update(random, "moved")
    moves: list[tuple[int, Callable[[], Any]]] = [
        (30, lambda: play.invoke({"log": ["in"], **update}, at, **options)),
        (15, lambda: play.invoke(None, at, **options)),
        (20, lambda: _answer(random, play, update)),
        (20, lambda: play.update(update, random.choice([*nodes, START, "__input__"]), at)),
        (5, lambda: play.update(None, END, at)),
        (3, lambda: play.update(None, "__copy__", at)),
        (7, lambda: play.invoke(Command(goto=random.choice(nodes), update=update), at, **options)),
    ]
    weights, does = zip(*moves, strict=True)
    random.choices(does, weights)[0]()


def _answer(random: Random, play: Play, update: dict[str, Any]) -> None:
    asked = play.asked()
    if len(asked) == 1 and random.random() < 0.4:
        play.invoke(Command(resume="answer", update=update))
    elif asked:
        play.resume(dict.fromkeys(random.sample(asked, random.randint(1, len(asked))), "answer"))


def _caller(name: str, subgraph: Graph) -> Any:
    """A node that calls a subgraph: one that LangGraph finds, or, as a default, does not."""

    def call(state: Wild) -> Any:
        return {"log": subgraph.invoke({"log": [name], "number": 1}).get("log", [])[-1:]}

    def call_hidden(state: Wild, subgraph: Graph = subgraph) -> Any:
        return {"log": subgraph.invoke({"log": [name], "number": 1}).get("log", [])[-1:]}

    return call if len(subgraph.nodes) % 2 else call_hidden


def _node(random: Random, name: str, names: list[str]) -> Any:
    """A node that, each time it runs, may ask, fail, send, command, or write any keys."""
    asks, fails = random.choice([0, 0.3]), random.choice([0, 0, 0.2])
    sends, commands = random.choice([0, 0, 0.4]), random.choice([0, 0, 0.4])

    def node(state: Wild) -> Any:
        if random.random() < asks:
            interrupt({"by": name})
        if random.random() < asks / 2:
            interrupt([name, "again"])
        if random.random() < fails:
            raise Broken(name)
        update = _update(random, name)
        if random.random() < sends:
            packets = [Send(random.choice(names), {"log": ["sent"]}) for _ in range(random.randint(1, 3))]
            return Command(update=update, goto=packets)
        if random.random() < commands:
            return Command(update=update, goto=random.choice([*names, END]))
        return update or None

    return node


def _update(random: Random, name: str) -> dict[str, Any]:
    """Any keys: most often such as several nodes may write at once."""
    likely: dict[str, Any] = {"log": [name], "own": [name], "changes": [name], "table": {name: random.randint(0, 3)}}
    likely |= {"number": random.randint(0, 3), "greatest": random.randint(-3, 9), "any": name, "maybe": 1}
    unlikely: dict[str, Any] = {key: Overwrite([name]) for key in ("log", "own", "changes")}
    unlikely |= {"last": random.choice([name, None]), "once": name, "never": name}
    update = {key: value for key, value in likely.items() if random.random() < 0.35}
    return update | {key: value for key, value in unlikely.items() if random.random() < 0.07}
