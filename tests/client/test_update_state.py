"""An update that may have been stored is sent again under the same name, so that it is carried out once."""

from typing import Any

import grpc
import pytest

from checkpointd.client import AsyncClient, Client
from checkpointd.v1 import states_pb2 as states
from tests.client.conftest import Either
from tests.client.scripted_server import Failure, ScriptedServer
from tests.tcp_proxy import TcpProxy

LOST = [
    Failure(grpc.StatusCode.UNAVAILABLE, "the database is not available", "DATABASE_UNAVAILABLE"),
    Failure(grpc.StatusCode.UNAVAILABLE, "Socket closed"),
    Failure(grpc.StatusCode.CANCELLED),
]
UPDATE: dict[str, Any] = {"thread_id": "t", "supersteps": [states.Superstep(updates=[states.StateUpdate()])]}
COPY = {"source_thread_id": "t", "target_thread_id": "copy"}
NAMED = [("update_state", UPDATE), ("delete_thread", {"thread_id": "t"}), ("copy_thread", COPY)]


def _names(scripted: ScriptedServer) -> list[str]:
    return [call.request.request_id for call in scripted.calls]


@pytest.mark.parametrize("failure", LOST)
@pytest.mark.parametrize(("method", "parameters"), NAMED)
async def test_it_is_sent_again_under_the_same_name(
    scripted: ScriptedServer, either: Either, failure: Failure, method: str, parameters: dict[str, Any]
) -> None:
    scripted.script.extend([failure, failure])
    await either.call(method, **parameters)
    first, *others = _names(scripted)
    assert first
    assert others == [first, first]


@pytest.mark.parametrize(("method", "parameters"), NAMED)
async def test_every_call_has_a_name_of_its_own_unless_it_is_given_one(
    scripted: ScriptedServer, either: Either, method: str, parameters: dict[str, Any]
) -> None:
    await either.call(method, **parameters)
    await either.call(method, **parameters)
    await either.call(method, **parameters, request_id="mine")
    first, second, third = _names(scripted)
    assert first != second
    assert third == "mine"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_when_the_connection_breaks_before_the_answer(
    scripted: ScriptedServer, kind: type[Client] | type[AsyncClient]
) -> None:
    with TcpProxy(("127.0.0.1", scripted.port)) as proxy:

        def broken(*_: Any) -> Any:
            proxy.cut()
            return states.UpdateStateResponse()

        scripted.script.append(broken)
        either = Either(kind(proxy.address, timeout=30))
        await either.call("update_state", **UPDATE)
        first, second = _names(scripted)
        assert first == second
        await either.close()
