"""Many clients that put, and remember what they were told is stored."""

import threading
from types import TracebackType

import grpc

from checkpointd.v1.checkpoints_pb2 import ListCheckpointsRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from tests.messages import checkpoint_put, commit, writes_put
from tests.server.wire import error_reason, ids
from tests.server_process import eventually

Failure = tuple[grpc.StatusCode, str | None]


class Putters:
    """Threads that each put checkpoint after checkpoint on a thread of their own, until they are stopped or told no.

    With `retry` a refused put is sent again until it is accepted; without it, the first one ends its putter.
    """

    def __init__(self, address: str, *, count: int = 8, retry: bool = False) -> None:
        self._channel = grpc.insecure_channel(address)
        self._retry = retry
        self._stopping = threading.Event()
        self.acknowledged: list[list[str]] = [[] for _ in range(count)]
        self.failures: list[Failure] = []
        self._threads = [threading.Thread(target=self._put, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def _put(self, number: int) -> None:
        stub = CheckpointsStub(self._channel)
        mine = self.acknowledged[number]
        while not self._stopping.is_set():
            name = f"c{len(mine):06}"
            put = checkpoint_put(name, values={"a": name * 100})
            request = commit(f"t{number}", put, writes_put(name, "task", [(0, "a", name)]))
            try:
                stub.Commit(request, timeout=60)
            except grpc.RpcError as error:
                self.failures.append((error.code(), error_reason(error)))  # type: ignore[arg-type]
                if not self._retry:
                    return
                self._stopping.wait(0.05)
            else:
                mine.append(name)

    @property
    def total(self) -> int:
        return sum(map(len, self.acknowledged))

    def go_on(self, more: int = 50) -> None:
        """Wait until this many more puts have been acknowledged."""
        goal = self.total + more
        eventually(f"{more} more puts are acknowledged", lambda: self.total >= goal, timeout=60)

    def finish(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._channel.close()

    def missing(self, address: str) -> list[str]:
        """What was acknowledged and is not stored, whole, on the server at this address."""
        lost: list[str] = []
        with grpc.insecure_channel(address) as channel:
            stub = CheckpointsStub(channel)
            for number, names in enumerate(self.acknowledged):
                found = _stored(stub, f"t{number}")
                lost += [f"t{number}/{name}" for name in names if found.get(name) != (name * 100, [name])]
        return lost

    def __enter__(self) -> "Putters":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()


def _stored(stub: CheckpointsStub, thread_id: str) -> dict[str, tuple[str, list[str]]]:
    """The values and the writes of a thread's checkpoints, as soon as the server can tell them."""
    found: dict[str, tuple[str, list[str]]] = {}

    def answered() -> bool:
        try:
            for answer in stub.ListCheckpoints(ListCheckpointsRequest(thread_id=thread_id)):
                entry = answer.checkpoint_tuple
                found[entry.checkpoint.id] = (
                    entry.checkpoint.channel_values["a"].data.decode(),
                    [pending.write.value.data.decode() for pending in entry.pending_writes],
                )
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            return False
        return True

    eventually(f"{thread_id} is listed", answered)
    return found


def listed(address: str, thread_id: str) -> list[str]:
    with grpc.insecure_channel(address) as channel:
        return ids(CheckpointsStub(channel).ListCheckpoints(ListCheckpointsRequest(thread_id=thread_id)))
