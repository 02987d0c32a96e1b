"""A client process of the suite: `python -m tests.robustness.worker KIND SETTINGS`, and how the run starts and ends it.

A kind is a module with a function `work(task)`, which calls servers until `task.stopping` is set and tells what it did
to `task.record`; `task.settings.options` are those of the kind. The clock is put under the nemesis's control before the
module, and with it the client, is loaded.
"""

import argparse
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.robustness.clock import Panel, install
from tests.robustness.history import Call, Kind, Outcome, Recorder
from tests.server_process import environment


@dataclass(frozen=True, slots=True)
class WorkerKind:
    """What a worker runs, and what its module is told."""

    module: str
    options: dict[str, str] = field(default_factory=dict)


_GRAPHS = "tests.robustness.graph_client"

KINDS = {
    "raw": WorkerKind("tests.robustness.raw_client"),
    "graph": WorkerKind(_GRAPHS),
    "graph-refuse": WorkerKind(_GRAPHS, {"writers": "refuse"}),
    "graph-lease": WorkerKind(_GRAPHS, {"writers": "lease"}),
    "graph-fork": WorkerKind(_GRAPHS, {"writers": "fork"}),
}
"""The kinds of workers, by name."""

_LAST_CALLS = 40.0  # seconds that a worker has for its last calls after it was told to stop


@dataclass(frozen=True, slots=True)
class Settings:
    """What a worker is started with. Serialised as JSON."""

    name: str
    target: str
    tenant: str
    seed: int
    home: str
    began: int  # CLOCK_MONOTONIC at the run's start, in ns: all workers share the threads of one period
    options: dict[str, str]

    @property
    def history(self) -> Path:
        """The calls it made."""
        return Path(self.home, f"{self.name}.history")

    @property
    def violations(self) -> Path:
        """What it was answered and must not have been, a JSON string a line."""
        return Path(self.home, f"{self.name}.violations")

    @property
    def panel(self) -> Path:
        """Its clock and counts."""
        return Path(self.home, f"{self.name}.panel")

    @property
    def log(self) -> Path:
        """What it wrote to stderr."""
        return Path(self.home, f"{self.name}.log")


class Task:
    """What a worker works with. May be shared by its threads."""

    def __init__(self, settings: Settings, panel: Panel) -> None:
        self.settings = settings
        self.stopping = threading.Event()
        self._panel = panel
        self._recorder = Recorder(settings.history)
        self._violations = settings.violations
        self._writing = threading.Lock()

    def random(self, part: str) -> random.Random:
        """Dice for a part of the worker, such as one of its threads."""
        return random.Random(f"{self.settings.seed} {self.settings.name} {part}")

    def record(self, call: Call) -> None:
        """Note a call that has ended."""
        with self._writing:
            self._recorder.add(call)
            self._panel.add("calls", 1)
            if call.outcome is Outcome.OK:
                self._panel.add("ops", call.ops if call.kind is Kind.COMMIT else 0)
            elif call.outcome is Outcome.REFUSED:
                self._panel.add("refused", 1)
            else:
                self._panel.add("unknown", 1)

    def violation(self, text: str) -> None:
        """Note something that must never happen, whatever is broken."""
        with self._writing, self._violations.open("a") as file:
            file.write(json.dumps(text) + "\n")

    def run_threads(self, threads: Iterable[threading.Thread]) -> None:
        """Start threads and wait until all have ended."""
        started = list(threads)
        for thread in started:
            thread.start()
        for thread in started:
            # The main thread is the one that hears signals, and a wait without an end does not always let it: the
            # kernel may have given the signal to another thread.
            while thread.is_alive():
                thread.join(0.5)


class Worker:
    """A worker's process, as the run sees it."""

    def __init__(self, kind: str, settings: Settings) -> None:
        self.name = settings.name
        self.settings = settings
        self.panel = Panel(settings.panel)
        with settings.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.robustness.worker", kind, json.dumps(asdict(settings))],
                stdin=subprocess.DEVNULL,
                stderr=log,
                env=environment(GRPC_VERBOSITY="NONE"),
            )

    def pause(self) -> None:
        """Stop it in the middle of whatever it does."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def step_clock(self, seconds: float) -> None:
        """Let its wall clock be off by so much."""
        self.panel.set("offset", round(seconds * 1e9))

    def tell(self) -> None:
        """Tell it to stop after the calls that it is in."""
        self._process.send_signal(signal.SIGTERM)

    def finish(self) -> list[str]:
        """Wait for its end; returns what went wrong with it."""
        wrong = []
        try:
            code = self._process.wait(_LAST_CALLS)
        except subprocess.TimeoutExpired:
            self.kill()
            wrong.append(f"{self.name} did not stop within {_LAST_CALLS} s")
        else:
            if code != 0:
                said = self.settings.log.read_text(errors="replace").strip()[-2000:]
                wrong.append(f"{self.name} ended with exit code {code}; it said:\n{said}")
        if self.settings.violations.exists():
            with self.settings.violations.open() as lines:
                wrong += [f"{self.name}: {json.loads(line)}" for line in lines]
        return wrong

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()


def _watch(stopping: threading.Event) -> None:
    """Stop on SIGTERM, and with the run's own process, whatever became of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    parent = os.getppid()

    def outlive() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(3)

    threading.Thread(target=outlive, daemon=True).start()


def main() -> None:
    """Be a worker."""
    parser = argparse.ArgumentParser(description="A client process of the robustness suite; the run starts it.")
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("settings")
    options = parser.parse_args()
    settings = Settings(**json.loads(options.settings))
    panel = Panel(settings.panel)
    install(panel)
    task = Task(settings, panel)
    _watch(task.stopping)
    importlib.import_module(KINDS[options.kind].module).work(task)


if __name__ == "__main__":
    main()
