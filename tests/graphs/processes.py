"""Operating-system processes that each run one step of a scenario against the server that the test runs against.

A step is a function of a test module: it gets a saver of its own and plain arguments, builds its graph, and returns a
value. Its nodes call `tell` when they run, so that a test knows which nodes ran where, how often, and when a process is
inside one: tests wait for words, never for time.

The processes come from a fork server, which imports LangGraph once and holds no connection: each starts in
milliseconds, with nothing of the test's own process in it.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from checkpointd.client.langgraph import RemoteSaver

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE = 60.0
"""Seconds after which waiting for another process is a failure: far above what any step takes."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["pytest", "langgraph.prebuilt", "checkpointd.client.langgraph"])


class _Link:
    """A process's end of the pipe to the test that started it."""

    def __init__(self, connection: Connection, hold: str | None) -> None:
        self._connection = connection
        self._hold = hold
        self._sending = threading.Lock()

    def send(self, kind: str, content: object) -> None:
        with self._sending:
            self._connection.send((kind, content))

    def tell(self, word: str) -> None:
        self.send("told", word)
        if word == self._hold:
            if not self._connection.poll(PATIENCE):
                raise TimeoutError(f"nobody let this process go on from {word!r}")
            self._connection.recv()


_link: _Link | None = None


def tell(word: str) -> None:
    """Called by a node: says a word to the test, and stays inside the node if the test asked to be held there."""
    if _link is not None:
        _link.tell(word)


def _main(connection: Connection, hold: str | None, address: str, tenant: str, work: Callable[..., Any]) -> None:
    global _link  # noqa: PLW0603 (a process has one link)
    _link = _Link(connection, hold)
    warnings.simplefilter("error")
    try:
        with RemoteSaver.from_conn_string(address, tenant=tenant) as saver:
            value = work(saver)
        _link.send("value", value)
    except BaseException:
        _link.send("failure", traceback.format_exc())


@dataclass(frozen=True)
class _Work:
    """A step with its arguments, as it travels to its process."""

    step: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self, saver: RemoteSaver) -> object:
        return self.step(saver, *self.args, **self.kwargs)


@dataclass
class Running(Generic[R]):
    """A process at work on a step."""

    process: BaseProcess
    connection: Connection
    name: str
    told: list[str] = field(default_factory=list)
    """The words that its nodes told, in order, as far as the test has listened."""
    _values: list[R] = field(default_factory=list)

    def wait_until_told(self, word: str) -> None:
        """Return once a node told the word."""
        self._listen(lambda: word in self.told, f"told {word!r}")

    def let_go(self) -> None:
        """Let a process that is held inside a node go on."""
        self.connection.send("go")

    def kill(self) -> None:
        """Kill the process as a power cut would (SIGKILL), and return when it is gone."""
        assert not self._values, f"{self.name} ended before it could be killed"
        self.process.kill()
        self.process.join(PATIENCE)
        assert self.process.exitcode == -signal.SIGKILL, (
            f"{self.name} was not killed: exit code {self.process.exitcode}"
        )
        while self._hear():
            pass

    def result(self) -> R:
        """What the step returned, once it has; an error in it is the test's failure."""
        self._listen(lambda: bool(self._values), "returned")
        self.process.join(PATIENCE)
        assert self.process.exitcode == 0, f"{self.name} ended with exit code {self.process.exitcode}"
        return self._values[0]

    def _listen(self, enough: Callable[[], bool], hoped: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not enough():
            if not self.connection.poll(max(0.0, deadline - time.monotonic())):
                raise AssertionError(f"{self.name} has not {hoped} within {PATIENCE:.0f} s; it told {self.told}")
            if not self._hear():
                raise AssertionError(f"{self.name} ended and had not {hoped}; it told {self.told}")

    def _hear(self) -> bool:
        """Take one message; false at the end of the pipe."""
        try:
            kind, content = self.connection.recv()
        except (EOFError, ConnectionResetError):
            return False
        if kind == "failure":
            raise AssertionError(f"{self.name} failed in process {self.process.pid}:\n{content}")
        if kind == "told":
            self.told.append(content)
        else:
            self._values.append(content)
        return True


@dataclass(frozen=True)
class Processes:
    """Starts processes that share one server and one tenant."""

    address: str
    tenant: str
    _started: list[Running[Any]] = field(default_factory=list)
    _hold: str | None = None

    def holding_at(self, word: str) -> Processes:
        """The same, but a process stays inside the node that tells the word, until it is let go or killed."""
        return replace(self, _hold=word)

    def start(self, step: Callable[Concatenate[RemoteSaver, P], R], *args: P.args, **kwargs: P.kwargs) -> Running[R]:
        """Start a step in a process of its own."""
        here, there = _context.Pipe()
        work = _Work(step, args, kwargs)
        process = _context.Process(target=_main, args=(there, self._hold, self.address, self.tenant, work), daemon=True)
        process.start()
        there.close()
        running: Running[R] = Running(process, here, getattr(step, "__name__", repr(step)))
        self._started.append(running)
        return running

    def run(self, step: Callable[Concatenate[RemoteSaver, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a step in a process of its own and return what it returned."""
        return self.start(step, *args, **kwargs).result()

    def ran(
        self, step: Callable[Concatenate[RemoteSaver, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> tuple[R, list[str]]:
        """Like `run`, with the words that were told."""
        running = self.start(step, *args, **kwargs)
        return running.result(), running.told

    def end(self) -> None:
        """End what a failed test left behind."""
        for running in self._started:
            running.process.kill()
            running.process.join(PATIENCE)
            running.process.close()
            running.connection.close()
