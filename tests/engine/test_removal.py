"""Prune, delete and copy take what they should, keep what others need, and leave nothing behind."""

import psycopg
import pytest

from checkpointd.engine import Engine
from checkpointd.engine.errors import ThreadExists, ThreadNotFound
from checkpointd.v1.threads_pb2 import (
    CopyThreadRequest,
    DeleteRunsRequest,
    DeleteThreadRequest,
    GetThreadRequest,
    PruneStrategy,
    PruneThreadsRequest,
)
from tests.engine.reading import TENANT, get, history, ids, listed, values, writes
from tests.messages import put_checkpoint, put_writes


async def prune(engine: Engine, *thread_ids: str) -> int:
    request = PruneThreadsRequest(thread_ids=thread_ids, strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST)
    return (await engine.threads.prune_threads(TENANT, request)).removed_checkpoints


async def delete_runs(engine: Engine, *run_ids: str) -> int:
    return (await engine.threads.delete_runs(TENANT, DeleteRunsRequest(run_ids=run_ids))).removed_checkpoints


async def copy(engine: Engine, source: str, target: str) -> None:
    await engine.threads.copy_thread(TENANT, CopyThreadRequest(source_thread_id=source, target_thread_id=target))


def rows(database_url: str) -> dict[str, int]:
    """How many rows each table holds."""
    tables = ("threads", "checkpoints", "channel_values", "writes")
    with psycopg.connect(database_url) as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM checkpointd.{table}".encode()).fetchone() for table in tables
        ]
    return {table: count[0] for table, count in zip(tables, counts, strict=True) if count is not None}


async def chat(engine: Engine, thread_id: str, steps: int = 6, snapshot_every: int = 100) -> None:
    """A thread whose channel `log` is stored as changes: a snapshot now and then, writes in between."""
    since = 0
    for step in range(steps):
        snapshot = step % snapshot_every == 0
        since = 0 if snapshot else since + 1
        counters = {"counters_since_delta_snapshot": {"log": [since, since]}} if since else {}
        put = put_checkpoint(
            thread_id,
            f"{step}",
            parent=f"{step - 1}" if step else "",
            values={"plain": f"p{step}"} | ({"log": f"snapshot{step}"} if snapshot else {}),
            versions={"log": f"v{step}"},
            metadata={"run_id": f"run{step // 2}", **counters},
        )
        await engine.checkpoints.put_checkpoint(TENANT, put)
        task = [(0, "log", f"w{step}"), (1, "plain", f"p{step + 1}")]
        await engine.checkpoints.put_writes(TENANT, put_writes(thread_id, f"{step}", "task", task))


async def test_prune_keeps_each_head_whole_and_nothing_else(engine: Engine, database_url: str) -> None:
    for step in range(5):
        put = put_checkpoint("t", f"{step}", parent=f"{step - 1}", values={"a": f"{step}"}, versions={"same": "v"})
        if step == 0:
            put.put.checkpoint.channel_values["same"].encoding = "null"
        await engine.checkpoints.put_checkpoint(TENANT, put)
        await engine.checkpoints.put_writes(TENANT, put_writes("t", f"{step}", "task", [(0, "a", f"{step + 1}")]))
    before = await get(engine, "t")
    assert await prune(engine, "t", "absent") == 4
    after = await get(engine, "t")
    assert after.parent_checkpoint_id == ""
    after.parent_checkpoint_id = before.parent_checkpoint_id
    assert after == before
    assert await ids(engine, "t") == ["4"]
    assert rows(database_url) == {"threads": 1, "checkpoints": 1, "channel_values": 2, "writes": 1}
    assert await prune(engine, "t") == 0


async def test_prune_keeps_what_rebuilds_the_head_out_of_sight(engine: Engine, database_url: str) -> None:
    await chat(engine, "t")
    before, head = await history(engine, "t", "log"), await get(engine, "t")
    assert before["log"] == (b"snapshot0", [b"w0", b"w1", b"w2", b"w3", b"w4"])
    assert await prune(engine, "t") == 5
    assert await history(engine, "t", "log") == before
    assert await ids(engine, "t") == ["5"]
    assert values(await get(engine, "t")) == values(head)
    assert writes(await get(engine, "t")) == writes(head)
    # Of the hidden ones: no values but the seed, no writes of other channels.
    assert rows(database_url) == {"threads": 1, "checkpoints": 6, "channel_values": 2, "writes": 7}


async def test_a_later_prune_takes_what_is_needed_no_more(engine: Engine, database_url: str) -> None:
    await chat(engine, "t", steps=4)
    await prune(engine, "t")
    snapshot = put_checkpoint("t", "9", parent="3", values={"log": "snapshot9"})
    await engine.checkpoints.put_checkpoint(TENANT, snapshot)
    assert await history(engine, "t", "log", checkpoint_id="3") == {"log": (b"snapshot0", [b"w0", b"w1", b"w2"])}
    assert await prune(engine, "t") == 1
    assert rows(database_url) == {"threads": 1, "checkpoints": 1, "channel_values": 1, "writes": 0}


