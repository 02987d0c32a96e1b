"""The other end of a session's socket, which says what a test tells it to."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from checkpointd.client.session_socket import SessionSocket, framed
from checkpointd.v1 import checkpoints_pb2 as checkpoints


class Peer:
    """The server's end of a socket pair."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self.raw.settimeout(30)
        self._ops: list[checkpoints.SessionOp] = []
        self.messages: list[int] = []
        """How many ops each message had."""

    def op(self) -> checkpoints.SessionOp:
        """The next op that comes."""
        while not self._ops:
            request = checkpoints.SessionRequest.FromString(self._exactly(int.from_bytes(self._exactly(4))))
            self.messages.append(len(request.ops))
            self._ops.extend(request.ops)
        return self._ops.pop(0)

    def answer(self, *ops: checkpoints.SessionOp) -> None:
        """Answer ops together: a get with the id that was asked for."""
        response = checkpoints.SessionResponse()
        for op in ops:
            answer = response.answers.add(number=op.number)
            kind = op.WhichOneof("request")
            assert kind is not None
            getattr(answer, kind).SetInParent()
            if kind == "get_checkpoint":
                answer.get_checkpoint.checkpoint_tuple.checkpoint.id = op.get_checkpoint.checkpoint_id
        self.say(response)

    def end(self, code: int, reason: str = "") -> None:
        """End the session for a reason."""
        self.say(checkpoints.SessionResponse(end=checkpoints.SessionError(code=code, reason=reason)))

    def say(self, response: checkpoints.SessionResponse) -> None:
        self.raw.sendall(framed(response.SerializeToString()))

    def has_ended(self) -> bool:
        """Whether the client's end is gone. Waits for something to come."""
        return self.raw.recv(1) == b""

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self.raw.recv(size - len(data))
            assert part, "the client has gone"
            data += part
        return bytes(data)


@contextmanager
def pair() -> Iterator[tuple[SessionSocket, Peer]]:
    """Both ends."""
    ours, theirs = socket.socketpair()
    with theirs:
        yield SessionSocket(ours), Peer(theirs)


def get(checkpoint_id: str) -> bytes:
    """A request."""
    return checkpoints.GetCheckpointRequest(thread_id="t", checkpoint_id=checkpoint_id).SerializeToString()


def writes(size: int) -> bytes:
    """A request of about so many bytes."""
    request = checkpoints.PutWritesRequest(thread_id="t")
    request.put.writes.add().value.data = bytes(size)
    return request.SerializeToString()
