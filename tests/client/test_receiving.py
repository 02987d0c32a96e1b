"""Sessions receive their answers with gRPC's parts as they are, and without them."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from checkpointd.client import Client, receiving
from checkpointd.v1.checkpoints_pb2 import PutWritesRequest, SessionOp, SessionRequest, SessionResponse
from tests.client.scripted_server import ScriptedServer

SESSION = "/checkpointd.v1.Checkpoints/Session"


def op(number: int) -> bytes:
    """A message of one op."""
    return SessionRequest(ops=[SessionOp(number=number, put_writes=PutWritesRequest())]).SerializeToString()


def nothing_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "_channel", None)
    monkeypatch.setattr(receiving, "_cygrpc", None)


def other_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = receiving._cygrpc.OperationType
    other = SimpleNamespace(ReceiveMessageOperation=lambda flags: object(), OperationType=kinds)
    monkeypatch.setattr(receiving, "_cygrpc", other)


@pytest.mark.parametrize("change", [nothing_to_use, other_operations])
def test_another_grpc_is_asked_in_its_own_way(
    scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    change(monkeypatch)
    client = Client(scripted.target, timeout=30)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: client.get_checkpoint(thread_id="t", checkpoint_id=str(n)), range(100)))
    assert [one.checkpoint.id for one in found] == [str(number) for number in range(100)]
    (messages,) = scripted.sessions.messages
    assert sum(messages) == 100
    client.close()
    assert scripted.sessions.over.acquire(timeout=30)


def test_what_comes_is_received_without_asking(scripted: ScriptedServer) -> None:
    answers: list[int] = []
    all_came, over = threading.Event(), threading.Event()

    def take(response: bytes) -> bool:
        answers.extend(answer.number for answer in SessionResponse.FromString(response).answers)
        if len(answers) == 3:
            all_came.set()
        return True

    with grpc.insecure_channel(scripted.target) as channel:
        stream: Any = channel.stream_stream(SESSION, response_deserializer=take)
        call = stream(map(op, (1, 2, 3)))
        assert receiving.receive(call, take, over.set)
        assert all_came.wait(30)
        assert over.wait(30)
        assert list(call) == []
    assert sorted(answers) == [1, 2, 3]


def test_a_stream_that_fails_is_over(scripted: ScriptedServer) -> None:
    over = threading.Event()
    with grpc.insecure_channel(scripted.target) as channel:
        stream: Any = channel.stream_stream(SESSION + "s", response_deserializer=bool)
        call = stream(iter([b""]))
        if receiving.receive(call, bool, over.set):  # otherwise it has failed already
            assert over.wait(30)
        with pytest.raises(grpc.RpcError) as raised:
            list(call)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_message_that_cannot_be_read_ends_the_stream(scripted: ScriptedServer) -> None:
    over = threading.Event()

    def fail(response: bytes) -> bool:
        raise ValueError("not understood")

    with grpc.insecure_channel(scripted.target) as channel:
        stream: Any = channel.stream_stream(SESSION, response_deserializer=fail)
        call = stream(map(op, (1,)))
        assert receiving.receive(call, fail, over.set)
        assert over.wait(30)
        with pytest.raises(grpc.RpcError):
            list(call)
