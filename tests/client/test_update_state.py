"""An update is sent once, unless a second one could not be stored."""

import asyncio
from typing import Any

import grpc
import pytest

from checkpointd.client import Aborted, AsyncClient, Client, DeadlineExceeded, Unavailable
from checkpointd.v1 import states_pb2 as states
from checkpointd.v1.core_pb2 import Precondition
from tests.client.conftest import Either
from tests.client.scripted_server import Failure, ScriptedServer, Waiting
from tests.tcp_proxy import TcpProxy

LOST = [
    Failure(grpc.StatusCode.UNAVAILABLE, "the database is not available", "DATABASE_UNAVAILABLE"),
    Failure(grpc.StatusCode.UNAVAILABLE, "Socket closed"),
    Failure(grpc.StatusCode.CANCELLED),
]
UPDATE: dict[str, Any] = {"thread_id": "t", "supersteps": [states.Superstep(updates=[states.StateUpdate()])]}
EXPECTING: dict[str, Any] = {**UPDATE, "precondition": Precondition(expected_head="c1")}


def moved(_: Any, context: grpc.ServicerContext) -> Any:
    Failure(grpc.StatusCode.ABORTED, "the head is 'c2'", "HEAD_MOVED").abort(context)


@pytest.mark.parametrize("failure", LOST)
@pytest.mark.parametrize("precondition", [None, Precondition()])
async def test_one_that_may_have_been_stored_is_not_sent_again(
    scripted: ScriptedServer, either: Either, failure: Failure, precondition: Precondition | None
) -> None:
    scripted.script.append(failure)
    with pytest.raises(Unavailable, match="it may have been stored: read the state before you send it again") as raised:
        await either.call("update_state", **UPDATE, precondition=precondition)
    assert "safe" not in str(raised.value)
    assert len(scripted.calls) == 1


@pytest.mark.parametrize("failure", LOST)
@pytest.mark.parametrize("expected_head", ["c1", ""])
async def test_one_that_expects_a_head_is_sent_again(
    scripted: ScriptedServer, either: Either, failure: Failure, expected_head: str
) -> None:
    scripted.script.extend([failure, failure])
    precondition = Precondition(expected_head=expected_head)
    updated = await either.call("update_state", **UPDATE, precondition=precondition)
    assert updated.config.thread_id == "t"
    assert len(scripted.calls) == 3


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_one_that_reached_no_server_is_sent_again(
    scripted: ScriptedServer, kind: type[Client] | type[AsyncClient]
) -> None:
    """And a server that comes back gets it once."""
    scripted.stop()
    either = Either(kind(scripted.target, timeout=0.3))
    with pytest.raises(Unavailable, match=r"no server answers .* Repeating the call is safe") as raised:
        await either.call("update_state", **UPDATE)
    assert "1 attempt in" not in str(raised.value)
    await either.close()
    either = Either(kind(scripted.target, timeout=30))
    under_way = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(either.call("update_state", **UPDATE))))
    with ScriptedServer(scripted.port) as back:
        assert (await under_way).config.thread_id == "t"
        assert [call.rpc for call in back.calls] == ["UpdateState"]
        await either.close()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_one_that_is_not_answered_in_time_says_that_it_may_have_been_stored(
    scripted: ScriptedServer, kind: type[Client] | type[AsyncClient]
) -> None:
    waiting = Waiting()
    scripted.script.append(waiting)
    either = Either(kind(scripted.target, timeout=0.3))
    with pytest.raises(DeadlineExceeded, match="it may have been stored"):
        await either.call("update_state", **UPDATE)
    assert await asyncio.to_thread(waiting.over.wait, 30)
    assert len(scripted.calls) == 1
    await either.close()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(("update", "error", "sent"), [(UPDATE, Unavailable, 1), (EXPECTING, Aborted, 2)])
async def test_when_the_connection_breaks_before_the_answer(
    scripted: ScriptedServer,
    kind: type[Client] | type[AsyncClient],
    update: dict[str, Any],
    error: type[Exception],
    sent: int,
) -> None:
    """With an expected head, the second attempt learns that the first one moved it."""
    with TcpProxy(("127.0.0.1", scripted.port)) as proxy:

        def broken(*_: Any) -> Any:
            proxy.cut()
            return states.UpdateStateResponse()

        scripted.script.extend([broken, moved])
        either = Either(kind(proxy.address, timeout=30))
        with pytest.raises(error):
            await either.call("update_state", **update)
        assert [call.rpc for call in scripted.calls] == ["UpdateState"] * sent
        await either.close()
