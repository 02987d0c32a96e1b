"""RemoteSaver's updates on a real server: what they return and leave, and that a lost answer stores nothing twice."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Overwrite, Send, StateUpdate
from pydantic import BaseModel

from checkpointd.client import (
    Aborted,
    FailedPrecondition,
    GraphUnknown,
    InvalidRequest,
    NeedsCode,
    NotFound,
)
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.client.langgraph.snapshots import RemoteSnapshot
from tests.server_process import ServerProcess, eventually
from tests.tcp_proxy import TcpProxy

THREAD: RunnableConfig = {"configurable": {"thread_id": "t"}}

Update = Callable[..., Awaitable[RunnableConfig]]


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[str], operator.add]


class Model(BaseModel):
    x: int = 0
    log: list[str] | None = None


def step(builder: StateGraph[State], name: str) -> None:
    """Add a node that logs its name."""

    def log(state: State) -> State:
        return {"log": [name]}

    builder.add_node(name, log)


def built(saver: RemoteSaver | None, **options: Any) -> CompiledStateGraph[State]:
    """a, then b or c by a's choice; b ends, and so does c."""
    builder = StateGraph(State)
    for name in ("a", "b", "c"):
        step(builder, name)
    builder.add_edge(START, "a")
    builder.add_conditional_edges("a", lambda _: "b", ["b", "c"])
    builder.add_edge("b", END)
    return builder.compile(checkpointer=saver, **options)


@pytest.fixture
def saver(server: ServerProcess, tenant: str) -> Iterator[RemoteSaver]:
    with RemoteSaver(server.address, tenant=tenant) as saver:
        yield saver


@pytest.fixture
def graph(saver: RemoteSaver) -> CompiledStateGraph[State]:
    """A graph that stopped after a, and is registered."""
    graph = built(saver, interrupt_after=["a"])
    saver.register(graph, "steps")
    graph.invoke({"x": 1, "log": ["in"]}, THREAD)
    return graph


@pytest.fixture(params=["update_state", "aupdate_state"])
def update(request: pytest.FixtureRequest, saver: RemoteSaver) -> Update:
    """Both methods in turn."""
    return either(saver, request.param)


@pytest.fixture(params=["bulk_update_state", "abulk_update_state"])
def bulk_update(request: pytest.FixtureRequest, saver: RemoteSaver) -> Update:
    return either(saver, request.param)


def either(saver: RemoteSaver, name: str) -> Update:
    async def update(*args: Any, **kwargs: Any) -> RunnableConfig:
        updated = getattr(saver, name)(*args, **kwargs)
        config: RunnableConfig = await updated if asyncio.iscoroutine(updated) else updated
        return config

    return update


def head(saver: RemoteSaver, config: RunnableConfig = THREAD) -> RemoteSnapshot:
    return saver.get_state(config)


async def test_it_returns_the_config_of_the_new_head(
    saver: RemoteSaver, graph: CompiledStateGraph[State], update: Update
) -> None:
    before = head(saver)
    config = await update(THREAD, {"x": 2, "log": ["new"]}, "b")
    after = head(saver)
    assert config == after.config != before.config
    assert after.parent_config == before.config
    assert (after.values, after.next) == ({"x": 2, "log": ["in", "a", "new"]}, ())
    assert graph.get_state(config).values == after.values


@pytest.mark.parametrize(
    ("values", "x", "log"),
    [
        (None, 1, ["in", "a"]),
        ({}, 1, ["in", "a"]),
        ({"x": None}, None, ["in", "a"]),
        ({"other": 1}, 1, ["in", "a"]),
        ({"log": Overwrite(["new"])}, 1, ["new"]),
        (Model(log=["new"]), 0, ["in", "a", "new"]),
        (Command(update={"x": 2}), 2, ["in", "a"]),
        ([Command(update={"log": ["1"]}), {"log": ["2"]}], 1, ["in", "a", "1", "2"]),
    ],
    ids=repr,
)
async def test_values_are_what_the_graph_itself_takes_them_for(
    saver: RemoteSaver, graph: CompiledStateGraph[State], update: Update, values: Any, x: int | None, log: list[str]
) -> None:
    config = await update(THREAD, values, as_node="b")
    # The graph's own update of the same checkpoint, beside it.
    own = graph.update_state(head(saver, config).parent_config or {}, values, as_node="b")
    assert head(saver, config).values == head(saver, own).values == {"x": x, "log": log}


