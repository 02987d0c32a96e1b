"""What carries a process's sessions to a real server: a stream at first, then sockets where they are to be had."""

import asyncio
import contextlib
import gc
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from checkpointd.client import AsyncClient, Client, ClientClosed
from checkpointd.v1 import core_pb2 as core
from tests.server.session_carriers import offer_to
from tests.server_process import ServerProcess, eventually
from tests.server_proxy import STREAM_HOST, proxy_of, stream_proxy_of


def put(client: Client, thread_id: str, checkpoint_id: str) -> int:
    return client.put_checkpoint(thread_id=thread_id, checkpoint=core.Checkpoint(id=checkpoint_id))


async def aput(client: AsyncClient, thread_id: str, checkpoint_id: str) -> int:
    return await client.put_checkpoint(thread_id=thread_id, checkpoint=core.Checkpoint(id=checkpoint_id))


def on_socket(client: Client) -> bool:
    """Put, and say whether a socket carries it."""
    put(client, "t", "c")
    return client._connection.sessions.of_threads() is not None


def connections() -> int:
    """How many this process has."""
    return sum(one.status == "ESTABLISHED" for one in psutil.Process().net_connections("tcp"))


@pytest.fixture
def client(server: ServerProcess, tenant: str) -> Iterator[Client]:
    with Client(server.address, tenant=tenant, timeout=60) as client:
        yield client


def test_threads_come_to_share_one_socket_and_the_stream_ends(client: Client) -> None:
    before = {thread.name for thread in threading.enumerate()}
    eventually("a socket", lambda: on_socket(client))
    session = client._connection.sessions.of_threads()
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda n: put(client, "u", f"{n}"), range(100))) == list(range(1, 101))
    assert client._connection.sessions.of_threads() is session
    eventually("no stream", lambda: {thread.name for thread in threading.enumerate()} <= before)


def test_each_event_loop_has_a_socket_of_its_own(server: ServerProcess, tenant: str) -> None:
    client = AsyncClient(server.address, tenant=tenant, timeout=60)

    async def use(name: str) -> object:
        numbers = [await aput(client, name, "first")]
        while (session := await client._connection.sessions.of_loop()) is None:
            await aput(client, name, "first")
        numbers = await asyncio.gather(*(aput(client, name, f"{n}") for n in range(200)))
        assert len(set(numbers)) == 200
        return session

    used = [asyncio.run(use(f"{n}")) for n in range(3)]
    assert len({id(session) for session in used}) == 3
    # The sockets of loops that are closed go when the next one comes.
    assert len(client._connection.sessions._loops) == 1
    asyncio.run(client.close())


def test_a_second_loop_needs_no_stream(server: ServerProcess, tenant: str) -> None:
    client = AsyncClient(server.address, tenant=tenant, timeout=60)

    async def come_to_a_socket() -> None:
        while await client._connection.sessions.of_loop() is None:
            await aput(client, "t", "first")

    asyncio.run(come_to_a_socket())
    stream = client._connection.sessions._stream
    assert asyncio.run(aput(client, "t", "second"))
    assert client._connection.sessions._stream is stream
    asyncio.run(client.close())


def test_threads_and_loops_side_by_side(server: ServerProcess, tenant: str) -> None:
    with Client(server.address, tenant=tenant, timeout=60) as client:
        eventually("a socket", lambda: on_socket(client))
        async_client = AsyncClient(server.address, tenant=tenant, timeout=60)
        async_client._connection = client._connection  # as a saver has one for both

        async def tasks() -> list[int]:
            return await asyncio.gather(*(aput(async_client, "a", f"{n}") for n in range(100)))

        with ThreadPoolExecutor(4) as pool:
            found = [pool.submit(asyncio.run, tasks()) for _ in range(2)]
            found_by_threads = list(pool.map(lambda n: put(client, "b", f"{n}"), range(100)))
            assert sorted(found_by_threads) == list(range(1, 101))
            assert all(len(one.result()) == 100 for one in found)


def test_where_only_grpc_gets_through_the_stream_goes_on(server: ServerProcess, tenant: str) -> None:
    with stream_proxy_of(server) as proxy, Client(proxy.address, tenant=tenant, timeout=60) as client:
        for n in range(50):
            put(client, "t", f"{n}")
        stream = client._connection.sessions._stream
        assert stream is not None
        assert not stream.ended
        assert client._connection.sessions.of_threads() is None


@pytest.fixture
def elsewhere(server: ServerProcess, tenant: str) -> Iterator[socket.socket]:
    """Who listens at the session's port of the address at which `stream_proxy_of` hands on gRPC's."""
    offer = offer_to(server.address, tenant)
    assert offer is not None
    with socket.create_server((STREAM_HOST, offer.port), backlog=1) as listening:
        listening.settimeout(30)
        yield listening


