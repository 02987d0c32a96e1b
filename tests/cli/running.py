"""The installed command, run as a script runs it (`run`) and as a person does (`on_terminal`)."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
import threading
from typing import Any, NamedTuple

from tests.server_process import COMMAND, environment

_TIMEOUT = 60.0  # seconds


class Answer(NamedTuple):
    """What the command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it said, by line."""
        assert self.err == ""
        assert self.code == 0
        return self.out.splitlines()

    @property
    def document(self) -> Any:
        """The one JSON document that it said."""
        (document,) = self.documents
        return document

    @property
    def documents(self) -> list[Any]:
        """The JSON documents that it said, one on each line."""
        return [json.loads(line) for line in self.lines]


class Command:
    """The command with some environment variables."""

    def __init__(self, **settings: str) -> None:
        self._environment = environment(TZ="UTC", **settings)
        # What would set a width or a colour of its own.
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            self._environment.pop(name, None)

    def start(self, *words: str, **streams: Any) -> subprocess.Popen[str]:
        """Start the command with these streams."""
        return subprocess.Popen([*COMMAND, *words], text=True, env=self._environment, **streams)

    def run(self, *words: str, given: str | None = None, **settings: str) -> Answer:
        """Run the command without a terminal, with `given` on its standard input."""
        done = subprocess.run(
            [*COMMAND, *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            env=self._environment | settings,
            **({"stdin": subprocess.DEVNULL} if given is None else {"input": given}),
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def on_terminal(self, *words: str, typed: str = "", columns: int = 80, **settings: str) -> Answer:
        """Run the command on a terminal of this width, `typed` being the answer to its question. `out` is all seen."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        with subprocess.Popen(
            [*COMMAND, *words],
            env=self._environment | {"TERM": "xterm-256color"} | settings,
            preexec_fn=lambda: os.login_tty(theirs),  # noqa: PLW1509 - Ctrl-C reaches only who owns the terminal
        ) as process:
            os.close(theirs)
            watchdog = threading.Timer(_TIMEOUT, process.kill)
            watchdog.start()
            seen = b""
            with contextlib.suppress(OSError):  # how a terminal ends
                while chunk := os.read(ours, 1 << 16):
                    seen += chunk
                    if typed and seen.endswith(b"[y/N] "):
                        os.write(ours, typed.encode())
                        typed = ""
            code = process.wait()
            watchdog.cancel()
        os.close(ours)
        return Answer(code, seen.decode().replace("\r\n", "\n"), "")
