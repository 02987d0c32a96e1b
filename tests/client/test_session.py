"""Small ops share one stream of the process."""

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from checkpointd.client import AsyncClient, Client, ClientClosed, DeadlineExceeded, NotFound, Unavailable
from checkpointd.v1 import checkpoints_pb2 as checkpoints
from checkpointd.v1 import core_pb2 as core
from tests.client.conftest import Either
from tests.client.scripted_server import Failure, ScriptedServer, Waiting
from tests.tcp_proxy import TcpProxy

GONE = Failure(grpc.StatusCode.NOT_FOUND, "there is none", "CHECKPOINT_NOT_FOUND", {"checkpoint_id": "gone"})


def get(client: Client, checkpoint_id: str) -> str:
    return client.get_checkpoint(thread_id="t", checkpoint_id=checkpoint_id).checkpoint.id


async def aget(client: AsyncClient, checkpoint_id: str) -> str:
    return (await client.get_checkpoint(thread_id="t", checkpoint_id=checkpoint_id)).checkpoint.id


def large(client: Client, size: int) -> int:
    value = core.Value(encoding="bytes", data=bytes(size))
    return client.put_checkpoint(thread_id="t", checkpoint=core.Checkpoint(id="c", channel_values={"x": value}))


def readers() -> list[threading.Thread]:
    """The threads that read sessions."""
    return [thread for thread in threading.enumerate() if thread.name == "checkpointd-session"]


def asked(scripted: ScriptedServer, checkpoint_id: str) -> int:
    """How often a checkpoint was asked for."""
    return sum(getattr(call.request, "checkpoint_id", None) == checkpoint_id for call in scripted.calls)


def test_ops_of_many_threads_go_together(scripted: ScriptedServer, client: Client) -> None:
    together = threading.Barrier(16)

    def use(name: int) -> list[str]:
        together.wait()
        return [get(client, f"{name} {n}") for n in range(20)]

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(use, range(16)))
    assert found == [[f"{name} {n}" for n in range(20)] for name in range(16)]
    (messages,) = scripted.sessions.messages
    assert sum(messages) == 320
    assert len(messages) < 320


async def test_ops_of_many_tasks_go_together(scripted: ScriptedServer, async_client: AsyncClient) -> None:
    found = await asyncio.gather(*(aget(async_client, str(n)) for n in range(1200)))
    assert found == [str(n) for n in range(1200)]
    (messages,) = scripted.sessions.messages
    assert sum(messages) == 1200
    assert len(messages) < 300
    assert max(messages) <= 1000


def test_ops_are_answered_in_any_order(scripted: ScriptedServer, client: Client) -> None:
    waiting = Waiting(then=checkpoints.GetCheckpointResponse())
    scripted.script.append(waiting)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(get, client, "first")
        assert waiting.entered.wait(30)
        # More than are sent without gathering, so that some gather behind one that is not answered.
        assert list(pool.map(lambda n: get(client, str(n)), range(40))) == [str(n) for n in range(40)]
        assert not first.done()
        waiting.let_go()
        assert first.result() == ""
    assert len(scripted.sessions.messages) == 1


def test_ops_that_all_wait_hold_up_no_other(scripted: ScriptedServer, client: Client) -> None:
    held = [Waiting(then=checkpoints.GetCheckpointResponse()) for _ in range(8)]
    scripted.script.extend(held)
    with ThreadPoolExecutor(8) as pool:
        under_way = [pool.submit(get, client, "held") for _ in held]
        assert all(waiting.entered.wait(30) for waiting in held)
        assert get(client, "other") == "other"
        for waiting in held:
            waiting.let_go()
        assert [one.result() for one in under_way] == [""] * 8


async def test_one_op_fails_alone(scripted: ScriptedServer, async_client: AsyncClient) -> None:
    def answer(request: checkpoints.GetCheckpointRequest, context: grpc.ServicerContext) -> Any:
        if request.checkpoint_id == "gone":
            GONE.abort(context)
        found = checkpoints.GetCheckpointResponse()
        found.checkpoint_tuple.checkpoint.id = request.checkpoint_id
        return found

    scripted.answers["GetCheckpoint"] = answer
    ids = ["a", "gone", "b", "c"]
    found = await asyncio.gather(*(aget(async_client, one) for one in ids), return_exceptions=True)
    assert [one for one in found if isinstance(one, str)] == ["a", "b", "c"]
    failed = found[1]
    assert isinstance(failed, NotFound)
    assert (failed.reason, failed.metadata, failed.server) == (
        "CHECKPOINT_NOT_FOUND",
        {"checkpoint_id": "gone"},
        scripted.target,
    )
    assert "there is none" in str(failed)
    assert len(scripted.sessions.messages) == 1