@pytest.mark.parametrize(
    ("values", "goto", "runs"),
    [
        (None, "c", ("c",)),
        (None, (), ()),
        (None, END, ()),
        (Command(goto="c"), None, ("c",)),
        (Command(goto="c"), ["b"], ("b", "c")),
        (None, [Send("b", {"x": 5}), "c"], ("b", "c")),
    ],
    ids=repr,
)
async def test_goto_decides_conditional_edges(
    saver: RemoteSaver, graph: CompiledStateGraph[State], update: Update, values: Any, goto: Any, runs: tuple[str, ...]
) -> None:
    await update(THREAD, values, as_node="a", goto=goto)
    assert tuple(sorted(head(saver).next)) == runs
    if runs:
        assert sorted(graph.invoke(None, THREAD)["log"]) == sorted(["in", "a", *runs])


async def test_without_a_goto_they_need_the_graphs_code(graph: CompiledStateGraph[State], update: Update) -> None:
    with pytest.raises(NeedsCode) as raised:
        await update(THREAD, {"x": 2})
    assert raised.value.metadata == {"field": "supersteps[0].updates[0].goto"}


async def test_a_new_thread_begins_with_the_graph_that_the_saver_registered(saver: RemoteSaver, update: Update) -> None:
    config: RunnableConfig = {"configurable": {"thread_id": "new"}}
    with pytest.raises(GraphUnknown):
        await update(config, {"x": 1}, "b")
    saver.register(built(None), "steps")
    await update(config, {"x": 1}, "__input__")
    assert head(saver, config).next == ("__start__",)
    others = StateGraph(State)
    step(others, "z")
    saver.register(others.add_edge(START, "z").compile(), "others")
    with pytest.raises(InvalidRequest, match="name one of __start__, z"):
        await update(config, {"x": 1}, "b")
    await update(config, {"x": 2}, "b", graph_name="steps")
    assert head(saver, config).values["x"] == 2
    with pytest.raises(NotFound) as raised:
        await update(config, {"x": 1}, "b", graph_name="nobody's")
    assert raised.value.reason == "GRAPH_NOT_FOUND"


async def test_metadata_of_the_config_is_kept(
    saver: RemoteSaver, graph: CompiledStateGraph[State], bulk_update: Update
) -> None:
    config: RunnableConfig = {"configurable": {"thread_id": "t", "user": "bob"}, "metadata": {"run": 7, "step": 99}}
    supersteps = [[({"x": 2}, "b")], [({"x": 3}, "b")]]
    await bulk_update(config, supersteps)
    for found in list(saver.list(THREAD, limit=2)):
        metadata: dict[str, Any] = dict(found.metadata)
        assert (metadata["user"], metadata["run"], metadata["source"]) == ("bob", 7, "update")
        assert metadata["step"] < 99


async def test_supersteps_are_stored_together_or_not_at_all(
    saver: RemoteSaver, graph: CompiledStateGraph[State], bulk_update: Update
) -> None:
    before = list(saver.list(THREAD))
    with pytest.raises(InvalidRequest) as raised:
        await bulk_update(THREAD, [[({"x": 2}, "b")], [({"x": 3}, "nobody")]])
    assert raised.value.metadata == {"field": "supersteps[1].updates[0].as_node"}
    assert list(saver.list(THREAD)) == before
    told: list[tuple[Any, ...]] = [
        StateUpdate({"log": ["b"]}, "b"),
        StateUpdate({"log": ["a"]}, "a"),
        (None, "a", None, "c"),
    ]
    with pytest.raises(NeedsCode):
        await bulk_update(THREAD, [told])
    told[1] = ({"log": ["a"]}, "a", None, ())
    config = await bulk_update(THREAD, [[({"x": 2}, "b", "task-1")], told])
    assert (head(saver, config).values, head(saver).next) == ({"x": 2, "log": ["in", "a", "b", "a"]}, ("c",))
    assert len(list(saver.list(THREAD))) == len(before) + 2


