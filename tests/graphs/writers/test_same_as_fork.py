"""All that LangGraph does with a thread that nobody else writes comes out the same, however a saver writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from operator import add
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, RetryPolicy, Send, StateSnapshot, StateUpdate, interrupt

from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import checkpoint, id_of
from tests.graphs.delta import Move, delta_graph
from tests.graphs.writers.lines import WAYS, Durability, Mode, Savers, T, line, said
from tests.server_process import ServerProcess


class Notes(TypedDict, total=False):
    items: list[str]
    item: str
    notes: Annotated[list[str], add]


App = CompiledStateGraph[Any]


class Broken(Exception):
    """A node's own failure."""


class Play:
    """A saver's user: runs graphs in one of the ways, and looks at the thread after each run."""

    def __init__(self, saver: RemoteSaver, way: str, durability: Durability) -> None:
        self.saver = saver
        self.is_async = way == "ainvoke"
        self.seen: list[Any] = []
        self._way = WAYS[way]
        self._durability = durability

    def run(self, app: Any, given: Any, at: RunnableConfig = T) -> None:
        try:
            self._way(app, given, at, self._durability)
        except Broken as error:
            self.seen.append(str(error))
        self.look(app)

    def past(self, app: Any, back: int) -> StateSnapshot:
        """A state of the thread as it was; with durability "exit" there are fewer."""
        states = list(app.get_state_history(T))
        found: StateSnapshot = states[back % len(states)]
        return found

    def look(self, app: Any) -> None:
        self.seen.append([_shown(state) for state in app.get_state_history(T)])
        self.seen.append(_shown(app.get_state(T, subgraphs=True)))


def _shown(state: StateSnapshot | RunnableConfig | None) -> Any:
    if not isinstance(state, StateSnapshot):
        return None
    tasks = [
        (one.name, one.error, [i.value for i in one.interrupts], one.result, _shown(one.state)) for one in state.tasks
    ]
    metadata = state.metadata or {}
    return state.values, state.next, metadata.get("source"), metadata.get("step"), tasks


def graph_of(saver: RemoteSaver | None, *nodes: Callable[..., Any], **options: Any) -> App:
    graph = StateGraph(Notes)
    graph.add_sequence(list(nodes))
    graph.add_edge(START, nodes[0].__name__)
    return graph.compile(checkpointer=saver, **options)


def note(name: str) -> Any:
    def act(state: Notes) -> Notes:
        return {"notes": [name]}

    act.__name__ = name
    return act


def ask(state: Notes) -> Notes:
    return {"notes": [interrupt("first?"), interrupt("second?")]}


def time_travel(play: Play) -> None:
    app = line(play.saver)
    play.run(app, said("one"))
    play.run(app, said("two"))
    for back in (1, 2, 5):
        past = play.past(app, back)
        play.run(app, None, checkpoint("t", id_of(past)))
        play.run(app, said("three"), past.config)
    play.run(app, None, checkpoint("t", id_of(play.past(app, 0))))
    play.run(app, said("four"))


def updates(play: Play) -> None:
    app = line(play.saver)
    app.update_state(T, said("first"), as_node="a")
    play.run(app, None)
    app.update_state(T, {"log": ["after"]}, as_node="c")
    past = play.past(app, 2)
    app.update_state(past.config, {"log": ["past"]})
    play.look(app)
    made = app.update_state(past.config, {"log": ["past again"]}, as_node="a")
    app.update_state(T, {"log": ["on it"]}, as_node="a")
    play.run(app, None, made)
    asyncio.run(app.aupdate_state(T, None, as_node="a"))
    app.bulk_update_state(T, [[StateUpdate({"log": ["bulk"]}, "a")], [StateUpdate({"log": ["bulk 2"]}, "b")]])
    play.run(app, None)


def copies(play: Play) -> None:
    app = line(play.saver, interrupt_before=["b"])
    play.run(app, said("one"))
    app.update_state(T, None, as_node="__copy__")
    play.look(app)
    play.run(app, None)
    app.update_state(play.past(app, -1).config, None, as_node="__copy__")
    play.run(app, None)
    play.run(app, None)


def remote_updates(play: Play) -> None:
    app = line(play.saver, interrupt_before=["b"])
    play.saver.register(app, "line")
    play.run(app, said("one"))
    play.saver.update_state(T, {"log": ["remote"]}, "a")
    play.run(app, None)
    past = play.past(app, 3)
    play.saver.update_state(past.config, {"log": ["remote"]}, "a")
    play.run(app, None)
    asyncio.run(play.saver.aupdate_state(T, {"log": ["at the end"]}, "c"))
    play.look(app)


