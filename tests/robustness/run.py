"""One run of the suite: clients, servers, and a nemesis; then, with all mended, whether every promise was kept.

`python -m tests.robustness.run --seed N --seconds S --clients N --break none --out DIR`, or `make robustness`. The exit
code is 1 when something acknowledged is lost or something is wrong; the histories are in DIR then.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.robustness.broken_server import BREAKS
from tests.robustness.checker import check
from tests.robustness.cluster import Cluster, running_cluster
from tests.robustness.final_state import read_final
from tests.robustness.graph_runs import check_runs, count_runs, file_of, read_runs
from tests.robustness.history import Call, Kind, Outcome, read_calls
from tests.robustness.nemesis import Nemesis
from tests.robustness.worker import KINDS, Settings, Worker

TENANT = "robustness"

_FILES = ("*.history", "*.runs", "*.violations", "*.panel", "*.log")

_TELL_EVERY = 5.0  # seconds
_SHOWN = 10  # messages, and of each so many characters; all is in the result's file
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does."""

    seed: int
    seconds: float
    clients: dict[str, int]
    """How many workers of each kind."""
    broken: str | None = None
    """The promise that the servers break, if any."""
    only: Sequence[str] = ()
    """The kinds of faults to do; all if there are none."""


@dataclass(slots=True)
class Result:
    """What came of a run."""

    seed: int
    seconds: float
    broken: str | None
    calls: int = 0
    acknowledged_ops: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    unknown: int = 0
    runs: dict[str, int] = field(default_factory=dict)
    """Runs of graphs, by what came of them."""
    stored_checkpoints: int = 0
    stored_writes: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether every promise was kept."""
        return not self.lost and not self.wrong

    def table(self) -> str:
        """The result for a person."""
        refused = ", ".join(f"{reason} {count}" for reason, count in sorted(self.refused.items()))
        kills = ", ".join(f"{what} {count}" for what, count in sorted(self.kills.items()))
        faults = ", ".join(f"{what} {count}" for what, count in sorted(self.faults.items()))
        runs = ", ".join(f"{what} {count}" for what, count in sorted(self.runs.items()))
        done = sum(count for what, count in self.runs.items() if what.endswith(" ok"))
        rows = [
            ("seed", self.seed),
            ("seconds", f"{self.seconds:.0f}"),
            ("broken on purpose", self.broken or "nothing"),
            ("calls", self.calls),
            ("acknowledged ops", f"{self.acknowledged_ops} ({self.acknowledged_ops / self.seconds:.0f} a second)"),
            ("refused", refused or "none"),
            ("unknown", self.unknown),
            ("runs of graphs", f"{done} done ({done / self.seconds:.1f} a second): {runs}" if runs else "none"),
            ("stored", f"{self.stored_checkpoints} checkpoints, {self.stored_writes} writes"),
            ("kills", f"{sum(self.kills.values())}: {kills}"),
            ("faults", f"{sum(self.faults.values())}: {faults}"),
            ("lost", len(self.lost)),
            ("wrong", len(self.wrong)),
        ]
        return "\n".join(f"  {name:18} {value}" for name, value in rows)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run(plan: Plan, home: Path) -> Result:
    """Do a run; its files lie in `home`, which must exist."""
    say(f"seed {plan.seed}, {plan.seconds:g} s, clients {plan.clients}, broken on purpose: {plan.broken or 'nothing'}")
    result = Result(plan.seed, plan.seconds, plan.broken)
    for pattern in _FILES:  # of a run before this one
        for path in home.glob(pattern):
            path.unlink()
    with running_cluster(home, plan.broken) as cluster, ExitStack() as stack:
        workers = _start(plan, cluster, home, stack)
        nemesis = Nemesis(cluster, workers, plan.seed, say, plan.only)
        nemesis.start()
        try:
            _watch(plan.seconds, workers)
        finally:
            nemesis.stop()
        say("mending everything")
        cluster.heal()
        for worker in workers:
            worker.tell()
        for worker in workers:
            result.wrong += worker.finish()
        cluster.settle()
        result.wrong += nemesis.found
        result.faults, result.kills = dict(nemesis.faults), dict(nemesis.kills)
        _judge(result, cluster, [worker.settings.history for worker in workers])
        result.wrong += [f"a server logged: {line}" for line in cluster.logs().splitlines() if "incident" in line]
    (home / "result.json").write_text(json.dumps(asdict(result), indent=2) + "\n")
    for kind, messages in (("LOST", result.lost), ("WRONG", result.wrong)):
        for message in messages[:_SHOWN]:
            say(f"{kind}: {message[:_LONGEST]}")
    say(result.table())
    return result


def _start(plan: Plan, cluster: Cluster, home: Path, stack: ExitStack) -> list[Worker]:
    began = time.monotonic_ns()
    workers: list[Worker] = []
    for kind, count in plan.clients.items():
        for _ in range(count):
            number = len(workers)
            settings = Settings(
                name=f"{kind}-{number + 1}",
                target=cluster.target(number),
                tenant=TENANT,
                seed=plan.seed,
                home=str(home),
                began=began,
                options=KINDS[kind].options,
            )
            worker = Worker(kind, settings)
            stack.callback(worker.kill)
            workers.append(worker)
    return workers


def _watch(seconds: float, workers: list[Worker]) -> None:
    """Let it go on for so long, and say how it goes."""
    began = time.monotonic()
    before = 0
    while (left := began + seconds - time.monotonic()) > 0:
        pause = min(_TELL_EVERY, left)
        time.sleep(pause)
        names = ("ops", "calls", "refused", "unknown")
        ops, calls, refused, unknown = (sum(worker.panel.get(name) for worker in workers) for name in names)
        say(
            f"{time.monotonic() - began:7.2f} s  {ops} ops acknowledged, {(ops - before) / pause:.0f} a second; "
            f"{calls} calls, {refused} refused, {unknown} unknown"
        )
        before = ops


def _judge(result: Result, cluster: Cluster, histories: list[Path]) -> None:
    say("reading the histories")
    calls = list(read_calls([path for path in histories if path.exists()]))
    _count(result, calls)
    say("reading what is there")
    addresses = [server.clients.address for server in cluster.servers]
    threads = {call.thread_id for call in calls}
    finals, contradictions = read_final(addresses, TENANT, cluster.database_url, threads)
    result.wrong += contradictions
    result.stored_checkpoints = sum(len(one.checkpoints) for one in finals)
    result.stored_writes = sum(len(one.writes) for one in finals)
    say("checking")
    began = time.monotonic()
    verdict = check(calls, finals)
    say(f"checked in {time.monotonic() - began:.1f} s")
    result.lost += verdict.lost
    result.wrong += verdict.wrong
    runs = list(read_runs(file_of(path) for path in histories))
    result.runs = count_runs(runs)
    lost, wrong = check_runs(addresses[0], TENANT, runs)
    result.lost += lost
    result.wrong += wrong


def _count(result: Result, calls: list[Call]) -> None:
    result.calls = len(calls)
    result.acknowledged_ops = sum(call.ops for call in calls if call.kind is Kind.COMMIT and call.outcome is Outcome.OK)
    result.refused = dict(Counter(call.reason for call in calls if call.outcome is Outcome.REFUSED))
    result.unknown = sum(call.outcome is Outcome.UNKNOWN for call in calls)


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Break servers, PostgreSQL, connections and clocks; lose nothing.")
    parser.add_argument("--seed", type=int, help="of the faults and of what clients do. Default: another one each time")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long faults go on. Default: 120")
    parser.add_argument("--clients", type=int, default=6, help="client processes. Default: 6")
    parser.add_argument("--kinds", default="graph,raw", help="of clients, which take turns. Default: graph,raw")
    parser.add_argument("--break", dest="broken", choices=("none", *BREAKS), default="none", help="break a promise")
    parser.add_argument("--out", type=Path, help="a directory for the result and the logs. Default: a temporary one")
    parser.add_argument("--keep", action="store_true", help="keep the histories of a clean run too")
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    if unknown := set(kinds) - KINDS.keys():
        parser.error(f"--kinds: there is no {', '.join(sorted(unknown))}; there are {', '.join(sorted(KINDS))}")
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    home = options.out or Path(tempfile.mkdtemp(prefix="robustness-"))
    home.mkdir(parents=True, exist_ok=True)
    clients = Counter(kinds[number % len(kinds)] for number in range(options.clients))
    broken = None if options.broken == "none" else options.broken
    result = run(Plan(seed, options.seconds, dict(clients), broken), home)
    if result.clean and not options.keep:
        if options.out is None:
            shutil.rmtree(home)
        else:
            for path in home.glob("*.history"):
                path.unlink()
        return 0
    say(f"the histories are in {home}")
    return 0 if result.clean else 1


if __name__ == "__main__":
    sys.exit(main())
