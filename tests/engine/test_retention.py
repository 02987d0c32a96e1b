"""Retention: what a policy removes, what it keeps, and that it is one server's work at a time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import InvalidField, PolicyRemovesEverything
from checkpointd.v1.leases_pb2 import AcquireLeaseRequest
from checkpointd.v1.retention_pb2 import (
    ApplyRetentionPolicyRequest,
    ApplyRetentionPolicyResponse,
    DeleteRetentionPolicyRequest,
    ListRetentionPoliciesRequest,
    RetentionPolicy,
    SetRetentionPolicyRequest,
)
from checkpointd.v1.threads_pb2 import GetThreadRequest, ListThreadsRequest, UpdateThreadRequest
from tests.engine.reading import TENANT, get, ids, values
from tests.engine.watching import kind_of, watching
from tests.messages import put_checkpoint, put_writes

DAY = 24 * 3600


def policy(name: str = "p", *, idle: float | None = None, age: float | None = None, **more: Any) -> RetentionPolicy:
    made = RetentionPolicy(name=name, **more)
    if idle is not None:
        made.delete_idle_after.FromSeconds(int(idle))
    if age is not None:
        made.max_age.FromSeconds(int(age))
    return made


async def fill(engine: Engine, *threads: str, turns: int = 5, **more: Any) -> None:
    for thread_id in threads:
        for turn in range(turns):
            parent = f"c{turn - 1}" if turn else ""
            put = put_checkpoint(thread_id, f"c{turn}", parent=parent, values={"x": f"{turn}" * 3000}, **more)
            await engine.checkpoints.put_checkpoint(TENANT, put)
            await engine.checkpoints.put_writes(TENANT, put_writes(thread_id, f"c{turn}", "task", [(0, "x", "w")]))


def age(database_url: str, thread_id: str, days: float, *checkpoints: str) -> None:
    """Let a thread, or some of its checkpoints, be so old."""
    past = f"now() - interval '{days} days'"
    with psycopg.connect(database_url, autocommit=True) as connection:
        if checkpoints:
            connection.execute(
                f"UPDATE checkpointd.checkpoints SET committed_at = {past} WHERE thread_id = %s "
                "AND checkpoint_id = ANY(%s)",
                (thread_id, list(checkpoints)),
            )
        else:
            connection.execute(
                f"UPDATE checkpointd.threads SET updated_at = {past}, created_at = {past} WHERE thread_id = %s",
                (thread_id,),
            )


async def apply(engine: Engine, given: RetentionPolicy, **more: Any) -> ApplyRetentionPolicyResponse:
    """All pages, counted together."""
    total = ApplyRetentionPolicyResponse()
    token = ""
    while True:
        request = ApplyRetentionPolicyRequest(policy=given, page_token=token, **more)
        page = await engine.retention.apply_retention_policy(TENANT, request)
        for field in ("threads", "removed_threads", "removed_checkpoints", "removed_bytes"):
            setattr(total, field, getattr(total, field) + getattr(page, field))
        if not (token := page.next_page_token):
            return total


async def threads(engine: Engine) -> list[str]:
    response = await engine.threads.list_threads(TENANT, ListThreadsRequest(page_size=1000))
    return [thread.thread_id for thread in response.threads]


async def test_idle_threads_are_deleted(engine: Engine, database_url: str) -> None:
    await fill(engine, "new", "old", "older")
    age(database_url, "old", 20)
    age(database_url, "older", 40)
    done = await apply(engine, policy(idle=30 * DAY))
    assert (done.threads, done.removed_threads, done.removed_checkpoints) == (3, 1, 5)
    assert done.removed_bytes > 1000
    assert await threads(engine) == ["new", "old"]
    assert (await apply(engine, policy(idle=30 * DAY))).removed_threads == 0


async def test_who_holds_a_lease_is_not_idle(engine: Engine, database_url: str) -> None:
    await fill(engine, "held", "other")
    for name in ("held", "other"):
        age(database_url, name, 40)
    lease = AcquireLeaseRequest(thread_id="held", holder="run")
    lease.ttl.FromSeconds(60)
    await engine.leases.acquire_lease(TENANT, lease)
    assert (await apply(engine, policy(idle=30 * DAY))).removed_threads == 1
    assert await threads(engine) == ["held"]


async def test_the_last_checkpoints_are_kept(engine: Engine) -> None:
    await fill(engine, "t", turns=6)
    await fill(engine, "short", turns=2)
    done = await apply(engine, policy(keep_last=2))
    assert (done.threads, done.removed_threads, done.removed_checkpoints) == (2, 0, 4)
    assert await ids(engine, "t") == ["c5", "c4"]
    assert await ids(engine, "short") == ["c1", "c0"]
    assert values(await get(engine, "t", "c4")) == {"x": b"4" * 3000}
    assert [write.task_id for write in (await get(engine, "t", "c4")).pending_writes] == ["task"]
    assert (await apply(engine, policy(keep_last=2))).removed_checkpoints == 0


async def test_old_checkpoints_go_and_the_head_stays(engine: Engine, database_url: str) -> None:
    await fill(engine, "t", "dead", turns=4)
    age(database_url, "t", 40, "c0", "c1")
    age(database_url, "dead", 40, "c0", "c1", "c2", "c3")
    await apply(engine, policy(age=30 * DAY))
    assert await ids(engine, "t") == ["c3", "c2"]
    assert await ids(engine, "dead") == ["c3"]


async def test_both_must_hold(engine: Engine, database_url: str) -> None:
    await fill(engine, "t", turns=6)
    age(database_url, "t", 40, "c0", "c1", "c2", "c3")
    await apply(engine, policy(keep_last=4, age=30 * DAY))
    assert await ids(engine, "t") == ["c5", "c4"]


async def test_what_is_marked_is_kept(engine: Engine) -> None:
    await fill(engine, "t", turns=2)
    await engine.checkpoints.put_checkpoint(
        TENANT, put_checkpoint("t", "marked", parent="c1", values={"x": "kept"}, metadata={"keep": True, "step": 2})
    )
    await fill(engine, "t", turns=5)  # those that are there stay, and three come after
    await apply(engine, policy(keep_last=1, keep_metadata='{"keep": true}'))
    assert await ids(engine, "t") == ["c4", "marked"]
    assert values(await get(engine, "t", "marked")) == {"x": b"kept"}


async def test_only_threads_with_the_labels(engine: Engine, database_url: str) -> None:
    await fill(engine, "a", "b", "c")
    for name, labels in {"a": {"tier": "free"}, "b": {"tier": "free", "keep": "yes"}, "c": {"tier": "paid"}}.items():
        await engine.threads.update_thread(TENANT, UpdateThreadRequest(thread_id=name, set_labels=labels))
        age(database_url, name, 40)
    await apply(engine, policy(idle=30 * DAY, labels={"tier": "free", "keep": "yes"}))
    assert await threads(engine) == ["a", "c"]
    await apply(engine, policy(keep_last=1, labels={"tier": "paid"}))
    assert len(await ids(engine, "a")) == 5
    assert len(await ids(engine, "c")) == 1


async def test_a_call_of_a_subgraph_goes_with_its_root_checkpoint(engine: Engine) -> None:
    for turn in range(4):
        put = put_checkpoint("t", f"r{turn}", parent=f"r{turn - 1}" if turn else "", values={"x": f"{turn}"})
        await engine.checkpoints.put_checkpoint(TENANT, put)
        within = put_checkpoint(
            "t", f"s{turn}", ns=f"node:{turn}", values={"y": f"{turn}"}, metadata={"parents": {"": f"r{turn}"}}
        )
        await engine.checkpoints.put_checkpoint(TENANT, within)
    await apply(engine, policy(keep_last=2))
    heads = (await engine.threads.get_thread(TENANT, GetThreadRequest(thread_id="t"))).heads
    assert {head.checkpoint_ns: head.checkpoint_id for head in heads} == {"": "r3", "node:2": "s2", "node:3": "s3"}


async def test_a_dry_run_says_the_same_and_removes_nothing(engine: Engine, database_url: str) -> None:
    await fill(engine, "old", "t", "u")
    age(database_url, "old", 40)
    given = policy(idle=30 * DAY, keep_last=3)
    would = await apply(engine, given, dry_run=True)
    assert await threads(engine) == ["old", "t", "u"]
    assert len(await ids(engine, "t")) == 5
    done = await apply(engine, given)
    assert (would.removed_threads, would.removed_checkpoints) == (done.removed_threads, done.removed_checkpoints)
    assert (would.removed_threads, would.removed_checkpoints) == (1, 9)
    assert would.removed_bytes >= 0.9 * done.removed_bytes > 0


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (policy(), "policy"),
        (policy(idle=59), "policy.delete_idle_after"),
        (policy(age=0), "policy.max_age"),
        (policy(keep_last=1_000_001), "policy.keep_last"),
        (policy(keep_last=1, keep_metadata="[]"), "policy.keep_metadata"),
        (policy("x" * 64, keep_last=1), "policy.name"),
        (policy(keep_last=1, labels={"x" * 64: ""}), "policy.labels key"),
        (RetentionPolicy(keep_last=1), "policy.name"),
    ],
)
async def test_policies_that_make_no_sense(engine: Engine, wrong: RetentionPolicy, field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        await engine.retention.set_retention_policy(TENANT, SetRetentionPolicyRequest(policy=wrong))
    assert caught.value.metadata == {"field": field}


async def test_everything_goes_only_when_it_is_meant(engine: Engine, database_url: str) -> None:
    await fill(engine, "a", "b")
    for name in ("a", "b"):
        age(database_url, name, 40)
    all_of_it = policy(idle=30 * DAY)
    for act in (
        lambda: engine.retention.set_retention_policy(TENANT, SetRetentionPolicyRequest(policy=all_of_it)),
        lambda: apply(engine, all_of_it),
    ):
        with pytest.raises(PolicyRemovesEverything) as caught:
            await act()
        assert caught.value.metadata == {"threads": "2"}
    assert await threads(engine) == ["a", "b"]
    assert (await apply(engine, all_of_it, dry_run=True)).removed_threads == 2
    meant = SetRetentionPolicyRequest(policy=all_of_it, remove_everything=True)
    await engine.retention.set_retention_policy(TENANT, meant)
    assert (await apply(engine, all_of_it, remove_everything=True)).removed_threads == 2
    assert await threads(engine) == []


async def test_policies_are_stored_by_name(engine: Engine) -> None:
    for one in (policy("b", keep_last=1), policy("a", keep_last=1), policy("b", keep_last=2)):
        await engine.retention.set_retention_policy(TENANT, SetRetentionPolicyRequest(policy=one))
    for _ in range(2):
        await engine.retention.delete_retention_policy(TENANT, DeleteRetentionPolicyRequest(name="a"))
    listed = await engine.retention.list_retention_policies(TENANT, ListRetentionPoliciesRequest())
    assert list(listed.policies) == [policy("b", keep_last=2)]
    assert not (await engine.retention.list_retention_policies("other", ListRetentionPoliciesRequest())).policies


@pytest.fixture
async def second(database_url: str, engine: Engine) -> AsyncIterator[Engine]:
    """Another server on the same database."""
    running = Engine(Database(database_url))
    await running.open()
    yield running
    await running.close()


async def test_a_round_is_one_servers(engine: Engine, second: Engine) -> None:
    await fill(engine, *(f"t{number:02}" for number in range(30)), turns=3)
    await engine.retention.set_retention_policy(TENANT, SetRetentionPolicyRequest(policy=policy(keep_last=1)))
    first, other = await asyncio.gather(engine.retention_rounds.round(), second.retention_rounds.round())
    assert sorted([first, other]) == [False, True]
    tallies = [engine.retention_rounds.tally, second.retention_rounds.tally]
    assert sum(tally.checkpoints for tally in tallies) == 60
    assert sum(tally.rounds for tally in tallies) == 1
    assert await second.retention_rounds.round()  # the work was left for others


async def test_a_server_that_died_leaves_its_work(engine: Engine, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO checkpointd.chores VALUES ('retention', 'dead', now() + interval '1 minute')")
        assert not await engine.retention_rounds.round()
        connection.execute("UPDATE checkpointd.chores SET held_until = now() - interval '1 second'")
    assert await engine.retention_rounds.round()


async def test_writers_go_on_meanwhile(engine: Engine, second: Engine) -> None:
    """Of threads that are pruned under them: all that they store is there, and can be read."""
    names = [f"t{number}" for number in range(4)]
    stopped = False

    async def write(name: str) -> int:
        turn = 0
        while not stopped or turn < 5:
            parent = f"c{turn - 1:05}" if turn else ""
            put = put_checkpoint(name, f"c{turn:05}", parent=parent, values={"x": f"{turn}" * 2000})
            await engine.checkpoints.put_checkpoint(TENANT, put)
            turn += 1
        return turn

    writing = [asyncio.create_task(write(name)) for name in names]
    for _ in range(20):
        await apply(second, policy(keep_last=3))
    stopped = True
    turns = await asyncio.gather(*writing)
    await apply(second, policy(keep_last=3))
    for name, turn in zip(names, turns, strict=True):
        assert await ids(engine, name) == [f"c{number:05}" for number in range(turn - 1, turn - 4, -1)]
        for number in range(turn - 3, turn):
            assert values(await get(engine, name, f"c{number:05}")) == {"x": f"{number}".encode() * 2000}


async def test_a_thread_that_is_being_written_is_left_for_later(engine: Engine, database_url: str) -> None:
    await fill(engine, "t", "u")
    with psycopg.connect(database_url) as writer:
        writer.execute("SELECT FROM checkpointd.threads WHERE thread_id = 't' FOR UPDATE")
        assert (await apply(engine, policy(keep_last=1))).removed_checkpoints == 4
        assert len(await ids(engine, "t")) == 5
    assert (await apply(engine, policy(keep_last=1))).removed_checkpoints == 4


async def test_who_watches_is_told_what_goes(engine: Engine, database_url: str) -> None:
    await fill(engine, "old", "new")
    age(database_url, "old", 40)
    async with watching(engine, TENANT) as watch:
        for _ in range(2):  # the second time there is nothing to do, and nothing to tell
            await apply(engine, policy(idle=30 * DAY, keep_last=2))
        await engine.threads.update_thread(TENANT, UpdateThreadRequest(thread_id="new", owner="last"))
        told = [(kind_of(event), event.thread_id, event.removed_checkpoints) for event in await watch.until(3)]
    assert sorted(told) == [("thread_deleted", "old", 5), ("thread_pruned", "new", 3), ("thread_updated", "new", 0)]
