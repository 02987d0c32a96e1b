"""What the runs of graphs came to, as those who ran them were told; and whether the threads say so too at the end."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig

from checkpointd.client.langgraph import RemoteSaver
from tests.robustness.graph_story import LISTS, UPDATED, wrong_state
from tests.robustness.history import Outcome, Writers, digest

_PATIENCE = 120.0  # seconds that a call may take now that nothing is broken any more


@dataclass(frozen=True, slots=True)
class Run:
    """One call of a graph's `invoke` or `update_state`."""

    thread_id: str
    writers: Writers
    marker: str
    outcome: Outcome
    holds: list[str] = field(default_factory=list)
    """The lists that have the marker, as the answer says."""
    seen: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Of each list in the answer, the length and the digest."""


def fingerprint(state: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """The lists of a state, briefly."""
    return {name: _brief(state.get(name, [])) for name in (*LISTS, UPDATED)}


def _brief(markers: list[str]) -> tuple[int, str]:
    return len(markers), digest(*[marker.encode() for marker in markers])


def file_of(history: Path) -> Path:
    """Where a worker notes its runs."""
    return history.with_suffix(".runs")


def line_of(run: Run) -> str:
    """A run as a line of that file."""
    return json.dumps(asdict(run), separators=(",", ":")) + "\n"


def read_runs(paths: Iterable[Path]) -> Iterator[Run]:
    """The runs of several files. A last line that was cut off by the end of its process is passed over."""
    for path in paths:
        if not path.exists():
            continue
        with path.open() as lines:
            for line in lines:
                if line.endswith("\n"):
                    raw = json.loads(line)
                    raw["writers"], raw["outcome"] = Writers(raw["writers"]), Outcome(raw["outcome"])
                    raw["seen"] = {name: (length, markers) for name, (length, markers) in raw["seen"].items()}
                    yield Run(**raw)


def check_runs(address: str, tenant: str, runs: list[Run]) -> tuple[list[str], list[str]]:
    """What runs were told is done and is lost, and what else is wrong. Nobody may write any more."""
    lost: list[str] = []
    wrong: list[str] = []
    of_thread: dict[str, list[Run]] = {}
    for run in runs:
        of_thread.setdefault(run.thread_id, []).append(run)
    with RemoteSaver(address, tenant=tenant, timeout=_PATIENCE) as saver:
        for thread_id, its_runs in of_thread.items():
            config: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
            states = [found.checkpoint["channel_values"] for found in saver.list(config)]
            wrong += [f"graph: thread {thread_id!r}: {said}" for said in map(wrong_state, states) if said]
            lost += check_thread(its_runs, states)
    return lost, wrong


def check_thread(runs: Iterable[Run], states: list[dict[str, Any]]) -> Iterator[str]:
    """What the runs of one thread were told is done, and is not in its states, of which the last one comes first.

    Where writers agree who writes, all answers are beginnings of the last state. Otherwise each is one of the states.
    """
    last = states[0] if states else {}
    fingerprints = [fingerprint(state) for state in states]
    for run in runs:
        where = f"thread {run.thread_id!r}, run {run.marker!r}"
        if run.outcome is not Outcome.OK:
            continue
        if run.writers is Writers.FORK:
            if run.seen and run.seen not in fingerprints:
                yield f"lost state of a graph: {where}: nothing that is stored has what the run was told"
            for name in run.holds:
                if not any(run.marker in state.get(name, []) for state in states):
                    yield f"lost run of a graph: {where}: it is in no list {name!r}"
            continue
        for name in run.holds:
            if (count := last.get(name, []).count(run.marker)) != 1:
                yield f"lost run of a graph: {where}: it is {count} times in the list {name!r}"
        for name, (length, markers) in run.seen.items():
            if _brief(last.get(name, [])[:length]) != (length, markers):
                yield f"lost state of a graph: {where}: the list {name!r} had {length} markers that it has not now"


def count_runs(runs: Iterable[Run]) -> dict[str, int]:
    """How many runs were done, were refused, and got no answer."""
    return dict(Counter(f"{run.writers} {run.outcome}" for run in runs))
