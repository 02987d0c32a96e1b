"""A worker that runs a LangGraph graph on threads that all share: from threads, and from an event loop.

One saver of each way to agree serves all that is run in the process. Names of the store's threads begin with how their
writers agree; new ones are begun every few seconds, so that none grows for ever.
"""

import asyncio
import random
import threading
import time
import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.errors import EmptyInputError
from langgraph.types import Command

from checkpointd.client.errors import Aborted, DeadlineExceeded, Unavailable
from checkpointd.client.langgraph import RemoteSaver
from tests.robustness.graph_calls import Calls, caller
from tests.robustness.graph_runs import Run, file_of, fingerprint, line_of
from tests.robustness.graph_story import AT_THE_END, INSIDE, LISTS, NOT, UPDATED, Graph, NobodyAsked, story
from tests.robustness.history import Outcome, Writers
from tests.robustness.worker import Task

_PERIOD = 20.0  # seconds for which threads of the store are written
_THREADS = {Writers.REFUSE: 8, Writers.LEASE: 10, Writers.FORK: 4}  # of the store, in each period
_CALLERS = {
    Writers.REFUSE: 2,
    Writers.LEASE: 2,
    Writers.FORK: 1,
}  # threads of this process, and as many tasks of asyncio

_TIMEOUT = (5.0, 10.0)  # seconds that a saver is patient
_TTL = (1.0, 3.0)  # seconds that a lease lasts
_WAIT = (0.5, 4.0)  # seconds to wait for one
_LEAVE = (0.02, 0.6)  # seconds after which somebody cancels a run, if anybody does

_LEAVING = 0.05  # how often that is
_ASKED = "__interrupt__"  # what LangGraph names the question by that a run asks

Answer = dict[str, Any]
"""The state after a run."""

_DURABILITIES: tuple[Literal["sync", "async", "exit"], ...] = ("sync", "async", "exit")


def work(task: Task) -> None:
    """Run graphs until told to stop."""
    only = task.settings.options.get("writers")
    modes = [Writers(only)] if only else list(Writers)
    Calls(task, lambda thread_id: Writers(thread_id.split("-")[1])).install()
    runs = Runs(task)
    savers = [_saver(task, writers) for writers in modes]
    callers = [
        (Caller(f"{writers}{number}", task, story(saver), writers, runs), number)
        for writers, saver in zip(modes, savers, strict=True)
        for number in range(2 * _CALLERS[writers])
    ]
    in_threads = [one for one, number in callers if number % 2 == 0]
    in_tasks = [one for one, number in callers if number % 2 == 1]
    threads = [threading.Thread(target=one.run, name=one.name) for one in in_threads]
    threads.append(threading.Thread(target=lambda: asyncio.run(_arun(in_tasks)), name="asyncio"))
    task.run_threads(threads)
    for saver in savers:
        saver.close()


def _saver(task: Task, writers: Writers) -> RemoteSaver:
    dice = task.random(f"saver {writers}")
    return RemoteSaver(
        task.settings.target,
        tenant=task.settings.tenant,
        timeout=dice.uniform(*_TIMEOUT),
        writers=writers.value,
        lease_ttl=dice.uniform(*_TTL),
        lease_wait=dice.uniform(*_WAIT),
    )


async def _arun(callers: "list[Caller]") -> None:
    await asyncio.gather(*[one.arun() for one in callers])


class Runs:
    """Where a worker notes its runs."""

    def __init__(self, task: Task) -> None:
        self._file = file_of(task.settings.history).open("a", buffering=1)
        self._writing = threading.Lock()

    def add(self, run: Run) -> None:
        """Note a run that has ended."""
        with self._writing:
            self._file.write(line_of(run))


@dataclass(frozen=True, slots=True)
class Act:
    """A call of the graph's."""

    input: Any
    marker: str
    durability: Literal["sync", "async", "exit"]
    updates: bool = False  # the state, from outside of runs


Session = Generator[Act, Answer | None, None]
"""Acts on one thread; each next one depends on the answer to the one before it. None: there was none."""


