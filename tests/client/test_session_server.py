"""Sessions of a real server: what was acknowledged is stored, once, however often the connection breaks."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from checkpointd.client import AsyncClient, Client, HeadMoved, NotFound
from checkpointd.v1 import core_pb2 as core
from tests.server_process import ServerProcess
from tests.server_proxy import proxy_of, stream_proxy_of

WRITERS, STEPS, BREAKS = 8, 40, 10


class Progress:
    """How many steps all writers have taken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._steps = 0

    def step(self) -> None:
        with self._changed:
            self._steps += 1
            self._changed.notify_all()

    def reach(self, steps: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._steps >= steps, 60)


def write(step: Callable[[str, str, str], None], name: str, progress: Progress) -> None:
    previous = ""
    for n in range(STEPS):
        checkpoint_id = f"{n:03}"
        step(name, checkpoint_id, previous)
        previous = checkpoint_id
        progress.step()


@pytest.mark.parametrize("carrier", ["stream", "socket"])
def test_broken_connections_lose_and_double_nothing(server: ServerProcess, tenant: str, carrier: str) -> None:
    progress = Progress()
    proxies = proxy_of(server) if carrier == "socket" else stream_proxy_of(server)
    with proxies as proxy, Client(proxy.address, tenant=tenant, timeout=60) as client:

        def step(name: str, checkpoint_id: str, previous: str) -> None:
            # Each step expects the one before it to be the head: one that were lost, or stored late, would end it.
            client.put_checkpoint(
                thread_id=name,
                checkpoint=core.Checkpoint(id=checkpoint_id),
                parent_checkpoint_id=previous,
                precondition=core.Precondition(expected_head=previous),
            )
            client.put_writes(
                thread_id=name,
                checkpoint_id=checkpoint_id,
                task_id="task",
                writes=[core.Write(idx=0, channel="x", value=core.Value(encoding="null"))],
            )

        with ThreadPoolExecutor(WRITERS) as pool:
            writers = [pool.submit(write, step, f"thread {n}", progress) for n in range(WRITERS)]
            for n in range(BREAKS):
                progress.reach((n + 1) * WRITERS * STEPS // (BREAKS + 1))
                proxy.cut()
            for writer in writers:
                writer.result()
        for n in range(WRITERS):
            listed = list(client.list_checkpoints(thread_id=f"thread {n}"))
            assert [one.checkpoint.id for one in listed] == [f"{n:03}" for n in reversed(range(STEPS))]
            assert [len(one.pending_writes) for one in listed] == [1] * STEPS


async def test_tasks_read_what_they_have_written(server: ServerProcess, tenant: str) -> None:
    async with AsyncClient(server.address, tenant=tenant) as client:

        async def use(name: str) -> None:
            for checkpoint_id in ("a", "b"):
                sequence = await client.put_checkpoint(thread_id=name, checkpoint=core.Checkpoint(id=checkpoint_id))
                assert sequence > 0
                assert (await client.get_checkpoint(thread_id=name)).checkpoint.id == checkpoint_id

        await asyncio.gather(*(use(f"thread {n}") for n in range(100)))


def test_errors_are_those_of_the_ops_own_calls(server: ServerProcess, tenant: str) -> None:
    with Client(server.address, tenant=tenant) as client:
        with pytest.raises(NotFound) as none:
            client.get_checkpoint(thread_id="nobody")
        assert none.value.reason == "CHECKPOINT_NOT_FOUND"
        client.put_checkpoint(thread_id="t", checkpoint=core.Checkpoint(id="c1"))
        with pytest.raises(HeadMoved) as moved:
            client.put_checkpoint(
                thread_id="t",
                checkpoint=core.Checkpoint(id="c2"),
                precondition=core.Precondition(expected_head="c0"),
            )
        assert (moved.value.head, moved.value.expected_head, moved.value.server) == ("c1", "c0", server.address)
