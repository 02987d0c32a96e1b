"""A session with a real server, on each of the things that can carry it."""

import queue
import socket
from collections.abc import Iterator
from typing import Any, Protocol

import grpc

from checkpointd.v1.checkpoints_pb2 import (
    CommitRequest,
    GetCheckpointRequest,
    PutCheckpointRequest,
    PutWritesRequest,
    SessionAnswer,
    SessionOffer,
    SessionOp,
    SessionRequest,
    SessionResponse,
)
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from tests.server.wire import TENANT, UNLIMITED, error_reason

_FIELDS = {
    PutCheckpointRequest: "put_checkpoint",
    PutWritesRequest: "put_writes",
    CommitRequest: "commit",
    GetCheckpointRequest: "get_checkpoint",
}


class Ended(Exception):
    """The server has ended the session, for a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code, self.reason = code, reason


class Carrier(Protocol):
    """What a session needs of what carries it."""

    def send(self, message: bytes) -> None:
        """Send a SessionRequest."""

    def receive(self) -> SessionResponse | None:
        """The next response; None when the session has ended well. Raises Ended."""

    def end(self) -> None:
        """End the client's side."""

    def close(self) -> None:
        """Go."""


class Stream:
    """The rpc."""

    def __init__(self, address: str, tenant: str) -> None:
        self._channel = grpc.insecure_channel(address, UNLIMITED)
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        open_stream: Any = self._channel.stream_stream("/checkpointd.v1.Checkpoints/Session")
        self._call = open_stream(iter(self._requests.get, None), metadata=((TENANT, tenant),), timeout=60)

    def send(self, message: bytes) -> None:
        self._requests.put(message)

    def receive(self) -> SessionResponse | None:
        try:
            return SessionResponse.FromString(next(self._call))
        except StopIteration:
            assert self._call.code() is grpc.StatusCode.OK
            return None
        except grpc.RpcError as error:
            raise Ended(error.code().value[0], error_reason(error)) from None  # type: ignore[arg-type]

    def end(self) -> None:
        self._requests.put(None)

    def close(self) -> None:
        self.end()
        self._channel.close()


class Socket:
    """A socket, of which messages are read as the contract says: with their lengths in front."""

    def __init__(self, address: str, tenant: str) -> None:
        offer = offer_to(address, tenant)
        assert offer is not None
        host = address.rpartition(":")[0]
        self.raw = socket.create_connection((host, offer.port), timeout=60)
        self.send(offer.hello.SerializeToString())
        assert self._message() == offer.welcome.SerializeToString()

    def send(self, message: bytes) -> None:
        self.raw.sendall(len(message).to_bytes(4) + message)

    def receive(self) -> SessionResponse | None:
        message = self._message()
        if message is None:
            return None
        response = SessionResponse.FromString(message)
        if response.HasField("end"):
            raise Ended(response.end.code, response.end.reason)
        return response

    def end(self) -> None:
        self.raw.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.raw.close()

    def _message(self) -> bytes | None:
        size = self._exactly(4)
        return None if size is None else self._exactly(int.from_bytes(size))

    def _exactly(self, size: int) -> bytes | None:
        data = bytearray()
        while len(data) < size:
            part = self.raw.recv(size - len(data))
            if not part:
                assert not data, "the connection ended within a message"
                return None
            data += part
        return bytes(data)


def offer_to(address: str, tenant: str) -> SessionOffer | None:
    """What a server offers in the initial metadata of the rpc Session."""
    with grpc.insecure_channel(address) as channel:
        call = CheckpointsStub(channel).Session(iter(()), metadata=((TENANT, tenant),), timeout=60)
        metadata = dict(call.initial_metadata() or ())
        list(call)
    value = metadata.get("checkpointd-session-offer-bin")
    return SessionOffer.FromString(value) if isinstance(value, bytes) else None


class Session:
    """A session with the server, answers by their numbers."""

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier
        self._count = 0
        self.answers: dict[int, SessionAnswer] = {}

    def op(self, request: Any) -> SessionOp:
        self._count += 1
        return SessionOp(number=self._count, **{_FIELDS[type(request)]: request})

    def send(self, *requests: Any) -> list[int]:
        ops = [self.op(request) for request in requests]
        self.carrier.send(SessionRequest(ops=ops).SerializeToString())
        return [op.number for op in ops]

    def answer(self, number: int) -> SessionAnswer:
        while number not in self.answers:
            response = self.carrier.receive()
            assert response is not None, "the session has ended without this answer"
            assert response.answers
            for answer in response.answers:
                assert answer.number not in self.answers
                self.answers[answer.number] = answer
        return self.answers[number]


CARRIERS: dict[str, type[Stream] | type[Socket]] = {"stream": Stream, "socket": Socket}


def opened(kind: str, address: str, tenant: str) -> Iterator[Session]:
    """A session, as a fixture has it."""
    carrier = CARRIERS[kind](address, tenant)
    yield Session(carrier)
    carrier.close()
