"""Transient failures are tried again until the timeout, others never."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import grpc
import pytest

from checkpointd.client import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    NotFound,
    Overloaded,
    QuotaExceeded,
    Unavailable,
    retry,
)
from checkpointd.client.retry import pauses
from tests.client.conftest import Either
from tests.client.scripted_server import Failure, ScriptedServer, Waiting

UNAVAILABLE = Failure(grpc.StatusCode.UNAVAILABLE, "the database is not available", "DATABASE_UNAVAILABLE")


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
async def test_a_transient_failure_is_tried_again(
    scripted: ScriptedServer, either: Either, code: grpc.StatusCode
) -> None:
    scripted.script.extend([Failure(code)] * 3)
    thread = await either.call("get_thread", thread_id="t")
    assert thread.thread.thread_id == "t"
    assert len(scripted.calls) == 4


OVERLOADED = Failure(
    grpc.StatusCode.RESOURCE_EXHAUSTED, "the server has 8 requests under way", "OVERLOADED", {"retry_after_ms": "200"}
)


async def test_a_server_that_has_too_much_to_do_is_left_alone_for_as_long_as_it_says(
    scripted: ScriptedServer, either: Either, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "pauses", lambda: iter([0.0, 0.0, 0.0]))
    scripted.script.extend([OVERLOADED] * 3)
    began = time.monotonic()
    assert (await either.call("get_thread", thread_id="t")).thread.thread_id == "t"
    assert time.monotonic() - began >= 0.6
    assert len(scripted.calls) == 4


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_a_delay_beyond_the_deadline_is_not_waited_for(
    scripted: ScriptedServer, kind: type[Client] | type[AsyncClient]
) -> None:
    scripted.script.append(OVERLOADED._replace(metadata={"retry_after_ms": "60000"}))
    either = Either(kind(scripted.target, timeout=30))
    with pytest.raises(Overloaded, match="requests under way") as raised:
        await either.call("get_thread", thread_id="t")
    assert raised.value.metadata == {"retry_after_ms": "60000"}
    assert len(scripted.calls) == 1
    await either.close()


@pytest.mark.parametrize("delay", ["", "soon", "-1", "1.5", "9" * 5000, None])
async def test_a_delay_that_is_none_is_an_error_at_once(
    scripted: ScriptedServer, either: Either, delay: str | None
) -> None:
    metadata = {} if delay is None else {"retry_after_ms": delay[:20]}
    scripted.script.append(Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", "QUOTA_EXCEEDED", metadata))
    with pytest.raises(QuotaExceeded, match="full"):
        await either.call("get_thread", thread_id="t")
    assert len(scripted.calls) == 1


async def test_another_failure_after_a_transient_one_is_the_last(scripted: ScriptedServer, either: Either) -> None:
    scripted.script.extend([UNAVAILABLE, Failure(grpc.StatusCode.NOT_FOUND, "there is no thread")])
    with pytest.raises(NotFound, match=r"there is no thread \(attempt 2, .* the database is not available\)"):
        await either.call("get_thread", thread_id="t")


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_the_last_failure_says_server_time_and_reason(
    scripted: ScriptedServer, kind: type[Client] | type[AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The third pause would end after the deadline. With pauses by chance an attempt may be under way when it passes.
    monkeypatch.setattr(retry, "pauses", lambda: iter([0.0, 0.0, 60.0]))
    for rpc in ("GetThread", "ListCheckpoints"):
        scripted.answers[rpc] = lambda _, context: UNAVAILABLE.abort(context)
    either = Either(kind(scripted.target, timeout=30))
    for attempt in (
        either.call("get_thread", thread_id="t"),
        either.every("list_checkpoints"),
        either.every("list_checkpoints", thread_id="t", checkpoint_ns=""),
    ):
        scripted.calls.clear()
        with pytest.raises(Unavailable, match=r"the database is not available \(attempt 3, \d+\.\d s") as raised:
            await attempt
        assert (raised.value.reason, raised.value.server) == ("DATABASE_UNAVAILABLE", scripted.target)
        assert len(scripted.calls) == 3
    await either.close()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_a_server_that_does_not_answer_in_time(
    scripted: ScriptedServer, kind: type[Client] | type[AsyncClient]
) -> None:
    waiting = Waiting()
    scripted.script.append(waiting)
    either = Either(kind(scripted.target, timeout=0.3))
    with pytest.raises(DeadlineExceeded, match=scripted.target):
        await either.call("get_thread", thread_id="t")
    assert await asyncio.to_thread(waiting.over.wait, 30)
    await either.close()


def test_a_call_waits_for_a_server_that_comes_back(scripted: ScriptedServer, client: Client) -> None:
    client.get_thread(thread_id="t")
    scripted.stop()
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(client.get_thread, thread_id="t")
        with ScriptedServer(scripted.port) as back:
            assert under_way.result().thread.thread_id == "t"
            assert [call.rpc for call in back.calls] == ["GetThread"]


async def test_a_task_waits_for_a_server_that_comes_back(scripted: ScriptedServer, async_client: AsyncClient) -> None:
    await async_client.get_thread(thread_id="t")
    scripted.stop()
    under_way = asyncio.create_task(async_client.get_thread(thread_id="t"))
    with ScriptedServer(scripted.port):
        assert (await under_way).thread.thread_id == "t"


def test_pauses_grow_to_a_bound_and_vary() -> None:
    many = [list(islice(pauses(), 20)) for _ in range(50)]
    assert all(0 <= pause <= 2.0 for series in many for pause in series)
    assert all(series[0] <= 0.05 for series in many)
    assert max(series[-1] for series in many) > 1.0
    assert len({series[-1] for series in many}) > 1
