"""What is put comes back, once, in order, and the head is the last commit."""

import psycopg
import pytest

from checkpointd.engine import Engine
from checkpointd.engine.errors import CheckpointNotFound, InvalidField
from checkpointd.v1.core_pb2 import CheckpointTuple
from tests.engine.reading import TENANT, get, ids, listed, values, writes
from tests.messages import checkpoint_put, commit, put_checkpoint, put_writes, writes_put


async def test_a_checkpoint_comes_back_as_it_was_put(engine: Engine) -> None:
    request = put_checkpoint(
        "t", "1", parent="0", values={"a": b"\0\xff", "b": ""}, metadata={"step": 1, "source": "loop"}
    )
    checkpoint = request.put.checkpoint
    checkpoint.ts = "2026-01-02T03:04:05+00:00"
    checkpoint.versions_seen["node"].versions["a"] = "v0"
    checkpoint.updated_channels.names.append("a")
    checkpoint.extra["more"].encoding = "x/y"
    request.put.metadata.native.data = b"native"
    request.put.metadata.native.encoding = "msgpack"
    expected = CheckpointTuple(
        thread_id="t",
        checkpoint=checkpoint,
        metadata=request.put.metadata,
        parent_checkpoint_id="0",
        sequence=1,
    )
    response = await engine.checkpoints.put_checkpoint(TENANT, request)
    found = await get(engine, "t")
    assert found.HasField("committed_at")
    found.ClearField("committed_at")
    assert found == expected
    assert response.sequence == 1


async def test_the_head_is_the_last_commit_not_the_greatest_id(engine: Engine) -> None:
    for checkpoint_id in ("5", "9", "3"):
        await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", checkpoint_id))
    assert (await get(engine, "t")).checkpoint.id == "3"
    assert await ids(engine, "t") == ["3", "9", "5"]


async def test_putting_again_keeps_place_parent_and_values(engine: Engine) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1", parent="0", values={"a": "first"}))
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "2"))
    again = put_checkpoint("t", "1", parent="x", values={"a": "second"}, metadata={"step": 7})
    response = await engine.checkpoints.put_checkpoint(TENANT, again)
    found = await get(engine, "t", "1")
    assert response.sequence == found.sequence == 1
    assert found.parent_checkpoint_id == "0"
    assert values(found) == {"a": b"first"}
    assert found.metadata.json == '{"step": 7}'
    assert (await get(engine, "t")).checkpoint.id == "2"


async def test_a_value_is_stored_once_and_shared(engine: Engine, database_url: str) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1", values={"a": "big", "b": "x"}))
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "2", values={"b": "y"}, versions={"a": "v1"}))
    assert values(await get(engine, "t", "1")) == {"a": b"big", "b": b"x"}
    assert values(await get(engine, "t", "2")) == {"a": b"big", "b": b"y"}
    assert [values(found) for found in await listed(engine, "t")] == [
        {"a": b"big", "b": b"y"},
        {"a": b"big", "b": b"x"},
    ]
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM checkpointd.channel_values").fetchone() == (3,)


async def test_a_channel_without_a_stored_value_is_empty(engine: Engine) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1", values={"a": ""}, versions={"b": "v"}))
    found = await get(engine, "t")
    assert values(found) == {"a": b""}
    assert dict(found.checkpoint.channel_versions) == {"a": "v1", "b": "v"}


async def test_namespaces_and_tenants_share_nothing(engine: Engine) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1", values={"a": "root"}))
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1", ns="n:1", values={"a": "sub"}))
    await engine.checkpoints.put_checkpoint("other", put_checkpoint("t", "1", values={"a": "other"}))
    assert values(await get(engine, "t")) == {"a": b"root"}
    assert values(await get(engine, "t", ns="n:1")) == {"a": b"sub"}
    assert await ids(engine) == ["1", "1"]


@pytest.mark.parametrize(
    ("thread_id", "checkpoint_id", "ns"), [("none", "", ""), ("t", "9", ""), ("t", "", "n"), ("t", "1", "n")]
)
async def test_what_does_not_exist_is_not_found(engine: Engine, thread_id: str, checkpoint_id: str, ns: str) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1"))
    with pytest.raises(CheckpointNotFound) as caught:
        await get(engine, thread_id, checkpoint_id, ns)
    assert caught.value.metadata == {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}


async def test_fields_of_a_newer_client_survive(engine: Engine) -> None:
    request = put_checkpoint("t", "1")
    request.put.checkpoint.MergeFromString(b"\xc2\x3e\x05newer")  # field 1000, which this contract does not have
    await engine.checkpoints.put_checkpoint(TENANT, request)
    assert b"newer" in (await get(engine, "t")).checkpoint.SerializeToString()


async def test_writes_come_in_the_order_in_which_a_superstep_applies_them(engine: Engine) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1"))
    await engine.checkpoints.put_writes(TENANT, put_writes("t", "1", "b", [(1, "x", "b1"), (0, "x", "b0")], path="~2"))
    await engine.checkpoints.put_writes(TENANT, put_writes("t", "1", "a", [(0, "y", "a0")], path="~2"))
    await engine.checkpoints.put_writes(
        TENANT, put_writes("t", "1", "c", [(0, "x", "c0"), (-3, "i", "stop")], path="~1")
    )
    assert writes(await get(engine, "t")) == [
        ("c", -3, "i", b"stop"),
        ("c", 0, "x", b"c0"),
        ("a", 0, "y", b"a0"),
        ("b", 0, "x", b"b0"),
        ("b", 1, "x", b"b1"),
    ]


async def test_a_write_stays_as_first_stored_and_a_special_one_is_replaced(engine: Engine) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1"))
    await engine.checkpoints.put_writes(TENANT, put_writes("t", "1", "a", [(0, "x", "old"), (-4, "r", "old")]))
    await engine.checkpoints.put_writes(TENANT, put_writes("t", "1", "a", [(0, "x", "new"), (-4, "r", "new")]))
    assert writes(await get(engine, "t")) == [("a", -4, "r", b"new"), ("a", 0, "x", b"old")]


async def test_writes_may_come_before_their_checkpoint(engine: Engine) -> None:
    await engine.checkpoints.put_writes(TENANT, put_writes("t", "1", "a", [(0, "x", "early")]))
    with pytest.raises(CheckpointNotFound):
        await get(engine, "t")
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1"))
    assert writes(await get(engine, "t")) == [("a", 0, "x", b"early")]


async def test_a_commit_is_stored_in_order_and_whole(engine: Engine) -> None:
    response = await engine.checkpoints.commit(
        TENANT,
        commit(
            "t",
            checkpoint_put("1", values={"a": "1"}),
            writes_put("1", "task", [(0, "a", "2")]),
            checkpoint_put("2", parent="1", values={"a": "2"}),
        ),
    )
    assert list(response.checkpoint_sequences) == [1, 3]
    assert await ids(engine, "t") == ["2", "1"]
    assert (await get(engine, "t", "1")).pending_writes[0].sequence == 2


async def test_a_commit_with_a_bad_op_stores_nothing(engine: Engine) -> None:
    bad = checkpoint_put("2")
    bad.checkpoint.channel_values["unversioned"].encoding = "null"
    with pytest.raises(InvalidField, match="no version"):
        await engine.checkpoints.commit(TENANT, commit("t", checkpoint_put("1"), bad))
    assert await ids(engine, "t") == []