@pytest.mark.parametrize(("steps", "hidden"), [(5, 0), (6, 1), (7, 2)])
async def test_prune_goes_back_to_the_nearest_snapshot(
    engine: Engine, database_url: str, steps: int, hidden: int
) -> None:
    await chat(engine, "t", steps=steps, snapshot_every=4)
    before = await history(engine, "t", "log")
    await prune(engine, "t")
    assert rows(database_url)["checkpoints"] == 1 + hidden
    if hidden:
        assert before == {"log": (b"snapshot4", [f"w{step}".encode() for step in range(4, steps - 1)])}
        assert await history(engine, "t", "log") == before


async def test_prune_of_subgraphs(engine: Engine) -> None:
    for checkpoint_id in ("1", "2", "3"):
        await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", checkpoint_id))
    for ns, root in (("call:a", "1"), ("call:b", "3"), ("call:c", "unsaved"), ("kept", "1")):
        for checkpoint_id in ("7", "8"):
            put = put_checkpoint("t", checkpoint_id, ns=ns, values={"a": "1"}, metadata={"parents": {"": root}})
            await engine.checkpoints.put_checkpoint(TENANT, put)
    await prune(engine, "t")
    left = {(found.checkpoint_ns, found.checkpoint.id) for found in await listed(engine, "t")}
    # The call that started from root checkpoint 1 went with it; a subgraph that outlives its calls stays.
    assert left == {("", "3"), ("call:b", "8"), ("call:c", "8"), ("kept", "8")}


async def test_writes_that_wait_for_their_checkpoint_survive_a_prune(engine: Engine) -> None:
    for checkpoint_id in ("1", "2"):
        await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", checkpoint_id))
    await engine.checkpoints.put_writes(TENANT, put_writes("t", "3", "task", [(0, "a", "early")]))
    await prune(engine, "t")
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "3", parent="2"))
    assert writes(await get(engine, "t")) == [("task", 0, "a", b"early")]


async def test_a_hidden_checkpoint_stays_hidden_when_it_is_put_again(engine: Engine) -> None:
    await chat(engine, "t")
    await prune(engine, "t")
    response = await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "2", values={"plain": "stale"}))
    assert response.sequence == 0
    assert await ids(engine, "t") == ["5"]


async def test_deleting_runs_takes_their_checkpoints_in_all_threads(engine: Engine, database_url: str) -> None:
    await chat(engine, "t")
    await chat(engine, "u", steps=2)
    before = await history(engine, "t", "log")
    assert await delete_runs(engine, "run1", "run0", "unknown") == 6
    assert await ids(engine, "t") == ["5", "4"]
    assert await ids(engine, "u") == []
    assert await history(engine, "t", "log") == before
    assert (await get(engine, "t", "4")).parent_checkpoint_id == ""
    assert (await get(engine, "t", "5")).parent_checkpoint_id == "4"
    assert await delete_runs(engine, "run1", "run0") == 0
    await delete_runs(engine, "run2")
    assert rows(database_url) == {"threads": 2, "checkpoints": 0, "channel_values": 0, "writes": 0}


async def test_deleting_a_thread_leaves_nothing_and_touches_no_other(engine: Engine, database_url: str) -> None:
    await chat(engine, "t")
    await chat(engine, "u", steps=1)
    await engine.checkpoints.put_checkpoint("other", put_checkpoint("t", "1"))
    for _ in range(2):
        await engine.threads.delete_thread(TENANT, DeleteThreadRequest(thread_id="t"))
    assert await ids(engine) == ["0"]
    assert rows(database_url) == {"threads": 2, "checkpoints": 2, "channel_values": 2, "writes": 2}
    with pytest.raises(ThreadNotFound):
        await engine.threads.get_thread(TENANT, GetThreadRequest(thread_id="t"))


async def test_a_copy_is_complete_and_stands_alone(engine: Engine) -> None:
    await chat(engine, "t")
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1", ns="n", values={"a": "sub"}))
    await prune(engine, "t")
    await copy(engine, "t", "c")
    await copy(engine, "t", "c")
    originals, copies = await listed(engine, "t"), await listed(engine, "c")
    for found in copies:
        found.thread_id = "t"
    for found in (*originals, *copies):
        found.ClearField("committed_at")
    assert copies == originals
    assert await history(engine, "c", "log") == await history(engine, "t", "log")
    await engine.threads.delete_thread(TENANT, DeleteThreadRequest(thread_id="t"))
    assert values(await get(engine, "c")) == {"plain": b"p5"}
    assert (await history(engine, "c", "log"))["log"][0] == b"snapshot0"
    response = await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("c", "6", parent="5"))
    assert response.sequence > max(found.sequence for found in copies)


async def test_a_copy_needs_a_source_and_a_target_without_a_history_of_its_own(engine: Engine) -> None:
    await chat(engine, "t", steps=2)
    with pytest.raises(ThreadNotFound):
        await copy(engine, "absent", "c")
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("c", "own"))
    with pytest.raises(ThreadExists):
        await copy(engine, "t", "c")
    assert await ids(engine, "c") == ["own"]


async def test_histories_end_where_parents_lead_back(engine: Engine) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "self", parent="self"))
    await engine.checkpoints.put_writes(TENANT, put_writes("t", "self", "task", [(0, "a", "w")]))
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "x", parent="y"))
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "y", parent="x"))
    for checkpoint_id in ("self", "x", "y"):
        assert (await history(engine, "t", "a", checkpoint_id=checkpoint_id))["a"][0] is None
    assert await prune(engine, "t") == 2
