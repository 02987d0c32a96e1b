"""What a superstep costs in CPU: the server's, and where it goes; and all of both sides together."""

import pstats
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, cast

import psutil

from bench import profiled_server
from bench.pairs import in_turn, paired, say
from bench.row import Row
from bench.sides import Bench, Sides
from bench.supersteps import PROCESSES, sequential
from bench.workers import Workers

# Who a function is of, by the first of these that its file or its name contains.
_OWNERS = (
    ("checkpointd/engine", "our engine"),
    ("checkpointd/server", "our server"),
    ("checkpointd/v1", "generated stubs"),
    ("grpc", "gRPC"),
    ("google/protobuf", "protobuf"),
    ("google._upb", "protobuf"),
    ("psycopg", "psycopg"),
    ("uvloop", "uvloop"),
    ("/asyncio/", "asyncio"),
    ("_asyncio", "asyncio"),
)
_OURS = ("our engine", "our server")


@dataclass(frozen=True)
class Cpu:
    """Milliseconds of CPU for one superstep."""

    clients: float
    server: float
    postgres: float

    @property
    def whole(self) -> float:
        return self.clients + self.server + self.postgres


def cpu(bench: Bench) -> Iterator[Row]:
    """CPU per superstep at one client and at many, and a profile of the server at many."""
    for count in (1, PROCESSES):
        yield from _whole(bench, count)
    yield _profile(bench)


def _whole(bench: Bench, count: int) -> Iterator[Row]:
    with Workers(count, sequential, bench.sides.both) as workers:
        for side in bench.sides.both:
            workers.results(side.name, bench.effort.warm)
        pairs = in_turn(
            f"CPU of all, {count} at once",
            lambda: _used(bench, workers, "ours"),
            lambda: _used(bench, workers, "theirs"),
            replace(bench.effort, pairs=bench.effort.pairs // 2 + 1),  # CPU time is less a matter of luck
            lambda used: used.whole,
        )
    ours, theirs = zip(*pairs, strict=True)
    clients = "1 client" if count == 1 else f"{count} processes"
    note = f"client + server + PostgreSQL. Ours: {_parts(ours)}; theirs: {_parts(theirs)}"
    figures = [(one.whole, other.whole) for one, other in pairs]
    yield paired(f"CPU of all for a superstep, {clients}", "ms", figures, None, note)
    yield Row(f"CPU of the server for a superstep, {clients}", "ms", median(one.server for one in ours))


def _used(bench: Bench, workers: Workers[int], side: str) -> Cpu:
    server = [psutil.Process(bench.sides.server.process.pid)]
    clients = [psutil.Process(process.pid) for process in workers.processes]
    # It was started by this process. A backend that ends meanwhile would take its time with it; those of the workers
    # stay.
    postgres = [one for one in psutil.Process().children(recursive=True) if _is_postgres(one)]
    groups = (clients, server, postgres)
    before = [_seconds(group) for group in groups]
    done = sum(workers.results(side, bench.effort.seconds))
    used = [(_seconds(group) - start) * 1000 / done for group, start in zip(groups, before, strict=True)]
    return Cpu(*used)


def _is_postgres(process: psutil.Process) -> bool:
    try:
        return process.name() == "postgres"
    except psutil.NoSuchProcess:  # a worker of PostgreSQL's that has just ended
        return False


def _seconds(processes: Sequence[psutil.Process]) -> float:
    whole = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        whole += times.user + times.system
    return whole


def _parts(found: Sequence[Cpu]) -> str:
    middle = sorted(found, key=lambda one: one.whole)[len(found) // 2]
    return f"{middle.clients:.2f} + {middle.server:.2f} + {middle.postgres:.2f} ms"


def _profile(bench: Bench) -> Row:
    file = bench.home / "server.profile"
    command = [sys.executable, "-m", "bench.profiled_server", str(file)]
    seconds = 2 * bench.effort.seconds
    with bench.fresh(command=command) as sides:
        used, done = _busy(sides, seconds)
    owners, top = _by_owner(file)
    share = sum(owners[owner] for owner in _OURS)
    # What the profiler does not see: threads of gRPC's, and what the event loop does itself.
    rest = max(0.0, used - sum(owners.values()))
    parts = [f"{owner} {part / used:.0%}" for owner, part in owners.most_common() if part / used >= 0.005]
    parts.append(f"the event loop and threads of C {rest / used:.0%}")
    say(f"  CPU: {', '.join(parts)}", end="")
    note = (
        f"{PROCESSES} processes; {', '.join(parts)}. A profiled function costs more than it does otherwise, so that "
        f"Python's part is overstated (here {used / done * 1000:.2f} ms of CPU for a superstep)"
    )
    details = {"seconds": dict(owners), "rest": rest, "top": top}
    return Row("share of our Python in the server's CPU", "%", 100 * share / used, note=note, details=details)


def _busy(sides: Sides, seconds: float) -> tuple[float, int]:
    """Keep a server busy, and profile it meanwhile; the CPU that it used, and the supersteps."""
    server = psutil.Process(sides.server.process.pid)
    with Workers(PROCESSES, sequential, [sides.ours]) as workers:
        workers.results("ours", seconds / 4)
        server.send_signal(profiled_server.START)
        before = _seconds([server])
        done = sum(workers.results("ours", seconds))
        return _seconds([server]) - before, done


def _by_owner(file: Path) -> tuple[Counter[str], list[str]]:
    """Seconds of CPU inside functions, by whose they are; and the twenty functions with most of them."""
    stats = cast(Any, pstats.Stats(str(file))).stats
    owners: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for (path, line, name), (_, calls, inside, *_rest) in stats.items():
        owner = next((owner for mark, owner in _OWNERS if mark in path or mark in name), "Python and its library")
        owners[owner] += inside
        place = name if path == "~" else f"{'/'.join(Path(path).parts[-2:])}:{line} {name}"
        functions[f"{place} ({calls} calls)"] += inside
    return owners, [f"{seconds:.3f} s {name}" for name, seconds in functions.most_common(20)]
