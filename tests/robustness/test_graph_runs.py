"""What the check of graph runs finds, and what it lets pass."""

import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from tests.robustness.graph_runs import Run, check_thread, fingerprint
from tests.robustness.graph_story import AT_THE_END, INSIDE, LISTS, NOT, story, wrong_state
from tests.robustness.history import Outcome, Writers

BOTH = {name: ["a", "b"] for name in LISTS} | {"count": 2}
FIRST = {name: ["a"] for name in LISTS} | {"count": 1}


def run(marker: str, state: dict[str, Any], writers: Writers = Writers.REFUSE) -> Run:
    """A run that was told this state."""
    return Run("t", writers, marker, Outcome.OK, list(LISTS), fingerprint(state))


@pytest.mark.parametrize("asks", [NOT, AT_THE_END, INSIDE])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_graph_adds_each_run_once(asks: int, asynchronous: bool) -> None:
    graph = story(InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    for marker in ("a", "b"):
        for given in ({"run": marker, "asks": asks}, *([Command(resume="yes")] if asks else [])):
            state = asyncio.run(graph.ainvoke(given, config)) if asynchronous else graph.invoke(given, config)
            for snapshot in graph.get_state_history(config):
                assert wrong_state(snapshot.values) == ""
    assert {name: state[name] for name in BOTH} == BOTH


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"begun": ["a", "b", "c"]}, ""),
        ({"begun": ["a"]}, "noted has a run that begun has not"),
        ({"joined": ["a", "c"]}, "joined has a run that noted has not"),
        ({"noted": ["a"]}, "half a superstep: 1 runs noted, 2 with a part, 2 counted"),
        ({"count": 3}, "half a superstep: 2 runs noted, 2 with a part, 3 counted"),
        ({"updated": ["u", "u"]}, "updated has a run twice"),
    ],
)
def test_a_state(change: dict[str, Any], said: str) -> None:
    assert wrong_state(BOTH | change) == said


def test_all_runs_are_there() -> None:
    assert list(check_thread([run("a", FIRST), run("b", BOTH)], [BOTH, FIRST])) == []


def test_a_run_that_is_lost() -> None:
    lost = list(check_thread([run("a", FIRST), run("b", BOTH)], [FIRST]))
    assert lost[0] == "lost run of a graph: thread 't', run 'b': it is 0 times in the list 'begun'"
    assert lost[-1].startswith("lost state of a graph: thread 't', run 'b': the list 'joined' had 2 markers")


def test_a_run_that_is_there_twice() -> None:
    twice = {name: ["a", "a"] for name in LISTS}
    assert "it is 2 times in the list 'begun'" in next(check_thread([run("a", FIRST)], [twice]))


def test_a_run_that_failed_may_be_there() -> None:
    failed = Run("t", Writers.REFUSE, "b", Outcome.UNKNOWN)
    for states in ([BOTH, FIRST], [FIRST]):
        assert list(check_thread([failed], states)) == []


def test_a_fork_is_somewhere() -> None:
    other = {name: ["b"] for name in LISTS} | {"count": 1}
    runs = [run("a", FIRST, Writers.FORK), run("b", other, Writers.FORK)]
    assert list(check_thread(runs, [other, FIRST])) == []
    lost = list(check_thread(runs, [FIRST]))
    assert lost[0] == "lost state of a graph: thread 't', run 'b': nothing that is stored has what the run was told"
    assert lost[1] == "lost run of a graph: thread 't', run 'b': it is in no list 'begun'"
