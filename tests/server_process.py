"""A real `checkpointd serve` in a process of its own."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

COMMAND = [str(Path(sys.executable).parent / "checkpointd")]
READY = "checkpointd listening on "

_START_TIMEOUT = 60.0  # seconds
_STOP_TIMEOUT = 60.0


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without anything that configures a server or names a database, plus `settings`."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("CHECKPOINTD_", "PG"))}
    return mine | settings


class ServerProcess:
    """Runs from construction until `stop` or `kill`. `address` is HOST:PORT, free when `listen` does not name one."""

    def __init__(
        self,
        log: Path,
        *options: str,
        listen: str = "127.0.0.1:0",
        command: Sequence[str] = tuple(COMMAND),
        **settings: str,
    ) -> None:
        """`log` takes what the server writes to stderr; `settings` are environment variables."""
        self.log = log
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [*command, "serve", "--listen", listen, *options],
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment(**settings),
                text=True,
            )
        self.address = self._first_line().removeprefix(READY).strip()

    def _first_line(self) -> str:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            ready = selector.select(_START_TIMEOUT)
        line = self.process.stdout.readline() if ready else ""
        if not line.startswith(READY):
            self.kill()
            raise AssertionError(f"the server did not start; it said {line!r} and logged:\n{self.log.read_text()}")
        return line

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the server the gentle way and return its exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the server's own end and return its exit code."""
        try:
            code = self.process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not stop; it logged:\n{self.log.read_text()}") from None
        self._close()
        return code

    def kill(self) -> None:
        """End the server as a crash would. A PostgreSQL of its own goes on without it."""
        self.process.kill()
        self.process.wait(_STOP_TIMEOUT)
        self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        else:
            self._close()


def eventually(what: str, holds: Callable[[], object], timeout: float = 30.0) -> None:
    """Wait until `holds()` is true; fails with `what` after `timeout` seconds. For what gives no event to wait for."""
    end = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        time.sleep(0.02)
