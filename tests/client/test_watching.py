"""Watching and waiting with the Python clients, on real servers that are restarted and killed meanwhile."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from checkpointd.client import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    GraphUnknown,
    InvalidRequest,
    Unavailable,
    WatchExpired,
)
from checkpointd.v1.core_pb2 import Checkpoint, Value, Write
from checkpointd.v1.watch_pb2 import WatchEvent, WatchEventKind
from tests.postgres import TestPostgres
from tests.server_process import ServerProcess


@pytest.fixture(scope="module")
def url(postgres: TestPostgres) -> Iterator[str]:
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def writer(server: ServerProcess, tenant: str) -> Iterator[Client]:
    with Client(server.address, tenant=tenant) as client:
        yield client


@pytest.fixture(scope="module")
def server(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One that stays, for those who write."""
    with ServerProcess(tmp_path_factory.mktemp("writers") / "log", "--database-url", url) as server:
        yield server


class Watched:
    """A watch of either client, read step by step."""

    def __init__(self, client: Client | AsyncClient, **asked: Any) -> None:
        self._events: Any = client.watch(**asked)
        self._thread = ThreadPoolExecutor(1)

    async def next(self, count: int) -> list[WatchEvent]:
        """The next events."""
        if hasattr(self._events, "__anext__"):
            return [await anext(self._events) for _ in range(count)]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: list(itertools.islice(self._events, count)))

    async def ids(self, count: int) -> list[str]:
        """The checkpoints of the next events."""
        return [event.checkpoint_id for event in await self.next(count)]

    async def leave(self) -> None:
        if hasattr(self._events, "aclose"):
            await self._events.aclose()
        else:
            self._events.close()
        self._thread.shutdown()


async def called(result: Any) -> Any:
    """What a method of either client returns."""
    return await result if isinstance(result, Awaitable) else result


Connect = Callable[..., Client | AsyncClient]


@pytest.fixture(params=[Client, AsyncClient])
async def connect(request: pytest.FixtureRequest, tenant: str) -> AsyncIterator[Connect]:
    """Makes clients of one kind, and closes them."""
    made: list[Client | AsyncClient] = []

    def new(target: str, **options: Any) -> Client | AsyncClient:
        made.append(request.param(target, tenant=tenant, **options))
        return made[-1]

    yield new
    for client in made:
        await called(client.close())


def put(client: Client, *checkpoint_ids: str, thread_id: str = "t") -> None:
    for checkpoint_id in checkpoint_ids:
        client.put_checkpoint(thread_id=thread_id, checkpoint=Checkpoint(id=checkpoint_id))


async def test_restarts_make_no_gap_and_no_duplicate(
    connect: Connect, writer: Client, url: str, tmp_path: Path
) -> None:
    """Whichever way the server goes, whatever is committed meanwhile."""
    server = ServerProcess(tmp_path / "log", "--database-url", url)
    try:
        client = connect(server.address)
        watch = Watched(client, thread_id="t", token=await called(client.watch_token(thread_id="t")))
        put(writer, "0")
        told = await watch.ids(1)
        for end in (server.stop, server.kill, server.stop):
            put(writer, f"{len(told)}")
            reading = asyncio.ensure_future(watch.ids(3))
            await asyncio.to_thread(end)
            put(writer, f"{len(told) + 1}")
            server.__init__(tmp_path / "log", "--database-url", url, listen=server.address)  # type: ignore[misc]
            put(writer, f"{len(told) + 2}")
            told += await reading
        assert told == [str(number) for number in range(10)]
        await watch.leave()
    finally:
        server.kill()


async def test_only_what_is_asked_for(connect: Connect, server: ServerProcess, writer: Client) -> None:
    client = connect(server.address)
    asked: Any = {"thread_id_prefix": "a/", "kinds": [WatchEventKind.WATCH_EVENT_KIND_THREAD_DELETED]}
    watch = Watched(client, **asked, token=await called(client.watch_token(**asked)))
    for thread_id in ("a/1", "b/1", "a/2"):
        put(writer, "c", thread_id=thread_id)
        writer.delete_thread(thread_id=thread_id)
    assert [event.thread_id for event in await watch.next(2)] == ["a/1", "a/2"]
    await watch.leave()


async def test_what_is_no_watch_is_refused(connect: Connect, server: ServerProcess) -> None:
    client = connect(server.address)
    for asked in ({"token": "forged"}, {"thread_id": "t", "thread_id_prefix": "t"}):
        with pytest.raises(InvalidRequest):
            await Watched(client, **asked).next(1)


async def test_a_token_whose_events_are_gone(
    connect: Connect, server: ServerProcess, writer: Client, url: str, tenant: str
) -> None:
    client = connect(server.address)
    token = await called(client.watch_token())
    put(writer, "1")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "WITH gone AS (DELETE FROM checkpointd.events WHERE tenant = %s RETURNING tenant, turn, number) "
            "INSERT INTO checkpointd.forgotten_events SELECT * FROM gone",
            (tenant,),
        )
    with pytest.raises(WatchExpired, match="watch without a token"):
        await Watched(client, token=token).next(1)


async def test_without_a_server_it_ends_after_the_timeout(connect: Connect) -> None:
    with pytest.raises(Unavailable):
        await Watched(connect("127.0.0.1:1", timeout=0.2)).next(1)


def _write(client: Client, checkpoint_id: str, channel: str) -> None:
    client.put_writes(
        thread_id="t",
        checkpoint_id=checkpoint_id,
        task_id="task",
        writes=[Write(idx=-1, channel=channel, value=Value(encoding="null"))],
    )


async def test_waiting_for_what_a_thread_comes_to(connect: Connect, server: ServerProcess, writer: Client) -> None:
    client = connect(server.address)

    def wait(**asked: Any) -> "asyncio.Task[str]":
        return asyncio.ensure_future(
            called(client.wait_for(thread_id="t", **asked))
            if isinstance(client, AsyncClient)
            else asyncio.to_thread(client.wait_for, thread_id="t", **asked)
        )

    waiting = wait(until="interrupted")  # of a thread that is not there yet
    put(writer, "1")
    _write(writer, "1", "__interrupt__")
    assert await waiting == "interrupted"
    assert await wait(until=["failed", "interrupted"]) == "interrupted"  # also when it is so already
    after = writer.get_thread(thread_id="t").thread.sequence
    waiting = wait(until=["failed", "interrupted"], after=after)
    put(writer, "2")
    _write(writer, "2", "__error__")
    assert await waiting == "failed"
    with pytest.raises(DeadlineExceeded, match=r"'t' is not interrupted after 0\.2 s"):
        await wait(until="interrupted", timeout=0.2)
    put(writer, "3")
    with pytest.raises(GraphUnknown, match="register the graph"):
        await wait()
    with pytest.raises(InvalidRequest, match="finished, interrupted, failed"):
        await wait(until="surprised")
