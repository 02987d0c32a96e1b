"""Threads as a resource: labels, owners, sizes, and lists of those that are asked for."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from checkpointd.engine import Engine
from checkpointd.engine.errors import InvalidField, ThreadNotFound
from checkpointd.v1.leases_pb2 import AcquireLeaseRequest
from checkpointd.v1.threads_pb2 import (
    THREAD_ORDER_UPDATED,
    THREAD_STATUS_BUSY,
    THREAD_STATUS_FAILED,
    THREAD_STATUS_IDLE,
    THREAD_STATUS_INTERRUPTED,
    CopyThreadRequest,
    DeleteThreadRequest,
    GetThreadRequest,
    ListThreadsRequest,
    Thread,
    UpdateThreadRequest,
)
from tests.engine.reading import TENANT
from tests.messages import put_checkpoint, put_writes


async def put(engine: Engine, *threads: str, turn: str = "1", **more: Any) -> None:
    for thread_id in threads:
        await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint(thread_id, f"c{turn}", **more))


async def mark(engine: Engine, thread_id: str, channel: str, *, checkpoint: str = "c1", ns: str = "") -> None:
    writes = put_writes(thread_id, checkpoint, "task", [(-3, channel, "x")], ns=ns)
    await engine.checkpoints.put_writes(TENANT, writes)


async def update(engine: Engine, thread_id: str, **more: Any) -> Thread:
    request = UpdateThreadRequest(thread_id=thread_id, **more)
    return (await engine.threads.update_thread(TENANT, request)).thread


async def found(engine: Engine, *, size: int = 2, **asked: Any) -> list[str]:
    """The ids in all pages of a list."""
    names: list[str] = []
    token = ""
    while True:
        request = ListThreadsRequest(page_size=size, page_token=token, **asked)
        response = await engine.threads.list_threads(TENANT, request)
        names += [thread.thread_id for thread in response.threads]
        assert len(response.threads) == size or not response.next_page_token
        if not (token := response.next_page_token):
            return names


async def test_labels_are_set_changed_and_removed(engine: Engine) -> None:
    await put(engine, "t")
    before = (await engine.threads.get_thread(TENANT, GetThreadRequest(thread_id="t"))).thread
    assert (dict(before.labels), before.owner) == ({}, "")
    changed = await update(engine, "t", set_labels={"team": "a", "env": "test"}, owner="ann")
    assert (dict(changed.labels), changed.owner) == ({"team": "a", "env": "test"}, "ann")
    assert (changed.sequence, changed.updated_at) == (before.sequence, before.updated_at)
    for _ in range(2):  # sent twice
        changed = await update(engine, "t", set_labels={"team": "b"}, remove_labels=["env", "nothing", "team"])
        assert (dict(changed.labels), changed.owner) == ({"team": "b"}, "ann")
    assert (await update(engine, "t", owner="")).owner == ""
    assert (await engine.threads.get_thread(TENANT, GetThreadRequest(thread_id="t"))).thread.labels == {"team": "b"}


async def test_what_people_say_survives_commits_and_goes_with_the_thread(engine: Engine) -> None:
    await put(engine, "t")
    await update(engine, "t", set_labels={"a": "1"}, owner="ann")
    await put(engine, "t", turn="2")
    await engine.threads.copy_thread(TENANT, CopyThreadRequest(source_thread_id="t", target_thread_id="copy"))
    for name in ("t", "copy"):
        thread = (await engine.threads.get_thread(TENANT, GetThreadRequest(thread_id=name))).thread
        assert (dict(thread.labels), thread.owner) == ({"a": "1"}, "ann")
    await engine.threads.delete_thread(TENANT, DeleteThreadRequest(thread_id="t"))
    await put(engine, "t")
    thread = (await engine.threads.get_thread(TENANT, GetThreadRequest(thread_id="t"))).thread
    assert (dict(thread.labels), thread.owner) == ({}, "")


async def test_too_much(engine: Engine) -> None:
    await put(engine, "t")
    most = {f"key-{number}": "" for number in range(64)}
    await update(engine, "t", set_labels=most)
    for more in (
        {"set_labels": {"one more": ""}},
        {"set_labels": {f"{number}": "" for number in range(65)}},
        {"set_labels": {"x" * 64: ""}},
        {"set_labels": {"x": "x" * 256}},
        {"owner": "x" * 256},
    ):
        with pytest.raises(InvalidField):
            await update(engine, "t", **more)
    assert (await engine.threads.get_thread(TENANT, GetThreadRequest(thread_id="t"))).thread.labels == most
    await update(engine, "t", set_labels={"one more": ""}, remove_labels=["key-0"])
    with pytest.raises(ThreadNotFound):
        await update(engine, "nothing", set_labels={"a": "1"})
    assert await found(engine) == ["t"]


async def test_labels_that_are_set_together_are_all_there(engine: Engine) -> None:
    await put(engine, "t")
    await asyncio.gather(*(update(engine, "t", set_labels={f"{number}": "x"}) for number in range(30)))
    thread = (await engine.threads.get_thread(TENANT, GetThreadRequest(thread_id="t"))).thread
    assert len(thread.labels) == 30


async def test_a_status_is_that_of_the_head(engine: Engine) -> None:
    await put(engine, "busy", "failed", "interrupted", "idle", "answered", "within", "both", "loose")
    await mark(engine, "failed", "__error__")
    await mark(engine, "interrupted", "__interrupt__")
    await mark(engine, "answered", "__interrupt__")
    await put(engine, "answered", turn="2", parent="c1")
    await mark(engine, "within", "__interrupt__", ns="node:task")
    await mark(engine, "both", "__error__")
    lease = AcquireLeaseRequest(thread_id="busy", holder="run")
    lease.ttl.FromSeconds(60)
    await engine.leases.acquire_lease(TENANT, lease)
    lease.thread_id = "both"
    await engine.leases.acquire_lease(TENANT, lease)
    assert await found(engine, status=THREAD_STATUS_BUSY) == ["both", "busy"]
    assert await found(engine, status=THREAD_STATUS_FAILED) == ["failed"]
    assert await found(engine, status=THREAD_STATUS_INTERRUPTED) == ["interrupted"]
    assert await found(engine, status=THREAD_STATUS_IDLE) == ["answered", "idle", "loose", "within"]
    every = ListThreadsRequest()
    told = {one.thread_id: one.status for one in (await engine.threads.list_threads(TENANT, every)).threads}
    for name, status in told.items():
        alone = (await engine.threads.get_thread(TENANT, GetThreadRequest(thread_id=name))).thread
        assert alone.status == status
        assert name in await found(engine, status=status, order=THREAD_ORDER_UPDATED)


async def test_all_that_is_asked_must_hold(engine: Engine) -> None:
    names = [f"t{number:02}" for number in range(20)]
    await put(engine, *names)
    for number, name in enumerate(names):
        labels = {"half": f"{number % 2}", "third": f"{number % 3}"}
        await update(engine, name, set_labels=labels, owner="ann" if number < 10 else "bob")
    for number in (1, 3, 12):
        await mark(engine, names[number], "__interrupt__")
    await put(engine, "t05", turn="2")

    def those(holds: Any) -> list[str]:
        return [name for number, name in enumerate(names) if holds(number)]

    assert await found(engine, labels={"half": "1"}) == those(lambda n: n % 2)
    assert await found(engine, labels={"half": "1", "third": "0"}) == those(lambda n: n % 2 and n % 3 == 0)
    assert await found(engine, labels={"half": "2"}) == []
    assert await found(engine, owner="ann", labels={"half": "0"}) == those(lambda n: n < 10 and n % 2 == 0)
    assert await found(engine, owner="bob") == those(lambda n: n >= 10)
    assert await found(engine, owner="bob", status=THREAD_STATUS_INTERRUPTED) == ["t12"]
    assert await found(engine, status=THREAD_STATUS_INTERRUPTED, labels={"half": "1"}) == ["t01", "t03"]
    assert await found(engine, thread_id_prefix="t1", labels={"half": "1"}) == those(lambda n: n >= 10 and n % 2)
    assert await found(engine, min_sequence=2) == ["t01", "t03", "t05", "t12"]
    updated = await found(engine, order=THREAD_ORDER_UPDATED, labels={"half": "1"})
    assert updated[0] == "t05"
    assert sorted(updated) == those(lambda n: n % 2)


async def test_times_bound_a_list(engine: Engine) -> None:
    await put(engine, "a", "b")
    moment = (await engine.threads.get_thread(TENANT, GetThreadRequest(thread_id="b"))).thread.updated_at
    assert await found(engine, updated_before=moment) == ["a"]
    assert await found(engine, updated_from=moment) == ["b"]
    later = datetime.now(UTC) + timedelta(days=1)
    assert await found(engine, updated_from=later) == []
    assert await found(engine, updated_before=later) == ["a", "b"]


async def test_a_page_token_is_of_its_list(engine: Engine) -> None:
    await put(engine, "a", "b", "c")
    asked = ListThreadsRequest(page_size=1, owner="")
    token = (await engine.threads.list_threads(TENANT, asked)).next_page_token
    for other in ({"owner": "ann"}, {"status": THREAD_STATUS_IDLE}, {"labels": {"a": "b"}}, {"min_sequence": 1}):
        with pytest.raises(InvalidField) as caught:
            await engine.threads.list_threads(TENANT, ListThreadsRequest(page_token=token, **other))
        assert caught.value.metadata == {"field": "page_token"}


async def test_pages_are_stable_while_threads_change(engine: Engine) -> None:
    names = [f"t{number:02}" for number in range(12)]
    await put(engine, *names)
    for name in names:
        await update(engine, name, set_labels={"a": "1"})
    seen: list[str] = []
    token = ""
    for turn in range(2, 20):
        request = ListThreadsRequest(page_size=3, page_token=token, labels={"a": "1"})
        page = await engine.threads.list_threads(TENANT, request)
        seen += [thread.thread_id for thread in page.threads]
        await put(engine, *names, turn=f"{turn}")
        await put(engine, f"new-{turn}")
        if not (token := page.next_page_token):
            break
    assert seen == names


async def test_a_size_counts_all_that_a_thread_has(engine: Engine) -> None:
    await put(engine, "t", values={"x": "v" * 100_000})
    await put(engine, "t", turn="2", values={"x": "v"})
    await mark(engine, "t", "__error__")
    response = await engine.threads.get_thread(TENANT, GetThreadRequest(thread_id="t", with_size=True))
    size = response.size
    assert (size.checkpoints, size.writes, size.values) == (2, 1, 2)
    assert 1000 < size.bytes < 100_000  # it compresses well
    assert not (await engine.threads.get_thread(TENANT, GetThreadRequest(thread_id="t"))).HasField("size")
