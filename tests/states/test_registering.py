"""Registering graphs, and reading states without them: RemoteSaver, its clones, Client and AsyncClient."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import StateSnapshot

from checkpointd.client import AsyncClient, Client, InvalidRequest, NotFound
from checkpointd.client.langgraph import RemoteSaver, graph_spec
from checkpointd.client.langgraph.snapshots import fold_writes
from checkpointd.v1.states_pb2 import GraphRef
from tests.server_process import ServerProcess
from tests.states.corpus import flow, folding, nested, pauses

THREAD: RunnableConfig = {"configurable": {"thread_id": "t"}}


def test_a_thread_remembers_the_graph_that_wrote_it(saver: RemoteSaver) -> None:
    graph = flow.sequential(saver)
    saver.register(graph)
    graph.invoke({"log": ["in"]}, THREAD)

    read = saver.get_state(THREAD)
    assert isinstance(read, StateSnapshot)
    assert read == graph.get_state(THREAD)
    assert (read.warnings, dict(read.unresolved)) == ((), {})
    assert list(saver.get_state_history(THREAD)) == list(graph.get_state_history(THREAD))


def test_who_reads_needs_no_graph(saver: RemoteSaver, server: ServerProcess, tenant: str) -> None:
    graph = nested.as_node(saver)
    saver.register(graph)
    graph.invoke({"log": ["in"]}, THREAD)

    with RemoteSaver(server.address, tenant=tenant) as other:
        assert other.get_state(THREAD, subgraphs=True) == graph.get_state(THREAD, subgraphs=True)


def test_a_thread_written_before_its_graph_was_registered(saver: RemoteSaver) -> None:
    graph = flow.sequential(saver)
    graph.invoke({"log": ["in"]}, THREAD)

    unknown = saver.get_state(THREAD)
    assert unknown.values == graph.get_state(THREAD).values
    assert unknown.warnings
    saver.register(graph, "mine")
    assert saver.get_state(THREAD).warnings, "the thread was written without naming its graph"
    assert saver.get_state(THREAD, graph_name="mine") == graph.get_state(THREAD)
    assert list(saver.get_state_history(THREAD, graph_name="mine")) == list(graph.get_state_history(THREAD))
    with pytest.raises(NotFound):
        saver.get_state(THREAD, graph_name="another")


def test_the_same_graph_is_registered_once(saver: RemoteSaver, server: ServerProcess, tenant: str) -> None:
    first = saver.register(flow.sequential(saver))
    assert saver.register(flow.sequential(None)) == first
    assert saver.register(flow.joined(None)) != first
    with Client(server.address, tenant=tenant) as client:
        versions = [
            client.register_graph(graph_name="LangGraph", spec=graph_spec(build(None))).version
            for build in (flow.sequential, flow.joined, flow.deferred, flow.sequential)
        ]
    assert versions == [1, 2, 3, 1]


def test_a_name_that_is_refused(saver: RemoteSaver) -> None:
    for name in ("", "x" * 256):
        with pytest.raises(InvalidRequest) as refused:
            saver.register(flow.sequential(saver), name)
        assert refused.value.metadata["field"] == "graph_name"


def test_a_saver_names_the_graph_registered_last(saver: RemoteSaver) -> None:
    graphs = {"one": flow.sequential(saver), "two": flow.managed(saver)}
    for name, graph in graphs.items():
        saver.register(graph, name)
    config: RunnableConfig = {"configurable": {"thread_id": "one"}}
    graphs["one"].invoke({"log": ["in"]}, config, interrupt_before=["b"])

    other = saver.get_state(config)
    assert (other.next, bool(other.warnings)) == ((), True), "the thread names the graph registered last"
    assert saver.get_state(config, graph_name="one") == graphs["one"].get_state(config)


def test_clones_share_what_is_registered(server: ServerProcess, tenant: str) -> None:
    strict = JsonPlusSerializer(allowed_msgpack_modules=[("tests.states.corpus.shapes", "Drawing")])
    with RemoteSaver(server.address, tenant=tenant, serde=strict) as saver:
        clone = saver.with_allowlist({("tests.states.corpus.shapes", "Point")})
        assert isinstance(clone, RemoteSaver)
        assert clone is not saver
        graph = flow.sequential(clone)
        saver.register(graph)
        graph.invoke({"log": ["in"]}, THREAD)
        assert clone.get_state(THREAD) == graph.get_state(THREAD)
        assert not clone.get_state(THREAD).warnings


def test_places_that_do_not_exist(saver: RemoteSaver) -> None:
    graph = flow.sequential(saver)
    saver.register(graph)
    empty: RunnableConfig = {"configurable": {"thread_id": 5}}
    assert saver.get_state(empty) == graph.get_state({"configurable": {"thread_id": 5}})
    assert list(saver.get_state_history(empty)) == []
    graph.invoke({"log": ["in"]}, THREAD)
    with pytest.raises(NotFound):
        saver.get_state({"configurable": {"thread_id": "t", "checkpoint_id": "1f1e53ed-9ede-622b-8003-9d1be3f99e09"}})
    with pytest.raises(InvalidRequest):
        saver.get_state({"configurable": {}})
    with pytest.raises(InvalidRequest):
        list(saver.get_state_history(THREAD, filter={"key": object()}))


def test_what_only_the_caller_can_fold(saver: RemoteSaver) -> None:
    graph = folding.folding(saver)
    saver.register(graph)
    graph.invoke({"own": ["given"]}, THREAD)

    state = saver.get_state(THREAD)
    own = state.unresolved["own"]
    assert (own.has_base, own.base, own.writes) == (True, ["given"], (["z", "a"], ["z", "a"]))
    assert state.values["own"] == ["given"]
    assert any("own" in warning for warning in state.warnings)
    assert graph.get_state(THREAD).values["own"] == ["a", "a", "given", "z", "z"]


async def test_the_same_from_an_event_loop(saver: RemoteSaver) -> None:
    graph = pauses.asking_together(saver)
    assert await saver.aregister(graph, "asking") == saver.register(graph)
    await graph.ainvoke({"log": []}, THREAD)

    assert await saver.aget_state(THREAD, subgraphs=True) == await graph.aget_state(THREAD, subgraphs=True)
    mine = [state async for state in saver.aget_state_history(THREAD, limit=2, graph_name="asking")]
    assert mine == [state async for state in graph.aget_state_history(THREAD, limit=2)]
    assert len(mine) == 2


async def test_plain_clients(saver: RemoteSaver, server: ServerProcess, tenant: str) -> None:
    graph = flow.sequential(saver)
    graph.invoke({"log": ["in"]}, THREAD, interrupt_before=["c"])
    spec = graph_spec(graph)
    with Client(server.address, tenant=tenant) as client:
        asked: dict[str, Any] = {
            "thread_id": "t",
            "graph": GraphRef(hash=client.register_graph(graph_name="g", spec=spec).graph_hash),
        }
        state = client.get_state(**asked)
        history = list(client.get_state_history(**asked))
    assert (list(state.next), state.exists) == (["c"], True)
    assert [list(one.next) for one in history] == [["c"], ["b"], ["a"], ["__start__"]]
    async with AsyncClient(server.address, tenant=tenant) as client_of_a_loop:
        assert (await client_of_a_loop.register_graph(graph_name="g", spec=spec)).version == 1
        assert await client_of_a_loop.get_state(**asked) == state
        async with contextlib.aclosing(client_of_a_loop.get_state_history(**asked)) as states:
            assert [one async for one in states] == history


def test_repeated_writes_are_shown_as_langgraph_shows_them() -> None:
    writes: list[tuple[str, Any]] = [("a", 1), ("b", None), ("a", 2), ("b", 3), ("a", 4)]
    assert fold_writes(writes) == {"a": {"$writes": [1, 2, 4]}, "b": 3}
    assert fold_writes([]) == {}
