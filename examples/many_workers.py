"""Many jobs, many processes, one server: every step of a job may be done by another process.

`work` starts the worker processes and shows a live table; `watch`, in any other terminal, shows the same table from
what the server knows. Kill a worker (kill -9) and its job goes on elsewhere. See examples/README.md.
"""

import argparse
import logging
import multiprocessing
import random
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from operator import add
from typing import Annotated, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from checkpointd.client import CheckpointdError
from checkpointd.client.langgraph import RemoteSaver

BAR = 24


class Job(TypedDict):
    goal: int
    done: int
    by: Annotated[list[str], add]


def build_jobs(saver: RemoteSaver, pace: float) -> CompiledStateGraph[Job]:
    """A job does its steps one by one, and stops after each, for anybody to go on."""

    def work(state: Job) -> dict[str, object]:
        time.sleep(pace * random.uniform(0.5, 1.5))
        return {"done": state["done"] + 1, "by": [multiprocessing.current_process().name]}

    graph = StateGraph(Job)
    graph.add_node("work", work)
    graph.add_edge(START, "work")
    graph.add_conditional_edges("work", lambda job: "work" if job["done"] < job["goal"] else "__end__")
    return graph.compile(checkpointer=saver, interrupt_after=["work"])


def thread(job: str) -> RunnableConfig:
    """A job is a thread on the server."""
    return {"configurable": {"thread_id": job}}


class Warnings(logging.Handler):
    """Has what the client warns of, such as a server that does not answer, said without tearing the table."""

    def __init__(self, say: Callable[[str], object]) -> None:
        super().__init__()
        self._say = say
        logging.getLogger("checkpointd.client").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        self._say(record.getMessage())


def worker(server: str, tenant: str, pace: float, line: Connection) -> None:
    """Do one step of each job that comes down the line, until the line ends. Send back its state, and any warning."""
    Warnings(line.send)
    with RemoteSaver.from_conn_string(server, tenant=tenant) as saver:
        jobs = build_jobs(saver, pace)
        with suppress(EOFError, ConnectionError):
            while True:
                job = line.recv()
                try:
                    line.send(jobs.invoke(None, thread(job)))
                except CheckpointdError as error:
                    line.send(str(error))
                    return


class Crew:
    """The worker processes, and which job each is doing a step of."""

    def __init__(self, size: int, server: str, tenant: str, pace: float) -> None:
        self._processes: dict[Connection, BaseProcess] = {}
        self._doing: dict[Connection, str] = {}
        context = multiprocessing.get_context("spawn")
        # Ctrl-C reaches the workers too, but it is for this process to end them. They inherit that they ignore it.
        ours = signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in range(1, size + 1):
            here, there = context.Pipe()
            name = f"worker-{number}"
            process = context.Process(target=worker, args=(server, tenant, pace, there), name=name, daemon=True)
            process.start()
            there.close()
            self._processes[here] = process
        signal.signal(signal.SIGINT, ours)

    def __str__(self) -> str:
        return ", ".join(f"{process.name} is process {process.pid}" for process in self._processes.values())

    def run(self, jobs: Iterable[str]) -> Iterator[tuple[str, str | None, Job | str | None]]:
        """Do all jobs to their end, a step at a time.

        Yields (worker, job, news): the job's new state, what the worker has to say, or None when it died.
        """
        line = deque(jobs)
        while line or self._doing:
            self._hand_out(line)
            for ready in wait(list(self._processes)):
                assert isinstance(ready, Connection)
                name, job = self._processes[ready].name, self._doing.get(ready)
                try:
                    news: Job | str | None = ready.recv()
                except (EOFError, ConnectionError):
                    news = None
                    self._processes.pop(ready).join()
                if not isinstance(news, str):
                    self._doing.pop(ready, None)
                    if job is not None and (news is None or news["done"] < news["goal"]):
                        line.append(job)
                yield name, job, news
            if not self._processes:
                raise SystemExit("no worker is left")

    def _hand_out(self, line: deque[str]) -> None:
        for connection in [connection for connection in self._processes if connection not in self._doing]:
            if line:
                self._doing[connection] = line.popleft()
                with suppress(OSError):  # it died just now: its end of the line says so next
                    connection.send(self._doing[connection])

    def dismiss(self) -> None:
        """End the workers."""
        for connection, process in self._processes.items():
            connection.close()
            process.join()


