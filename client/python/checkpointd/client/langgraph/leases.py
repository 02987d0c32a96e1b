"""The leases that a saver's runs hold.

A run's first access takes one, a thread of the saver's renews it, and the end of the run gives it back.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import queue
import secrets
import socket
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from checkpointd.client import operations
from checkpointd.client.calls import acall, call
from checkpointd.client.connection import Connection
from checkpointd.client.errors import Aborted, CheckpointdError, ClientClosed
from checkpointd.client.rpcs import Operation
from checkpointd.v1.leases_pb2 import Lease as Given

_log = logging.getLogger("checkpointd.client")

# Seconds that closing, or a run's end, takes at most to give leases back. They end by themselves too.
_GIVE_BACK = 5.0


class _Held:
    """What is known of a lease, apart from the Lease itself, whose end this outlives."""

    def __init__(self, thread_id: str, holder: str, token: int, due: float) -> None:
        self.thread_id = thread_id
        self.holder = holder
        self.token = token
        self.due = due  # when to renew it, by time.monotonic()
        self.process = os.getpid()
        self.ended = False
        self.lease: weakref.ref[Lease]
        self.given_back: Future[None] = Future()


class Lease:
    """The right to write a thread, until it is given back or nobody refers to it any more."""

    def __init__(self, leases: Leases, held: _Held) -> None:
        self.token = held.token
        self._leases = leases
        self._held = held
        # Called in any thread at any moment, so it takes no lock: a SimpleQueue is made for that.
        self.end = weakref.finalize(self, _end, held, leases.ended)
        self.end.atexit = False

    def give_back(self) -> None:
        """End it now, so that who hears of the run's end finds it free."""
        if self.end.detach() and self._held.process == os.getpid():
            self._leases.give_back(self._held)

    async def agive_back(self) -> None:
        """As `give_back`."""
        if self.end.detach() and self._held.process == os.getpid():
            await self._leases.agive_back(self._held)


