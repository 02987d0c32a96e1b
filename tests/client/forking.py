"""Programs that fork while they use a client: `python -m tests.client.forking PROGRAM TARGET`.

Each one runs in a process of its own, because a process with a gRPC server, as the test's is, must not fork. It exits
with 0 if all went well there and in its children.
"""

import asyncio
import faulthandler
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable

from checkpointd.client import AsyncClient, CheckpointdError, Client, Unavailable


class Clients:
    """A client of each kind, and a call with each."""

    def __init__(self, target: str) -> None:
        self.sync = Client(target, timeout=30)
        self.asynchronous = AsyncClient(target, timeout=30)

    def use(self) -> None:
        """Calls of their own, and ops of a session."""
        self.sync.get_thread(thread_id="t")
        self.op("sync")
        asyncio.run(self._use())

    async def _use(self) -> None:
        await asyncio.gather(
            *(self.asynchronous.get_thread(thread_id="t") for _ in range(3)),
            *(self.aop(f"task {n}") for n in range(3)),
        )

    def op(self, checkpoint_id: str) -> None:
        found = self.sync.get_checkpoint(thread_id="t", checkpoint_id=checkpoint_id)
        assert found.checkpoint.id == checkpoint_id, found

    async def aop(self, checkpoint_id: str) -> None:
        found = await self.asynchronous.get_checkpoint(thread_id="t", checkpoint_id=checkpoint_id)
        assert found.checkpoint.id == checkpoint_id, found


def fork(child: Callable[[], None]) -> int:
    """The id of a new process that exits, as Python programs do, with 0 if `child` raises nothing."""
    process = os.fork()
    if process:
        return process
    end_in_time()
    try:
        child()
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    sys.exit(0)


def end_in_time() -> None:
    """End this process, with a traceback, if it hangs. A child does not inherit the alarm."""
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(60)


def well_ended(process: int) -> None:
    _, status = os.waitpid(process, 0)
    assert status == 0, f"the child ended with {os.waitstatus_to_exitcode(status)}"


def quiet(target: str) -> None:
    """A parent that has made calls."""
    clients = Clients(target)
    clients.use()
    child = fork(clients.use)
    clients.use()
    well_ended(child)
    clients.use()


def often(target: str) -> None:
    """Fork after fork, each with a session that is idle; parent and child go on at once."""
    clients = Clients(target)
    for n in range(50):
        clients.op(str(n))
        child = fork(lambda n=n: clients.op(f"child {n}"))  # type: ignore[misc]
        clients.op(f"parent {n}")
        well_ended(child)


def dropped(target: str) -> None:
    """A client that nobody has any more, and nobody has closed."""
    clients = Clients(target)
    clients.op("before")
    del clients
    well_ended(fork(Clients(target).use))


def generations(target: str) -> None:
    """A child that forks too."""
    clients = Clients(target)
    clients.use()

    def child() -> None:
        clients.use()
        well_ended(fork(clients.use))
        clients.use()

    well_ended(fork(child))


def unused(target: str) -> None:
    """A parent that has not used its clients yet."""
    clients = Clients(target)
    well_ended(fork(clients.use))
    clients.use()


def closed(target: str) -> None:
    """A client that was closed before stays so."""
    clients = Clients(target)
    clients.sync.close()

    def child() -> None:
        try:
            clients.sync.get_thread(thread_id="t")
        except CheckpointdError:
            return
        raise AssertionError("a closed client made a call")

    well_ended(fork(child))


def busy(target: str) -> None:
    """A parent whose other threads and loops make calls all the while."""
    clients = Clients(target)
    enough = threading.Event()
    failures: list[BaseException] = []

    def call() -> None:
        try:
            for n in itertools.takewhile(lambda _: not enough.is_set(), itertools.count()):
                clients.sync.get_thread(thread_id="t")
                clients.op(str(n))
        except BaseException as error:
            failures.append(error)

    async def acall() -> None:
        while not enough.is_set():
            await clients._use()

    def loop() -> None:
        try:
            asyncio.run(acall())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=kind) for kind in (call, call, loop)]
    for thread in threads:
        thread.start()

    def child() -> None:
        enough.set()
        clients.use()
        os._exit(0)  # the interpreter would wait for threads that do not exist here

    for _ in range(20):
        well_ended(fork(child))
        clients.use()
    enough.set()
    for thread in threads:
        thread.join()
    assert not failures, failures


def waiting(target: str) -> None:
    """A parent with a call that does not end: the fork breaks it off, and it is made again."""
    clients = Clients(target)
    answered: list[object] = []
    thread = threading.Thread(target=lambda: answered.append(clients.sync.get_checkpoint(thread_id="t")))
    thread.start()
    sys.stdin.readline()  # the server has the call

    def child() -> None:
        clients.use()
        os._exit(0)  # the interpreter would wait for a thread that does not exist here

    well_ended(fork(child))
    thread.join()
    assert answered


def listing(target: str) -> None:
    """A list that is half read: the parent reads on, the child does where it can without the parent's call."""
    clients = Clients(target)
    everything, one_namespace = (
        clients.sync.list_checkpoints(),
        clients.sync.list_checkpoints(thread_id="t", checkpoint_ns=""),
    )
    first = [next(everything).checkpoint.id, next(one_namespace).checkpoint.id]
    assert first == ["c3", "c3"], first

    def child() -> None:
        rest = [one.checkpoint.id for one in one_namespace]
        assert rest == ["c2", "c1"], rest
        try:
            next(everything)
        except Unavailable:
            return
        raise AssertionError("the child read from its parent's call")

    well_ended(fork(child))
    for rest in (everything, one_namespace):
        ids = [one.checkpoint.id for one in rest]
        assert ids == ["c2", "c1"], ids


def pool(target: str) -> None:
    """multiprocessing's processes, started by a thread of an event loop's."""
    clients = Clients(target)
    clients.use()

    async def start() -> None:
        await clients.asynchronous.get_thread(thread_id="t")
        process = multiprocessing.get_context("fork").Process(target=clients.use)
        process.start()
        await clients.asynchronous.get_thread(thread_id="t")
        process.join()
        assert process.exitcode == 0

    asyncio.run(start())


PROGRAMS = {
    program.__name__: program
    for program in (quiet, often, dropped, generations, unused, closed, busy, waiting, listing, pool)
}

if __name__ == "__main__":
    end_in_time()
    PROGRAMS[sys.argv[1]](sys.argv[2])
