"""Who waits for the answer to an op of a session: a thread, or a task of an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any, NamedTuple

from checkpointd.client.fork import gate
from checkpointd.client.status import Status


class Outcome(NamedTuple):
    """What became of an op: a response, or a status that says how it failed."""

    response: Any
    status: Status | None = None


# Tasks whose ops have an outcome, by their loops: a loop is woken once for all of them.
Ready = dict[asyncio.AbstractEventLoop, list["WaitingTask"]]


class WaitingThread:
    """A thread that waits for the outcome of its op."""

    __slots__ = ("_woken", "kind", "outcome")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.outcome: Outcome | None = None
        self._woken = threading.Lock()  # a bare lock, which costs a tenth of an Event
        self._woken.acquire()

    def wait(self, seconds: float | None) -> bool:
        """Wait for the outcome, or to be woken for another reason. False when there is no outcome."""
        self._woken.acquire(timeout=-1 if seconds is None else min(seconds, threading.TIMEOUT_MAX))
        return self.outcome is not None

    def wake(self) -> None:
        """Wake it."""
        with contextlib.suppress(RuntimeError):  # it is woken already
            self._woken.release()

    def end(self, outcome: Outcome, ready: Ready) -> None:
        """Hand over the outcome. To be called once."""
        self.outcome = outcome
        self.wake()


class WaitingTask:
    """A task that waits for the outcome of its op, which any thread may hand over. It is inside the gate until then, or
    until it is forgotten."""

    __slots__ = ("_future", "_loop", "_outcome", "kind")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[Outcome] = self._loop.create_future()
        self._outcome = Outcome(None)

    def __await__(self) -> Any:
        return self._future.__await__()

    def end(self, outcome: Outcome, ready: Ready) -> None:
        """Note the outcome, from any thread; `wake` hands it over. To be called once."""
        gate.leave()
        self._outcome = outcome
        ready.setdefault(self._loop, []).append(self)

    def give_up(self, status: Status) -> None:
        """Hand over that there is no answer, in the task's own loop."""
        gate.leave()
        if not self._future.done():
            self._future.set_result(Outcome(None, status))

    def hand_over(self) -> None:
        """In the task's own loop."""
        if not self._future.done():  # otherwise it was cancelled meanwhile
            self._future.set_result(self._outcome)


class WaitingHere:
    """A task that waits for the outcome of its op, which its own loop hands over."""

    __slots__ = ("_future", "kind")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def __await__(self) -> Any:
        return self._future.__await__()

    def end(self, outcome: Outcome, ready: Ready) -> None:
        """Hand over the outcome."""
        if not self._future.done():  # otherwise it was cancelled meanwhile
            self._future.set_result(outcome)

    def give_up(self, status: Status) -> None:
        """Hand over that there is no answer."""
        if not self._future.done():
            self._future.set_result(Outcome(None, status))


Waiting = WaitingThread | WaitingTask | WaitingHere


def wake(ready: Ready) -> None:
    """Hand over, from any thread, the outcomes of the tasks that have one."""
    for loop, tasks in ready.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_hand_over, tasks)


def _hand_over(tasks: list[WaitingTask]) -> None:
    for task in tasks:
        task.hand_over()
