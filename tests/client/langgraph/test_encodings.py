"""How RemoteSaver's values are stored, and that those stored with either serialiser are read with either."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpointd.client import Client, UnreadableValue
from checkpointd.client.langgraph import PortableSerializer, RemoteSaver, Tagged
from checkpointd.v1.core_pb2 import Value
from tests.server_process import ServerProcess

CONFIG: RunnableConfig = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}


@dataclass
class Point:
    x: int
    y: int


Savers = Callable[[SerializerProtocol | None], RemoteSaver]


@pytest.fixture
def savers(server: ServerProcess, tenant: str) -> Savers:
    return lambda serde: RemoteSaver(server.address, tenant=tenant, serde=serde)


def put(saver: RemoteSaver, **values: Any) -> None:
    made = empty_checkpoint()
    made["channel_values"] = values
    made["channel_versions"] = dict.fromkeys(values, "1")
    with saver:
        stored = saver.put(CONFIG, made, {"source": "loop", "odd": {1, 2}}, made["channel_versions"])  # type: ignore[typeddict-unknown-key]
        saver.put_writes(stored, list(values.items()), "task")


def get(saver: RemoteSaver) -> dict[str, Any]:
    with saver:
        found = saver.get_tuple(CONFIG)
    assert found is not None
    assert {channel: value for _, channel, value in found.pending_writes or ()} == found.checkpoint["channel_values"]
    assert found.metadata == {"source": "loop", "odd": {1, 2}}
    return found.checkpoint["channel_values"]


VALUES = {"messages": [HumanMessage("hello", id="1")], "point": Point(1, 2), "numbers": {1: 2}}


def test_it_is_portable_json_unless_another_is_chosen(savers: Savers, server: ServerProcess, tenant: str) -> None:
    put(savers(None), messages=[HumanMessage("hello", id="1")], data=b"x", nothing=None)
    with Client(server.address, tenant=tenant) as client:
        stored = client.get_checkpoint(thread_id="t")
    assert dict(stored.checkpoint.channel_values) == {
        "messages": Value(
            encoding="portable-json/1",
            data=b'[{"$":"msg","v":{"type":"human","content":"hello","id":"1"}}]',
        ),
        "data": Value(encoding="bytes", data=b"x"),
        "nothing": Value(encoding="null"),
    }
    assert {pending.write.value.encoding for pending in stored.pending_writes} == {"portable-json/1", "bytes", "null"}


@pytest.mark.parametrize(
    ("stored_by", "read_by"),
    [
        (JsonPlusSerializer(), None),
        (None, JsonPlusSerializer()),
        (None, None),
        (JsonPlusSerializer(), JsonPlusSerializer()),
        (PortableSerializer(), PortableSerializer(allowed_types=[Point])),
    ],
)
def test_either_reads_what_the_other_has_stored(
    savers: Savers, stored_by: SerializerProtocol | None, read_by: SerializerProtocol | None
) -> None:
    put(savers(stored_by), **VALUES)
    assert get(savers(read_by)) == VALUES


@pytest.mark.parametrize(
    "strict", [JsonPlusSerializer(allowed_msgpack_modules=None), PortableSerializer(allowed_types=())]
)
def test_a_restricted_serialiser_makes_no_object_of_a_portable_value(
    savers: Savers, strict: SerializerProtocol
) -> None:
    put(savers(None), **VALUES)
    found = get(savers(strict))
    assert found["messages"] == VALUES["messages"]
    assert isinstance(found["point"], Tagged)
    assert found["point"].view == {"x": 1, "y": 2}
    # Stored again as it came, it is still the same.
    put(savers(PortableSerializer(allowed_types=())), **found)
    assert get(savers(None)) == VALUES


def test_a_value_that_is_not_as_its_encoding_says_is_named(savers: Savers) -> None:
    class Broken(JsonPlusSerializer):
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            return "portable-json/1", b"{"

    class Newer(JsonPlusSerializer):
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            return "portable-json/2", b"1"

    for written_by in (Broken(), Newer()):
        for read_by in (None, JsonPlusSerializer()):
            put(savers(written_by), x=1)
            with savers(read_by) as saver, pytest.raises(UnreadableValue, match=r"'x'.*'portable-json/\d'"):
                saver.get_tuple(CONFIG)
