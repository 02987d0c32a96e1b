"""What is committed is told to those who watch: once, in order, and from a token on."""

import asyncio

import pytest
from google.protobuf.duration_pb2 import Duration

from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import InvalidField, WatchOff, WatchTokenExpired, WatchTokenInvalid
from checkpointd.v1.checkpoints_pb2 import CommitRequest
from checkpointd.v1.leases_pb2 import AcquireLeaseRequest, ReleaseLeaseRequest
from checkpointd.v1.threads_pb2 import (
    CopyThreadRequest,
    DeleteRunsRequest,
    DeleteThreadRequest,
    PruneStrategy,
    PruneThreadsRequest,
    UpdateThreadRequest,
)
from checkpointd.v1.watch_pb2 import WatchEventKind
from tests.engine.watching import Watch, kind_of, watching
from tests.messages import checkpoint_put, put_checkpoint, put_writes, writes_put

TENANT = "tenant"


async def _put(engine: Engine, thread_id: str, *checkpoint_ids: str, tenant: str = TENANT, **more: object) -> None:
    for checkpoint_id in checkpoint_ids:
        await engine.checkpoints.put_checkpoint(tenant, put_checkpoint(thread_id, checkpoint_id, **more))


def _ids(watch: Watch) -> list[str]:
    return [event.checkpoint_id for event in watch.events]


async def test_a_checkpoint_is_told_with_what_it_is(engine: Engine) -> None:
    async with watching(engine, TENANT) as watch:
        metadata = {"source": "loop", "step": 3, "run_id": "r"}
        await _put(engine, "t", "c1", metadata=metadata)
        await _put(engine, "t", "c2", ns="sub:1", metadata={"source": 7, "step": "x"})
        first, second = await watch.until(2)
    assert (kind_of(first), first.thread_id, first.checkpoint_ns, first.checkpoint_id) == ("checkpoint", "t", "", "c1")
    assert (first.sequence, first.run_id, first.source, first.step) == (1, "r", "loop", 3)
    assert first.committed_at.seconds > 0
    assert (second.checkpoint_ns, second.sequence, second.source, second.step) == ("sub:1", 2, "", 0)


async def test_writes_are_told_with_what_they_mean(engine: Engine) -> None:
    async with watching(engine, TENANT) as watch:
        writes = engine.checkpoints.put_writes
        await writes(TENANT, put_writes("t", "c", "a", [(0, "x", "1")]))
        await writes(TENANT, put_writes("t", "c", "b", [(-3, "__interrupt__", "1")]))
        await writes(TENANT, put_writes("t", "c", "d", [(-1, "__error__", "1")]))
        events = await watch.until(3)
    told = [(kind_of(event), event.checkpoint_id, event.task_id, event.interrupt, event.error) for event in events]
    assert told == [
        ("writes", "c", "a", False, False),
        ("writes", "c", "b", True, False),
        ("writes", "c", "d", False, True),
    ]


async def test_the_ops_of_a_commit_are_told_in_their_order(engine: Engine) -> None:
    request = CommitRequest(thread_id="t")
    request.ops.add(put_checkpoint=checkpoint_put("c1"))
    request.ops.add(put_writes=writes_put("c1", "task", [(0, "x", "1")]))
    request.ops.add(put_checkpoint=checkpoint_put("c2"))
    async with watching(engine, TENANT) as watch:
        await engine.checkpoints.commit(TENANT, request)
        events = await watch.until(3)
    told = [(kind_of(event), event.sequence) for event in events]
    assert told == [("checkpoint", 1), ("writes", 2), ("checkpoint", 3)]


async def test_changes_of_whole_threads_and_leases_are_told(engine: Engine) -> None:
    await _put(engine, "t", "c1", metadata={"run_id": "r1"})
    await _put(engine, "t", "c2", "c3", metadata={"run_id": "r2"})
    minute = Duration(seconds=60)
    async with watching(engine, TENANT) as watch:
        await engine.threads.update_thread(TENANT, UpdateThreadRequest(thread_id="t", set_labels={"a": "b"}))
        await engine.threads.copy_thread(TENANT, CopyThreadRequest(source_thread_id="t", target_thread_id="u"))
        await engine.threads.delete_runs(TENANT, DeleteRunsRequest(run_ids=["r1"]))
        keep = PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST
        for _ in range(2):  # the second time there is nothing to do, and nothing to tell
            await engine.threads.prune_threads(TENANT, PruneThreadsRequest(thread_ids=["t", "none"], strategy=keep))
        lease = AcquireLeaseRequest(thread_id="t", holder="h", ttl=minute)
        for _ in range(2):
            acquired = await engine.leases.acquire_lease(TENANT, lease)
        token = acquired.lease.fencing_token
        for _ in range(2):
            await engine.leases.release_lease(
                TENANT, ReleaseLeaseRequest(thread_id="t", holder="h", fencing_token=token)
            )
        for _ in range(2):
            await engine.threads.delete_thread(TENANT, DeleteThreadRequest(thread_id="t"))
        delete = PruneStrategy.PRUNE_STRATEGY_DELETE
        await engine.threads.prune_threads(TENANT, PruneThreadsRequest(thread_ids=["u"], strategy=delete))
        events = await watch.until(9)
    assert [(kind_of(event), event.thread_id, event.removed_checkpoints) for event in events] == [
        ("thread_updated", "t", 0),
        ("thread_copied", "u", 0),
        ("runs_deleted", "t", 1),
        ("runs_deleted", "u", 1),
        ("thread_pruned", "t", 1),
        ("lease_taken", "t", 0),
        ("lease_ended", "t", 0),
        ("thread_deleted", "t", 1),
        ("thread_deleted", "u", 2),
    ]
    assert events[1].source_thread_id == "t"
    assert [events[5].holder, events[6].holder] == ["h", "h"]