class Caller:
    """Runs the graph again and again, and notes what came of it."""

    def __init__(self, name: str, task: Task, graph: Graph, writers: Writers, runs: Runs) -> None:
        self.name = name
        self._task = task
        self._graph = graph
        self._writers = writers
        self._runs = runs
        self._dice: random.Random = task.random(name)
        self._count = 0

    def run(self) -> None:
        """Work in a thread."""
        caller.set(self.name)
        while not self._stopping:
            config, session = self._new_session()
            act: Act | None = next(session)
            while act is not None:
                answer = None
                with self._watched(config, act) as answers:
                    if act.updates:
                        self._graph.update_state(config, act.input, as_node="join")
                        answers.append({UPDATED: [act.marker]})
                    else:
                        answers.append(self._graph.invoke(act.input, config, durability=act.durability))
                    answer = answers[-1]
                act = self._next(session, answer)

    async def arun(self) -> None:
        """Work in a task of asyncio. Some runs are cancelled."""
        caller.set(f"{self.name} of asyncio")
        while not self._stopping:
            config, session = self._new_session()
            act: Act | None = next(session)
            while act is not None:
                answer = None
                patience = self._dice.uniform(*_LEAVE) if self._dice.random() < _LEAVING else None
                with self._watched(config, act) as answers:
                    if act.updates:
                        await asyncio.wait_for(self._graph.aupdate_state(config, act.input, as_node="join"), patience)
                        answers.append({UPDATED: [act.marker]})
                    else:
                        running = self._graph.ainvoke(act.input, config, durability=act.durability)
                        answers.append(await asyncio.wait_for(running, patience))
                    answer = answers[-1]
                act = self._next(session, answer)

    @property
    def _stopping(self) -> bool:
        return self._task.stopping.is_set()

    # What to do.

    def _new_session(self) -> tuple[RunnableConfig, Session]:
        period = int((time.monotonic_ns() - self._task.settings.began) / 1e9 / _PERIOD)
        thread_id = f"graph-{self._writers}-{period}-{self._dice.randrange(_THREADS[self._writers])}"
        return {"configurable": {"thread_id": thread_id}}, self._session()

    def _session(self) -> Session:
        self._count += 1
        marker = f"{self._task.settings.name}/{self.name}/{self._count}"
        fate = self._dice.random()
        if fate < 0.05:
            yield self._act({UPDATED: [marker]}, marker, updates=True)
        elif fate < 0.15:
            yield self._act(None, marker)  # go on with what somebody has left undone
        elif fate < 0.2:
            yield self._act(Command(resume=marker), marker)  # answer for somebody else
        else:
            asks = self._dice.choices((NOT, AT_THE_END, INSIDE), (4, 1, 1))[0]
            answer = yield self._act({"run": marker, "asks": asks}, marker)
            if answer is not None and _ASKED in answer and self._dice.random() < 0.8:
                yield self._act(Command(resume=marker), marker)

    def _act(self, given: Any, marker: str, *, updates: bool = False) -> Act:
        return Act(given, marker, self._dice.choice(_DURABILITIES), updates)

    def _next(self, session: Session, answer: Answer | None) -> Act | None:
        if self._stopping:
            return None
        try:
            return session.send(answer)
        except StopIteration:
            return None

    # What came of it.

    @contextmanager
    def _watched(self, config: RunnableConfig, act: Act) -> Iterator[list[Answer]]:
        """Around an act, which puts its answer into the list."""
        answers: list[Answer] = []
        thread_id = config["configurable"]["thread_id"]
        outcome = Outcome.UNKNOWN
        try:
            yield answers
            outcome = Outcome.OK
        except (Aborted, EmptyInputError, NobodyAsked):  # the latter two: there is nothing to go on with
            outcome = Outcome.REFUSED
        except (Unavailable, DeadlineExceeded, TimeoutError):
            pass
        except Exception as error:
            said = f"{type(error).__name__}: {str(error)[:300]}: {traceback.format_exc()[-3000:]}"
            self._task.violation(f"{self.name}: {act} of thread {thread_id}: {said}")
        run = Run(thread_id, self._writers, act.marker, outcome)
        for answer in answers:
            if act.updates:
                run.holds.append(UPDATED)
            elif _ASKED not in answer:  # otherwise it shows what is not stored yet as one superstep
                run.holds.extend(name for name in LISTS if act.marker in answer.get(name, []))
                run.seen.update(fingerprint(answer))
                if isinstance(act.input, dict) and run.holds != list(LISTS):
                    self._task.violation(f"{self.name}: {act} of thread {thread_id}: the run is in {run.holds} only")
        self._runs.add(run)
