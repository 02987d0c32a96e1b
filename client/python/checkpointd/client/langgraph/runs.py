"""Runs: what one run of a graph has read and stored, and in which order it stores.

LangGraph tells a checkpointer neither that a run begins nor that it ends, nor which run a call belongs to. But the
calls of a run carry the configurable of the run's own config, a dict that LangGraph makes for the run and fills with
entries of its own. A `Run` is put there by the run's first read, is passed on to the graph's subgraphs, and is let go
with the run.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future, wait
from contextlib import AsyncExitStack
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config

from checkpointd.client.errors import DeadlineExceeded
from checkpointd.client.langgraph.configs import Place
from checkpointd.v1.checkpoints_pb2 import CommitOp

if TYPE_CHECKING:
    from checkpointd.client.langgraph.leases import Lease

# LangGraph's names. Keys with its prefix stay out of metadata, streams and snapshots, and so does ours.
_RUN = "__pregel_checkpointd_run"
_RUNTIME = "__pregel_runtime"  # in the config of every running graph, a new object for each
_DURABILITY = "__pregel_durability"  # when it was said
_TASK_ID = "__pregel_task_id"  # in that of a task, and so of a graph that runs within another one's node

# What one commit is filled with, well below what the contract and a server take. What is more goes by itself.
_MOST_OPS = 900
_MOST_BYTES = 8 << 20

# How far up the frames of a call the loop is looked for; it is two above in the releases that were seen.
_FRAMES = 6


class Run:
    """One run of a graph with its subgraphs."""

    def __init__(self, runtime: object) -> None:
        self.runtime = runtime
        # Checkpoints that the run was pointed to: building on one of them is meant to fork, unless it is the head.
        self.chosen: set[Place] = set()
        # Namespaces (with an empty checkpoint_id) whose subgraph is replayed from before its first checkpoint.
        self.anew: set[Place] = set()
        self.leases: dict[str, Lease] = {}
        self._chains: dict[tuple[str, str], Chain] = {}
        self._lock = threading.Lock()

    def chain(self, thread_id: str, checkpoint_ns: str) -> Chain:
        """What the run does in a namespace."""
        with self._lock:
            return self._chains.setdefault((thread_id, checkpoint_ns), Chain())

    def __deepcopy__(self, memo: object) -> Run:
        """A copied config is still this run's."""
        return self


class Chain:
    """The order of a run's writes in one namespace, and the head that they have come to.

    LangGraph sends what tasks write in the background, and so may a checkpoint overtake the writes that led to it, and
    writes the checkpoint that they belong to. Here a checkpoint waits for all writes that were sent before it, and
    writes for the checkpoint. So a run knows the head that each of its writes is to find, and no checkpoint is stored
    before what led to it.
    """

    def __init__(self) -> None:
        self.head: str | None = None  # None: not known yet
        self.postponed = Postponed()
        self._lock = threading.Lock()
        self._put: Future[None] | None = None
        self._writes: set[Future[None]] = set()

    def turn(self, *, put: bool) -> Turn:
        """A place in the order: a checkpoint's, or that of a task's writes."""
        with self._lock:
            before = [] if self._put is None else [self._put]
            done: Future[None] = Future()
            if put:
                before.extend(self._writes)
                self._put = done
                self._writes = set()
            else:
                self._writes.add(done)
                done.add_done_callback(self._forget)
            return Turn(before, done)

    def _forget(self, done: Future[None]) -> None:
        with self._lock:
            self._writes.discard(done)


class Postponed:
    """What a run that saves at its end says before its checkpoint, to be stored with it in one commit.

    LangGraph then puts the writes to delta channels of the whole run on the checkpoint that the run started from (or on
    one that it makes for them). Stored alone they would be part of what another run makes of that checkpoint.
    """

    def __init__(self) -> None:
        self.ops: list[CommitOp] = []
        self.expected_head: str | None = None  # that of the first op
        self.saved = False  # whether the run's checkpoint is stored: what comes then belongs to it
        self.at_end = False  # whether somebody sees to what is left at the end
        self._bytes = 0

    def add(self, op: CommitOp, expected_head: str | None) -> bool:
        """Keep an op for the commit, unless that is full."""
        self._bytes += op.ByteSize()
        if len(self.ops) >= _MOST_OPS or self._bytes > _MOST_BYTES:
            return False
        if not self.ops:
            self.expected_head = expected_head
        self.ops.append(op)
        return True

    def take(self) -> list[CommitOp]:
        """What was kept, which is no longer."""
        ops, self.ops, self._bytes = self.ops, [], 0
        return ops


class Turn:
    """A place in the order of a chain. End it in any case, or those that come later wait."""

    def __init__(self, before: Iterable[Future[None]], done: Future[None]) -> None:
        self._before = list(before)
        self._done = done

    @classmethod
    def alone(cls) -> Turn:
        """The place of a write that has no order to keep."""
        return cls((), Future())

    def wait(self, timeout: float | None) -> None:
        """Wait until it is this turn's time, at most so many seconds. Raises DeadlineExceeded."""
        if self._before and wait(self._before, timeout).not_done:
            raise _late(timeout)

    async def await_(self, timeout: float | None) -> None:
        """As `wait`."""
        if self._before:
            pending = [asyncio.wrap_future(future) for future in self._before if not future.done()]
            if pending and (await asyncio.wait(pending, timeout=timeout))[1]:
                raise _late(timeout)

    def end(self) -> None:
        """Let those go on that come after."""
        self._done.set_result(None)