class Leases:
    """The leases of one saver and its clones."""

    def __init__(self, connection: Connection, ttl: float, wait: float) -> None:
        """`ttl` and `wait` are seconds: how long a lease lasts unless it is renewed, and how long to wait for one."""
        self._ttl = ttl
        self._wait = wait
        # With timeouts of their own: a wait may be longer than a call, and a renewal longer than the ttl is in vain.
        timeout = None if connection.timeout is None else wait + connection.timeout
        self._acquiring = connection.with_timeout(timeout)
        self._keeping = connection.with_timeout(ttl)
        self._releasing = connection.with_timeout(_GIVE_BACK)
        self.forget()
        _all.add(self)

    def forget(self) -> None:
        """Begin without leases; also in the child of a fork, to which none of its parent's belongs."""
        self._lock = threading.Lock()
        self._held: dict[int, _Held] = {}  # by token
        self.ended: queue.SimpleQueue[_Held | None] = queue.SimpleQueue()
        self._keeper: threading.Thread | None = None

    def live(self, thread_id: str) -> Lease | None:
        """The lease that a run of this process has on a thread."""
        with self._lock:
            for held in self._held.values():
                if held.thread_id == thread_id and not held.ended and (lease := held.lease()) is not None:
                    return lease
        return None

    def acquire(self, thread_id: str) -> Lease:
        """Take the lease of a thread. Raises LeaseHeld when somebody else has it, and still does after the wait."""
        if before := self._giving_back(thread_id):
            wait(before, self._ttl)
        operation, holder, began = self._acquire(thread_id)
        return self._keep(thread_id, holder, call(self._acquiring, operation), began)

    async def aacquire(self, thread_id: str) -> Lease:
        """As `acquire`."""
        if before := self._giving_back(thread_id):
            await asyncio.wait([asyncio.wrap_future(future) for future in before], timeout=self._ttl)
        operation, holder, began = self._acquire(thread_id)
        acquiring = asyncio.ensure_future(acall(self._acquiring, operation))
        try:
            given = await asyncio.shield(acquiring)
        except asyncio.CancelledError:
            # The server may be giving it at this very moment. Then it is given back; as a Lease that nobody has.
            acquiring.add_done_callback(
                lambda done: (
                    None
                    if done.cancelled() or done.exception()
                    else self._keep(thread_id, holder, done.result(), began).end()
                )
            )
            raise
        return self._keep(thread_id, holder, given, began)

    def give_back(self, held: _Held) -> None:
        """Release a lease; should that fail, it ends by itself."""
        held.ended = True
        with contextlib.suppress(CheckpointdError):
            call(self._releasing, _release(held))
        self._forget(held)

    async def agive_back(self, held: _Held) -> None:
        """As `give_back`."""
        held.ended = True
        try:
            with contextlib.suppress(CheckpointdError):
                await acall(self._releasing, _release(held))
        finally:
            self._forget(held)

    def close(self) -> None:
        """Give all leases back, and take no more."""
        with self._lock:
            held, keeper = list(self._held.values()), self._keeper
        for one in (*held, None):  # the last one only wakes the keeper
            self.ended.put(one)
        if keeper is not None and keeper is not threading.current_thread():
            keeper.join(_GIVE_BACK)
        for connection in (self._acquiring, self._keeping, self._releasing):
            connection.close()

    def _acquire(self, thread_id: str) -> tuple[Any, str, float]:
        holder = f"{socket.gethostname()[:128]}:{os.getpid()}:{secrets.token_hex(16)}"
        operation = operations.acquire_lease(thread_id=thread_id, holder=holder, ttl=self._ttl, wait=self._wait)
        return operation, holder, time.monotonic()

    def _giving_back(self, thread_id: str) -> list[Future[None]]:
        """What a new run on the thread waits for: that the leases of those which were before it here are given back."""
        with self._lock:
            return [one.given_back for one in self._held.values() if one.thread_id == thread_id and one.ended]

    def _keep(self, thread_id: str, holder: str, given: Given, began: float) -> Lease:
        held = _Held(thread_id, holder, given.fencing_token, began + self._ttl / 3)
        lease = Lease(self, held)
        held.lease = weakref.ref(lease)
        with self._lock:
            self._held[held.token] = held
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep_up, name="checkpointd-leases", daemon=True)
                self._keeper.start()
        return lease

    def _keep_up(self) -> None:
        """The keeper's thread: gives back what has ended, and renews the rest in time."""
        while True:
            with self._lock:
                due = min((one.due for one in self._held.values()), default=None)
                if due is None:
                    self._keeper = None
                    return
            # First, or runs that keep ending would leave no time for those that go on.
            self._renew_due()
            with contextlib.suppress(queue.Empty):
                held = self.ended.get(timeout=max(0.0, due - time.monotonic()))
                if held is not None and held.token in self._held:
                    self.give_back(held)

    def _renew_due(self) -> None:
        now = time.monotonic()
        with self._lock:
            due = sorted((one for one in self._held.values() if one.due <= now), key=lambda one: one.due)
        for held in due:
            held.due = time.monotonic() + self._ttl / 3
            self._renew(held)

    def _renew(self, held: _Held) -> None:
        operation = operations.renew_lease(
            thread_id=held.thread_id, holder=held.holder, fencing_token=held.token, ttl=self._ttl
        )
        try:
            call(self._keeping, operation)
        except Aborted as error:
            _log.warning("%s", error)
            self._forget(held)
        except ClientClosed:
            self._forget(held)
        except CheckpointdError as error:
            _log.warning("a lease could not be renewed, and is tried again: %s", error)

    def _forget(self, held: _Held) -> None:
        with self._lock:
            self._held.pop(held.token, None)
        if not held.given_back.done():
            held.given_back.set_result(None)


def _release(held: _Held) -> Operation[None]:
    return operations.release_lease(thread_id=held.thread_id, holder=held.holder, fencing_token=held.token)


def _end(held: _Held, ended: queue.SimpleQueue[_Held | None]) -> None:
    # In the child of a fork it is still its parent's.
    if held.process == os.getpid():
        held.ended = True
        ended.put(held)


_all: weakref.WeakSet[Leases] = weakref.WeakSet()


def _each(act: Callable[[Leases], None]) -> None:
    for leases in list(_all):
        act(leases)


os.register_at_fork(after_in_child=lambda: _each(Leases.forget))
atexit.register(_each, Leases.close)
