"""A TCP proxy on loopback that counts the bytes it passes on, both ways."""

import contextlib
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.server.session_carriers import offer_to


class CountingProxy:
    """Between clients and one upstream, from construction until `close`. A connection's bytes are counted as they pass:
    what TCP and IP add is not, nor are acknowledgements."""

    def __init__(self, upstream: tuple[str, int] | Path, host: str = "127.0.0.1", session_port: int = 0) -> None:
        """`upstream` is a host and port, or a unix socket. With a `session_port` the proxy is also before that of the
        upstream, at the same number of its own host."""
        self.sent = 0  # by clients
        self.received = 0  # by clients
        self._counting = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.port = self._listen(host, 0, upstream)
        self.address = f"{host}:{self.port}"
        if session_port and not isinstance(upstream, Path):
            self._listen(host, session_port, (upstream[0], session_port))

    def _listen(self, host: str, port: int, upstream: tuple[str, int] | Path) -> int:
        listener = socket.create_server((host, port))
        self._sockets.append(listener)
        threading.Thread(target=self._accept, args=(listener, upstream), daemon=True).start()
        taken: int = listener.getsockname()[1]
        return taken

    def close(self) -> None:
        """Break all connections."""
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self, listener: socket.socket, upstream: tuple[str, int] | Path) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = listener.accept()
                server = _connected(upstream)
                self._sockets += client, server
                for one in (client, server):
                    if one.family == socket.AF_INET:
                        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        with contextlib.suppress(OSError):  # one of them is gone, so the other goes too
            while data := source.recv(1 << 16):
                with self._counting:
                    if from_client:
                        self.sent += len(data)
                    else:
                        self.received += len(data)
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def _connected(upstream: tuple[str, int] | Path) -> socket.socket:
    if isinstance(upstream, Path):
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(upstream))
        return server
    return socket.create_connection(upstream)


def before_server(address: str) -> CountingProxy:
    """A proxy before both ports of a server of ours."""
    host, _, port = address.rpartition(":")
    offer = offer_to(address, "default")
    assert offer is not None
    return CountingProxy((host, int(port)), "127.0.0.2", offer.port)


def before_postgres(conninfo: str) -> tuple[CountingProxy, str]:
    """A proxy before a PostgreSQL on a unix socket, and the connection string that goes through it."""
    parts = conninfo_to_dict(conninfo)
    proxy = CountingProxy(Path(str(parts["host"]), f".s.PGSQL.{parts['port']}"))
    return proxy, make_conninfo(conninfo, host="127.0.0.1", port=proxy.port)
