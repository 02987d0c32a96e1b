"""Whatever arrives on the port, the server goes on serving everybody else and does not grow."""

import os
import random
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import grpc
import psutil
import pytest

from checkpointd.v1.checkpoints_pb2 import ListCheckpointsRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from tests.messages import put_checkpoint
from tests.server.wire import health, ids
from tests.server_process import ServerProcess, eventually

pytestmark = pytest.mark.usefixtures("stays_well")

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_MOST_GROWTH = 150 << 20  # bytes; what an attack holds at once, and the allocator keeps


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[CheckpointsStub]:
    return CheckpointsStub


def _connect(server: ServerProcess) -> socket.socket:
    host, _, port = server.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def _frame(kind: int, flags: int, stream: int, payload: bytes, length: int | None = None) -> bytes:
    """An HTTP/2 frame; `length` when it lies about its payload."""
    size = len(payload) if length is None else length
    return struct.pack("!I", size)[1:] + struct.pack("!BBI", kind, flags, stream) + payload


_SETTINGS = _frame(4, 0, 0, b"")


def _literal(name: bytes, value: bytes) -> bytes:
    """A header, in HPACK's plainest form."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


_Fields = tuple[tuple[bytes, bytes], ...]


def _headers(
    stream: int, path: bytes, content_type: bytes = b"application/grpc", flags: int = 4, more: _Fields = ()
) -> bytes:
    fields = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"x"),
        (b"te", b"trailers"),
        (b"content-type", content_type),
        *more,
    )
    return _frame(1, flags, stream, b"".join(_literal(name, value) for name, value in fields))


_PUT = b"/checkpointd.v1.Checkpoints/PutCheckpoint"
_OPEN = _PREFACE + _SETTINGS
_GARBAGE = {
    "HTTP/1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/1 with a body": b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n" + bytes(100_000),
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "PostgreSQL": struct.pack("!II", 8, 80877103),
    "zeros": bytes(100_000),
    "ones": b"\xff" * 100_000,
    "nearly the preface": _PREFACE.replace(b"SM", b"MS"),
    "preface and zeros": _PREFACE + bytes(100_000),
    "no settings": _PREFACE + _headers(1, _PUT),
    "a frame of 16 MB": _OPEN + _frame(0, 0, 1, bytes(1000), length=(1 << 24) - 1),
    "data without a stream": _OPEN + _frame(0, 0, 1, b"x" * 1000),
    "headers that never end": _OPEN + _headers(1, _PUT, flags=0) + _frame(9, 0, 1, _literal(b"x", b"y" * 100)) * 5000,
    "broken compression of headers": _OPEN + _frame(1, 4, 1, b"\xff" * 200),
    "metadata that is not UTF-8": _OPEN + _headers(1, _PUT, more=((b"checkpointd-tenant", b"\xff"), (b"\xff", b"x"))),
    "binary metadata that is none": _OPEN + _headers(1, _PUT, more=((b"x-bin", b"!"),)) + _frame(0, 1, 1, bytes(5)),
    "a deadline that is none": _OPEN + _headers(1, _PUT, more=((b"grpc-timeout", b"soon"),)),
    "an even stream": _OPEN + _headers(2, _PUT),
    "unknown frames": _OPEN + _frame(200, 255, 7, b"x" * 100) * 1000,
    "pings": _OPEN + _frame(6, 0, 0, bytes(8)) * 10_000,
    "settings again and again": _OPEN + _SETTINGS * 10_000,
    "streams opened and reset": _OPEN
    + b"".join(_headers(n, _PUT) + _frame(3, 0, n, struct.pack("!I", 8)) for n in range(1, 4001, 2)),
    "a message longer than said": _OPEN
    + _headers(1, _PUT)
    + _frame(0, 1, 1, b"\0" + struct.pack("!I", 3) + b"abcdefgh"),
    "a message of 4 GB": _OPEN
    + _headers(1, _PUT)
    + _frame(0, 0, 1, b"\0" + struct.pack("!I", 2**32 - 1) + b"x" * 1000),
    "an unknown compression": _OPEN + _headers(1, _PUT) + _frame(0, 1, 1, b"\1" + struct.pack("!I", 3) + b"abc"),
    "another content type": _OPEN + _headers(1, _PUT, b"text/html") + _frame(0, 1, 1, b"x"),
    "goaway": _OPEN + _frame(7, 0, 0, bytes(8)),
    "a window of 2 GB twice": _OPEN + _frame(8, 0, 0, struct.pack("!I", 2**31 - 1)) * 2,
}


# gRPC's server ends at this one.
_FATAL = _OPEN + _headers(1, b"/\xff") + _frame(0, 1, 1, bytes(5))


@contextmanager
def _no_growth(server: ServerProcess, most: int = _MOST_GROWTH) -> Iterator[None]:
    """The server's memory and open files stay within bounds."""
    process = psutil.Process(server.process.pid)
    memory, files = process.memory_info().rss, process.num_fds()
    yield
    eventually("the server closes what its clients closed", lambda: process.num_fds() <= files + 5)
    assert process.memory_info().rss < memory + most


