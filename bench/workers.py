"""Client processes that work when they are told to, for as long as they are told to.

They come from a fork server, which has loaded LangGraph and both clients and holds no connection: sixteen of them are
there in a second. Each has a checkpointer of each side, and uses the one whose turn it is.
"""

import multiprocessing
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from bench.pairs import Effort, in_turn, paired
from bench.row import Row, Target
from bench.sides import Side

Result = TypeVar("Result")

Block = Callable[[float], Result]
"""Works for so many seconds (or does so much, if its load says so) and says what came of it."""

PATIENCE = 180.0  # seconds in which a worker must have answered

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["bench.supersteps", "bench.graphs"])


def _main(
    link: Connection,
    load: Callable[..., AbstractContextManager[Block[Any]]],
    sides: Sequence[Side],
    number: int,
    args: tuple[Any, ...],
) -> None:
    try:
        with ExitStack() as stack:
            blocks = {side.name: stack.enter_context(load(side, number, *args)) for side in sides}
            link.send((None, "ready"))
            while (order := link.recv()) is not None:
                name, seconds = order
                link.send((None, blocks[name](seconds)))
    except BaseException:
        link.send((traceback.format_exc(), None))


class Workers(Generic[Result]):
    """So many processes, each with a load on each side. A load is a function of a module: it is given a side, the
    worker's number and `args`, and makes a context in which there is a block to run."""

    def __init__(
        self, count: int, load: Callable[..., AbstractContextManager[Block[Result]]], sides: Sequence[Side], *args: Any
    ) -> None:
        self._links: list[Connection] = []
        self.processes: list[BaseProcess] = []
        for number in range(count):
            here, there = _context.Pipe()
            process = _context.Process(target=_main, args=(there, load, sides, number, args), daemon=True)
            process.start()
            there.close()
            self._links.append(here)
            self.processes.append(process)

    def __enter__(self) -> Self:
        try:
            self._answers()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for link in self._links:
                link.send(None)
        else:
            self._end()
        for process in self.processes:
            process.join(PATIENCE)
            process.close()

    def results(self, side: str, seconds: float) -> list[Result]:
        """Let all of them work on one side, and return when the last one is done."""
        for link in self._links:
            link.send((side, seconds))
        return self._answers()

    def rate(self: "Workers[int]", side: str, seconds: float) -> float:
        """What all of them did in a second, from their release until the last one was done."""
        began = time.perf_counter()
        done = sum(self.results(side, seconds))
        return done / (time.perf_counter() - began)

    def _answers(self) -> list[Result]:
        answers = []
        for link in self._links:
            if not link.poll(PATIENCE):
                raise TimeoutError(f"a worker has not answered within {PATIENCE:.0f} s")
            try:
                failure, answer = link.recv()
            except EOFError:
                raise RuntimeError("a worker ended without a word") from None
            if failure:
                raise RuntimeError(f"a worker failed:\n{failure}")
            answers.append(answer)
        return answers

    def _end(self) -> None:
        for process in self.processes:
            process.kill()


def rates(
    name: str,
    unit: str,
    effort: Effort,
    workers: Workers[int],
    target: Target | None,
    note: str = "",
) -> Row:
    """The row of what workers do in a second on each side."""
    for side in ("ours", "theirs"):
        workers.rate(side, effort.warm)
    pairs = in_turn(
        name,
        lambda: workers.rate("ours", effort.seconds),
        lambda: workers.rate("theirs", effort.seconds),
        effort,
        float,
    )
    return paired(name, unit, pairs, target, note)


def percentile(values: Sequence[float], part: float) -> float:
    """The value that this part of them does not exceed."""
    return sorted(values)[round(part * (len(values) - 1))]