async def test_an_op_is_tried_again_as_a_call_is(scripted: ScriptedServer, either: Either) -> None:
    scripted.script.extend([Failure(grpc.StatusCode.UNAVAILABLE, "down", "DATABASE_UNAVAILABLE")] * 3)
    assert (await either.call("get_checkpoint", thread_id="t")).checkpoint.id == "head"
    assert len(scripted.calls) == 4
    assert len(scripted.sessions.messages) == 1


def refusing(*failures: Failure) -> Callable[[grpc.ServicerContext], None]:
    """Ends as many sessions as there are failures."""
    left = list(failures)

    def refuse(context: grpc.ServicerContext) -> None:
        if left:
            left.pop(0).abort(context)

    return refuse


async def test_a_server_that_stops_gets_its_ops_later(scripted: ScriptedServer, either: Either) -> None:
    stopping = Failure(grpc.StatusCode.UNAVAILABLE, "the server is stopping", "SERVER_STOPPING")
    scripted.sessions.refuse = refusing(stopping, stopping)
    assert (await either.call("get_checkpoint", thread_id="t")).checkpoint.id == "head"
    assert len(scripted.sessions.messages) == 3


async def test_what_a_stopping_server_says_is_told_at_the_end(scripted: ScriptedServer) -> None:
    stopping = Failure(grpc.StatusCode.UNAVAILABLE, "the server is stopping", "SERVER_STOPPING")
    scripted.sessions.refuse = stopping.abort
    with Client(scripted.target, timeout=0.3) as client, pytest.raises(Unavailable) as raised:
        get(client, "c")
    assert raised.value.reason == "SERVER_STOPPING"


async def test_a_server_without_sessions_is_called_op_by_op(scripted: ScriptedServer, either: Either) -> None:
    scripted.sessions.refuse = Failure(grpc.StatusCode.UNIMPLEMENTED, "Method not found!").abort
    for _ in range(3):
        assert (await either.call("get_checkpoint", thread_id="t")).checkpoint.id == "head"
    assert len(scripted.calls) == 3
    assert len(scripted.sessions.messages) == 1, "it is not asked again"
    await either.close()
    with pytest.raises(ClientClosed):
        await either.call("get_checkpoint", thread_id="t")


async def test_many_ops_at_once_find_out_that_there_are_no_sessions(
    scripted: ScriptedServer, async_client: AsyncClient
) -> None:
    scripted.sessions.refuse = Failure(grpc.StatusCode.UNIMPLEMENTED, "Method not found!").abort
    assert await asyncio.gather(*(aget(async_client, str(n)) for n in range(20))) == [str(n) for n in range(20)]


async def test_a_session_that_fails_leaves_its_ops_to_calls_of_their_own(
    scripted: ScriptedServer, either: Either
) -> None:
    scripted.sessions.refuse = refusing(Failure(grpc.StatusCode.INTERNAL, "a proxy's fault"))
    for _ in range(2):
        assert (await either.call("get_checkpoint", thread_id="t")).checkpoint.id == "head"
    assert len(scripted.calls) == 2
    assert len(scripted.sessions.messages) == 2, "the next op has a session"


def test_a_large_op_has_a_call_of_its_own(scripted: ScriptedServer, client: Client) -> None:
    assert large(client, 255 * 1024) == 7
    assert large(client, 257 * 1024) == 7
    assert [call.rpc for call in scripted.calls] == ["PutCheckpoint"] * 2
    assert scripted.sessions.messages == [[1]]


async def test_many_ops_that_are_not_so_small_are_several_messages(
    scripted: ScriptedServer, async_client: AsyncClient
) -> None:
    value = core.Value(encoding="bytes", data=bytes(200 * 1024))
    checkpoint = core.Checkpoint(id="c", channel_values={"x": value})
    await asyncio.gather(*(async_client.put_checkpoint(thread_id="t", checkpoint=checkpoint) for _ in range(20)))
    (messages,) = scripted.sessions.messages
    assert sum(messages) == 20
    assert max(messages) <= 4


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_an_op_that_is_late_leaves_the_others_alone(
    scripted: ScriptedServer, kind: type[Client] | type[AsyncClient]
) -> None:
    late = Waiting(then=checkpoints.GetCheckpointResponse())
    scripted.script.append(late)
    either = Either(kind(scripted.target, timeout=0.3))
    with pytest.raises(DeadlineExceeded, match=rf"Deadline Exceeded \(after 0\.3 s\).*{scripted.target}"):
        await either.call("get_checkpoint", thread_id="t", checkpoint_id="late")
    late.let_go()
    for n in range(3):
        found = await either.call("get_checkpoint", thread_id="t", checkpoint_id=str(n))
        assert found.checkpoint.id == str(n)
    assert len(scripted.sessions.messages) == 1
    await either.close()


