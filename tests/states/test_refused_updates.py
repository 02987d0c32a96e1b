"""Refused updates: which status and reason they have, that the message says what to do, and that nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from checkpointd.client import CheckpointdError, Client
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.v1.core_pb2 import CheckpointTuple, Precondition, Value
from checkpointd.v1.states_pb2 import GraphRef, StateUpdate, Superstep
from tests.server_process import ServerProcess
from tests.states.corpus import flow
from tests.states.corpus.playing import Play
from tests.states.updates.photos import Place
from tests.states.updates.refused import FAILED, INVALID, ROWS, Refused


@pytest.fixture
def client(server: ServerProcess, tenant: str) -> Iterator[Client]:
    with Client(server.address, tenant=tenant) as client:
        yield client


def kept(client: Client) -> list[CheckpointTuple]:
    """All that is stored of the thread."""
    return list(client.list_checkpoints(thread_id="t"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "_"))
def test_a_refused_update_says_why_and_changes_nothing(row: Refused, saver: RemoteSaver, client: Client) -> None:
    graph = row.build(saver)
    saver.register(graph)
    play = Play(graph, {"configurable": {"thread_id": "t"}})
    row.prepare(play)
    update = row.update(play)
    stored = kept(client)

    place = Place(graph, saver, client, "t")
    with pytest.raises(CheckpointdError) as refused:
        saver.bulk_update_state(place.config(**update.configurable), update.supersteps, **row.options)
    assert (refused.value.code, refused.value.reason) == (row.code, row.reason), refused.value
    assert row.advice in str(refused.value)
    assert kept(client) == stored
    # The thread is not only as it was: it takes what is right.
    if stored:
        play.invoke(None)


def test_no_graph_is_known(saver: RemoteSaver, client: Client) -> None:
    flow.sequential(saver).invoke({"log": ["in"]}, {"configurable": {"thread_id": "t"}})
    stored = kept(client)
    with pytest.raises(CheckpointdError) as refused:
        saver.update_state({"configurable": {"thread_id": "t"}}, {"log": []}, "a")
    assert (refused.value.code, refused.value.reason) == (FAILED, "GRAPH_UNKNOWN")
    assert "register it with RegisterGraph and name it in the request" in str(refused.value)
    assert kept(client) == stored


STEP = Superstep(updates=[StateUpdate(as_node="a")])
NULL = Value(encoding="null")


def updated(**fields: Any) -> dict[str, Any]:
    return {"supersteps": [Superstep(updates=[StateUpdate(**{"as_node": "a", **fields})])]}


MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "no thread": ({"thread_id": ""}, "thread_id"),
    "a thread of 256 bytes": ({"thread_id": "t" * 256}, "thread_id"),
    "a checkpoint of 129 bytes": ({"checkpoint_id": "c" * 129}, "checkpoint_id"),
    "no supersteps": ({"supersteps": []}, "supersteps"),
    "101 supersteps": ({"supersteps": [STEP] * 101}, "supersteps"),
    "a superstep without updates": ({"supersteps": [STEP, Superstep()]}, "supersteps[1].updates"),
    "a superstep of 1001 updates": (
        {"supersteps": [Superstep(updates=[StateUpdate(as_node="a")] * 1001)]},
        "supersteps[0].updates",
    ),
    "a task of 256 bytes": (updated(task_id="t" * 256), "supersteps[0].updates[0].task_id"),
    "values in both ways": (
        updated(value=NULL, writes=[{"channel": "log", "values": [NULL]}]),
        "supersteps[0].updates[0].value",
    ),
    "a value without an encoding": (updated(value=Value()), "supersteps[0].updates[0].value.encoding"),
    "a write without a channel": (updated(writes=[{"values": [NULL]}]), "supersteps[0].updates[0].writes[0].channel"),
    "a goto without a target": (updated(goto={"targets": [{}]}), "supersteps[0].updates[0].goto.targets[0]"),
    "metadata that is no object": ({"metadata": "[1]"}, "metadata"),
    "metadata that is no JSON": ({"metadata": "{"}, "metadata"),
    "an expected head of 129 bytes": (
        {"precondition": Precondition(expected_head="c" * 129)},
        "precondition.expected_head",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_names_the_field(name: str, saver: RemoteSaver, client: Client) -> None:
    graph = flow.sequential(saver)
    saver.register(graph, "graph")
    graph.invoke({"log": ["in"]}, {"configurable": {"thread_id": "t"}})
    stored = kept(client)
    changed, field = MALFORMED[name]
    asked: dict[str, Any] = {"thread_id": "t", "supersteps": [STEP], "graph": GraphRef(name="graph"), **changed}
    with pytest.raises(CheckpointdError) as refused:
        client.update_state(**asked)
    assert (refused.value.code, refused.value.reason) == (INVALID, "INVALID_FIELD"), refused.value
    assert refused.value.metadata["field"] == field
    assert kept(client) == stored