def interrupts(play: Play) -> None:
    app = graph_of(play.saver, note("before"), ask, note("after"))
    play.run(app, {"notes": ["given"]})
    asked = play.past(app, 0).config
    play.run(app, Command(resume="one"))
    play.run(app, Command(resume="two", update={"notes": ["with it"]}))
    play.run(app, Command(resume="three"), asked)
    play.run(app, Command(resume="four"), asked)
    play.run(app, Command(goto="before"))
    play.run(app, {"notes": ["anew"]})
    play.run(app, {"notes": ["anew once more"]})


def static_interrupts(play: Play) -> None:
    app = line(play.saver, interrupt_before=["b"], interrupt_after=["c"])
    for given in (said("one"), None, None, said("two"), said("three"), None):
        play.run(app, given)


def subgraphs(play: Play) -> None:
    inner = graph_of(None, note("inner"), ask)
    middle = graph_of(None, note("middle"), named("inner_graph", inner))
    app = graph_of(play.saver, note("before"), named("middle_graph", middle), note("after"))
    play.run(app, {"notes": ["given"]})
    play.run(app, Command(resume="one"))
    play.run(app, Command(resume="two"))
    for back in (3, 2, 1):
        play.run(app, None, play.past(app, back).config)
        play.run(app, Command(resume="again"))
        play.run(app, Command(resume="and again"))
    play.run(app, {"notes": ["anew"]})
    state = app.get_state(T, subgraphs=True)
    within: Any = state.tasks[0].state
    app.update_state(within.config, {"notes": ["into the subgraph"]})
    play.run(app, Command(resume="one"))
    play.run(app, Command(resume="two"))


def named(name: str, graph: App) -> Any:
    """A node that calls a graph."""

    def act(state: Notes) -> Any:
        return {"notes": graph.invoke({"notes": []})["notes"]}

    act.__name__ = name
    return act


def stateful_subgraphs(play: Play) -> None:
    inner = graph_of(True, note("inner"), note("inner_2"))  # type: ignore[arg-type]
    app = graph_of(play.saver, note("before"), named("inner_graph", inner), note("after"))
    play.run(app, {"notes": ["one"]})
    play.run(app, {"notes": ["two"]})
    play.run(app, None, play.past(app, 2).config)
    play.run(app, {"notes": ["three"]})


def subgraph_nodes(play: Play) -> None:
    inner = graph_of(None, note("inner"), ask)
    graph = StateGraph(Notes)
    graph.add_node("before", note("before"))
    graph.add_node("inner_graph", inner)
    graph.add_edge(START, "before")
    graph.add_edge("before", "inner_graph")
    app = graph.compile(checkpointer=play.saver)
    play.run(app, {"notes": ["given"]})
    play.run(app, Command(resume="one"))
    play.run(app, None, play.past(app, 1).config)
    play.run(app, Command(resume="one"))
    play.run(app, Command(resume="two"))
    play.run(app, {"notes": ["more"]})


def map_reduce(play: Play) -> None:
    def split(state: Notes) -> Notes:
        return {"items": [f"item{number}" for number in range(8)]}

    def each(state: Notes) -> list[Send]:
        return [Send("work", {"item": item}) for item in state["items"]]

    def work(state: Notes) -> Notes:
        return {"notes": [interrupt(state["item"]) if state["item"] == "item3" else state["item"]]}

    graph = StateGraph(Notes)
    for node in (split, work, note("reduce")):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "split")
    graph.add_conditional_edges("split", each, ["work"])
    graph.add_edge("work", "reduce")
    app = graph.compile(checkpointer=play.saver)
    play.run(app, {"notes": ["given"]})
    play.run(app, Command(resume="answer"))
    play.run(app, None, play.past(app, 1).config)
    play.run(app, Command(resume="again"))


def parallel(play: Play) -> None:
    graph = StateGraph(Notes)
    for number in range(12):
        graph.add_node(f"task{number:02}", note(f"task{number:02}"))
        graph.add_edge(START, f"task{number:02}")
        graph.add_edge(f"task{number:02}", "join")
    graph.add_node("join", note("join"))
    app = graph.compile(checkpointer=play.saver)
    for turn in ("one", "two", "three"):
        play.run(app, {"notes": [turn]})