async def test_a_cancelled_task_waits_no_longer(scripted: ScriptedServer, async_client: AsyncClient) -> None:
    waiting = Waiting(then=checkpoints.GetCheckpointResponse())
    scripted.script.append(waiting)
    task = asyncio.create_task(aget(async_client, "cancelled"))
    assert await asyncio.to_thread(waiting.entered.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await aget(async_client, "other") == "other"
    waiting.let_go()
    assert await aget(async_client, "another") == "another"
    assert len(scripted.sessions.messages) == 1


def test_a_loop_may_be_closed_while_its_ops_are_under_way(scripted: ScriptedServer) -> None:
    client = AsyncClient(scripted.target)
    waiting = Waiting(then=checkpoints.GetCheckpointResponse())
    scripted.script.append(waiting)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it says that a task was destroyed
    task = loop.create_task(aget(client, "forgotten"))
    loop.run_until_complete(asyncio.sleep(0))
    assert waiting.entered.wait(30)
    loop.close()
    waiting.let_go()

    async def others() -> None:
        assert await aget(client, "other") == "other"
        await client.close()

    asyncio.run(others())
    assert not task.done()
    del task


def test_a_session_that_ends_loses_nothing(scripted: ScriptedServer, client: Client) -> None:
    """The server ends session after session with ops unanswered, some of which it has done."""
    count = iter(range(10**6))
    scripted.sessions.lose = lambda _: next(count) % 5 == 4
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: get(client, str(n)), range(100))) == [str(n) for n in range(100)]
    assert len(scripted.sessions.messages) > 1
    assert all(asked(scripted, str(n)) >= 1 for n in range(100))


def test_a_connection_that_breaks_loses_nothing(scripted: ScriptedServer) -> None:
    with TcpProxy(("127.0.0.1", scripted.port)) as proxy, Client(proxy.address, timeout=30) as client:
        assert get(client, "before") == "before"
        held = [Waiting() for _ in range(6)]
        scripted.script.extend(held)
        with ThreadPoolExecutor(6) as pool:
            under_way = [pool.submit(get, client, str(n)) for n in range(6)]
            assert all(waiting.entered.wait(30) for waiting in held)
            proxy.cut()
            assert [one.result() for one in under_way] == [str(n) for n in range(6)]
        assert all(asked(scripted, str(n)) == 2 for n in range(6))


async def test_tasks_lose_nothing_when_a_connection_breaks(scripted: ScriptedServer) -> None:
    with TcpProxy(("127.0.0.1", scripted.port)) as proxy:
        async with AsyncClient(proxy.address, timeout=30) as client:
            assert await aget(client, "before") == "before"
            waiting = Waiting()
            scripted.script.append(waiting)
            under_way = asyncio.create_task(aget(client, "under way"))
            assert await asyncio.to_thread(waiting.entered.wait, 30)
            await asyncio.to_thread(proxy.cut)
            assert await under_way == "under way"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_closing_ends_the_session_and_its_ops(
    scripted: ScriptedServer, kind: type[Client] | type[AsyncClient]
) -> None:
    either = Either(kind(scripted.target))
    waiting = Waiting()
    scripted.script.append(waiting)
    before = set(readers())
    under_way = asyncio.create_task(
        asyncio.to_thread(asyncio.run, either.call("get_checkpoint", thread_id="t"))
        if kind is Client
        else either.call("get_checkpoint", thread_id="t")
    )
    assert await asyncio.to_thread(waiting.entered.wait, 30)
    assert set(readers()) > before
    await either.close()
    assert set(readers()) <= before
    with pytest.raises(ClientClosed):
        await under_way
    with pytest.raises(ClientClosed, match="the client is closed"):
        await either.call("get_checkpoint", thread_id="t")
    assert await asyncio.to_thread(scripted.sessions.over.acquire, timeout=30)


def test_a_client_that_nobody_closed_ends_its_session(scripted: ScriptedServer) -> None:
    client = Client(scripted.target)
    assert get(client, "c") == "c"
    del client
    gc.collect()
    assert scripted.sessions.over.acquire(timeout=30)


def test_a_program_ends_with_a_session_open(scripted: ScriptedServer) -> None:
    program = """
        import asyncio, sys, threading
        from checkpointd.client import AsyncClient, Client
        client, held, loops = Client(sys.argv[1]), Client(sys.argv[1]), AsyncClient(sys.argv[1])
        client.get_checkpoint(thread_id="t")
        asyncio.run(loops.get_checkpoint(thread_id="t"))
        wait = lambda: held.get_checkpoint(thread_id="t", checkpoint_id="held")
        threading.Thread(target=wait, daemon=True).start()
        sys.stdin.readline()
        print("done")
    """
    waiting = Waiting()
    scripted.answers["GetCheckpoint"] = lambda request, context: (
        waiting(request, context) if request.checkpoint_id == "held" else checkpoints.GetCheckpointResponse()
    )
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), scripted.target],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert waiting.entered.wait(30)
        said, _ = process.communicate("go\n", timeout=30)
    assert (process.returncode, said) == (0, "done\n")