async def test_what_was_before_is_not_told(engine: Engine) -> None:
    await _put(engine, "t", "c1")
    async with watching(engine, TENANT) as watch:
        await _put(engine, "t", "c2")
        await watch.until(1)
    assert _ids(watch) == ["c2"]


async def test_only_what_is_asked_for_is_told(engine: Engine) -> None:
    checkpoint = WatchEventKind.WATCH_EVENT_KIND_CHECKPOINT
    async with (
        watching(engine, TENANT, thread_id="a1") as of_thread,
        watching(engine, TENANT, thread_id_prefix="a") as of_prefix,
        watching(engine, TENANT, kinds=[checkpoint], checkpoint_ns=[""]) as of_kind,
        watching(engine, "other") as of_other,
    ):
        await _put(engine, "a1", "1")
        await _put(engine, "a2", "2", ns="sub")
        await engine.checkpoints.put_writes(TENANT, put_writes("b", "3", "task", [(0, "x", "1")]))
        await _put(engine, "a1", "x", tenant="other")
        await _put(engine, "a1", "4")
        await asyncio.gather(of_thread.until(2), of_prefix.until(3), of_kind.until(2), of_other.until(1))
    assert _ids(of_thread) == ["1", "4"]
    assert _ids(of_prefix) == ["1", "2", "4"]
    assert _ids(of_kind) == ["1", "4"]
    assert _ids(of_other) == ["x"]


async def test_it_goes_on_after_any_token(engine: Engine) -> None:
    request = CommitRequest(thread_id="t")
    for number in range(5):
        request.ops.add(put_checkpoint=checkpoint_put(f"a{number}"))
    async with watching(engine, TENANT) as watch:
        tokens = [watch.token]
        await engine.checkpoints.commit(TENANT, request)
        await _put(engine, "t", "b", "c")
        events = list(await watch.until(7))
        tokens += [event.token for event in events]
    await _put(engine, "t", "d")
    for place, token in enumerate(tokens):
        async with watching(engine, TENANT, token=token) as again:
            await again.until(8 - place)
            assert _ids(again) == ["a0", "a1", "a2", "a3", "a4", "b", "c", "d"][place:]


@pytest.mark.parametrize("what", ["garbage", "", "other tenant", "other thread", "other kinds", "forged"])
async def test_a_token_of_another_watch_is_refused(engine: Engine, what: str) -> None:
    async with watching(engine, TENANT) as watch:
        token = watch.token
    tenant = TENANT
    more: dict[str, object] = {}
    match what:
        case "garbage":
            token = "öö not base64"
        case "":
            token = token[:20]
        case "other tenant":
            tenant = "other"
        case "other thread":
            more = {"thread_id": "t"}
        case "other kinds":
            more = {"kinds": [1]}
        case "forged":
            token = ("B" if token[0] == "A" else "A") + token[1:]
    with pytest.raises(WatchTokenInvalid):
        async with watching(engine, tenant, token=token, **more):
            pass


async def test_a_token_whose_events_are_gone_has_expired(engine: Engine) -> None:
    async with watching(engine, TENANT) as watch:
        before = watch.token
        await _put(engine, "t", "c1", "c2")
        await watch.until(2)
        after = watch.token
    await engine.watches.forget(3600)
    async with watching(engine, TENANT, token=before) as again:
        await again.until(2)
    await engine.watches.forget(0)
    with pytest.raises(WatchTokenExpired):
        async with watching(engine, TENANT, token=before):
            pass
    await _put(engine, "t", "c3")
    async with watching(engine, TENANT, token=after) as again:
        await again.until(1)
        assert _ids(again) == ["c3"]


async def test_a_watch_that_makes_no_sense_is_refused(engine: Engine) -> None:
    for request in (
        {"thread_id": "t", "thread_id_prefix": "t"},
        {"kinds": [0]},
        {"kinds": [99]},
        {"kinds": [1] * 101},
        {"thread_id": "t" * 256},
        {"checkpoint_ns": ["n" * 769]},
    ):
        with pytest.raises(InvalidField):
            async with watching(engine, TENANT, **request):
                pass


async def test_without_events_there_is_nothing_to_watch(database_url: str) -> None:
    engine = Engine(Database(database_url), watch=False)
    await engine.open()
    try:
        await _put(engine, "t", "c1")
        with pytest.raises(WatchOff):
            async with watching(engine, TENANT):
                pass
        async with engine._database.reading(TENANT) as cursor:
            await cursor.execute("SELECT count(*) FROM checkpointd.events")
            assert await cursor.fetchone() == (0,)
    finally:
        await engine.close()
