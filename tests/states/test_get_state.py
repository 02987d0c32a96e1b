"""GetState and GetStateHistory against LangGraph: the same thread, read with the graph and without, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.types import StateSnapshot

from checkpointd.client.langgraph import RemoteSaver
from checkpointd.client.langgraph.snapshots import RemoteSnapshot
from tests.states.allowed import ALLOWED, Expected
from tests.states.comparing import Difference, Subgraph, Tally, compare
from tests.states.corpus import coerced, wild
from tests.states.corpus.playing import Graph, Play, Scenario
from tests.states.graphs import SCENARIOS

THREAD: RunnableConfig = {"configurable": {"thread_id": "t"}}


@pytest.mark.parametrize("encoding", ["portable-json/1", "msgpack"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_state_is_langgraphs(scenario: Scenario, saver: RemoteSaver, tally: Tally) -> None:
    graph = scenario.build(saver)
    saver.register(graph, scenario.build.__name__)
    scenario.play(Play(graph, THREAD))

    tally.count("scenarios")
    assert not differences(graph, saver, tally)


@pytest.mark.parametrize("seed", range(40))
def test_every_state_of_a_wild_thread_is_langgraphs(seed: int, saver: RemoteSaver, tally: Tally) -> None:
    random = Random(seed)
    graph = wild.build(random, saver)
    saver.register(graph)
    wild.play(random, Play(graph, THREAD, recursion_limit=8))

    tally.count("wild threads")
    assert not differences(graph, saver, tally)


@pytest.mark.parametrize(
    "scenario",
    [one for one in SCENARIOS if one.play.__module__ == coerced.__name__],
    ids=lambda scenario: scenario.name,
)
def test_what_a_node_refuses_is_shown_as_if_it_took_it(scenario: Scenario, saver: RemoteSaver) -> None:
    """Where LangGraph raises, the state is what it shows of the same thread when no node is choosy."""
    graph = scenario.build(saver)
    saver.register(graph)
    scenario.play(Play(graph, THREAD))
    lenient = scenario.build(saver)
    for _, each in [("", lenient), *lenient.get_subgraphs(recurse=True)]:
        assert isinstance(each, Pregel)
        for node in each.nodes.values():
            node.mapper = None
    tally = Tally()
    assert not differences(lenient, saver, tally)
    assert not tally.allowed


def differences(graph: Graph, saver: RemoteSaver, tally: Tally) -> str:
    """What differs, wherever one can look, for a person to read; "" if nothing does."""
    found = [
        f"{place}: {difference}"
        for place, differing in [*states(graph, saver, tally), *histories(graph, saver, tally)]
        for difference in differing
    ]
    return "\n".join([f"{len(found)} differences", *found[:20]]) if found else ""


def places(saver: RemoteSaver) -> dict[str, list[str]]:
    """The namespaces of the thread, each with its checkpoints."""
    found: dict[str, list[str]] = {"": []}
    for item in saver.list(THREAD):
        configurable = item.config["configurable"]
        found.setdefault(configurable["checkpoint_ns"], []).append(configurable["checkpoint_id"])
    return found


def states(graph: Graph, saver: RemoteSaver, tally: Tally) -> Iterator[tuple[str, list[Difference]]]:
    """Every checkpoint of every namespace, and every head, with and without the subgraphs' states."""
    configs: list[dict[str, Any]] = [{}, {"checkpoint_id": None}, {"checkpoint_ns": "nowhere:1"}]
    for checkpoint_ns, ids in places(saver).items():
        configs += [{"checkpoint_ns": checkpoint_ns}, {"checkpoint_ns": checkpoint_ns, "checkpoint_id": None}]
        configs += [{"checkpoint_ns": checkpoint_ns, "checkpoint_id": one} for one in ids]
    configs += [{"checkpoint_id": one} for one in places(saver)[""]]
    configs += inner_configs(graph, places(saver)[""])
    for configurable in configs:
        config: RunnableConfig = {"configurable": {"thread_id": "t", **configurable}}
        for subgraphs in (False, True):
            expected = tried(graph, config, subgraphs=subgraphs)
            actual = saver.get_state(config, subgraphs=subgraphs)
            yield (
                f"get_state({configurable}, subgraphs={subgraphs})",
                compare(graph_at(graph, config), expected, actual, tally),
            )


def graph_at(graph: Graph, config: RunnableConfig) -> Subgraph:
    """The graph that a config's namespace is of, as LangGraph finds it; the root where it finds none."""
    levels = str(config["configurable"].get("checkpoint_ns", "")).split("|")
    namespace = "|".join(level.split(":")[0] for level in levels if not level.isdigit())
    return next((found for _, found in graph.get_subgraphs(namespace=namespace, recurse=True)), graph)


