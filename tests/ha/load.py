"""Clients of all kinds that work without a pause, and remember what they were told is done."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

from checkpointd.client import CheckpointdError, Client
from checkpointd.v1.checkpoints_pb2 import CommitOp
from tests.messages import checkpoint_put, writes_put
from tests.server.conditional import graph, update
from tests.server_process import eventually


class Load:
    """Threads of three kinds, each on a thread of its own: puts in a session, calls that commit a checkpoint and its
    writes, and updates of a state. What fails for a moment is repeated by the client, and by nobody else."""

    def __init__(self, target: str, *, count: int = 4, timeout: float = 60) -> None:
        """`count` of each kind; `timeout` is the clients', in seconds."""
        self._client = Client(target, timeout=timeout)
        self._client.register_graph(graph_name="g", spec=graph().spec)
        self._stopping = threading.Event()
        self.done: dict[str, list[str]] = {}
        """The ids of the checkpoints that were acknowledged, by thread, in order."""
        self.failed: list[str] = []
        self.slowest = 0.0
        """Seconds that the slowest op took, its repetitions included."""
        kinds: dict[str, Callable[[str, int], str]] = {
            "session": self._put,
            "call": self._commit,
            "update": self._update,
        }
        self._threads = [
            threading.Thread(target=self._work, args=(f"{kind}-{number}", act))
            for kind, act in kinds.items()
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, thread_id: str, act: Callable[[str, int], str]) -> None:
        mine = self.done[thread_id] = []
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                mine.append(act(thread_id, len(mine)))
            except CheckpointdError as error:
                self.failed.append(f"{thread_id}: {error}")
                return
            self.slowest = max(self.slowest, time.monotonic() - began)

    def _put(self, thread_id: str, turn: int) -> str:
        put = checkpoint_put(f"c{turn:06}", values={"a": f"{turn}" * 100})
        self._client.put_checkpoint(thread_id=thread_id, checkpoint=put.checkpoint)
        return f"c{turn:06}"

    def _commit(self, thread_id: str, turn: int) -> str:
        name = f"c{turn:06}"
        # Larger than what goes in a session.
        put = checkpoint_put(name, values={"a": f"{turn:06}" * 50_000}, versions={"a": name})
        writes = writes_put(name, "task", [(0, "a", name)])
        self._client.commit(thread_id=thread_id, ops=[CommitOp(put_checkpoint=put), CommitOp(put_writes=writes)])
        return name

    def _update(self, thread_id: str, turn: int) -> str:
        request = update(thread_id, turn)
        answer = self._client.update_state(thread_id=thread_id, supersteps=request.supersteps, graph=request.graph)
        return answer.config.checkpoint_id

    @property
    def total(self) -> int:
        """How many ops were acknowledged."""
        return sum(map(len, self.done.values()))

    def go_on(self, more: int = 100) -> None:
        """Wait until every thread has gone on, and so many more ops were acknowledged."""
        before = {name: len(done) for name, done in self.done.items()}
        goal = self.total + more
        eventually(
            "all go on",
            lambda: (
                self.failed
                or (self.total >= goal and all(len(self.done[name]) > count for name, count in before.items()))
            ),
            timeout=120,
        )

    def finish(self) -> None:
        """Let each end what it does."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._client.close()

    def wrong(self, address: str) -> list[str]:
        """What the server at an address has else than was acknowledged: too little, too much, or in another order."""
        found = []
        with Client(address) as client:
            for thread_id, done in self.done.items():
                stored = [one.checkpoint.id for one in client.list_checkpoints(thread_id=thread_id, checkpoint_ns="")]
                if stored != done[::-1]:
                    lost, more = set(done) - set(stored), set(stored) - set(done)
                    found.append(f"{thread_id}: {len(lost)} lost, {len(more)} too many, of {len(done)}")
        return found

    def __enter__(self) -> "Load":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()
