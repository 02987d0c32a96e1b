"""Lists: newest commit first, filtered, bounded, in pages that nobody notices."""

import json

import pytest

from checkpointd.engine import Engine
from checkpointd.engine.errors import InvalidField
from checkpointd.v1.checkpoints_pb2 import CheckpointView
from tests.engine.reading import TENANT, ids, listed
from tests.messages import checkpoint_put, commit, put_checkpoint, put_writes


async def test_a_long_list_is_complete_and_in_order(engine: Engine) -> None:
    numbers = [f"{number:04}" for number in range(1200)]
    for start in (0, 600):
        puts = [checkpoint_put(number, values={"a": number}) for number in numbers[start : start + 600]]
        await engine.checkpoints.commit(TENANT, commit("t", *puts))
    assert await ids(engine, "t") == numbers[::-1]
    assert await ids(engine, "t", checkpoint_ns="") == numbers[::-1]
    assert await ids(engine) == numbers[::-1]
    assert await ids(engine, "t", limit=777) == numbers[:-778:-1]


async def test_pages_of_large_values_are_small(engine: Engine) -> None:
    for number in range(20):
        await engine.checkpoints.put_checkpoint(
            TENANT, put_checkpoint("t", f"{number:02}", values={"a": bytes(3 << 20)})
        )
    assert len(await listed(engine, "t")) == 20


async def test_before_goes_by_commit_in_its_own_namespace_and_by_id_elsewhere(engine: Engine) -> None:
    for checkpoint_id in ("5", "9", "3", "4"):
        await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", checkpoint_id))
    for checkpoint_id in ("2", "1", "6"):
        await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", checkpoint_id, ns="n:1"))
    assert await ids(engine, "t", checkpoint_ns="", before_checkpoint_id="3") == ["9", "5"]
    assert await ids(engine, "t", checkpoint_ns="n:1", before_checkpoint_id="3") == ["1", "2"]
    assert await ids(engine, "t", before_checkpoint_id="3") == ["1", "2", "9", "5"]
    assert await ids(engine, "t", checkpoint_ns="", before_checkpoint_id="7") == ["4", "3", "5"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["3", "2", "1"]),
        ({"step": 1}, ["2", "1"]),
        ({"step": 1.0}, ["2", "1"]),
        ({"step": 1, "source": "loop"}, ["2"]),
        ({"step": "1"}, []),
        ({"parents": {"": "x"}}, ["3"]),
        ({"parents": {}}, []),
        ({"absent": None}, ["3", "2", "1"]),
        ({"source": None}, []),
    ],
)
async def test_filters_compare_whole_values(engine: Engine, wanted: object, found: list[str]) -> None:
    for checkpoint_id, metadata in (
        ("1", {"step": 1, "source": "input"}),
        ("2", {"step": 1, "source": "loop", "tags": ["a"]}),
        ("3", {"step": 2, "source": "loop", "parents": {"": "x"}}),
    ):
        await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", checkpoint_id, metadata=metadata))
    assert await ids(engine, "t", metadata_filter=json.dumps(wanted)) == found


async def test_the_metadata_view_leaves_values_and_writes_out(engine: Engine) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1", values={"a": "1"}, metadata={"step": 1}))
    await engine.checkpoints.put_writes(TENANT, put_writes("t", "1", "task", [(0, "a", "2")]))
    (found,) = await listed(engine, "t", view=CheckpointView.CHECKPOINT_VIEW_METADATA)
    assert not found.checkpoint.channel_values
    assert not found.pending_writes
    assert dict(found.checkpoint.channel_versions) == {"a": "v1"}
    assert found.metadata.json == '{"step": 1}'


async def test_limits(engine: Engine) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1"))
    assert await ids(engine, "t", limit=0) == []
    assert await ids(engine, "t", limit=2**63 - 1) == ["1"]
    assert await ids(engine, "t", checkpoint_id="1") == ["1"]
    assert await ids(engine, "t", checkpoint_id="2") == []
    with pytest.raises(InvalidField, match="limit"):
        await ids(engine, "t", limit=-1)