def inner_configs(graph: Graph, ids: list[str]) -> list[dict[str, Any]]:
    """Where the tasks of these checkpoints of the root say that their subgraphs are."""
    configs: list[RunnableConfig] = [{"configurable": {"thread_id": "t", "checkpoint_id": one}} for one in ids]
    read = [tried(graph, config, subgraphs=False) for config in configs]
    return [
        {"checkpoint_ns": task.state["configurable"]["checkpoint_ns"]}
        for state in read
        if isinstance(state, StateSnapshot)
        for task in state.tasks
        if isinstance(task.state, dict)
    ]


def histories(graph: Graph, saver: RemoteSaver, tally: Tally) -> Iterator[tuple[str, list[Difference]]]:
    """The history of every namespace, whole, limited, from a checkpoint on, filtered."""
    for checkpoint_ns, ids in places(saver).items():
        config: RunnableConfig = {"configurable": {"thread_id": "t", "checkpoint_ns": checkpoint_ns}}
        ways: list[dict[str, Any]] = [{}, {"limit": 2}, {"limit": 0}, {"filter": {"source": "loop"}}]
        ways += [{"filter": {"step": 1}, "limit": 1}, {"filter": {"source": "none"}}]
        for one in ids[1::3]:
            named: RunnableConfig = {"configurable": {**config["configurable"], "checkpoint_id": one}}
            ways += [{"before": named}, {"before": named, "limit": 1}, {"config": named}]
        for way in ways:
            arguments = {"config": config, **way}
            yield from one_history(graph, saver, arguments, tally)


def one_history(
    graph: Graph, saver: RemoteSaver, arguments: dict[str, Any], tally: Tally
) -> Iterator[tuple[str, list[Difference]]]:
    tally.count("histories")
    expected: list[Expected] = []
    try:
        for state in graph.get_state_history(**arguments):
            expected.append(state)  # noqa: PERF402 - those before a failure count
    except Exception as error:  # a state that LangGraph can't show, nor any of those that follow
        expected.append(error)
    readable = all(isinstance(state, StateSnapshot) for state in expected)
    actual = list(saver.get_state_history(**arguments))
    if readable and len(expected) != len(actual):
        yield f"get_state_history({arguments})", [Difference("length", len(expected), len(actual))]
    for place, (mine, theirs) in enumerate(zip(expected, actual, strict=False)):
        found = compare(graph_at(graph, arguments["config"]), mine, theirs, tally)
        yield f"get_state_history({arguments})[{place}]", found


def tried(graph: Graph, config: RunnableConfig, *, subgraphs: bool) -> Expected:
    """What LangGraph gives, or what it raises."""
    try:
        return graph.get_state(config, subgraphs=subgraphs)
    except Exception as error:
        return error


def test_every_allowed_difference_is_still_one(tally: Tally) -> None:
    """What no longer differs must not stay on the list. And the corpus has what it was written for."""
    if tally.counts["scenarios"] < len(SCENARIOS):
        pytest.skip("this needs all the scenarios compared before it")
    assert set(tally.allowed) == {one.name for one in ALLOWED}
    wanted = ("error", "interrupts", "result", "state")
    assert all(tally.counts[f"tasks with {what}"] > 20 for what in wanted)
    assert tally.counts["tasks sent"] > 20


def test_a_difference_would_be_found(saver: RemoteSaver, tally: Tally) -> None:
    """The comparison itself: one changed field is one difference."""
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == "asking_together-one_is_answered")
    graph = scenario.build(saver)
    saver.register(graph)
    play = Play(graph, THREAD)
    scenario.play(play)
    state, actual = play.state(), saver.get_state(play.thread)

    def changed(**fields: Any) -> RemoteSnapshot:
        made = actual._replace(**fields)
        made.unresolved = actual.unresolved
        return made

    assert not compare(graph, state, actual, Tally())
    whole: dict[str, Any] = {"next": (), "created_at": "", "metadata": {}, "values": {}, "interrupts": ()}
    for field, value in whole.items():
        assert compare(graph, state, changed(**{field: value}), Tally()), field
    task: Any = actual.tasks[0]
    parts: dict[str, Any] = {"id": "", "name": "", "path": (), "error": 1, "interrupts": (1,), "state": {}, "result": 1}
    for field, value in parts.items():
        other = (task._replace(**{field: value}), *actual.tasks[1:])
        assert compare(graph, state, changed(tasks=other), Tally()), field