def test_something_else_at_that_port_is_told_nothing_but_the_hello(
    server: ServerProcess, tenant: str, elsewhere: socket.socket
) -> None:
    """As behind an address that hands ports on to different servers."""
    with stream_proxy_of(server) as proxy, Client(proxy.address, tenant=tenant, timeout=60) as client:
        put(client, "t", "first")
        peer, _ = elsewhere.accept()
        with peer:
            peer.settimeout(30)
            said = peer.recv(1 << 16)
            peer.sendall(bytes(100))
            with contextlib.suppress(ConnectionResetError):  # it has not read what was said
                while part := peer.recv(1 << 16):
                    said += part
        for n in range(20):
            put(client, "t", f"{n}")
        assert client._connection.sessions.of_threads() is None
    assert int.from_bytes(said[:4]) == len(said) - 4 < 200


def test_an_address_that_swallows_everything_holds_up_nobody(
    server: ServerProcess, tenant: str, elsewhere: socket.socket
) -> None:
    """As a firewall does. The stream carries on while a welcome is waited for in vain."""
    with stream_proxy_of(server) as proxy, Client(proxy.address, tenant=tenant, timeout=60) as client:
        for n in range(50):
            put(client, "t", f"{n}")
        assert client._connection.sessions.of_threads() is None
        stream = client._connection.sessions._stream
        assert stream is not None
        assert not stream.ended


def test_a_server_that_is_started_again_is_found(database_url: str, tmp_path: Path) -> None:
    """At another session port, too."""
    server = ServerProcess(tmp_path / "log", "--database-url", database_url)
    with Client(server.address, timeout=60) as client:
        for n in range(3):
            eventually("a socket", lambda: on_socket(client))
            if n % 2:
                server.kill()
            else:
                server.stop()
            server = ServerProcess(tmp_path / "log", "--database-url", database_url, listen=client._connection.target)
        eventually("a socket", lambda: on_socket(client))
    server.stop()


def test_a_client_that_is_dropped_leaves_no_connection(server: ServerProcess, tenant: str) -> None:
    def use() -> None:
        client = Client(server.address, tenant=tenant, timeout=60)
        eventually("a socket", lambda: on_socket(client))

    before = connections()
    use()
    gc.collect()
    eventually("no connection", lambda: connections() <= before)


async def test_a_client_that_is_dropped_leaves_no_connection_of_a_loop(server: ServerProcess, tenant: str) -> None:
    async def use() -> None:
        client = AsyncClient(server.address, tenant=tenant, timeout=60)
        while await client._connection.sessions.of_loop() is None:
            await aput(client, "t", "c")

    before = connections()
    await use()
    gc.collect()
    await asyncio.to_thread(eventually, "no connection", lambda: connections() <= before)


def test_a_client_that_is_closed_sends_no_more(client: Client) -> None:
    eventually("a socket", lambda: on_socket(client))
    client.close()
    with pytest.raises(ClientClosed):
        put(client, "t", "x")


async def test_closing_ends_what_waits(server: ServerProcess, tenant: str) -> None:
    with proxy_of(server) as proxy:
        client = AsyncClient(proxy.address, tenant=tenant, timeout=60)
        while await client._connection.sessions.of_loop() is None:
            await aput(client, "t", "c")
        proxy.hold()
        waiting = asyncio.create_task(aput(client, "t", "x"))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(ClientClosed):
            await waiting


FORKING = """
    import os, sys, threading
    from checkpointd.client import Client
    from checkpointd.v1 import core_pb2 as core

    client = Client(sys.argv[1], tenant=sys.argv[2], timeout=60)

    def put(name, number):
        client.put_checkpoint(thread_id=name, checkpoint=core.Checkpoint(id=str(number)))

    while client._connection.sessions.of_threads() is None:
        put("first", 0)
    over = threading.Event()

    def go_on(name):
        number = 0
        while not over.is_set() or number < 50:
            put(name, number)
            number += 1

    threads = [threading.Thread(target=go_on, args=(f"parent {n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    children = []
    for child in range(8):
        if (pid := os.fork()) == 0:
            for number in range(30):
                put(f"child {child}", number)
            client.close()
            os._exit(0)
        children.append(pid)
    codes = [os.waitpid(pid, 0)[1] for pid in children]
    over.set()
    for thread in threads:
        thread.join()
    client.close()
    assert codes == [0] * 8, codes
"""


def test_children_that_are_forked_while_threads_use_a_socket(server: ServerProcess, tenant: str) -> None:
    """Theirs are their own, and the parent's goes on."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORKING), server.address, tenant],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with Client(server.address, tenant=tenant) as client:
        for child in range(8):
            assert len(list(client.list_checkpoints(thread_id=f"child {child}"))) == 30
        for n in range(3):
            assert len(list(client.list_checkpoints(thread_id=f"parent {n}"))) >= 50


def test_no_descriptor_is_left(server: ServerProcess, tenant: str) -> None:
    def use() -> None:
        with Client(server.address, tenant=tenant, timeout=60) as client:
            eventually("a socket", lambda: on_socket(client))

    use()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        use()
    gc.collect()
    eventually("none more", lambda: len(os.listdir("/proc/self/fd")) <= before + 1)
