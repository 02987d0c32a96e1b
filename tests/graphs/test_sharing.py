"""One saver shared by everything in a process: many runs, threads, event loops, and forks."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypedDict

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import thread
from tests.graphs.processes import PATIENCE, Processes

ROUNDS = 3


class State(TypedDict):
    count: int


def up(state: State) -> State:
    return {"count": state["count"] + 1}


def counter(saver: RemoteSaver) -> CompiledStateGraph[State]:
    """Counts to ROUNDS, one superstep each."""
    graph = StateGraph(State)
    graph.add_node("up", up)
    graph.add_edge(START, "up")
    graph.add_conditional_edges("up", lambda state: "__end__" if state["count"] % ROUNDS == 0 else "up")
    return graph.compile(checkpointer=saver)


def names(prefix: str, number: int) -> list[str]:
    return [f"{prefix}-{i}" for i in range(number)]


def count_all(saver: RemoteSaver, threads: Iterable[str]) -> list[int]:
    app = counter(saver)
    return [app.invoke({"count": 0}, thread(name))["count"] for name in threads]


async def acount_all(saver: RemoteSaver, threads: Iterable[str]) -> list[int]:
    app = counter(saver)
    results = await asyncio.gather(*(app.ainvoke({"count": 0}, thread(name)) for name in threads))
    return [result["count"] for result in results]


def run_async(saver: RemoteSaver, threads: list[str]) -> list[int]:
    return asyncio.run(acount_all(saver, threads))


def share(saver: RemoteSaver) -> list[int]:
    """Two event loops in two threads, and two threads without one, all at once."""
    together = threading.Barrier(4)

    def work(count: Callable[[RemoteSaver, list[str]], list[int]], prefix: str) -> list[int]:
        together.wait(PATIENCE)
        return count(saver, names(prefix, 20))

    with ThreadPoolExecutor(4) as pool:
        parts = [pool.submit(work, run_async, prefix) for prefix in ("loop-a", "loop-b")]
        parts += [pool.submit(work, count_all, prefix) for prefix in ("sync-a", "sync-b")]
        return [count for part in parts for count in part.result(PATIENCE)]


def stored(saver: RemoteSaver) -> dict[str, list[int]]:
    """What each thread's checkpoints hold, oldest first, as the store has it."""
    found: dict[str, list[int]] = {}
    for item in saver.list(None):
        values = item.checkpoint["channel_values"]
        if "count" in values:
            found.setdefault(item.config["configurable"]["thread_id"], []).insert(0, values["count"])
    return found


WHOLE_RUN = list(range(ROUNDS + 1))


def test_two_hundred_runs_at_once(processes: Processes, saver: RemoteSaver) -> None:
    threads = names("run", 200)

    assert processes.run(run_async, threads) == [ROUNDS] * 200

    assert stored(saver) == dict.fromkeys(threads, WHOLE_RUN)


def test_threads_and_event_loops_share_one_saver(processes: Processes, saver: RemoteSaver) -> None:
    counts = processes.run(share)

    assert counts == [ROUNDS] * 80
    everybody = [name for prefix in ("loop-a", "loop-b", "sync-a", "sync-b") for name in names(prefix, 20)]
    assert stored(saver) == dict.fromkeys(everybody, WHOLE_RUN)


async def test_an_event_loop_and_another_process_at_once(processes: Processes, saver: RemoteSaver) -> None:
    there = processes.start(run_async, names("there", 30))
    here = await acount_all(saver, names("here", 30))

    assert (here, there.result()) == ([ROUNDS] * 30, [ROUNDS] * 30)
    assert set(stored(saver)) == {*names("here", 30), *names("there", 30)}


@contextmanager
def forked(work: Callable[[], bool]) -> Iterator[None]:
    """Fork this process and do the work in the child, while the parent runs the body; the child's work must be true."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12+ warns of threads: they are what is tested
        child = os.fork()
    if child == 0:
        signal.alarm(int(PATIENCE))  # a child that hangs ends, and not well
        ended_well = False
        try:
            ended_well = work()
        finally:
            os._exit(0 if ended_well else 1)
    yield
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, f"the forked child ended with status {status}"


def fork_between(saver: RemoteSaver) -> list[int]:
    """Use the saver, fork, and use it on both sides: sync and async."""

    def in_child() -> bool:
        counts = [*count_all(saver, ["child"]), *run_async(saver, names("child", 5))]
        return counts == [ROUNDS] * 6 and counter(saver).get_state(thread("before")).values == {"count": ROUNDS}

    before = [*count_all(saver, ["before"]), *run_async(saver, names("before", 5))]
    with forked(in_child):
        after = [*count_all(saver, ["after"]), *run_async(saver, names("after", 5))]
    return [*before, *after, *count_all(saver, ["at-last"])]


def test_a_fork_uses_the_saver_on_both_sides(processes: Processes, saver: RemoteSaver) -> None:
    counts = processes.run(fork_between)

    assert counts == [ROUNDS] * 13
    everybody = [name for side in ("before", "child", "after") for name in (side, *names(side, 5))]
    assert stored(saver) == dict.fromkeys([*everybody, "at-last"], WHOLE_RUN)


def fork_while_running(saver: RemoteSaver) -> list[int]:
    """Fork while another thread's graphs run."""
    started, count = threading.Event(), 40

    def busy() -> list[int]:
        results = count_all(saver, ["busy-0"])
        started.set()
        return results + count_all(saver, names("busy", count)[1:])

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(busy)
        assert started.wait(PATIENCE)
        with forked(lambda: count_all(saver, ["child"]) == [ROUNDS]):
            pass
        return other.result(PATIENCE)


def test_a_fork_in_the_middle_of_others_runs(processes: Processes, saver: RemoteSaver) -> None:
    assert processes.run(fork_while_running) == [ROUNDS] * 40
    assert stored(saver) == dict.fromkeys([*names("busy", 40), "child"], WHOLE_RUN)
