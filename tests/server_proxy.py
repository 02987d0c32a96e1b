"""Proxies before both ports of a server: gRPC's, and the one that it offers for sessions."""

from types import TracebackType
from typing import Self

from tests.server.session_carriers import offer_to
from tests.server_process import ServerProcess
from tests.tcp_proxy import Rewrite, TcpProxy

# Loopback addresses on which the servers of tests do not listen. A client connects to the session port that a server
# offers at the address by which it reached gRPC's.
_HOST, STREAM_HOST = "127.0.0.2", "127.0.0.3"


class ServerProxy:
    """Two proxies that do the same, from construction until `close`."""

    def __init__(self, address: str, session_port: int, host: str = _HOST, rewrite: Rewrite = bytes) -> None:
        upstream, _, port = address.rpartition(":")
        self._grpc = TcpProxy((upstream, int(port)), rewrite, host=host)
        self._sessions = TcpProxy((upstream, session_port), rewrite, host=host, port=session_port)
        self.address = self._grpc.address

    def refuse(self) -> None:
        """Refuse new connections; those that are open stay."""
        self._grpc.refuse()
        self._sessions.refuse()

    def accept(self) -> None:
        """Accept connections again."""
        self._grpc.accept()
        self._sessions.accept()

    def cut(self) -> None:
        """Break all connections that are open now."""
        self._grpc.cut()
        self._sessions.cut()

    def hold(self) -> None:
        """Pass nothing on until `release`."""
        self._grpc.hold()
        self._sessions.hold()

    def release(self) -> None:
        """Pass on what was held, and what comes."""
        self._grpc.release()
        self._sessions.release()

    def close(self) -> None:
        self._grpc.close()
        self._sessions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def proxy_of(server: ServerProcess, rewrite: Rewrite = bytes) -> ServerProxy:
    """Before a server that runs."""
    offer = offer_to(server.address, "default")
    assert offer is not None
    return ServerProxy(server.address, offer.port, rewrite=rewrite)


def stream_proxy_of(server: ServerProcess) -> TcpProxy:
    """Before a server's gRPC only: sessions are carried by streams."""
    host, _, port = server.address.rpartition(":")
    return TcpProxy((host, int(port)), host=STREAM_HOST)
