"""Surviving os.fork.

gRPC can be carried over a fork only while no thread is inside it; otherwise the child may crash or hang, and with old
versions the parent too. So every use of a channel passes the gate below. Before a fork the gate closes and waits for
the calls under way; calls that take longer than a moment have their channel closed under them, and are sent again,
which is safe, on a new channel after the fork (a list that was half read and can't go on raises
Unavailable instead). Sessions, which have threads inside gRPC also while no call is under way, are ended last; the next
op opens a new one.
The child starts with nothing: each client opens a channel of its own.

What this can't cover is gRPC used by other code of the process, in another thread, at the moment of the fork.
"""

import atexit
import os
import threading
import weakref
from typing import Protocol

# Seconds. How long a fork waits for calls to end by themselves: most take milliseconds.
_PATIENCE = 1.0
# Seconds. How long it waits for those whose channel it closed; they end at once, unless one belongs to the very thread
# that forks (a signal handler that forks during a call), which can't be helped.
_LAST_PATIENCE = 5.0


_kept: list[object] = []


def keep_for_ever(inherited: object) -> None:
    """In a child: never let go of a channel or a call of the parent's, since gRPC would act on its end."""
    _kept.append(inherited)


class ThreadOfGrpcs:
    """A thread that gRPC has started for one call, and that makes itself known when it comes by."""

    def __init__(self) -> None:
        self._known = threading.Event()
        self._thread: threading.Thread | None = None

    def is_this(self) -> None:
        """Say, in the thread, that it is the one."""
        if self._thread is None:
            self._thread = threading.current_thread()
            self._known.set()

    def is_gone(self) -> None:
        """Say that it will not come by."""
        self._known.set()

    def join(self, seconds: float) -> None:
        """Wait for its end, for so long at most."""
        self._known.wait(seconds)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)


class Forkable(Protocol):
    """Something with a channel."""

    def interrupt(self) -> None:
        """End all calls by closing the channel; the next call opens a new one."""

    def settle(self) -> None:
        """End what goes on without a call, and wait until its threads have left gRPC. No call is under way."""

    def forget(self) -> None:
        """In a child: drop the parent's channel without touching it."""


class Gate:
    """Lets calls into gRPC, except while the process forks."""

    def __init__(self) -> None:
        self._members: weakref.WeakSet[Forkable] = weakref.WeakSet()
        self._one_fork = threading.Lock()
        self._reset()
        self._goes_first = False
        os.register_at_fork(
            before=lambda: None if self._goes_first else self._close(),
            after_in_parent=lambda: None if self._goes_first else self._open(),
            after_in_child=self._start_again,
        )
        # Threads that are inside gRPC while the interpreter goes away may crash it.
        atexit.register(self._settle)

    def _reset(self) -> None:
        self._lock = threading.Lock()  # by itself, where nobody waits: a Condition costs several times as much
        self._changed = threading.Condition(self._lock)
        self._inside = 0
        self._closed = False

    def go_first(self) -> None:
        """Be asked before a fork before gRPC is, which has a hook of its own if GRPC_ENABLE_FORK_SUPPORT is set.

        gRPC's stops its threads, so that no call could end any more, and it is made with the first channel. The hook
        that was made last is asked first.
        """
        if not self._goes_first:
            self._goes_first = True
            os.register_at_fork(before=self._close, after_in_parent=self._open)

    def add(self, member: Forkable) -> None:
        """Keep a member informed of forks for as long as it lives."""
        with self._changed:
            self._members.add(member)

    def enter(self) -> None:
        """Before gRPC is called. Waits while a fork is under way."""
        with self._lock:
            while self._closed:
                self._changed.wait()
            self._inside += 1

    def leave(self) -> None:
        """After the call has ended, in any thread."""
        with self._lock:
            self._inside -= 1
            if self._closed:
                self._changed.notify_all()

    def __enter__(self) -> None:
        self.enter()

    def __exit__(self, *_: object) -> None:
        self.leave()

    def _close(self) -> None:
        self._one_fork.acquire()
        with self._changed:
            self._closed = True
            calm = self._changed.wait_for(lambda: self._inside == 0, _PATIENCE)
        if not calm:
            for member in self._all():
                member.interrupt()
            with self._changed:
                self._changed.wait_for(lambda: self._inside == 0, _LAST_PATIENCE)
        self._settle()

    def _settle(self) -> None:
        for member in self._all():
            member.settle()

    def _all(self) -> list[Forkable]:
        with self._changed:
            return list(self._members)

    def _open(self) -> None:
        with self._changed:
            self._closed = False
            self._changed.notify_all()
        self._one_fork.release()

    def _start_again(self) -> None:
        # The locks were copied as they stood in the parent, possibly held by threads that do not exist here.
        self._one_fork = threading.Lock()
        self._reset()
        for member in self._all():
            member.forget()


gate = Gate()
