"""Lists come as a stream: they can be left early, and go on after a failure where that is right."""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from checkpointd.client import AsyncClient, Client, ClientClosed, DeadlineExceeded, NotFound, Unavailable
from checkpointd.v1.checkpoints_pb2 import ListCheckpointsRequest
from tests.client.conftest import Either
from tests.client.scripted_server import Failure, ScriptedServer, Waiting, found

UNAVAILABLE = Failure(grpc.StatusCode.UNAVAILABLE, "gone for now")
ONE_NAMESPACE = {"thread_id": "t", "checkpoint_ns": ""}


async def ids(either: Either, **parameters: Any) -> list[str]:
    return [one.checkpoint.id for one in await either.every("list_checkpoints", **parameters)]


async def test_a_long_list_comes_complete_and_in_order(scripted: ScriptedServer, either: Either) -> None:
    expected = [f"c{n}" for n in range(500)]
    scripted.answers["ListCheckpoints"] = found(*expected)
    assert await ids(either) == expected


@pytest.mark.parametrize("parameters", [{}, {"thread_id": "t"}, ONE_NAMESPACE])
async def test_a_list_that_gave_nothing_yet_is_asked_for_again(
    scripted: ScriptedServer, either: Either, parameters: Any
) -> None:
    scripted.script.extend([UNAVAILABLE, found(then=UNAVAILABLE), found("c2", "c1")])
    assert await ids(either, **parameters) == ["c2", "c1"]
    assert len(scripted.calls) == 3


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED]
)
async def test_a_list_of_one_namespace_goes_on_after_a_failure(
    scripted: ScriptedServer, either: Either, code: grpc.StatusCode
) -> None:
    scripted.script.extend([found("c9", "c8", then=Failure(code)), UNAVAILABLE, found("c7", then=Failure(code))])
    scripted.script.append(found("c6"))
    assert await ids(either, **ONE_NAMESPACE, limit=4, metadata_filter='{"a":1}') == ["c9", "c8", "c7", "c6"]
    asked = [(call.request.before_checkpoint_id, call.request.limit) for call in scripted.calls]
    assert asked == [("", 4), ("c8", 2), ("c8", 2), ("c7", 1)]
    assert {call.request.metadata_filter for call in scripted.calls} == {'{"a":1}'}


async def test_a_list_goes_on_without_a_limit_if_it_had_none(scripted: ScriptedServer, either: Either) -> None:
    scripted.script.extend([found("c9", then=UNAVAILABLE), found("c8")])
    assert await ids(either, **ONE_NAMESPACE) == ["c9", "c8"]
    assert not scripted.calls[1].request.HasField("limit")


@pytest.mark.parametrize(
    "parameters", [{}, {"thread_id": "t"}, {"checkpoint_ns": ""}, {**ONE_NAMESPACE, "before_checkpoint_id": "c9"}]
)
async def test_a_list_of_more_than_one_namespace_does_not_go_on(
    scripted: ScriptedServer, either: Either, parameters: Any
) -> None:
    scripted.script.append(found("c2", "c1", then=UNAVAILABLE))
    with pytest.raises(Unavailable, match=f"gone for now.*{scripted.target}"):
        await ids(either, **parameters)
    assert len(scripted.calls) == 1


async def test_a_list_does_not_go_on_after_a_lasting_failure(scripted: ScriptedServer, either: Either) -> None:
    scripted.script.append(found("c2", then=Failure(grpc.StatusCode.NOT_FOUND)))
    with pytest.raises(NotFound):
        await ids(either, **ONE_NAMESPACE)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_a_list_that_does_not_begin_in_time(
    scripted: ScriptedServer, kind: type[Client] | type[AsyncClient]
) -> None:
    either = Either(kind(scripted.target, timeout=0.3))
    for parameters in (ONE_NAMESPACE, {}):
        waiting = Waiting(())
        scripted.script.append(waiting)
        with pytest.raises(DeadlineExceeded, match=rf"after 0\.3 s.*{scripted.target}"):
            await ids(either, **parameters)
        assert await asyncio.to_thread(waiting.over.wait, 30)
    await either.close()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("parameters", [{}, ONE_NAMESPACE])
async def test_a_list_that_began_in_time_may_take_longer(
    scripted: ScriptedServer, kind: type[Client] | type[AsyncClient], parameters: Any
) -> None:
    late = Waiting()

    def two(request: ListCheckpointsRequest, context: grpc.ServicerContext) -> Any:
        if not request.before_checkpoint_id:
            yield from found("c2")(request, context)
            threading.Timer(0.6, late.let_go).start()
            late(request, context)
        yield from found("c1")(request, context)

    scripted.answers["ListCheckpoints"] = two
    either = Either(kind(scripted.target, timeout=0.3))
    assert await ids(either, **parameters) == ["c2", "c1"]
    await either.close()


class Endless:
    """A list of one checkpoint that does not end before its call is over."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def __call__(self, request: ListCheckpointsRequest, context: grpc.ServicerContext) -> Any:
        assert context.add_callback(self._over.set)
        yield from found("c1")(request, context)
        self._over.wait()

    async def over(self) -> bool:
        return await asyncio.to_thread(self._over.wait, 30)


async def test_a_list_that_is_left_early_is_cancelled(scripted: ScriptedServer, client: Client) -> None:
    endless = Endless()
    scripted.script.append(endless)
    for one in client.list_checkpoints():
        assert one.checkpoint.id == "c1"
        break
    assert await endless.over()


async def test_a_list_that_a_task_leaves_early_is_cancelled(
    scripted: ScriptedServer, async_client: AsyncClient
) -> None:
    endless = Endless()
    scripted.script.append(endless)
    async with contextlib.aclosing(async_client.list_checkpoints()) as listed:
        async for one in listed:
            assert one.checkpoint.id == "c1"
            break
    assert await endless.over()


async def test_a_list_is_cancelled_with_its_task(scripted: ScriptedServer, async_client: AsyncClient) -> None:
    endless = Endless()
    scripted.script.append(endless)
    first = asyncio.Event()

    async def read_all() -> None:
        async for _ in async_client.list_checkpoints():
            first.set()

    task = asyncio.create_task(read_all())
    await first.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await endless.over()


def test_closing_ends_a_list_under_way(scripted: ScriptedServer, client: Client) -> None:
    scripted.script.append(Endless())
    first = threading.Event()

    def read_all() -> None:
        for _ in client.list_checkpoints():
            first.set()

    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(read_all)
        assert first.wait(30)
        client.close()
        with pytest.raises(ClientClosed):
            under_way.result()


def test_no_thread_stays_behind_a_list_that_was_left(scripted: ScriptedServer) -> None:
    scripted.script.extend([Endless(), Endless(), Endless()])

    async def leave() -> None:
        client = AsyncClient(scripted.target)
        lists = [client.list_checkpoints() for _ in range(3)]
        for one in lists:
            await anext(one)
        waiting = [asyncio.ensure_future(anext(one)) for one in lists]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await client.close()

    # The loop's last act is to wait for the threads in which it had lists read.
    asyncio.run(leave())
