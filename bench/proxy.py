"""A TCP proxy on loopback that counts the bytes it passes on, both ways."""

import contextlib
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class CountingProxy:
    """Between clients and one upstream, from construction until `close`. A connection's bytes are counted as they pass:
    what TCP and IP add is not, nor are acknowledgements."""

    def __init__(self, upstream: tuple[str, int] | Path) -> None:
        """`upstream` is a host and port, or a unix socket."""
        self._upstream = upstream
        self.sent = 0  # by clients
        self.received = 0  # by clients
        self._counting = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        """Break all connections."""
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = self._connect()
                self._sockets += client, server
                for one in (client, server):
                    if one.family == socket.AF_INET:
                        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self._upstream, Path):
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._upstream))
            return server
        return socket.create_connection(self._upstream)

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


def before_server(address: str) -> CountingProxy:
    """A proxy before a server of ours."""
    host, _, port = address.rpartition(":")
    return CountingProxy((host, int(port)))


def before_postgres(conninfo: str) -> tuple[CountingProxy, str]:
    """A proxy before a PostgreSQL on a unix socket, and the connection string that goes through it."""
    parts = conninfo_to_dict(conninfo)
    proxy = CountingProxy(Path(str(parts["host"]), f".s.PGSQL.{parts['port']}"))
    return proxy, make_conninfo(conninfo, host="127.0.0.1", port=proxy.port)
