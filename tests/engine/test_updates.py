"""Updates are read, worked out and stored in one transaction, in line with all that is written to the thread."""

import asyncio
from typing import Any

import pytest

from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import (
    CheckpointNotFound,
    EngineError,
    GraphUnknown,
    HeadMoved,
    InvalidField,
    InvalidUpdate,
    NothingToCopy,
    SubgraphNotFound,
)
from checkpointd.v1.checkpoints_pb2 import ListCheckpointsRequest
from checkpointd.v1.core_pb2 import CheckpointTuple, Precondition, Value
from checkpointd.v1.graph_pb2 import GraphSpec, NodeSpec
from checkpointd.v1.states_pb2 import (
    ChannelWrites,
    GetStateRequest,
    GraphRef,
    RegisterGraphRequest,
    StateUpdate,
    Superstep,
    UpdateStateRequest,
)
from checkpointd.v1.threads_pb2 import ListThreadsRequest
from tests.engine.reading import TENANT
from tests.engine.state.kinds import folded, graph_spec, last_value, node, trigger
from tests.engine.state.langgraph_values import dumped, loaded
from tests.messages import checkpoint_put, commit
from tests.postgres import TestPostgres
from tests.statements import StatementLog

_ID = "1f0b6b1e-5a3c-6b7a-8001-000000000001"


def _spec() -> GraphSpec:
    """`a` writes x and log; it calls a graph that outlives its calls."""
    channels = {"x": last_value(), "log": folded("ADD", []), "to": trigger()}
    inner = graph_spec(channels, [_writing("inner")], ["x"])
    inner.per_thread = True
    return graph_spec(channels, [_writing("a", subgraph=inner)], ["x", "log"])


def _writing(name: str, **more: Any) -> NodeSpec:
    made = node(name, "to", **more)
    made.update.keys.names.extend(["log", "x"])
    return made


def _request(*, head: str | None = None, **writes: Value) -> UpdateStateRequest:
    """An update of `t` as `a`, with these values; `head` is expected to be the head."""
    request = UpdateStateRequest(
        thread_id="t",
        graph=GraphRef(name="g"),
        supersteps=[Superstep(updates=[StateUpdate(as_node="a", writes=_writes(writes))])],
    )
    if head is not None:
        request.precondition.CopyFrom(Precondition(expected_head=head))
    return request


def _writes(writes: dict[str, Value]) -> list[ChannelWrites]:
    return [ChannelWrites(channel=channel, values=[value]) for channel, value in writes.items()]


@pytest.fixture(autouse=True)
async def registered(engine: Engine) -> None:
    await engine.states.register_graph(TENANT, RegisterGraphRequest(graph_name="g", spec=_spec()))


async def _update(engine: Engine, request: UpdateStateRequest) -> str:
    return (await engine.states.update_state(TENANT, request)).config.checkpoint_id


async def _listed(engine: Engine) -> list[CheckpointTuple]:
    request = ListCheckpointsRequest(thread_id="t")
    return [found.checkpoint_tuple async for found in engine.checkpoints.list_checkpoints(TENANT, request)]


async def _threads(engine: Engine) -> list[str]:
    return [one.thread_id for one in (await engine.threads.list_threads(TENANT, ListThreadsRequest())).threads]


async def test_one_transaction_of_few_round_trips(engine: Engine, database_url: str, postgres: TestPostgres) -> None:
    await _update(engine, _request(x=dumped(1)))
    log = StatementLog(database_url, postgres.log_file)
    # Connections made before the log began don't write to it.
    fresh = Engine(Database(database_url))
    await fresh.open()
    try:
        log.take()
        await _update(fresh, _request(x=dumped(2)))
        statements = log.take()
    finally:
        await fresh.close()
    assert (statements[0], statements[-1]) == ("BEGIN", "COMMIT")
    # Lock, read, look at the namespace's ends, store.
    assert len(statements) == 6


async def test_what_is_refused_leaves_nothing(engine: Engine) -> None:
    for request, error in (
        (_request(log=dumped({"no": "list"})), InvalidUpdate),
        (_request(head="c", x=dumped(1)), HeadMoved),
    ):
        with pytest.raises(error):
            await _update(engine, request)
    assert await _threads(engine) == []

    await _update(engine, _request(log=dumped([1])))
    before = await _listed(engine)
    request = _request(x=dumped(1))
    # The first superstep alone would do.
    request.supersteps.add(updates=[StateUpdate(as_node="a", writes=_writes({"log": dumped(5)}))])
    with pytest.raises(InvalidUpdate) as caught:
        await _update(engine, request)
    assert caught.value.metadata["field"] == "supersteps[1].updates"
    assert await _listed(engine) == before


def _step(channel: str, times: int) -> Superstep:
    writes = [ChannelWrites(channel=channel, values=[dumped(1)] * times)]
    return Superstep(updates=[StateUpdate(as_node="a", writes=writes)])


