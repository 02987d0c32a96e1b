"""LangGraph's objects come back from the contract's messages as they were."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.base import Checkpoint, empty_checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpointd.client import InvalidRequest, UnreadableValue
from checkpointd.client.langgraph.checkpoints import (
    read_checkpoint,
    read_histories,
    read_tuple,
    read_writes,
    write_checkpoint,
    write_writes,
)
from checkpointd.v1 import core_pb2 as core
from checkpointd.v1.checkpoints_pb2 import ChannelHistory, WritesPut
from tests.client.langgraph.strategies import names, text, values, versions

SERDE = JsonPlusSerializer(allowed_msgpack_modules=None)


@st.composite
def checkpoints(draw: st.DrawFn) -> Checkpoint:
    channels = draw(st.dictionaries(names, st.tuples(versions, values), max_size=4))
    checkpoint: dict[str, Any] = {
        "v": draw(st.integers(0, 100)),
        "ts": draw(text),
        "id": draw(names),
        "channel_values": {channel: value for channel, (_, value) in channels.items()},
        "channel_versions": {channel: version for channel, (version, _) in channels.items()},
        "versions_seen": draw(st.dictionaries(text, st.dictionaries(text, versions, max_size=3), max_size=3)),
    }
    updated = draw(st.sampled_from(["absent", "none", "some"]))
    if updated != "absent":
        checkpoint["updated_channels"] = draw(st.lists(names)) if updated == "some" else None
    for key in draw(st.sets(names.map("x-{}".format), max_size=2)):
        checkpoint[key] = draw(values)
    return cast(Checkpoint, checkpoint)


def sent(checkpoint: Checkpoint, new_versions: Any = None) -> core.Checkpoint:
    message = core.Checkpoint()
    write_checkpoint(
        checkpoint, checkpoint["channel_versions"] if new_versions is None else new_versions, SERDE, message
    )
    return core.Checkpoint.FromString(message.SerializeToString())


@given(checkpoints())
def test_a_checkpoint_comes_back_with_all_its_keys(checkpoint: Checkpoint) -> None:
    assert read_checkpoint(sent(checkpoint), SERDE) == checkpoint


@pytest.mark.parametrize("updated", [[], ["b", "a"], None])
def test_updated_channels_come_back(updated: Any) -> None:
    checkpoint = empty_checkpoint()
    checkpoint["updated_channels"] = updated
    message = sent(checkpoint)
    assert message.HasField("updated_channels") == (updated is not None)
    assert read_checkpoint(message, SERDE)["updated_channels"] == updated


def test_only_values_of_channels_with_a_new_version_are_sent() -> None:
    checkpoint = empty_checkpoint()
    checkpoint["channel_versions"] = {"old": "1", "new": "2", "empty": "2"}
    checkpoint["channel_values"] = {"old": "o", "new": "n", "no-version": "v"}
    message = sent(checkpoint, {"new": "2", "empty": "2", "no-version": "1"})
    assert set(message.channel_values) == {"new"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"id": "\ud800"}, "checkpoint.id"),
        ({"v": "four"}, "checkpoint.v"),
        ({"ts": 3}, "checkpoint.ts"),
        ({"channel_versions": {"x": []}}, "checkpoint.channel_versions"),
        ({"versions_seen": {"\udfff": {}}}, "checkpoint.versions_seen"),
        ({"updated_channels": [1]}, "checkpoint.updated_channels"),
        ({"channel_versions": {"x": 1}, "channel_values": {"x": object()}}, "the value of channel 'x'"),
        ({"more": object()}, r"checkpoint\['more'\]"),
    ],
)
def test_what_cannot_be_sent_is_named(change: Any, named: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{named} can't be (sent|stored): .*; this call stored nothing"):
        sent(cast(Checkpoint, {**empty_checkpoint(), **change}))


@given(st.lists(st.tuples(names, values), max_size=5))
def test_writes_come_back(writes: list[tuple[str, Any]]) -> None:
    put = WritesPut()
    write_writes(writes, SERDE, put)
    stored = [
        core.PendingWrite(task_id="task", write=write) for write in WritesPut.FromString(put.SerializeToString()).writes
    ]
    assert read_writes(stored, SERDE) == [("task", channel, value) for channel, value in writes]
    assert [write.idx for write in put.writes] == list(range(len(writes)))


def test_special_writes_have_places_of_their_own() -> None:
    put = WritesPut()
    write_writes([("a", 1), ("__interrupt__", 2), ("__resume__", 3), ("b", 4), ("__error__", 5)], SERDE, put)
    assert [write.idx for write in put.writes] == [0, -3, -4, 3, -1]


def test_a_write_that_cannot_be_sent_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"the write to channel 'b' can't be stored: .*; this call stored nothing"):
        write_writes([("a", 1), ("b", object())], SERDE, WritesPut())
    with pytest.raises(InvalidRequest, match="the channel of write 1 can't be sent"):
        write_writes([("a", 1), ("\ud800", 2)], SERDE, WritesPut())


def test_any_bytes_like_value_is_sent() -> None:
    put = WritesPut()
    write_writes([("a", bytearray(b"xy"))], SERDE, put)
    assert read_writes([core.PendingWrite(write=put.writes[0])], SERDE) == [("", "a", bytearray(b"xy"))]


def test_a_value_that_cannot_be_read_is_named() -> None:
    message = core.Checkpoint(id="c", channel_values={"x": core.Value(encoding="pickle", data=b"abc")})
    with pytest.raises(UnreadableValue, match="'x', 3 bytes of encoding 'pickle'") as raised:
        read_checkpoint(message, SERDE)
    assert raised.value.metadata == {"name": "x", "encoding": "pickle"}


def test_a_tuple_has_configs_of_three_keys() -> None:
    message = core.CheckpointTuple(
        thread_id="t", checkpoint_ns="n", checkpoint=core.Checkpoint(id="c2"), parent_checkpoint_id="c1"
    )
    found = read_tuple(message, SERDE)
    place = {"thread_id": "t", "checkpoint_ns": "n"}
    assert found.config == {"configurable": {**place, "checkpoint_id": "c2"}}
    assert found.parent_config == {"configurable": {**place, "checkpoint_id": "c1"}}
    message.parent_checkpoint_id = ""
    assert read_tuple(message, SERDE).parent_config is None


def test_a_history_has_a_seed_only_if_there_is_one() -> None:
    null = core.Value(encoding="null")
    write = core.PendingWrite(task_id="k", write=core.Write(channel="a", value=null))
    histories = {"a": ChannelHistory(writes=[write]), "b": ChannelHistory(seed=null)}
    assert read_histories(histories, ["a", "b", "c"], SERDE) == {
        "a": {"writes": [("k", "a", None)]},
        "b": {"writes": [], "seed": None},
        "c": {"writes": []},
    }