def failures(play: Play) -> None:
    attempts: list[str] = []

    def flaky(state: Notes) -> Notes:
        attempts.append("x")
        if len(attempts) in {1, 3, 4}:
            raise Broken("flaky")
        return {"notes": [f"attempt {len(attempts)}"]}

    graph = StateGraph(Notes)
    policy = RetryPolicy(initial_interval=0.0, jitter=False, max_attempts=2, retry_on=Broken)
    graph.add_node("flaky", flaky, retry_policy=policy)
    graph.add_node("beside", note("beside"))
    graph.add_node("join", note("join"))
    for node in ("flaky", "beside"):
        graph.add_edge(START, node)
    graph.add_edge(["flaky", "beside"], "join")
    app = graph.compile(checkpointer=play.saver)
    play.run(app, {"notes": ["one"]})  # the second attempt succeeds
    play.run(app, {"notes": ["two"]})  # no attempt does
    play.run(app, None)
    play.run(app, {"notes": ["three"]})


def functional(play: Play) -> None:
    @task
    def double(number: int) -> int:
        return 2 * number

    @task
    async def adouble(number: int) -> int:
        return 2 * number

    def steps(given: int, previous: int | None = None) -> Any:
        doubled = [double(number) for number in range(given)]
        answer = interrupt("how much more?")
        total = sum(one.result() for one in doubled) + answer
        return entrypoint.final(value=total, save=total + (previous or 0))

    async def asteps(given: int, previous: int | None = None) -> Any:
        doubled = await asyncio.gather(*(adouble(number) for number in range(given)))
        answer = interrupt("how much more?")
        total = sum(doubled) + answer
        return entrypoint.final(value=total, save=total + (previous or 0))

    workflow: Any = entrypoint(checkpointer=play.saver)(asteps if play.is_async else steps)
    given: Any
    for given in (5, Command(resume=1), 3, Command(resume=2)):
        play.run(workflow, given)


def delta(play: Play) -> None:
    app = delta_graph(play.saver, frequency=3)
    kinds: Any = (
        "say",
        "say and stop",
        "say at exit",
        "note",
        "replay",
        "say",
        "overwrite",
        "say",
        "replay",
        "say async",
    )
    for number, kind in enumerate(kinds):
        Move(kind, "reset" if number == 5 else "", back=number).play(app, "t")
        play.seen.append([(one.values, one.next) for one in app.get_state_history(T)])


def updates_within(play: Play) -> None:
    """A node updates the thread that it runs on, and goes on."""
    below = line(play.saver)
    other: RunnableConfig = {"configurable": {"thread_id": "other", "checkpoint_ns": ""}}

    def node(state: Notes) -> Notes:
        below.update_state(other, {"log": ["within"]}, as_node="c")
        below.invoke(said("within"), other)
        return {"notes": below.get_state(other).values["log"]}

    app = graph_of(play.saver, node, note("after"))
    play.run(app, {"notes": ["one"]})
    play.run(app, {"notes": ["two"]})


SCENARIOS = (
    *(time_travel, updates, copies, remote_updates, interrupts, static_interrupts, subgraphs, stateful_subgraphs),
    *(subgraph_nodes, map_reduce, parallel, failures, functional, updates_within),
)


HOWS: list[tuple[str, Durability]] = [("invoke", "async"), ("ainvoke", "async")]
PLAYS: list[tuple[Callable[[Play], None], str, Durability]] = [
    *((scenario, *how) for scenario in SCENARIOS for how in HOWS),
    *((scenario, "stream", "exit") for scenario in (time_travel, interrupts, subgraph_nodes, failures)),
    (delta, "invoke", "async"),  # its moves have ways of their own
]


@pytest.mark.parametrize(("scenario", "way", "durability"), PLAYS, ids=lambda one: getattr(one, "__name__", one))
def test_same_as_fork(
    server: ServerProcess, tenant: str, scenario: Callable[[Play], None], way: str, durability: Durability
) -> None:
    def play(mode: Mode) -> list[Any]:
        savers = Savers(server, f"{tenant[:50]}-{mode}")
        try:
            playing = Play(savers(mode, lease_wait=0), way, durability)
            scenario(playing)
        finally:
            savers.close()
        return playing.seen

    wanted = play("fork")
    assert wanted
    for mode in ("refuse", "lease"):
        found = play(mode)
        for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
            assert one == other, f"{mode}: look {number}"
