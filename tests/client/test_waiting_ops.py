"""Ops that may wait go with the next op that does not."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from checkpointd.client import AsyncClient, Client, ClientClosed, DeadlineExceeded, rpcs, session_calls
from checkpointd.client.calls import acall, call
from checkpointd.client.rpcs import Operation
from checkpointd.v1 import checkpoints_pb2 as checkpoints
from checkpointd.v1 import core_pb2 as core
from tests.client.scripted_server import ScriptedServer, Waiting
from tests.server_process import eventually


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may wait does so for ever, as far as a test can tell."""
    monkeypatch.setattr(session_calls, "HOLD", 600.0)


def writes(task_id: str, size: int = 0) -> Operation[None]:
    """What a task wrote, which may wait."""
    put = checkpoints.WritesPut(checkpoint_id="c", task_id=task_id)
    put.writes.add(channel="x", value=core.Value(encoding="bytes", data=bytes(size)))
    return rpcs.PUT_WRITES.of(checkpoints.PutWritesRequest(thread_id="t", put=put), may_wait=True)


def stored(scripted: ScriptedServer) -> list[str]:
    """The tasks whose writes came."""
    return [one.request.put.task_id for one in scripted.calls if one.rpc == "PutWrites"]


@pytest.mark.usefixtures("long")
def test_a_thread_waits_for_company(scripted: ScriptedServer, client: Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(call, client._connection, writes("a"))
        while not waiting.done():
            client.get_checkpoint(thread_id="t")
    assert waiting.exception() is None
    (messages,) = scripted.sessions.messages
    assert messages.count(2) == 1
    assert messages.count(1) == len(messages) - 1
    assert stored(scripted) == ["a"]


@pytest.mark.usefixtures("long")
async def test_a_task_waits_for_company(scripted: ScriptedServer, async_client: AsyncClient) -> None:
    waiting = [asyncio.create_task(acall(async_client._connection, writes(name))) for name in "ab"]
    await asyncio.sleep(0)
    assert scripted.sessions.messages in ([], [[]]), "the stream may be open, and nothing is sent"
    await async_client.get_checkpoint(thread_id="t")
    await asyncio.gather(*waiting)
    assert scripted.sessions.messages == [[3]]
    assert sorted(stored(scripted)) == ["a", "b"]


def test_a_thread_does_not_wait_for_long(scripted: ScriptedServer, client: Client) -> None:
    for name in "abc":
        call(client._connection, writes(name))
    assert scripted.sessions.messages == [[1, 1, 1]]


async def test_a_task_does_not_wait_for_long(scripted: ScriptedServer, async_client: AsyncClient) -> None:
    for name in "abc":
        await acall(async_client._connection, writes(name))
    assert scripted.sessions.messages == [[1, 1, 1]]


@pytest.mark.usefixtures("long")
async def test_only_a_few_wait(scripted: ScriptedServer, async_client: AsyncClient) -> None:
    await asyncio.gather(*(acall(async_client._connection, writes(name)) for name in "abcd"))
    assert scripted.sessions.messages == [[4]]


@pytest.mark.usefixtures("long")
async def test_what_is_not_small_does_not_wait(scripted: ScriptedServer, async_client: AsyncClient) -> None:
    await acall(async_client._connection, writes("a", size=17 * 1024))
    assert scripted.sessions.messages == [[1]]


@pytest.mark.usefixtures("long")
async def test_a_task_that_is_cancelled_leaves_nothing_for_later(
    scripted: ScriptedServer, async_client: AsyncClient
) -> None:
    waiting = asyncio.create_task(acall(async_client._connection, writes("a")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.to_thread(eventually, "they are stored", lambda: stored(scripted) == ["a"])
    assert scripted.sessions.messages == [[1]]


@pytest.mark.usefixtures("long")
def test_a_thread_that_is_late_leaves_nothing_for_later(scripted: ScriptedServer) -> None:
    with Client(scripted.target, timeout=0.3) as client:
        with pytest.raises(DeadlineExceeded):
            call(client._connection, writes("a"))
        eventually("they are stored", lambda: stored(scripted) == ["a"])


async def test_a_deadline_is_that_of_the_call(scripted: ScriptedServer) -> None:
    held = [Waiting(), Waiting()]
    scripted.script.extend(held)
    with Client(scripted.target, timeout=0.3) as client, pytest.raises(DeadlineExceeded):
        call(client._connection, writes("a"))
    async with AsyncClient(scripted.target, timeout=0.3) as client:
        with pytest.raises(DeadlineExceeded):
            await acall(client._connection, writes("a"))
    for one in held:
        one.let_go()


@pytest.mark.usefixtures("long")
async def test_closing_ends_the_wait(scripted: ScriptedServer) -> None:
    client = AsyncClient(scripted.target)
    waiting = asyncio.create_task(acall(client._connection, writes("a")))
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(ClientClosed):
        await waiting


@pytest.mark.usefixtures("long")
async def test_a_session_that_nobody_needs_sends_what_waits(
    scripted: ScriptedServer, async_client: AsyncClient
) -> None:
    connection = async_client._connection
    waiting = asyncio.create_task(acall(connection, writes("a")))
    await asyncio.sleep(0)
    session = connection.sessions.stream()
    assert session is not None
    session.finish()
    await waiting
    assert scripted.sessions.messages == [[1]]
