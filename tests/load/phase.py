"""One phase of load on a server: some processes of callers, and what is seen of them and of the server."""

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import grpc
import psutil

from checkpointd.v1.threads_pb2 import GetThreadRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.load.callers import Done, Plan
from tests.server_process import ServerProcess

# Seconds between two looks at the server's memory.
_LOOK = 0.1


@dataclass
class Seen:
    """What was seen in a phase."""

    done: Done
    seconds: float
    most_memory: int  # bytes: the server's resident set at its largest

    @property
    def accepted(self) -> int:
        return len(self.done.took)

    def took(self, share: float) -> float:
        """Seconds within which that share of the accepted requests was answered."""
        return percentile(self.done.took, share)

    def waited(self, share: float) -> float:
        return percentile(self.done.waited, share)


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def phase(
    server: ServerProcess,
    name: str,
    *,
    callers: int,
    seconds: float,
    carrier: str = "session",
    heeds: bool = True,
    processes: int = 2,
    value_bytes: int = 1024,
) -> Seen:
    """Let so many callers call a server for some seconds."""
    processes = min(processes, callers)
    shares = [callers // processes + (number < callers % processes) for number in range(processes)]
    plans = [
        Plan(server.address, "default", carrier, share, seconds, heeds, value_bytes, f"{name}-{number}")
        for number, share in enumerate(shares)
    ]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.load.callers", json.dumps(asdict(plan))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for plan in plans
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        with _Memory(server) as memory:
            for process in started:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            found = [Done(**json.loads(process.communicate(timeout=seconds + 60)[0])) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    return Seen(_together(found), seconds, memory.most)


def _together(found: Sequence[Done]) -> Done:
    all_of = Done()
    for one in found:
        all_of.stored |= one.stored
        all_of.refused += one.refused
        all_of.by_grpc += one.by_grpc
        all_of.took += one.took
        all_of.waited += one.waited
        all_of.failed += one.failed
    return all_of


class _Memory:
    """Looks at a server's memory again and again."""

    def __init__(self, server: ServerProcess) -> None:
        self._process = psutil.Process(server.process.pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.most = 0

    def _look(self) -> None:
        while not self._over.wait(_LOOK):
            self.most = max(self.most, self._process.memory_info().rss)

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def lost(server: ServerProcess, seen: Seen) -> Counter[str]:
    """By thread, how many checkpoints are missing of what was acknowledged, or there that were not (negative)."""
    differing: Counter[str] = Counter()
    with grpc.insecure_channel(server.address) as channel:
        threads = ThreadsStub(channel)
        for thread_id, count in seen.done.stored.items():
            try:
                heads = threads.GetThread(GetThreadRequest(thread_id=thread_id)).heads
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.NOT_FOUND  # noqa: PT017
                heads = ()  # type: ignore[assignment]
            differing[thread_id] = count - sum(head.checkpoint_count for head in heads)
    return Counter({thread_id: number for thread_id, number in differing.items() if number})
