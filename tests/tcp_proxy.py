"""A TCP proxy on loopback, through which a test makes a network fail, or a peer say what it would not say."""

import asyncio
import re
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

Rewrite = Callable[[bytes], bytes]


class TcpProxy:
    """Passes bytes both ways between its clients and one upstream, from construction until `close`.

    All methods block until done and may be called from any thread.
    """

    def __init__(
        self, upstream: tuple[str, int] | Path, rewrite: Rewrite = bytes, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """`upstream` is a host and port, or a unix socket. `rewrite` is given what upstream sends, piece by piece as it
        arrives, and returns what the client gets instead. It listens at `host` and `port`; 0 takes a free one."""
        self._upstream = upstream
        self._rewrite = rewrite
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self._thread.start()
        self.host, self.port = host, port
        self.accept()

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def refuse(self) -> None:
        """Refuse new connections; those that are open stay."""
        self._run(self._refuse())

    def accept(self) -> None:
        """Accept connections again, on the same port."""
        self._run(self._accept())

    def cut(self) -> None:
        """Break all connections that are open now."""
        self._run(self._cut())

    def hold(self) -> None:
        """Pass nothing on, as a network that swallows everything, until `release`; connections are still accepted."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def release(self) -> None:
        """Pass on what was held, and what comes."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def close(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> "TcpProxy":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _accept(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._connect, self.host, self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _close(self) -> None:
        await self._refuse()
        self._flowing.set()
        await self._cut()
        # Connections end by themselves now; a task of theirs that were cancelled would be reported as a failure.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            _, others = await asyncio.wait(others, timeout=1)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if isinstance(self._upstream, Path):
                answers, questions = await asyncio.open_unix_connection(self._upstream)
            else:
                answers, questions = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.transport.abort()
            return
        ours = {writer, questions}
        self._writers |= ours
        try:
            await asyncio.gather(self._pass(reader, questions, bytes), self._pass(answers, writer, self._rewrite))
        except OSError:
            pass  # one side is gone, so the other goes too
        finally:
            self._writers -= ours
            for side in ours:
                side.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, rewrite: Rewrite) -> None:
        while data := await source.read(1 << 16):
            await self._flowing.wait()
            target.write(rewrite(data))
            await target.drain()
        target.write_eof()


def postgres_proxy(conninfo: str, rewrite: Rewrite = bytes) -> tuple[TcpProxy, str]:
    """A proxy before a PostgreSQL that listens on a unix socket, and the connection string that goes through it."""
    parts = conninfo_to_dict(conninfo)
    proxy = TcpProxy(Path(str(parts["host"]), f".s.PGSQL.{parts['port']}"), rewrite)
    return proxy, make_conninfo(conninfo, host="127.0.0.1", port=proxy.port)


def claiming_version(version: str) -> Rewrite:
    """Makes a PostgreSQL report another `server_version` to each client that connects."""

    def message(_match: re.Match[bytes]) -> bytes:
        content = b"server_version\0" + version.encode() + b"\0"
        return b"S" + (4 + len(content)).to_bytes(4, "big") + content

    # PostgreSQL sends all it says at a connection's start as one piece.
    return lambda data: re.sub(rb"S\0\0\0.server_version\0[^\0]*\0", message, data, flags=re.DOTALL)
