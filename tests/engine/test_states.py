"""States are read in one round trip where one will do, and answered in words where they can't be told."""

import json
from collections.abc import AsyncIterator

import pytest

from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import CheckpointNotFound, InvalidField
from checkpointd.v1.checkpoints_pb2 import CheckpointPut
from checkpointd.v1.graph_pb2 import ChannelSpec, Delta, GraphSpec
from checkpointd.v1.states_pb2 import GetStateHistoryRequest, GetStateRequest, RegisterGraphRequest, StateSnapshot
from tests.engine.reading import TENANT
from tests.engine.state.kinds import folded, graph_spec, last_value, node, trigger
from tests.engine.state.langgraph_values import dumped, loaded
from tests.messages import checkpoint_put, commit, writes_put
from tests.postgres import TestPostgres
from tests.statements import StatementLog

_IDS = [f"1f0b6b1e-5a3c-6b7a-8001-00000000000{number}" for number in range(10)]


def _spec() -> GraphSpec:
    """`a` calls a graph call by call, `b` one that outlives its calls; `log` is stored as changes."""
    inner = graph_spec({"x": last_value(), "to": trigger()}, [node("inner", "to")], ["x"])
    kept = graph_spec({"x": last_value(), "to": trigger()}, [node("kept", "to")], ["x"])
    kept.per_thread = True
    log = ChannelSpec(delta=Delta(reducer=folded("ADD").binop.reducer, initial=dumped([]), snapshot_frequency=9))
    return graph_spec(
        {"x": last_value(), "log": log, "to": trigger()},
        [node("a", "to", subgraph=inner), node("b", "to", subgraph=kept)],
        ["x", "log"],
    )


def _put(number: int, *, ns: str = "", **values: object) -> CheckpointPut:
    """Checkpoint `number`, whose parent is the one before, with these values; `log` has a version and none."""
    put = checkpoint_put(_IDS[number], ns=ns, parent=_IDS[number - 1] if number else "", metadata={"step": number})
    for channel, value in values.items():
        put.checkpoint.channel_versions[channel] = f"#{number + 1}"
        if channel != "log":
            put.checkpoint.channel_values[channel].CopyFrom(dumped(value))
    return put


async def _store(engine: Engine, *puts: CheckpointPut) -> None:
    response = await engine.states.register_graph(TENANT, RegisterGraphRequest(graph_name="g", spec=_spec()))
    for put in puts:
        put.graph_hash = response.graph_hash
    await engine.checkpoints.commit(TENANT, commit("t", *puts))


async def _state(
    engine: Engine, ns: str = "", checkpoint_id: str | None = None, *, subgraphs: bool = False
) -> StateSnapshot:
    request = GetStateRequest(thread_id="t", checkpoint_ns=ns, checkpoint_id=checkpoint_id, subgraphs=subgraphs)
    return (await engine.states.get_state(TENANT, request)).snapshot


async def _history(engine: Engine, **more: object) -> list[StateSnapshot]:
    request = GetStateHistoryRequest(thread_id="t", **more)  # type: ignore[arg-type]
    return [response.snapshot async for response in engine.states.get_state_history(TENANT, request)]


async def test_a_thread_without_checkpoints_is_empty(engine: Engine) -> None:
    made = await _state(engine, "a:1")
    assert not made.exists
    assert (made.config.thread_id, made.config.checkpoint_ns, made.config.checkpoint_id) == ("t", "a:1", "")
    assert await _history(engine) == []
    with pytest.raises(CheckpointNotFound):
        await _state(engine, checkpoint_id="c")
    assert not (await _state(engine, checkpoint_id="")).exists


@pytest.fixture
async def logged(
    engine: Engine, database_url: str, postgres: TestPostgres
) -> AsyncIterator[tuple[Engine, StatementLog]]:
    """An engine on the same database whose statements are logged. Connections made before the log began are not."""
    log = StatementLog(database_url, postgres.log_file)
    fresh = Engine(Database(database_url))
    await fresh.open()
    try:
        log.take()
        yield fresh, log
    finally:
        await fresh.close()


async def test_the_head_takes_one_round_trip(engine: Engine, logged: tuple[Engine, StatementLog]) -> None:
    await _store(engine, _put(0, x=0, to=None), _put(1, x=1, to=None))
    fresh, log = logged
    for _ in range(2):  # without the description in memory, and with it
        assert loaded((await _state(fresh)).values["x"]) == 1
        assert len(log.take()) == 1
    assert loaded((await _state(fresh, checkpoint_id=_IDS[0])).values["x"]) == 0
    assert len(log.take()) == 1


async def test_each_namespace_within_takes_one_more(engine: Engine, logged: tuple[Engine, StatementLog]) -> None:
    await _store(engine, _put(0, x=0, to=None))
    fresh, log = logged
    await _state(fresh, subgraphs=True)
    assert len(log.take()) == 3, "also where there is nothing"
    (first, _) = (await _state(engine)).tasks
    await _store(
        engine, _put(1, ns=first.subgraph.checkpoint_ns, x="inner", to=None), _put(2, ns="b", x="kept", to=None)
    )
    log.take()
    made = await _state(fresh, subgraphs=True)
    assert [loaded(task.subgraph_state.values["x"]) for task in made.tasks] == ["inner", "kept"]
    assert len(log.take()) == 3


