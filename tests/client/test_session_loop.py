"""A session on a socket for the tasks of one event loop."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from checkpointd.client.session_loop import LoopSession
from checkpointd.client.status import INTERRUPTED
from checkpointd.client.waiting import Outcome, WaitingHere
from checkpointd.v1 import checkpoints_pb2 as checkpoints
from tests.client.socket_peer import Peer, get, pair, writes


class Use:
    """A session and the server's end of it, which blocks and so is asked in threads."""

    def __init__(self, session: LoopSession, peer: Peer) -> None:
        self.session, self.peer = session, peer

    def ask(self, kind: str, request: bytes, *, may_wait: bool = False) -> WaitingHere:
        waiting = WaitingHere(kind)
        assert self.session.send(waiting, request, may_wait=may_wait)
        return waiting

    async def op(self) -> checkpoints.SessionOp:
        return await asyncio.to_thread(self.peer.op)


@pytest.fixture
async def use() -> AsyncIterator[Use]:
    with pair() as (carrier, peer):
        session = LoopSession(carrier, asyncio.get_running_loop())
        yield Use(session, peer)
        session.interrupt()


async def test_tasks_of_one_step_go_together(use: Use) -> None:
    waiting = [use.ask("get_checkpoint", get(f"{number}")) for number in range(100)]
    ops = [await use.op() for _ in waiting]
    assert use.peer.messages == [100]
    use.peer.answer(*reversed(ops))
    found = [(await one).response.checkpoint_tuple.checkpoint.id for one in waiting]
    assert found == [f"{number}" for number in range(100)]


async def test_what_may_wait_goes_with_the_next_or_when_told(use: Use) -> None:
    held = use.ask("get_checkpoint", get("held"), may_wait=True)
    await asyncio.sleep(0)
    now = use.ask("get_checkpoint", get("now"))
    use.peer.answer(await use.op(), await use.op())
    assert use.peer.messages == [2]
    assert (await held).status is None
    assert (await now).status is None
    held = use.ask("get_checkpoint", get("again"), may_wait=True)
    use.session.hurry()
    use.peer.answer(await use.op())
    assert (await held).status is None


async def test_what_the_server_does_not_read_yet_waits_and_holds_up_no_task(use: Use) -> None:
    waiting = [use.ask("put_writes", writes(200_000)) for _ in range(40)]
    for _ in range(10):
        await asyncio.sleep(0)
    for _ in waiting:
        use.peer.answer(await use.op())
    assert [await one for one in waiting] == [Outcome(checkpoints.PutWritesResponse())] * 40


@pytest.mark.parametrize("how", ["closes", "says nonsense", "says why"])
async def test_a_server_that_goes_interrupts_all(use: Use, how: str) -> None:
    waiting = [use.ask("get_checkpoint", get(f"{number}")) for number in range(3)]
    for _ in waiting:
        await use.op()
    if how == "closes":
        use.peer.raw.close()
    elif how == "says nonsense":
        use.peer.raw.sendall(b"\0\0\0\3\xff\xff\xff")
    else:
        use.peer.end(14, "SERVER_STOPPING")
    statuses = [(await one).status for one in waiting]
    if how == "says why":
        assert {status.reason for status in statuses if status is not None} == {"SERVER_STOPPING"}
        assert await asyncio.to_thread(use.peer.has_ended)
    else:
        assert statuses == [INTERRUPTED] * 3
    assert use.session.send(WaitingHere("get_checkpoint"), get("later")) == 0


async def test_closing_from_another_thread(use: Use) -> None:
    waiting = use.ask("get_checkpoint", get("x"))
    await use.op()
    await asyncio.to_thread(use.session.interrupt)
    assert await waiting == Outcome(None, INTERRUPTED)


async def test_who_was_cancelled_is_passed_over(use: Use) -> None:
    async def ask() -> Outcome:
        outcome: Outcome = await use.ask("get_checkpoint", get("x"))
        return outcome

    task = asyncio.create_task(ask())
    op = await use.op()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    use.peer.answer(op)
    other = use.ask("get_checkpoint", get("y"))
    use.peer.answer(await use.op())
    assert (await other).status is None