async def test_a_fork_and_a_copy(saver: RemoteSaver, graph: CompiledStateGraph[State], update: Update) -> None:
    graph.invoke(None, THREAD)
    stopped = next(state for state in saver.get_state_history(THREAD) if state.next == ("b",))
    config = await update(stopped.config, {"x": 9}, "b")
    assert head(saver).config == config
    assert head(saver).parent_config == stopped.config
    copied = await update(stopped.config, None, "__copy__")
    assert head(saver).parent_config == stopped.parent_config
    assert (head(saver, copied).values, head(saver, copied).next) == (stopped.values, stopped.next)
    await update(stopped.config, [({"x": 8}, "b")], "__copy__")
    assert (head(saver).values["x"], head(saver).next) == (8, ())
    with pytest.raises(FailedPrecondition) as raised:
        await update({"configurable": {"thread_id": "empty"}}, None, "__copy__", graph_name="steps")
    assert raised.value.reason == "NOTHING_TO_COPY"


async def test_an_expected_head(saver: RemoteSaver, graph: CompiledStateGraph[State], update: Update) -> None:
    before = head(saver).config["configurable"]["checkpoint_id"]
    config = await update(THREAD, {"x": 2}, "b", expected_head=before)
    for expected in (before, ""):
        with pytest.raises(Aborted) as raised:
            await update(THREAD, {"x": 3}, "b", expected_head=expected)
        assert raised.value.reason == "HEAD_MOVED"
    assert head(saver).config == config


async def test_a_subgraphs_state(saver: RemoteSaver, update: Update) -> None:
    inner = built(None, interrupt_before=["b"])
    outer = StateGraph(State).add_node("inner", inner).add_edge(START, "inner").compile(checkpointer=saver)
    saver.register(outer, "outer")
    outer.invoke({"x": 1, "log": []}, THREAD)
    inside: Any = head(saver).tasks[0].state
    config = await update(inside, {"x": 5}, "b")
    assert config == outer.get_state(inside).config
    assert config["configurable"]["checkpoint_map"][""] == head(saver).config["configurable"]["checkpoint_id"]
    assert outer.get_state(inside).values["x"] == 5
    with pytest.raises(NotFound) as raised:
        await update({"configurable": {"thread_id": "t", "checkpoint_ns": "nowhere"}}, {"x": 5}, "b")
    assert raised.value.reason == "SUBGRAPH_NOT_FOUND"


@pytest.mark.parametrize("name", ["update_state", "aupdate_state"])
@pytest.mark.parametrize("expecting", [False, True])
async def test_one_whose_answer_is_lost_is_stored_once(
    server: ServerProcess,
    tenant: str,
    saver: RemoteSaver,
    graph: CompiledStateGraph[State],
    name: str,
    expecting: bool,
) -> None:
    """The answer never comes, then the connection breaks, and the same update is sent again."""
    before = len(list(saver.list(THREAD)))
    head_before = head(saver).config["configurable"]["checkpoint_id"] if expecting else None
    lose = False
    host, port = server.address.split(":")
    with (
        TcpProxy((host, int(port)), lambda data: b"" if lose else data) as proxy,
        RemoteSaver(proxy.address, tenant=tenant) as far,
    ):
        far.get_state(THREAD)
        lose = True
        update = either(far, name)(THREAD, {"x": 2}, "b", expected_head=head_before)
        under_way = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(awaited(update))))
        await asyncio.to_thread(eventually, "stored", lambda: len(list(saver.list(THREAD))) > before)
        lose = False
        proxy.cut()
        updated = await under_way
    assert len(list(saver.list(THREAD))) == before + 1
    assert updated["configurable"]["checkpoint_id"] == head(saver).config["configurable"]["checkpoint_id"]


async def awaited(update: Awaitable[RunnableConfig]) -> RunnableConfig:
    return await update
