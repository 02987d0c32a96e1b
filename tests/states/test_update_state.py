"""UpdateState against LangGraph: the same thread, updated with the graph and without, compared row by row and on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from random import Random

import pytest
from langchain_core.runnables import RunnableConfig

from checkpointd.client import Client
from checkpointd.client.langgraph import RemoteSaver
from tests.server_process import ServerProcess
from tests.states.comparing import Tally
from tests.states.corpus import flow, wild
from tests.states.corpus.playing import Graph, Play
from tests.states.updates import wildly
from tests.states.updates.allowed import ALLOWED, STRICTER, Problem
from tests.states.updates.cases import Case, Told, Update, one, steps
from tests.states.updates.corpus import CASES
from tests.states.updates.photos import Place
from tests.states.updates.trial import Trial, differences, tried, untouched, with_graph


@pytest.fixture
def client(server: ServerProcess, tenant: str) -> Iterator[Client]:
    with Client(server.address, tenant=tenant) as client:
        yield client


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
    outcomes = trial.update(lambda _: update)
    if any(outcome.error for outcome in outcomes):
        tally.count("wild updates refused")
        assert not wildly.contradiction(*(outcome.error for outcome in outcomes))
        assert untouched(trial.actual, trial.made)
    elif found := differences(trial.problems(*outcomes), tally):
        pytest.fail(found)


def test_every_allowed_difference_is_still_one(tally: Tally) -> None:
    """What no longer differs must not stay on the lists. And the cases have what they were written for."""
    if tally.counts["updates"] < len(CASES):
        pytest.skip("this needs all the updates compared before it")
    assert {one.name for one in ALLOWED} <= tally.allowed.keys()
    assert {case.stricter for case in CASES if case.stricter} == set(STRICTER)
    assert tally.counts["wild updates refused"] < tally.counts["wild threads"] / 2


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
        for place in (trial.expected, trial.actual):
            saver.delete_thread(place.thread_id)
    assert not differences(_same_update(graph, saver, client), Tally())


def _instead(other: Update, place: Place, _: Update) -> RunnableConfig:
    return with_graph(place, other)


def _same_update(graph: Graph, saver: RemoteSaver, client: Client) -> Iterator[Problem]:
    trial = Trial(graph, saver, client, Tally())
    return trial.problems(*trial.update(one({"log": ["put"]}, "a"), second=with_graph))
