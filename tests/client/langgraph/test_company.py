"""In a run, what tasks write is sent with the checkpoint that follows, unless somebody waits for it."""

import asyncio
from collections.abc import Iterator
from typing import Any, Literal, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from checkpointd.client import session_calls
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.client.langgraph.company import Company
from checkpointd.client.langgraph.writers import Mode
from tests.client.langgraph.keeping_server import KeepingServer

Durability = Literal["sync", "async", "exit"]

NODES = 5
READS = 1
CHECKPOINTS = 1 + 1 + NODES  # the input's, the one that leads to the first node, and one after each
TASKS = 1 + NODES
IN_A_RUN: RunnableConfig = {"configurable": {"thread_id": "t", "__pregel_runtime": object()}}
WRITES = [("x", 1), ("branch:to:b", None)]


class State(TypedDict):
    x: int


@pytest.fixture(autouse=True)
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may wait does so for ever, as far as a test can tell: a call that nothing follows would fail."""
    monkeypatch.setattr(session_calls, "HOLD", 600.0)


@pytest.fixture
def keeping() -> Iterator[KeepingServer]:
    with KeepingServer() as server:
        yield server


def a_config(**more: Any) -> RunnableConfig:
    return {"configurable": {"thread_id": "t"}, **more}  # type: ignore[typeddict-item]


def one_more(state: State) -> State:
    return {"x": state["x"] + 1}


def chain(saver: RemoteSaver) -> Any:
    graph = StateGraph(State)
    graph.add_sequence([(f"node {number}", one_more) for number in range(NODES)])
    graph.add_edge(START, "node 0")
    return graph.compile(checkpointer=saver)


async def run(saver: RemoteSaver, use_async: bool, durability: Durability) -> None:
    graph = chain(saver)
    if use_async:
        await graph.ainvoke({"x": 0}, a_config(), durability=durability)
    else:
        await asyncio.to_thread(graph.invoke, {"x": 0}, a_config(), durability=durability)


@pytest.mark.parametrize("use_async", [False, True])
async def test_writes_go_with_the_checkpoint_that_follows(keeping: KeepingServer, use_async: bool) -> None:
    with RemoteSaver(keeping.target, timeout=20) as saver:
        await run(saver, use_async, "sync")
    (messages,) = keeping.sessions.messages
    assert sum(messages) == READS + CHECKPOINTS + TASKS
    assert len(messages) == READS + CHECKPOINTS


@pytest.mark.parametrize("use_async", [False, True])
async def test_writes_that_are_ahead_of_checkpoints_wait_for_earlier_ones(
    keeping: KeepingServer, use_async: bool
) -> None:
    with RemoteSaver(keeping.target, timeout=20) as saver:
        await run(saver, use_async, "async")
    (messages,) = keeping.sessions.messages
    assert sum(messages) == READS + CHECKPOINTS + TASKS
    assert len(messages) <= READS + CHECKPOINTS + TASKS // 4, "four do not wait"


def test_what_a_program_stores_by_itself_does_not_wait(keeping: KeepingServer) -> None:
    with RemoteSaver(keeping.target, timeout=20) as saver:
        config = saver.put(a_config(), empty_checkpoint(), {"source": "input", "step": -1, "parents": {}}, {})
        saver.put_writes(config, WRITES, "task")
        asyncio.run(saver.aput_writes(config, WRITES, "another"))
    assert keeping.sessions.messages == [[1, 1, 1]]


@pytest.mark.parametrize("writers", ["refuse", "lease"])
def test_checkpoints_that_wait_for_writes_need_not_do_so_for_long(keeping: KeepingServer, writers: Mode) -> None:
    with RemoteSaver(keeping.target, timeout=20, writers=writers) as saver:
        assert chain(saver).invoke({"x": 0}, a_config()) == {"x": NODES}


def test_a_run_with_one_thread_need_not_wait(keeping: KeepingServer) -> None:
    with RemoteSaver(keeping.target, timeout=20) as saver:
        assert chain(saver).invoke({"x": 0}, a_config(max_concurrency=1)) == {"x": NODES}


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_run_that_stops_leaves_nothing_waiting(keeping: KeepingServer, durability: Durability) -> None:
    def ask(state: State) -> State:
        return {"x": interrupt("how many?")}

    def fail(state: State) -> State:
        raise ConnectionError

    with RemoteSaver(keeping.target, timeout=20) as saver:
        for number, node in enumerate((ask, fail)):
            graph = StateGraph(State).add_node("node", node).add_edge(START, "node").compile(checkpointer=saver)
            config: RunnableConfig = {"configurable": {"thread_id": str(number)}}
            try:
                graph.invoke({"x": 0}, config, durability=durability)
            except ConnectionError:
                assert node is fail
    kinds = [one.request.put.writes[0].channel for one in keeping.calls if one.rpc == "PutWrites"]
    assert kinds.count("__interrupt__") == kinds.count("__error__") == 1


def test_a_graph_whose_checkpoints_wait_for_writes_is_known_by_its_checkpoints() -> None:
    company = Company(ordered=False)
    assert company.follows(IN_A_RUN, WRITES)
    company.put({"source": "loop", "step": 1})
    assert company.follows(IN_A_RUN, WRITES)
    company.put({"source": "loop", "step": 2, "counters_since_delta_snapshot": {"x": (1, 2)}})
    assert not company.follows(IN_A_RUN, WRITES)


@pytest.mark.parametrize(
    ("config", "writes", "follows"),
    [
        (IN_A_RUN, WRITES, True),
        (IN_A_RUN, [("__pregel_tasks", object())], True),
        (IN_A_RUN, [("__no_writes__", None)], True),
        (IN_A_RUN, [("__interrupt__", ())], False),
        (IN_A_RUN, [("x", 1), ("__error__", "text")], False),
        (IN_A_RUN, [("__error__", "text"), ("__error_source_node__", "node")], False),
        (IN_A_RUN, [("__resume__", 1)], False),
        ({**IN_A_RUN, "max_concurrency": 2}, WRITES, False),
        ({"configurable": {**IN_A_RUN["configurable"], "__pregel_durability": "exit"}}, WRITES, False),
        ({"configurable": {**IN_A_RUN["configurable"], "__pregel_durability": "sync"}}, WRITES, True),
        ({"configurable": {"thread_id": "t"}}, WRITES, False),
        ({"configurable": {"thread_id": "t"}}, [(1, 1)], False),
    ],
)
def test_what_a_checkpoint_follows(config: RunnableConfig, writes: list[Any], follows: bool) -> None:
    assert Company(ordered=False).follows(config, writes) is follows
    assert not Company(ordered=True).follows(config, writes)
