"""Graphs are registered once, counted by name, kept apart by tenant, and remembered by threads."""

import asyncio

import psycopg
import pytest

from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import GraphNotFound, InvalidField
from checkpointd.engine.graphs import Graphs
from checkpointd.v1.graph_pb2 import GraphSpec
from checkpointd.v1.states_pb2 import GetStateHistoryRequest, GetStateRequest, GraphRef, RegisterGraphRequest
from checkpointd.v1.threads_pb2 import CopyThreadRequest, DeleteThreadRequest
from tests.engine.reading import TENANT
from tests.engine.state.kinds import graph_spec, last_value, node, trigger
from tests.messages import commit, put_checkpoint, put_writes


def _spec(name: str = "a") -> GraphSpec:
    return graph_spec({"x": last_value(), "to": trigger()}, [node(name, "to")], ["x"])


async def _register(engine: Engine, spec: GraphSpec, name: str = "graph", tenant: str = TENANT) -> tuple[str, int]:
    response = await engine.states.register_graph(tenant, RegisterGraphRequest(graph_name=name, spec=spec))
    return response.graph_hash, response.version


async def _next(engine: Engine, thread_id: str = "t", tenant: str = TENANT, **graph: str) -> list[str] | str:
    """The nodes that are next by the thread's graph, or by the one given; or the first warning."""
    request = GetStateRequest(thread_id=thread_id, graph=GraphRef(**graph) if graph else None)
    snapshot = (await engine.states.get_state(tenant, request)).snapshot
    return snapshot.warnings[0] if snapshot.warnings else list(snapshot.next)


async def _put(engine: Engine, graph_hash: str, checkpoint_id: str = "c0", thread_id: str = "t") -> None:
    request = put_checkpoint(thread_id, checkpoint_id, values={"to": "x", "x": "y"})
    request.put.graph_hash = graph_hash
    await engine.checkpoints.put_checkpoint(TENANT, request)


async def test_the_same_graph_is_the_same_version_and_another_the_next(engine: Engine) -> None:
    first, second = _spec("a"), _spec("b")
    one = await _register(engine, first)
    assert one == (await _register(engine, first))
    assert one[1] == 1
    two = await _register(engine, second)
    assert (two[1], two[0] == one[0]) == (2, False)
    assert await _register(engine, _spec("a")) == one
    assert await _register(engine, _spec("a"), "other name") == (one[0], 1)


async def test_many_that_register_at_once(engine: Engine, database_url: str) -> None:
    other = Engine(Database(database_url))
    await other.open()
    specs = [_spec(f"n{number % 7}") for number in range(70)]
    found = await asyncio.gather(*(_register((engine, other)[number % 2], spec) for number, spec in enumerate(specs)))
    await other.close()
    assert len(set(found)) == 7
    assert sorted({version for _, version in found}) == list(range(1, 8))


async def test_tenants_have_graphs_of_their_own(engine: Engine) -> None:
    mine = await _register(engine, _spec("a"))
    assert await _register(engine, _spec("b"), tenant="other") != mine
    assert await _register(engine, _spec("a"), tenant="other") == (mine[0], 2)
    await _register(engine, _spec("c"), "mine only")
    for graph in ({"name": "mine only"}, {"hash": (await _register(engine, _spec("d")))[0]}):
        with pytest.raises(GraphNotFound):
            await _next(engine, tenant="other", **graph)


async def test_a_thread_remembers_the_graph_that_wrote_it_last(engine: Engine) -> None:
    first, _ = await _register(engine, _spec("a"), "first")
    second, _ = await _register(engine, _spec("b"), "second")
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "c0", values={"to": "x"}))
    assert "no graph is known for this thread" in await _next(engine)
    await _put(engine, first)
    assert await _next(engine) == ["a"]
    await _put(engine, second, "c1")
    assert await _next(engine) == ["b"]
    await _put(engine, "", "c2")
    await engine.checkpoints.put_writes(TENANT, put_writes("t", "c2", "task", [(0, "x", "1")]))
    assert await _next(engine) == ["b"]
    both = commit("t", put_checkpoint("t", "c3", values={"to": "x"}).put, put_checkpoint("t", "c4").put)
    both.ops[0].put_checkpoint.graph_hash = first
    await engine.checkpoints.commit(TENANT, both)
    assert await _next(engine, "t") == []
    await _put(engine, "", "c5")
    assert await _next(engine) == ["a"]
    assert await _next(engine, name="second") == ["b"]
    assert await _next(engine, hash=second) == ["b"]