def _send(server: ServerProcess, data: bytes) -> bytes:
    """Send bytes, say that there are no more, and return what comes back until the server hangs up."""
    with _connect(server) as connection:
        received = b""
        with suppress(OSError):  # it may hang up at any time
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk
        return received


@pytest.mark.parametrize("data", _GARBAGE.values(), ids=_GARBAGE.keys())
def test_garbage(server: ServerProcess, grpc_stub: CheckpointsStub, data: bytes) -> None:
    with _no_growth(server):
        for _ in range(3):
            _send(server, data)
        # One that is neither ended nor closed does not stand in anybody's way.
        with _connect(server) as half_open:
            with suppress(OSError):
                half_open.sendall(data)
            assert grpc_stub.PutCheckpoint(put_checkpoint("t", "c")).sequence == 1


def test_random_bytes(server: ServerProcess) -> None:
    chance = random.Random(0)
    with _no_growth(server):
        for start in (b"", _PREFACE, _OPEN, _OPEN + _headers(1, _PUT)):
            for _ in range(25):
                _send(server, start + chance.randbytes(chance.randrange(1, 5000)))


def test_random_changes_of_a_good_call(server: ServerProcess) -> None:
    message = put_checkpoint("t", "c", values={"a": "1"}).SerializeToString()
    good = _OPEN + _headers(1, _PUT) + _frame(0, 1, 1, b"\0" + struct.pack("!I", len(message)) + message)
    chance = random.Random(1)
    with _no_growth(server):
        for _ in range(150):
            data = bytearray(good)
            for _ in range(chance.randrange(1, 4)):
                data[chance.randrange(len(_PREFACE), len(data))] = chance.randrange(128)
            _send(server, bytes(data[: chance.randrange(len(_PREFACE), len(data) + 1)]))


def test_grpc_giving_up(database_url: str, tmp_path: Path) -> None:
    """gRPC's server ends at a path that is not UTF-8; ours listens again."""
    options = ("--database-url", database_url, "--database-connections", "2")
    with ServerProcess(tmp_path / "log", *options) as server:

        def listens() -> bool:
            # A call that the server received as it ended is never answered; the next one is.
            try:
                return health(server.address, timeout=1) == "SERVING"
            except grpc.RpcError:
                return False

        for _ in range(3):
            _send(server, _FATAL)
            eventually("it listens again", listens)


def test_a_tls_client(server: ServerProcess) -> None:
    with _connect(server) as connection, pytest.raises((ssl.SSLError, OSError)):
        ssl.create_default_context().wrap_socket(connection, server_hostname="localhost")


@pytest.mark.parametrize("count", [200])
def test_connections_opened_and_dropped(server: ServerProcess, count: int) -> None:
    with _no_growth(server), ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(_connect(server))
            if number % 2:
                connection.sendall(_OPEN)
            if number % 3 == 0:  # gone with a reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert health(server.address) == "SERVING"


_HANGING = """
import sys
import grpc
from checkpointd.v1.checkpoints_pb2 import ListCheckpointsRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub

address, tenant = sys.argv[1:]
channel = grpc.insecure_channel(address)
metadata = (("checkpointd-tenant", tenant),)
lists = [CheckpointsStub(channel).ListCheckpoints(ListCheckpointsRequest(), metadata=metadata) for _ in range(20)]
for each in lists:
    next(each)
print("hanging", flush=True)
sys.stdin.read()
"""


def test_clients_killed_with_streams_open(
    server: ServerProcess, grpc_stub: CheckpointsStub, tenant: str, grpc_create_channel: Callable[..., grpc.Channel]
) -> None:
    for number in range(16):
        grpc_stub.PutCheckpoint(put_checkpoint("t", f"c{number}", values={"a": os.urandom(1 << 20)}))
    with _no_growth(server, 20 * (16 << 20)):
        client = subprocess.Popen(
            [sys.executable, "-c", _HANGING, server.address, tenant],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with client:
            assert client.stdout is not None
            assert client.stdout.readline() == "hanging\n"
            assert len(ids(grpc_stub.ListCheckpoints(ListCheckpointsRequest()))) == 16
            client.kill()
    assert len(ids(grpc_stub.ListCheckpoints(ListCheckpointsRequest()))) == 16
