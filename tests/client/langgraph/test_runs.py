"""The order of a run's writes, and what a run knows, without a server."""

from __future__ import annotations

import asyncio
import copy
import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig

from checkpointd.client import DeadlineExceeded
from checkpointd.client.langgraph import runs
from checkpointd.client.langgraph.configs import Place
from checkpointd.client.langgraph.runs import Chain, Run, Turn

PATIENCE = 30.0


def waits(turn: Turn) -> bool:
    """Whether it is not this turn's time yet."""
    try:
        turn.wait(0)
    except DeadlineExceeded:
        return True
    return False


def test_the_first_of_a_chain_do_not_wait() -> None:
    for put in (True, False):
        assert not waits(Chain().turn(put=put))
    assert not waits(Turn.alone())


def test_a_checkpoint_waits_for_the_writes_before_it() -> None:
    chain = Chain()
    writes = [chain.turn(put=False) for _ in range(3)]
    put = chain.turn(put=True)
    for write in writes:
        assert not waits(write), "writes do not wait for each other"
        assert waits(put)
        write.end()
    assert not waits(put)


def test_a_checkpoint_does_not_wait_for_writes_after_it() -> None:
    chain = Chain()
    put, write = chain.turn(put=True), chain.turn(put=False)
    assert not waits(put)
    assert waits(write)
    put.end()
    assert not waits(write)


def test_checkpoints_wait_for_each_other() -> None:
    chain = Chain()
    turns = [chain.turn(put=True) for _ in range(3)]
    assert [waits(turn) for turn in turns] == [False, True, True]
    turns[0].end()
    assert [waits(turn) for turn in turns[1:]] == [False, True]
    turns[1].end()
    assert not waits(turns[2])


def test_writes_that_have_ended_are_forgotten() -> None:
    chain = Chain()
    for _ in range(100):
        chain.turn(put=False).end()
    assert not chain._writes
    assert not waits(chain.turn(put=True))


def test_namespaces_and_threads_do_not_wait_for_each_other() -> None:
    run = Run(object())
    assert run.chain("t", "") is run.chain("t", "")
    run.chain("t", "").turn(put=True)
    for place in (("t", "inner:1"), ("other", "")):
        assert not waits(run.chain(*place).turn(put=True))


async def test_await_and_wait_are_the_same_order() -> None:
    chain = Chain()
    done: list[str] = []
    begun = chain.turn(put=True)

    async def act(name: str, turn: Turn) -> None:
        await turn.await_(PATIENCE)
        done.append(name)
        turn.end()

    def act_in_a_thread(name: str, turn: Turn) -> None:
        turn.wait(PATIENCE)
        done.append(name)
        turn.end()

    turns = [chain.turn(put=put) for put in (False, True, False, False, True, True)]
    working = [
        asyncio.create_task(act(str(number), turn))
        if number % 2
        else asyncio.create_task(asyncio.to_thread(act_in_a_thread, str(number), turn))
        for number, turn in enumerate(turns)
    ]
    await asyncio.sleep(0)
    assert not done
    begun.end()
    await asyncio.gather(*working)
    assert [*done[:2], *sorted(done[2:4]), *done[4:]] == ["0", "1", "2", "3", "4", "5"]


async def test_a_turn_that_fails_or_is_cancelled_lets_others_go_on() -> None:
    chain = Chain()
    first, second, third = (chain.turn(put=True) for _ in range(3))

    async def act(turn: Turn) -> None:
        try:
            await turn.await_(PATIENCE)
        finally:
            turn.end()

    waiting = asyncio.create_task(act(second))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not waits(third), "what stores nothing any more is not waited for"
    first.end()


async def test_a_loop_that_ends_while_others_wait_harms_nobody() -> None:
    """What one loop waits with is not what another one, or a thread, waits with."""
    chain = Chain()
    first, second = chain.turn(put=True), chain.turn(put=True)

    async def give_up() -> None:
        waiting = asyncio.create_task(second.await_(PATIENCE))
        await asyncio.sleep(0)
        assert not waiting.done()

    await asyncio.to_thread(asyncio.run, give_up())
    first.end()
    await second.await_(PATIENCE)


@pytest.mark.parametrize("timeout", [0.0, 0.01])
async def test_a_wait_has_an_end(timeout: float) -> None:
    chain = Chain()
    chain.turn(put=True)
    late = chain.turn(put=False)
    with pytest.raises(DeadlineExceeded, match="an earlier write of the same run"):
        late.wait(timeout)
    with pytest.raises(DeadlineExceeded, match="an earlier write of the same run"):
        await late.await_(timeout)


def test_without_a_timeout_a_wait_has_none() -> None:
    chain = Chain()
    first, second = chain.turn(put=True), chain.turn(put=True)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second.wait, None)
        assert not waiting.done()
        first.end()
        waiting.result(PATIENCE)


def test_many_threads_keep_the_order() -> None:
    chain, lock = Chain(), threading.Lock()
    given: list[tuple[int, bool]] = []
    done: list[int] = []
    choose = random.Random(7)

    def act(turn: Turn, number: int) -> None:
        turn.wait(PATIENCE)
        with lock:
            done.append(number)
        turn.end()

    with ThreadPoolExecutor(32) as pool:
        for number in range(400):
            put = choose.random() < 0.3
            given.append((number, put))
            pool.submit(act, chain.turn(put=put), number)
    assert len(done) == 400
    place = {number: index for index, number in enumerate(done)}
    for one, two in itertools.pairwise(number for number, put in given if put):
        between = [place[number] for number in range(one + 1, two)]
        assert all(place[one] < index < place[two] for index in between)
        assert place[one] < place[two]


def running(**more: Any) -> RunnableConfig:
    """A config as LangGraph's loop has it."""
    return {"configurable": {"thread_id": "t", "__pregel_runtime": object(), **more}}


def test_a_run_begins_with_its_first_read() -> None:
    config = running()
    assert runs.current(config) is None
    run = runs.begin(config)
    assert run is not None
    assert runs.begin(config) is run
    assert runs.current(config) is run
    assert runs.begin({"configurable": {"thread_id": "t"}}) is None
    assert runs.current({"configurable": {"thread_id": "t"}}) is None


def test_a_task_belongs_to_the_run_around_it() -> None:
    config = running()
    run = runs.begin(config)
    inner = {**config["configurable"], "__pregel_runtime": object()}
    assert runs.begin({"configurable": {**inner, "__pregel_task_id": "1"}}) is run
    other = runs.begin({"configurable": dict(inner)})
    assert other is not None
    assert other is not run


def test_a_copied_config_is_of_the_same_run() -> None:
    config = running()
    run = runs.begin(config)
    assert runs.current(copy.deepcopy(config)) is run


def test_who_names_the_head_does_not_fork() -> None:
    run = Run(object())
    one, two = Place("t", "", "1"), Place("t", "", "2")
    for of in (run, None):
        runs.choose(of, one)
        assert runs.is_chosen(of, one)
        assert not runs.is_chosen(of, two)
        assert not runs.is_chosen(of, one._replace(checkpoint_ns="inner"))
        runs.found_head(of, two)
        assert runs.is_chosen(of, one)
        runs.found_head(of, one)
        assert not runs.is_chosen(of, one)


def test_the_head_that_was_found_first_stays() -> None:
    """Later reads of a run, such as a node's get_state, must not make it accept what others have stored."""
    run = Run(object())
    runs.found_head(run, Place("t", "", "1"))
    runs.found_head(run, Place("t", "", "2"))
    assert run.chain("t", "").head == "1"
