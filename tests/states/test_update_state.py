"""UpdateState against LangGraph: the same thread, updated with the graph and without, compared row by row and on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from random import Random
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig

from checkpointd.client import Client
from checkpointd.client.langgraph import RemoteSaver
from tests.server_process import ServerProcess
from tests.states.comparing import Tally
from tests.states.corpus import flow, wild
from tests.states.corpus.playing import Graph, Play
from tests.states.updates import wildly
from tests.states.updates.allowed import ALLOWED, STRICTER, Problem, allowed
from tests.states.updates.cases import Case, Told, Update, one, steps
from tests.states.updates.corpus import CASES
from tests.states.updates.differing import Differing
from tests.states.updates.photos import Place, Stored
from tests.states.updates.trial import UPDATED, Trial, differences, told, tried, untouched, with_graph

# How often a wild thread is compared before its runs count as different.
_CHANCES = 12


@pytest.fixture
def client(server: ServerProcess, tenant: str) -> Iterator[Client]:
    with Client(server.address, tenant=tenant) as client:
        yield client


@pytest.mark.parametrize("encoding", ["portable-json/1", "msgpack"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
def test_an_update_does_what_langgraphs_does(case: Case, saver: RemoteSaver, client: Client, tally: Tally) -> None:
    if wrong := tried(case, saver, client, tally):
        pytest.fail(wrong)


@pytest.mark.parametrize("seed", range(60))
def test_a_wild_update_does_what_langgraphs_does(seed: int, saver: RemoteSaver, client: Client, tally: Tally) -> None:
    random = Random(seed)
    graph = wild.build(random, saver)
    saver.register(graph)
    # Whatever is by chance comes out the same on both threads, for it begins anew on each.
    trial = Trial(graph, saver, client, tally, again=lambda: random.seed(seed), recursion_limit=8)
    wild.play(random, trial.play)
    update = wildly.update(random, seed, trial.play)
    tally.count("wild threads")
    for _ in range(_CHANCES):
        outcomes = trial.update(lambda _: update)
        if any(outcome.error for outcome in outcomes):
            tally.count("wild updates refused")
            assert not wildly.contradiction(*(outcome.error for outcome in outcomes))
            assert untouched(trial.actual, trial.made)
            return
        found = differences(trial.problems(*outcomes), tally)
        if not found:
            return
        # Of two failures at once, or of the questions inside a subgraph, LangGraph comes upon one or the other first. A
        # run that differs may do so by that chance; a server that is wrong is so each time.
        if any(one.way[0] == UPDATED for one in found):
            break
        tally.count("wild runs repeated")
    pytest.fail(told(found))


def test_every_allowed_difference_is_still_one(tally: Tally) -> None:
    """What no longer differs must not stay on the lists. And the cases have what they were written for."""
    if tally.counts["updates"] < len(CASES):
        pytest.skip("this needs all the updates compared before it")
    assert {one.name for one in ALLOWED if not one.by_chance} <= tally.allowed.keys()
    assert {case.stricter for case in CASES if case.stricter} == set(STRICTER)
    assert tally.counts["wild updates refused"] < tally.counts["wild threads"] / 2


def test_only_the_order_of_a_set_is_left_to_chance() -> None:
    """Those that come and go from process to process, which nothing here can make occur."""

    def judged(way: str, expected: Any, actual: Any) -> str | None:
        update = Update([], {}, {})
        return allowed(Problem(flow.sequential(None), update, Differing((UPDATED, way), expected, actual)))

    # As an extension: the class and its members.
    one, other, more = (
        Stored("msgpack", b"\xc7" + bytes([len(data)]) + b"\x00" + data)
        for data in (b"\x93\xa8builtins\xa3set\x92" + names for names in (b"\xa1x\xa1z", b"\xa1z\xa1x", b"\xa1x\xa1y"))
    )
    assert judged("join:x+z:end", one, other) == "the order within a set"
    assert judged("join:x+z:end", one, more) is None
    assert judged("edges", "branch:to:a branch:to:b", "branch:to:b branch:to:a") == "the order of a node's edges"
    assert judged("edges", "branch:to:a branch:to:b", "branch:to:b branch:to:b") is None
    assert judged("channel", "branch:to:a branch:to:b", "branch:to:b branch:to:a") is None


def test_a_difference_would_be_found(saver: RemoteSaver, client: Client) -> None:
    """The comparison itself: threads that were updated differently are told apart, as late as in a run."""
    graph = flow.sequential(saver)
    saver.register(graph)
    updates = {
        "values": one({"log": ["other"]}, "a"),
        "node": one({"log": ["put"]}, "b"),
        "key": one({"log": ["put"], "last": None}, "a"),
        "supersteps": steps([Told({"log": ["put"]}, "a")], [Told(None, "a")]),
        "metadata": one({"log": ["put"]}, "a", by="Ada"),
        "task": one({"log": ["put"]}, "a", "11111111-2222-3333-4444-555555555555"),
        "end": one(None, "__end__"),
    }
    Play(graph, {"configurable": {"thread_id": "made"}}).invoke({"log": ["in"]})
    for what, way in updates.items():
        tally = Tally()
        trial = Trial(graph, saver, client, tally)
        other = way(trial.play)
        outcomes = trial.update(one({"log": ["put"]}, "a"), second=partial(_instead, other))
        assert differences(trial.problems(*outcomes), tally), what
    assert not differences(_same_update(graph, saver, client), Tally())


def _instead(other: Update, place: Place, _: Update) -> RunnableConfig:
    return with_graph(place, other)


def _same_update(graph: Graph, saver: RemoteSaver, client: Client) -> Iterator[Problem]:
    trial = Trial(graph, saver, client, Tally())
    return trial.problems(*trial.update(one({"log": ["put"]}, "a"), second=with_graph))