async def test_what_is_stored_as_changes_takes_one_more(engine: Engine, logged: tuple[Engine, StatementLog]) -> None:
    await _store(engine, _put(0, x=0), _put(1, log=None))
    fresh, log = logged
    assert loaded((await _state(fresh)).values["log"]) == []
    assert len(log.take()) == 2


async def test_a_channel_that_is_stored_as_changes(engine: Engine) -> None:
    await _store(engine, _put(0, x=0), _put(1, log=None), _put(2, log=None))
    for number in range(3):
        writes = writes_put(_IDS[number], f"task{number}", [])
        writes.writes.add(idx=0, channel="log", value=dumped(f"w{number}"))
        await engine.checkpoints.commit(TENANT, commit("t", writes))
    assert loaded((await _state(engine)).values["log"]) == ["w0", "w1"]
    assert loaded((await _state(engine, checkpoint_id=_IDS[0])).values["log"]) == []
    assert [loaded(made.values["log"]) for made in await _history(engine)] == [["w0", "w1"], ["w0"], []]


async def test_states_of_subgraphs_within_the_state(engine: Engine) -> None:
    await _store(engine, _put(0, x=0, to=None))
    (first, second) = (await _state(engine)).tasks
    assert first.subgraph.checkpoint_ns == f"a:{first.id}"
    assert not first.HasField("subgraph_state")
    inner = _put(1, ns=first.subgraph.checkpoint_ns, x="inner", to=None)
    kept = _put(2, ns="b", x="kept", to=None)
    await _store(engine, inner, kept)
    (first, second) = (await _state(engine, subgraphs=True)).tasks
    assert loaded(first.subgraph_state.values["x"]) == "inner"
    assert list(first.subgraph_state.next) == ["inner"]
    assert loaded(second.subgraph_state.values["x"]) == "kept"
    assert second.subgraph_state.config.checkpoint_ns == "b"
    for ns in ("b", second.subgraph.checkpoint_ns):
        made = await _state(engine, ns)
        assert (loaded(made.values["x"]), list(made.next), made.config.checkpoint_ns) == ("kept", ["kept"], "b")
        assert [loaded(one.values["x"]) for one in await _history(engine, checkpoint_ns=ns)] == ["kept"]


async def test_a_namespace_that_no_node_leads_to_is_read_as_the_root(engine: Engine) -> None:
    await _store(engine, _put(0, ns="elsewhere:1", x=0, to=None))
    made = await _state(engine, "elsewhere:1")
    assert (loaded(made.values["x"]), list(made.next)) == (0, ["a", "b"])
    assert "no node of the graph leads to the namespace 'elsewhere:1'" in made.warnings[0]


async def test_a_subgraph_that_runs_elsewhere_is_said_to(engine: Engine) -> None:
    spec = graph_spec({"to": trigger()}, [node("a", "to")])
    spec.nodes[0].subgraph.SetInParent()
    await engine.states.register_graph(TENANT, RegisterGraphRequest(graph_name="g", spec=spec))
    await engine.checkpoints.commit(TENANT, commit("t", _put(0, to=None)))
    request = GetStateRequest(thread_id="t", subgraphs=True)
    request.graph.name = "g"
    (task,) = (await engine.states.get_state(TENANT, request)).snapshot.tasks
    await engine.checkpoints.commit(TENANT, commit("t", _put(1, ns=task.subgraph.checkpoint_ns, x=5)))
    (task,) = (await engine.states.get_state(TENANT, request)).snapshot.tasks
    assert loaded(task.subgraph_state.values["x"]) == 5
    assert "runs elsewhere and is not described" in task.subgraph_state.warnings[0]


async def test_without_a_description(engine: Engine) -> None:
    await engine.checkpoints.commit(TENANT, commit("t", _put(0, x=0, to=None), _put(1, x=1)))
    made = await _state(engine, subgraphs=True)
    assert {name: loaded(value) for name, value in made.values.items()} == {"x": 1}
    assert "no graph is known for this thread" in made.warnings[0]
    assert [len(found.warnings) for found in await _history(engine)] == [1, 1]


async def test_a_history_is_read_as_a_list_is(engine: Engine) -> None:
    await _store(engine, *(_put(number, x=number, to=None) for number in range(9)))

    async def numbers(**more: object) -> list[int]:
        return [loaded(made.values["x"]) for made in await _history(engine, **more)]

    assert await numbers() == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert await numbers(limit=3) == [8, 7, 6]
    assert await numbers(limit=0) == []
    assert await numbers(before_checkpoint_id=_IDS[2]) == [1, 0]
    assert await numbers(metadata_filter=json.dumps({"step": 4})) == [4]
    assert await numbers(checkpoint_id=_IDS[4]) == [4]
    assert await numbers(checkpoint_ns="b") == []
    for field, value in (("limit", -1), ("metadata_filter", "{"), ("checkpoint_id", "x" * 129)):
        with pytest.raises(InvalidField, match=field):
            await _history(engine, **{field: value})