class Table:
    """The jobs as a table, drawn over itself on a terminal, and once at the end elsewhere."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def draw(self, jobs: dict[str, Job], *, last: bool = False) -> None:
        """Draw it."""
        if not (last or sys.stdout.isatty()):
            return
        lines = [self._row("job", "progress".ljust(BAR), "steps", "steps by worker"), "─" * 78]
        for name, job in jobs.items():
            filled = BAR * job["done"] // job["goal"]
            shares = Counter(who.removeprefix("worker-") for who in job["by"])
            by = "  ".join(f"{who}: {steps}" for who, steps in sorted(shares.items()))
            lines.append(self._row(name, "█" * filled + "░" * (BAR - filled), f"{job['done']}/{job['goal']}", by))
        self._print(lines)
        self._lines = lines

    def say(self, what: str) -> None:
        """Print a line that stays above the table."""
        self._print([what, *self._lines])

    def _print(self, lines: list[str]) -> None:
        over = f"\033[{len(self._lines)}A\033[J" if self._lines else ""  # what was drawn, which is only on a terminal
        print(over + "\n".join(lines), flush=True)

    @staticmethod
    def _row(name: str, bar: str, steps: str, by: str) -> str:
        return f"{name:<10} {bar} {steps:>8}   {by}".rstrip()


def work(saver: RemoteSaver, given: argparse.Namespace) -> None:
    """Make the jobs anew, and have a crew do them."""
    app = build_jobs(saver, given.pace)
    # So that anyone can see and change a job's state without this code.
    saver.register(app, "jobs")
    table = Table()
    Warnings(table.say)
    jobs: dict[str, Job] = {f"job-{number}": {"goal": given.steps, "done": 0, "by": []} for number in range(given.jobs)}
    for name, job in jobs.items():
        saver.delete_thread(name)
        app.update_state(thread(name), job, as_node="__start__")
    crew = Crew(given.workers, given.server, given.tenant, given.pace)
    print(crew, flush=True)
    for who, job_id, news in crew.run(jobs):
        if news is None:
            table.say(f"{who} died" + (f"; {job_id} goes on elsewhere" if job_id else ""))
        elif isinstance(news, str):
            table.say(f"{who}: {news}")
        elif job_id is not None:
            jobs[job_id] = news
        table.draw(jobs)
    crew.dismiss()
    on_server: dict[str, Job] = {name: app.get_state(thread(name)).values for name in jobs}  # type: ignore[misc]
    table.draw(on_server, last=True)
    done = sum(len(job["by"]) for job in on_server.values())
    print(f"{given.jobs * given.steps} steps were to do, {done} were done")


def watch(saver: RemoteSaver, given: argparse.Namespace) -> None:
    """Show what the server knows until all jobs are done."""
    app = build_jobs(saver, given.pace)
    table = Table()
    Warnings(table.say)
    while True:
        states = {f"job-{number}": app.get_state(thread(f"job-{number}")) for number in range(given.jobs)}
        jobs: dict[str, Job] = {name: state.values for name, state in states.items() if state.values}  # type: ignore[misc]
        if not jobs:
            raise SystemExit("no jobs yet: start work first")
        over = all(not state.next for state in states.values())
        table.draw(jobs, last=over)
        if over:
            return
        time.sleep(0.2)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["work", "watch"])
    parser.add_argument("--server", default="127.0.0.1:50051", help="HOST:PORT (default: %(default)s)")
    parser.add_argument("--tenant", default="default", help="whose jobs (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=6, help="how many jobs (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="how many steps each has (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=4, help="how many processes (default: %(default)s)")
    parser.add_argument(
        "--pace", type=float, default=2.0, help="about how many seconds a step takes (default: %(default)s)"
    )
    given = parser.parse_args()
    try:
        with RemoteSaver.from_conn_string(given.server, tenant=given.tenant, timeout=10) as saver:
            (work if given.command == "work" else watch)(saver, given)
    except CheckpointdError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as a shell says of a program that Ctrl-C ended


if __name__ == "__main__":
    main()
