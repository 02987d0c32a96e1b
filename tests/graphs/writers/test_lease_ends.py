"""writers="lease": a run gives its thread back when it ends, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
from collections.abc import Callable

import pytest
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, interrupt

from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import thread
from tests.graphs.writers.lines import (
    LONG,
    WAYS,
    Hold,
    Log,
    Savers,
    StoredLeases,
    T,
    given_back,
    held,
    line,
    lines,
    log,
    said,
)
from tests.server_process import ServerProcess, eventually

# Ends inside a run that nobody reads to its end, and with a saver that nobody closes. Not one of `processes`: those of
# multiprocessing end without what Python programs do at their exit.
LEFT_OPEN = """
import sys
from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.writers.lines import T, line, said
saver = RemoteSaver(sys.argv[1], tenant=sys.argv[2], writers="lease", lease_ttl=600)
found = line(saver).stream(said("there"), T, durability="sync")
next(found)
input("inside")
"""


def test_a_process_that_ends_gives_it_back(server: ServerProcess, tenant: str, leases: StoredLeases) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LEFT_OPEN, server.address, tenant], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.read(6) == b"inside"
        assert f":{process.pid}:" in str(leases.holder())
        process.communicate(b"go\n")
    assert process.returncode == 0
    assert leases.holder() is None


def asking(saver: RemoteSaver, *nodes: str) -> CompiledStateGraph[Log]:
    def ask(state: Log) -> Log:
        return {"log": [interrupt("who?")]}

    graph = StateGraph(Log)
    for node in nodes or ("ask",):
        graph.add_node(node, ask)
        graph.add_edge(START, node)
    return graph.compile(checkpointer=saver)


class Breaking(Hold):
    def visit(self, who: str, node: str) -> None:
        raise RuntimeError("broken")


def failed(app: CompiledStateGraph[Log]) -> BaseException:
    with pytest.raises(RuntimeError, match="broken") as error:
        app.invoke(said("one"), T)
    return error.value


def afailed(app: CompiledStateGraph[Log]) -> BaseException:
    with pytest.raises(RuntimeError, match="broken") as error:
        asyncio.run(app.ainvoke(said("one"), T))
    return error.value


def half_streamed(app: CompiledStateGraph[Log]) -> None:
    found = app.stream(said("one"), T, durability="sync")
    next(found)
    del found
    gc.collect()


def half_astreamed(app: CompiledStateGraph[Log]) -> None:
    async def read() -> None:
        async for _ in app.astream(said("one"), T, durability="sync"):
            break  # leaves the generator to its loop, which closes it

    asyncio.run(read())


def ambiguous(app: CompiledStateGraph[Log]) -> BaseException:
    """A run that fails over its input: it answers two questions with one answer."""
    app.invoke(said("one"), T)
    with pytest.raises(RuntimeError, match="multiple pending interrupts") as error:
        app.invoke(Command(resume="x"), T)
    return error.value


def aambiguous(app: CompiledStateGraph[Log]) -> BaseException:
    app.invoke(said("one"), T)
    with pytest.raises(RuntimeError, match="multiple pending interrupts") as error:
        asyncio.run(app.ainvoke(Command(resume="x"), T))
    return error.value


ENDS: dict[str, Callable[[RemoteSaver], object]] = {
    "normal": lambda saver: line(saver).invoke(said("one"), T),
    "async": lambda saver: asyncio.run(line(saver).ainvoke(said("one"), T)),
    "exit": lambda saver: line(saver).invoke(said("one"), T, durability="exit"),
    "interrupt": lambda saver: asking(saver).invoke(said("one"), T),
    "async interrupt": lambda saver: asyncio.run(asking(saver).ainvoke(said("one"), T)),
    "interrupt_before": lambda saver: line(saver, interrupt_before=["b"]).invoke(said("one"), T),
    "interrupt_after": lambda saver: line(saver, interrupt_after=["b"]).invoke(said("one"), T),
    "failure": lambda saver: failed(line(saver, Breaking("one"))),
    "async failure": lambda saver: afailed(line(saver, Breaking("one"))),
    "bad input": lambda saver: ambiguous(asking(saver, "ask", "ask_too")),
    "bad input, async": lambda saver: aambiguous(asking(saver, "ask", "ask_too")),
    "half a stream": lambda saver: half_streamed(line(saver)),
    "half an async stream": lambda saver: half_astreamed(line(saver)),
    "update_state": lambda saver: line(saver).update_state(T, said("one"), as_node="a"),
    "nothing to do": lambda saver: line(saver).invoke(None, T, interrupt_before=["a"]),
}


@pytest.mark.parametrize("end", ENDS)
def test_it_is_given_back_at_once(leasing: RemoteSaver, impatient: RemoteSaver, leases: StoredLeases, end: str) -> None:
    if end == "nothing to do":
        line(impatient).invoke(said("before"), T)
    gc.disable()  # what is not given back before this is kept too long
    try:
        kept = ENDS[end](leasing)
        given_back(leases)
    finally:
        gc.enable()
    line(impatient).invoke(said("two"), T)
    del kept


def test_an_interrupted_run_is_resumed_by_another(leasing: RemoteSaver, impatient: RemoteSaver) -> None:
    asking(leasing).invoke(said("one"), T)
    asyncio.run(asking(leasing).ainvoke(Command(resume="me"), T))
    assert log(impatient) == ["one", "me"]


async def test_a_cancelled_run_gives_it_back(leasing: RemoteSaver, leases: StoredLeases) -> None:
    entered = asyncio.Event()

    async def stay(state: Log) -> Log:
        entered.set()
        await asyncio.Event().wait()
        return {}

    graph = StateGraph(Log)
    graph.add_node("stay", stay)
    graph.add_edge(START, "stay")
    running = asyncio.create_task(graph.compile(checkpointer=leasing).ainvoke(said("one"), T))
    await entered.wait()
    assert leases.holder()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.to_thread(given_back, leases)


async def test_a_run_that_is_cancelled_while_it_waits_takes_nothing(
    leasing: RemoteSaver, savers: Savers, leases: StoredLeases
) -> None:
    hold = Hold("first")
    other = line(savers("lease", lease_ttl=LONG, lease_wait=60))

    async def wait() -> None:
        attempt = leases.attempt()
        waiting = asyncio.create_task(other.ainvoke(said("second"), T))
        await asyncio.to_thread(
            eventually, "the second one has asked for the lease", lambda: leases.attempt() != attempt
        )
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    with held(hold, lambda: line(leasing, hold).invoke(said("first"), T)):
        await wait()
    await asyncio.to_thread(given_back, leases)
    assert log(leasing) == lines("first")


async def test_runs_that_are_cancelled_as_they_begin_keep_nothing(leasing: RemoteSaver, leases: StoredLeases) -> None:
    """At every moment in which the server may be giving a lease, or has given it and is not heard yet."""
    app = line(leasing)
    threads = [f"t{number}" for number in range(40)]
    for number, thread_id in enumerate(threads):
        running = asyncio.create_task(app.ainvoke(said("one"), thread(thread_id)))
        for _ in range(number):
            await asyncio.sleep(0)
        await asyncio.sleep(0.0002 * (number % 20))
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    for thread_id in threads:
        await asyncio.to_thread(given_back, leases, thread_id)


def test_closing_gives_it_back(leasing: RemoteSaver, leases: StoredLeases) -> None:
    found = line(leasing).stream(said("one"), T, durability="sync")
    next(found)
    assert leases.holder()
    leasing.close()
    assert leases.holder() is None
    found.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("way", [*WAYS, "update_state", "aupdate_state"])
def test_who_hears_of_the_end_may_begin(savers: Savers, leases: StoredLeases, way: str) -> None:
    """Without a wait, such as when one message's answer leads to the next one, sent to another process."""
    apps = [line(savers("lease", lease_ttl=LONG, lease_wait=0)) for _ in range(2)]
    for number in range(20):
        if way == "update_state":
            apps[number % 2].update_state(T, said("x"), "a")
        elif way == "aupdate_state":
            asyncio.run(apps[number % 2].aupdate_state(T, said("x"), "a"))
        else:
            WAYS[way](apps[number % 2], said("x"), T, "async")
        assert leases.holder() is None
