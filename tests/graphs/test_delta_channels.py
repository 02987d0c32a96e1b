"""Channels stored as changes: the same moves with InMemorySaver and with RemoteSaver show the same.

With RemoteSaver one process begins, another goes on, and the test's own looks.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from checkpointd.client import Client, retention_policy
from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import thread
from tests.graphs.delta import CHANNELS, Move, Seen, Witness, delta_graph
from tests.graphs.processes import Processes
from tests.server_process import ServerProcess

SAY, RESET = Move("say"), Move("say", mode="reset")

GAMES = {
    "plain": [SAY, SAY, SAY],
    "overwrite": [SAY, RESET, SAY],
    "fork": [SAY, SAY, Move("replay", back=6), SAY],
    "fork-in-fork": [SAY, Move("replay", back=2), Move("replay", back=2), Move("replay", back=7), SAY],
    "note-on-fork": [SAY, SAY, Move("note", back=3), SAY],
    "note-at-head": [SAY, Move("note"), SAY],
    "overwrite-on-fork": [SAY, SAY, Move("overwrite", back=4), SAY],
    "stopped": [Move("say and stop"), Move("go on"), Move("say and stop"), SAY],
    "async": [SAY, Move("say async"), Move("say async", mode="reset"), Move("replay", back=2), Move("say async")],
    "exit": [Move("say at exit"), Move("say at exit", mode="reset"), Move("say at exit"), SAY],
}


def play(saver: BaseCheckpointSaver[str], frequency: int, thread_id: str, moves: list[Move]) -> None:
    app = delta_graph(saver, frequency)
    for move in moves:
        move.play(app, thread_id)


def see(saver: BaseCheckpointSaver[str], frequency: int, thread_id: str) -> list[Seen]:
    return Witness(saver, delta_graph(saver, frequency)).see(thread_id)


class Match:
    """One game, played with InMemorySaver here and with RemoteSaver by other processes."""

    def __init__(self, processes: Processes, saver: RemoteSaver, frequency: int) -> None:
        self._memory = InMemorySaver()
        self._processes = processes
        self._saver = saver
        self._frequency = frequency

    def play(self, *moves: Move, thread_id: str = "t") -> None:
        play(self._memory, self._frequency, "t", list(moves))
        self._processes.run(play, self._frequency, thread_id, list(moves))

    def expected(self) -> list[Seen]:
        return see(self._memory, self._frequency, "t")

    def seen(self, thread_id: str = "t") -> list[Seen]:
        return see(self._saver, self._frequency, thread_id)


def visible(seen: Seen) -> tuple[Any, ...]:
    """What must not depend on which checkpoints are kept.

    Numbers do, being given in the order met. So does the history of a channel whose value the checkpoint holds itself:
    nobody needs it, and a prune does not keep it.
    """
    rebuilt = {
        channel: (seed, [value for _, value in writes])
        for channel, (seed, writes) in seen.histories.items()
        if channel not in seen.stored
    }
    return (seen.values, seen.next, seen.source, seen.step, seen.counters, seen.stored, seen.results, rebuilt)


@pytest.fixture(params=[1, 3, 1000])
def match(request: pytest.FixtureRequest, processes: Processes, saver: RemoteSaver) -> Match:
    return Match(processes, saver, request.param)


games = pytest.mark.parametrize("moves", GAMES.values(), ids=GAMES)


@games
def test_the_same_moves_show_the_same(match: Match, moves: list[Move]) -> None:
    match.play(*moves[:-1])
    match.play(moves[-1])

    assert match.seen() == match.expected()


@games
@pytest.mark.parametrize("match", [3, 1000], indirect=True)
def test_a_pruned_thread_is_its_head_and_goes_on(match: Match, moves: list[Move], saver: RemoteSaver) -> None:
    match.play(*moves)
    saver.prune(["t"])

    before = len(match.expected())
    assert [visible(seen) for seen in match.seen()] == [visible(match.expected()[-1])]

    match.play(SAY, Move("replay", back=1), RESET, SAY)
    assert list(map(visible, match.seen()))[1:] == list(map(visible, match.expected()))[before:]


@games
@pytest.mark.parametrize("match", [3], indirect=True)
def test_a_copy_is_the_thread(match: Match, moves: list[Move], saver: RemoteSaver) -> None:
    match.play(*moves)
    saver.copy_thread("t", "copy")
    assert match.seen("copy") == match.expected()

    saver.delete_thread("t")
    match.play(SAY, thread_id="copy")
    assert match.seen("copy") == match.expected()


def test_a_copy_of_a_pruned_thread_goes_on(match: Match, saver: RemoteSaver) -> None:
    match.play(SAY, RESET, SAY, SAY)
    before = len(match.expected())
    saver.prune(["t"])
    saver.copy_thread("t", "copy")
    saver.delete_thread("t")
    match.play(SAY, thread_id="copy")

    assert list(map(visible, match.seen("copy"))) == list(map(visible, match.expected()))[before - 1 :]


running = st.builds(
    Move, st.sampled_from(["say", "say async", "say at exit", "say and stop", "go on"]), st.sampled_from(["", "reset"])
)
travelling = st.builds(Move, st.sampled_from(["replay", "note", "overwrite"]), back=st.integers(0, 20))


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    frequency=st.sampled_from([1, 2, 3, 1000]),
    moves=st.lists(running | travelling, min_size=1, max_size=6),
    more=st.lists(running, max_size=3),
)
def test_any_moves_show_the_same(
    processes: Processes, saver: RemoteSaver, frequency: int, moves: list[Move], more: list[Move]
) -> None:
    saver.delete_thread("t")
    match = Match(processes, saver, frequency)
    match.play(SAY, *moves)
    assert match.seen() == match.expected()

    saver.prune(["t"])
    before = len(match.expected())
    match.play(*more)
    assert list(map(visible, match.seen())) == list(map(visible, match.expected()))[before - 1 :]


def test_both_ways_of_asking_give_the_same_history(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(play, 3, "t", GAMES["fork"])

    async def ask(config: Any) -> Any:
        return await saver.aget_delta_channel_history(config=config, channels=CHANNELS)

    for state in delta_graph(saver, 3).get_state_history(thread("t")):
        found = saver.get_delta_channel_history(config=state.config, channels=CHANNELS)
        assert asyncio.run(ask(state.config)) == found
        assert BaseCheckpointSaver.get_delta_channel_history(saver, config=state.config, channels=CHANNELS) == found


@games
@pytest.mark.parametrize("match", [3, 1000], indirect=True)
def test_what_retention_keeps_is_what_it_was(
    match: Match, moves: list[Move], saver: RemoteSaver, server: ServerProcess, tenant: str
) -> None:
    match.play(*moves)
    expected = list(map(visible, match.expected()))
    with Client(server.address, tenant=tenant) as client:
        for kept in (4, 2):
            client.apply_retention_policy(policy=retention_policy(keep_last=kept))
            assert list(map(visible, match.seen())) == expected[-kept:]
    match.play(SAY, RESET, SAY)
    assert list(map(visible, match.seen()))[2:] == list(map(visible, match.expected()))[len(expected) :]
