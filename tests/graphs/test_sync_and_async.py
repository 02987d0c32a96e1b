"""invoke and ainvoke on one thread, in turn, by different processes, with the one saver that serves both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from operator import add
from typing import Annotated, Any, TypedDict, TypeVar

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, StateSnapshot, interrupt

from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import id_of, parent_of, thread
from tests.graphs.processes import Processes, tell

T = TypeVar("T")


class State(TypedDict, total=False):
    turns: Annotated[list[str], add]
    answer: str


def take_turn(state: State) -> State:
    tell("sync")
    return {"turns": ["sync"]}


async def atake_turn(state: State) -> State:
    tell("async")
    await asyncio.sleep(0)
    return {"turns": ["async"]}


def ask(state: State) -> State:
    return {"answer": interrupt("go on?")}


def game(saver: RemoteSaver) -> CompiledStateGraph[State]:
    """A turn, which knows whether it runs under invoke or ainvoke, then a question."""
    graph = StateGraph(State)
    graph.add_node("turn", RunnableLambda(take_turn, atake_turn))
    graph.add_node("ask", ask)
    graph.add_edge(START, "turn")
    graph.add_edge("turn", "ask")
    return graph.compile(checkpointer=saver)


def play(saver: RemoteSaver, given: State | Command[Any]) -> Any:
    return game(saver).invoke(given, thread("t"))


def aplay(saver: RemoteSaver, given: State | Command[Any]) -> Any:
    return run(game(saver).ainvoke(given, thread("t")))


def run(awaitable: Awaitable[T]) -> T:
    """Await in an event loop of its own."""

    async def main() -> T:
        return await awaitable

    return asyncio.run(main())


def play_both(saver: RemoteSaver, rounds: int) -> list[str]:
    """invoke and ainvoke in turn within one process."""
    for _ in range(rounds):
        play(saver, {})
        aplay(saver, {})
    return list(game(saver).get_state(thread("t")).values["turns"])


def test_processes_take_turns_with_invoke_and_ainvoke(processes: Processes, saver: RemoteSaver) -> None:
    for play_once in (play, aplay, aplay, play):
        processes.run(play_once, {})

    states = list(game(saver).get_state_history(thread("t")))
    assert states[0].values["turns"] == ["sync", "async", "async", "sync"]
    assert [parent_of(state) for state in states] == [*(id_of(state) for state in states[1:]), None], (
        "one line, no fork"
    )


def test_one_process_mixes_both(processes: Processes, saver: RemoteSaver) -> None:
    assert processes.run(play_both, 3) == ["sync", "async"] * 3
    assert play_both(saver, 1) == ["sync", "async"] * 4


@pytest.mark.parametrize(("asker", "answerer"), [(play, aplay), (aplay, play)])
def test_a_question_of_one_is_answered_by_the_other(processes: Processes, asker: Any, answerer: Any) -> None:
    processes.run(asker, {})

    result, told = processes.ran(answerer, Command(resume="yes"))

    assert result["answer"] == "yes"
    assert told == []


async def read_async(saver: RemoteSaver) -> tuple[StateSnapshot, list[StateSnapshot]]:
    app = game(saver)
    return await app.aget_state(thread("t")), [state async for state in app.aget_state_history(thread("t"))]


def read(saver: RemoteSaver) -> tuple[StateSnapshot, list[StateSnapshot]]:
    app = game(saver)
    return app.get_state(thread("t")), list(app.get_state_history(thread("t")))


async def test_both_read_the_same(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(play, {})

    seen = processes.run(read)
    assert seen[0].values["turns"] == ["sync"]
    assert await read_async(saver) == seen
    assert read(saver) == seen, "the blocking calls work in an event loop's own thread"


async def test_the_saver_of_async_with(processes: Processes) -> None:
    processes.run(play, {})

    async with RemoteSaver.from_conn_string(processes.address, tenant=processes.tenant) as saver:
        state = await game(saver).aget_state(thread("t"))
    assert state.values["turns"] == ["sync"]


def test_a_saver_made_and_closed_by_hand(processes: Processes) -> None:
    saver = RemoteSaver(processes.address, tenant=processes.tenant)
    play(saver, {})
    saver.close()

    assert processes.run(aplay, {})["turns"] == ["sync", "async"]


async def test_a_fork_made_by_one_is_run_by_the_other(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(play, {})
    app = game(saver)
    first = [state async for state in app.aget_state_history(thread("t")) if state.next == ("turn",)][-1]

    forked = await app.aupdate_state(first.config, {"turns": ["by hand"]}, as_node="__start__")
    result = processes.run(play_from, forked)

    assert result["turns"] == ["by hand", "sync"]
    assert (await app.aget_state(thread("t"))).values["turns"] == ["by hand", "sync"]


def play_from(saver: RemoteSaver, config: Any) -> Any:
    return game(saver).invoke(None, config)
