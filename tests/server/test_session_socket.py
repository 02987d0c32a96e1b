"""Sockets for sessions: who is let in, how messages are taken apart, and that nothing but the offer leads there."""

import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from checkpointd.v1.checkpoints_pb2 import SessionHello, SessionOffer, SessionRequest, SessionResponse
from tests.messages import put_checkpoint
from tests.server.session_carriers import Ended, Session, Socket, Stream, offer_to
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("stays_well")


@pytest.fixture
def offer(grpc_addr: str, tenant: str) -> SessionOffer:
    offer = offer_to(grpc_addr, tenant)
    assert offer is not None
    return offer


@pytest.fixture
def raw(grpc_addr: str, offer: SessionOffer) -> Iterator[socket.socket]:
    """A connection that has said nothing yet."""
    with socket.create_connection((grpc_addr.rpartition(":")[0], offer.port), timeout=60) as raw:
        yield raw


@pytest.fixture
def carrier(grpc_addr: str, tenant: str) -> Iterator[Socket]:
    carrier = Socket(grpc_addr, tenant)
    yield carrier
    carrier.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(4) + message


def test_the_offer_is_the_same_for_a_tenant_and_another_one_for_another(grpc_addr: str, offer: SessionOffer) -> None:
    assert offer_to(grpc_addr, offer.hello.tenant) == offer
    other = offer_to(grpc_addr, "another")
    assert other is not None
    assert other.port == offer.port
    assert other.hello.ticket != offer.hello.ticket
    assert other.welcome != offer.welcome
    assert offer.hello.ticket != offer.welcome.countersign


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        bytes(1000),
        framed(b"\xff\xff\xff"),
        framed(b"x" * 2000),
    ],
    ids=["http", "http2", "zeros", "garbage", "long"],
)
def test_who_says_something_else_is_told_nothing(raw: socket.socket, said: bytes) -> None:
    raw.sendall(said)
    assert heard(raw) == b""


def test_a_ticket_is_good_for_its_tenant_only(raw: socket.socket, offer: SessionOffer) -> None:
    raw.sendall(framed(SessionHello(tenant="another", ticket=offer.hello.ticket).SerializeToString()))
    assert heard(raw) == b""


def test_the_welcome_is_no_ticket(raw: socket.socket, offer: SessionOffer) -> None:
    hello = SessionHello(tenant=offer.hello.tenant, ticket=offer.welcome.countersign)
    raw.sendall(framed(hello.SerializeToString()))
    assert heard(raw) == b""


def test_ops_before_the_welcome_are_not_done_without_a_ticket(
    grpc_addr: str, raw: socket.socket, tenant: str, offer: SessionOffer
) -> None:
    op = Session(Stream(grpc_addr, tenant)).op(put_checkpoint("t", "1"))
    hello = SessionHello(tenant=tenant, ticket=bytes(32))
    raw.sendall(framed(hello.SerializeToString()) + framed(SessionRequest(ops=[op]).SerializeToString()))
    assert heard(raw) == b""
    session = Session(Socket(grpc_addr, tenant))
    (number,) = session.send(put_checkpoint("t", "2"))
    assert session.answer(number).put_checkpoint.sequence == 1
    session.carrier.close()


def heard(raw: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    data = b""
    try:
        while part := raw.recv(1 << 16):
            data += part
    except ConnectionResetError:  # what was sent is not read
        pass
    return data


def test_messages_may_come_in_any_pieces(carrier: Socket) -> None:
    session = Session(carrier)
    ops = [session.op(put_checkpoint("t", f"{number}")) for number in range(20)]
    message = b"".join(framed(SessionRequest(ops=[op]).SerializeToString()) for op in ops)
    for place in range(0, len(message), 7):
        carrier.raw.sendall(message[place : place + 7])
    assert all(session.answer(op.number).put_checkpoint.sequence for op in ops)


def test_a_message_of_many_ops(carrier: Socket) -> None:
    session = Session(carrier)
    numbers = session.send(*(put_checkpoint("t", f"{number}", values={"a": "x" * 2000}) for number in range(900)))
    assert sorted(session.answer(number).put_checkpoint.sequence for number in numbers) == list(range(1, 901))


def test_a_message_over_the_limit_is_refused_before_it_has_come(carrier: Socket) -> None:
    session = Session(carrier)
    (number,) = session.send(put_checkpoint("t", "1"))
    carrier.raw.sendall((2**32 - 1).to_bytes(4) + b"x" * 100)
    assert session.answer(number).put_checkpoint.sequence == 1
    with pytest.raises(Ended) as caught:
        carrier.receive()
    assert caught.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert caught.value.reason == "MESSAGE_TOO_LARGE"
    assert carrier.receive() is None


def test_who_leaves_within_a_message(grpc_addr: str, tenant: str, carrier: Socket) -> None:
    carrier.raw.sendall((1000).to_bytes(4) + b"x" * 10)
    carrier.end()
    assert carrier.receive() is None
    again = Session(Socket(grpc_addr, tenant))
    (number,) = again.send(put_checkpoint("t", "1"))
    assert again.answer(number).put_checkpoint.sequence == 1
    again.carrier.close()


def test_a_response_on_a_stream_never_has_an_end(grpc_addr: str, tenant: str) -> None:
    session = Session(Stream(grpc_addr, tenant))
    (number,) = session.send(put_checkpoint("t", "1"))
    response = session.carrier.receive()
    assert isinstance(response, SessionResponse)
    assert [answer.number for answer in response.answers] == [number]
    assert not response.HasField("end")
    session.carrier.close()


def test_a_port_of_ones_own_choice(database_url: str, tmp_path: Path) -> None:
    port = free_port()
    with ServerProcess(tmp_path / "log", "--database-url", database_url, "--session-port", str(port)) as server:
        offer = offer_to(server.address, "default")
        assert offer is not None
        assert offer.port == port


def test_none(database_url: str, tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "log", "--database-url", database_url, "--session-port", "none") as server:
        assert offer_to(server.address, "default") is None


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0", "[::1]", "[::]"])
def test_any_host_that_grpc_listens_on(host: str, database_url: str, tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "log", "--database-url", database_url, "--insecure", listen=f"{host}:0") as server:
        port = server.address.rpartition(":")[2]
        for reached in {"localhost": ["localhost"], "0.0.0.0": ["127.0.0.1"], "[::1]": ["::1"]}.get(
            host, ["127.0.0.1", "::1"]
        ):
            offer = offer_to(f"[{reached}]:{port}" if ":" in reached else f"{reached}:{port}", "default")
            assert offer is not None
            with socket.create_connection((reached, offer.port), timeout=60) as raw:
                raw.sendall(framed(offer.hello.SerializeToString()))
                assert raw.recv(1000) == framed(offer.welcome.SerializeToString())