async def test_a_name_means_its_newest_version(engine: Engine) -> None:
    await _put(engine, "")
    for name in "ab":
        await _register(engine, _spec(name))
    assert await _next(engine, name="graph") == ["b"]
    await _register(engine, _spec("a"))
    assert await _next(engine, name="graph") == ["b"]


async def test_threads_committed_together_keep_their_own_graphs(engine: Engine) -> None:
    hashes = [(await _register(engine, _spec(f"n{number}")))[0] for number in range(20)]
    await asyncio.gather(*(_put(engine, graph, thread_id=f"t{number}") for number, graph in enumerate(hashes)))
    assert [await _next(engine, f"t{number}") for number in range(20)] == [[f"n{number}"] for number in range(20)]


async def test_a_copy_has_its_originals_graph_and_a_deleted_thread_none(engine: Engine) -> None:
    graph_hash, _ = await _register(engine, _spec("a"))
    await _put(engine, graph_hash)
    await engine.threads.copy_thread(TENANT, CopyThreadRequest(source_thread_id="t", target_thread_id="copy"))
    assert await _next(engine, "copy") == ["a"]
    await engine.threads.delete_thread(TENANT, DeleteThreadRequest(thread_id="t"))
    await _put(engine, "")
    assert "no graph is known" in await _next(engine)


async def test_a_graph_that_is_not_registered(engine: Engine) -> None:
    await _put(engine, "f" * 64)
    assert f"the graph {'f' * 64} that wrote this thread is not registered" in await _next(engine)
    for graph in ({"hash": "f" * 64}, {"name": "nobody"}):
        with pytest.raises(GraphNotFound) as caught:
            await _next(engine, **graph)
        assert caught.value.metadata == {"graph": next(iter(graph.values()))}
        request = GetStateHistoryRequest(thread_id="t", graph=GraphRef(**graph))
        with pytest.raises(GraphNotFound):
            [snapshot async for snapshot in engine.states.get_state_history(TENANT, request)]


async def test_bad_requests(engine: Engine) -> None:
    for request, field in (
        (RegisterGraphRequest(spec=_spec()), "graph_name"),
        (RegisterGraphRequest(graph_name="x" * 256, spec=_spec()), "graph_name"),
        (RegisterGraphRequest(graph_name="x"), "spec"),
        (RegisterGraphRequest(graph_name="x", spec=GraphSpec()), "spec.nodes"),
    ):
        with pytest.raises(InvalidField) as caught:
            await engine.states.register_graph(TENANT, request)
        assert caught.value.metadata == {"field": field}
    for ref, field in (
        (GraphRef(), "graph"),
        (GraphRef(hash="x" * 65), "graph.hash"),
        (GraphRef(name="\0"), "graph.name"),
    ):
        with pytest.raises(InvalidField) as caught:
            await engine.states.get_state(TENANT, GetStateRequest(thread_id="t", graph=ref))
        assert caught.value.metadata == {"field": field}
    put = put_checkpoint("t", "c")
    put.put.graph_hash = "x" * 65
    with pytest.raises(InvalidField, match="graph_hash"):
        await engine.checkpoints.put_checkpoint(TENANT, put)


async def test_more_graphs_than_are_remembered(engine: Engine) -> None:
    for number in range(70):
        graph_hash, _ = await _register(engine, _spec(f"n{number}"), f"g{number}")
        await _put(engine, graph_hash, thread_id=f"t{number}")
    for _ in range(2):
        for number in range(70):
            assert await _next(engine, f"t{number}") == [f"n{number}"]


def test_what_is_used_is_remembered_longest(database_url: str) -> None:
    graphs = Graphs(Database(database_url))
    for number in range(100):
        graphs.remember(f"h{number}", GraphSpec().SerializeToString())
        graphs.used("h0")
    known = graphs.choice(None).parameters["known"]
    assert isinstance(known, list)
    assert {"h0", "h99"} <= set(known)
    assert "h1" not in known


async def test_a_server_of_the_version_before_goes_on(engine: Engine, database_url: str) -> None:
    """Its statement takes the first row type of threads and names the columns that it knew."""
    await _register(engine, _spec("a"))
    graph_hash, _ = await _register(engine, _spec("a"))
    await _put(engine, graph_hash)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO checkpointd.threads AS thread (tenant, thread_id, seq) "
            "SELECT given.tenant, given.thread_id, given.commits "
            "FROM unnest(ARRAY[ROW(%s, 't', 1)]::checkpointd.thread_row_v1[]) AS given "
            "ON CONFLICT (tenant, thread_id) DO UPDATE SET seq = thread.seq + excluded.seq, updated_at = now()",
            (TENANT,),
        )
    assert await _next(engine) == ["a"]