def _late(timeout: float | None) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"an earlier write of the same run did not end within {timeout} s; this call stored nothing"
    )


def begin(config: RunnableConfig) -> Run | None:
    """The run that reads with this config, which may begin with it; None outside of runs."""
    configurable: dict[str, Any] = config.get("configurable") or {}
    if (runtime := configurable.get(_RUNTIME)) is None:
        return None
    run = configurable.get(_RUN)
    # A run within a node that is no task of the graph around it, such as one on another thread, is one of its own.
    if run is None or (run.runtime is not runtime and not is_nested(config)):
        run = configurable[_RUN] = Run(runtime)
    assert isinstance(run, Run)
    return run


def is_run(config: RunnableConfig) -> bool:
    """Whether a call with this config comes from within a run, and not from a program that uses a saver itself."""
    return _RUNTIME in (config.get("configurable") or {})


def current(config: RunnableConfig) -> Run | None:
    """The run that writes with this config; None outside of runs."""
    run = (config.get("configurable") or {}).get(_RUN)
    return run if isinstance(run, Run) else None


def at_end(config: RunnableConfig, lease: Lease) -> None:
    """End a lease when the run that reads with this config ends, after its last write, or else is let go.

    A run that was interrupted, or has failed, is let go late: it is in a cycle, or in a traceback. One that fails
    before its first step, such as over its input, never comes to the end of its loop, but its callbacks hear of it.
    """
    if (loop := _loop_of(config)) is None:
        return
    if isinstance(loop.stack, AsyncExitStack):
        loop.stack.push_async_callback(lease.agive_back)
    else:
        loop.stack.callback(lease.give_back)
    if (manager := getattr(loop, "manager", None)) is not None:
        manager.handlers = [*manager.handlers, _AtFailure(lease.end)]


def before_end(
    config: RunnableConfig, act: Callable[[], object], aact: Callable[[], Coroutine[Any, Any, object]]
) -> bool:
    """Act, in one of two ways, after the last write of the run that reads with this config. Returns whether it can."""
    if (loop := _loop_of(config)) is None:
        return False
    if isinstance(loop.stack, AsyncExitStack):
        loop.stack.push_async_callback(aact)
    else:
        loop.stack.callback(act)
    return True


def _loop_of(config: RunnableConfig) -> Any:
    """LangGraph's loop that reads with this config, which has a stack of what to do at its end. Nothing leads to it but
    the frames of the call."""
    frame: FrameType | None = sys._getframe(2)
    for _ in range(_FRAMES):
        if frame is None:
            break
        loop: Any = frame.f_locals.get("self")
        if getattr(loop, "checkpoint_config", None) is config and hasattr(loop, "stack"):
            return loop
        frame = frame.f_back
    return None


class _AtFailure(BaseCallbackHandler):
    """Acts when a run fails."""

    run_inline = True  # in the event loop, so before the caller sees the failure

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def on_chain_error(self, error: BaseException, **_: Any) -> None:
        self._act()


def is_nested(config: RunnableConfig) -> bool:
    """Whether the config is that of a task, and so of a graph within another one's run."""
    return _TASK_ID in (config.get("configurable") or {})


def is_within(thread_id: str) -> bool:
    """Whether this is called in a node of a run on the thread, even if with a config that does not say so.

    LangGraph drops what it knows of the node's task from a config that names a thread.
    """
    task = var_child_runnable_config.get()
    return task is not None and is_nested(task) and str(task["configurable"].get("thread_id")) == thread_id


def saves_at_end(config: RunnableConfig) -> bool:
    """Whether the run stores nothing before its end."""
    return (config.get("configurable") or {}).get(_DURABILITY) == "exit"


class _Named(NamedTuple):
    """A checkpoint that was asked for by its id, and whether it turned out to be the head."""

    place: Place
    is_head: bool


# Outside of runs, as in LangGraph's `update_state`: what the last read here named.
_named_outside: ContextVar[_Named | None] = ContextVar("_named_outside", default=None)


def choose(run: Run | None, place: Place) -> None:
    """Remember that a checkpoint was asked for by its id."""
    if run is None:
        _named_outside.set(_Named(place, is_head=False))
    else:
        run.chosen.add(place)
        run.chain(place.thread_id, place.checkpoint_ns).postponed.saved = False


def found_head(run: Run | None, place: Place) -> None:
    """Remember the head of a namespace as it was found; with an empty checkpoint_id there is none."""
    # Who names the head need not fork.
    if run is None:
        if (named := _named_outside.get()) is not None and named.place == place:
            _named_outside.set(_Named(place, is_head=True))
        return
    run.chosen.discard(place)
    chain = run.chain(place.thread_id, place.checkpoint_ns)
    chain.postponed.saved = False
    if chain.head is None:
        chain.head = place.checkpoint_id


def is_chosen(run: Run | None, place: Place) -> bool:
    """Whether building on a checkpoint is meant, whatever the head is."""
    if run is None:
        named = _named_outside.get()
        return bool(place.checkpoint_id) and named is not None and named.place == place and not named.is_head
    return place in run.chosen if place.checkpoint_id else place in run.anew