async def test_what_is_not_there(engine: Engine) -> None:
    cases: list[tuple[type[EngineError], dict[str, object]]] = [
        (CheckpointNotFound, {"checkpoint_id": _ID}),
        (SubgraphNotFound, {"checkpoint_ns": "nowhere:1"}),
        (GraphUnknown, {"graph": None}),
        (NothingToCopy, {"supersteps": [Superstep(updates=[StateUpdate(as_node="__copy__")])]}),
        (InvalidField, {"supersteps": []}),
        (InvalidField, {"supersteps": [Superstep()]}),
        (InvalidField, {"metadata": "[]"}),
        (InvalidField, {"supersteps": [_step("x", 50_001), _step("log", 50_000)]}),
    ]
    for error, fields in cases:
        request = _request(x=dumped(1))
        for name, given in fields.items():
            request.ClearField(name)  # type: ignore[arg-type]
            if given is not None:
                request.MergeFrom(UpdateStateRequest(**{name: given}))  # type: ignore[arg-type]
        with pytest.raises(error):
            await _update(engine, request)
    assert await _threads(engine) == []


async def test_the_thread_remembers_the_graph_and_the_metadata(engine: Engine) -> None:
    request = _request(x=dumped(1))
    request.metadata = '{"by": "me", "source": "mine", "step": 77}'
    made = await _update(engine, request)
    snapshot = (await engine.states.get_state(TENANT, GetStateRequest(thread_id="t"))).snapshot
    assert (snapshot.config.checkpoint_id, loaded(snapshot.values["x"])) == (made, 1)
    assert snapshot.metadata.json == '{"source":"update","step":0,"parents":{},"by":"me"}'
    request = _request(x=dumped(2))
    request.ClearField("graph")
    assert await _update(engine, request) > made


async def test_a_graph_that_outlives_its_calls(engine: Engine) -> None:
    request = _request(x=dumped(1))
    request.checkpoint_ns = "a:some-task"
    request.supersteps[0].updates[0].as_node = "inner"
    answer = await engine.states.update_state(TENANT, request)
    assert answer.config.checkpoint_ns == "a"
    assert [found.checkpoint_ns for found in await _listed(engine)] == ["a"]


async def test_the_head_that_is_expected(engine: Engine) -> None:
    first = await _update(engine, _request(head="", x=dumped(1)))
    for wrong in ("", _ID):
        with pytest.raises(HeadMoved) as caught:
            await _update(engine, _request(head=wrong, x=dumped(2)))
        assert caught.value.metadata["head"] == first
    second = await _update(engine, _request(head=first, x=dumped(3)))
    assert [found.checkpoint.id for found in await _listed(engine)] == [second, first]


async def test_one_of_many_with_the_same_expectation_wins(engine: Engine, database_url: str) -> None:
    first = await _update(engine, _request(x=dumped(0)))
    other = Engine(Database(database_url))
    await other.open()
    try:
        outcomes = await asyncio.gather(
            *(_update((engine, other)[number % 2], _request(head=first, x=dumped(number))) for number in range(20)),
            return_exceptions=True,
        )
    finally:
        await other.close()
    (won,) = (outcome for outcome in outcomes if isinstance(outcome, str))
    assert sum(isinstance(outcome, HeadMoved) for outcome in outcomes) == 19
    assert [found.checkpoint.id for found in await _listed(engine)] == [won, first]


async def test_updates_beside_writers_lose_nothing(engine: Engine, database_url: str) -> None:
    """Every update builds on what was the head when it was committed, and sees the values of all before it."""
    await _update(engine, _request(log=dumped([])))
    other = Engine(Database(database_url))
    await other.open()

    async def put(number: int) -> None:
        checkpoint = checkpoint_put(f"p{number}", ns="elsewhere")
        await engine.checkpoints.commit(TENANT, commit("t", checkpoint))

    try:
        await asyncio.gather(
            *(_update((engine, other)[number % 2], _request(log=dumped([number]))) for number in range(15)),
            *(put(number) for number in range(15)),
        )
    finally:
        await other.close()
    chain = [found for found in await _listed(engine) if not found.checkpoint_ns]
    parents = [found.parent_checkpoint_id for found in chain]
    assert parents == [*(found.checkpoint.id for found in chain[1:]), ""]
    assert sorted(loaded(chain[0].checkpoint.channel_values["log"])) == list(range(15))


async def test_the_new_id_is_the_greatest_whatever_the_clocks_say(engine: Engine) -> None:
    future = "2fffffff-ffff-6fff-8001-000000000001"
    await engine.checkpoints.commit(TENANT, commit("t", checkpoint_put(future, metadata={"step": 1})))
    assert await _update(engine, _request(x=dumped(1))) > future


async def test_a_fork_leaves_the_writes_of_its_base_alone(engine: Engine) -> None:
    first = await _update(engine, _request(x=dumped(1)))
    second = await _update(engine, _request(x=dumped(2)))
    request = _request(x=dumped(3))
    request.checkpoint_id = first
    fork = await _update(engine, request)
    listed = {found.checkpoint.id: found for found in await _listed(engine)}
    assert [listed[one].parent_checkpoint_id for one in (second, fork)] == [first, first]
    (pending,) = listed[first].pending_writes
    assert loaded(pending.write.value) == 2


async def test_values_in_an_encoding_that_nobody_knows(engine: Engine) -> None:
    """What no rule looks into is kept as it came."""
    secret = Value(encoding="aes", data=b"\xff")
    await _update(engine, _request(x=secret))
    (found,) = await _listed(engine)
    assert found.checkpoint.channel_values["x"] == secret
