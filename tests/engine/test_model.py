"""Random histories of two threads, beside a plain model of what must be readable after each step."""

import asyncio
import copy
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import ThreadExists, ThreadNotFound
from checkpointd.v1.threads_pb2 import CopyThreadRequest, DeleteThreadRequest, PruneStrategy, PruneThreadsRequest
from tests.engine.reading import TENANT, history, listed, values, writes
from tests.messages import put_checkpoint, put_writes
from tests.postgres import TestPostgres

_THREADS = st.sampled_from(["t", "u"])
_NAMESPACES = st.sampled_from(["", "n"])


@dataclass
class Stored:
    """A checkpoint as the model keeps it. `log` is a channel stored as changes, `plain` an ordinary one."""

    parent: str
    values: dict[str, bytes]
    log: list[bytes]  # what the log amounts to
    snapshot: bool


@dataclass
class Namespace:
    checkpoints: dict[str, Stored] = field(default_factory=dict)  # in the order of their first commit
    writes: dict[str, dict[tuple[str, int], tuple[str, bytes]]] = field(default_factory=dict)
    pruned: set[str] = field(default_factory=set)


class Histories(RuleBasedStateMachine):
    engine: Engine
    runner: asyncio.Runner
    count = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).count += 1
        self.prefix = f"{type(self).count}-"
        self.ids = 0
        self.threads: dict[str, dict[str, Namespace]] = {}

    def _await(self, awaitable: Any) -> Any:
        async def wait() -> Any:
            return await awaitable

        return self.runner.run(wait())

    def _namespace(self, thread: str, ns: str) -> Namespace:
        return self.threads.setdefault(thread, {}).setdefault(ns, Namespace())

    @rule(
        thread=_THREADS,
        ns=_NAMESPACES,
        back=st.integers(0, 3),
        prefix=st.sampled_from("abc"),
        snapshot=st.integers(0, 3).map(lambda number: number == 3),
        log=st.lists(st.binary(min_size=1, max_size=3), max_size=3),
    )
    def superstep(self, thread: str, ns: str, back: int, prefix: str, snapshot: bool, log: list[bytes]) -> None:
        """Writes on the head, or on a checkpoint a few before it, and the checkpoint that follows."""
        kept = self._namespace(thread, ns)
        line = list(kept.checkpoints)
        parent = line[max(0, len(line) - 1 - back)] if line else ""
        if parent and parent not in kept.writes:
            self._write(thread, ns, parent, log)
        # Ids that don't grow with the commits, as those of clocks that disagree.
        self.ids += 1
        checkpoint_id = f"{prefix}{self.ids}"
        total = list(kept.checkpoints[parent].log) if parent else []
        total += [data for (_, idx), (_, data) in sorted(kept.writes.get(parent, {}).items()) if idx >= 0]
        snapshot = snapshot or not parent
        own = {"plain": checkpoint_id.encode()} | ({"log": b"".join(total)} if snapshot else {})
        kept.checkpoints[checkpoint_id] = Stored(parent, own, total, snapshot)
        metadata = {} if snapshot else {"counters_since_delta_snapshot": {"log": [1, 1]}}
        request = put_checkpoint(
            self.prefix + thread,
            checkpoint_id,
            ns=ns,
            parent=parent,
            values=own,
            versions={"log": f"v{checkpoint_id}"},
            metadata=metadata,
        )
        self._await(self.engine.checkpoints.put_checkpoint(TENANT, request))

    @rule(thread=_THREADS, ns=_NAMESPACES, log=st.lists(st.binary(min_size=1, max_size=3), min_size=1, max_size=3))
    def pending_writes(self, thread: str, ns: str, log: list[bytes]) -> None:
        """Writes on the head, some perhaps again: a task that runs twice."""
        kept = self._namespace(thread, ns)
        if kept.checkpoints:
            self._write(thread, ns, list(kept.checkpoints)[-1], log)

    def _write(self, thread: str, ns: str, checkpoint_id: str, log: list[bytes]) -> None:
        of_checkpoint = self._namespace(thread, ns).writes.setdefault(checkpoint_id, {})
        for idx, data in enumerate(log):
            of_checkpoint.setdefault(("task", idx), ("log", data))
        of_checkpoint["task", -1] = ("error", b"".join(log))
        rows = [(idx, "log", data) for idx, data in enumerate(log)] + [(-1, "error", b"".join(log))]
        request = put_writes(self.prefix + thread, checkpoint_id, "task", rows, ns=ns)
        self._await(self.engine.checkpoints.put_writes(TENANT, request))

    @rule(thread=_THREADS)
    def prune(self, thread: str) -> None:
        for kept in self.threads.get(thread, {}).values():
            for checkpoint_id in list(kept.checkpoints)[:-1]:
                del kept.checkpoints[checkpoint_id]
                kept.writes.pop(checkpoint_id, None)
                kept.pruned.add(checkpoint_id)
            for stored in kept.checkpoints.values():
                stored.parent = ""
        request = PruneThreadsRequest(
            thread_ids=[self.prefix + thread], strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST
        )
        self._await(self.engine.threads.prune_threads(TENANT, request))

    @rule(thread=_THREADS)
    def delete(self, thread: str) -> None:
        self.threads.pop(thread, None)
        self._await(self.engine.threads.delete_thread(TENANT, DeleteThreadRequest(thread_id=self.prefix + thread)))

    @rule(source=_THREADS)
    def copy(self, source: str) -> None:
        target = "u" if source == "t" else "t"
        request = CopyThreadRequest(source_thread_id=self.prefix + source, target_thread_id=self.prefix + target)
        if not any(kept.checkpoints or kept.pruned for kept in self.threads.get(target, {}).values()):
            try:
                self._await(self.engine.threads.copy_thread(TENANT, request))
                self.threads[target] = copy.deepcopy(self.threads[source])
            except ThreadNotFound:
                assert not any(kept.checkpoints for kept in self.threads.get(source, {}).values())
        elif own := [
            checkpoint_id
            for ns, kept in self.threads[target].items()
            for checkpoint_id in kept.checkpoints
            if checkpoint_id not in self.threads.get(source, {}).get(ns, Namespace()).checkpoints
            and checkpoint_id not in self.threads.get(source, {}).get(ns, Namespace()).pruned
        ]:
            assert own
            with pytest.raises((ThreadExists, ThreadNotFound)):
                self._await(self.engine.threads.copy_thread(TENANT, request))

    @invariant()
    def readable(self) -> None:
        for thread in ("t", "u"):
            for ns in ("", "n"):
                kept = self.threads.get(thread, {}).get(ns, Namespace())
                found = self._await(listed(self.engine, self.prefix + thread, checkpoint_ns=ns))
                assert [one.checkpoint.id for one in found] == list(kept.checkpoints)[::-1]
                for one in found:
                    stored = kept.checkpoints[one.checkpoint.id]
                    assert one.parent_checkpoint_id == stored.parent
                    assert values(one) == stored.values
                    expected = sorted(kept.writes.get(one.checkpoint.id, {}).items())
                    assert writes(one) == [(task, idx, channel, data) for (task, idx), (channel, data) in expected]
                    if not stored.snapshot:
                        self._log_is(thread, ns, one.checkpoint.id, stored.log)

    def _log_is(self, thread: str, ns: str, checkpoint_id: str, log: list[bytes]) -> None:
        found = self._await(history(self.engine, self.prefix + thread, "log", ns=ns, checkpoint_id=checkpoint_id))
        seed, changes = found["log"]
        assert b"".join([seed or b"", *changes]) == b"".join(log)


async def _opened(url: str) -> Engine:
    engine = Engine(Database(url))
    await engine.open()
    return engine


def test_random_histories(postgres: TestPostgres) -> None:
    with asyncio.Runner() as runner:
        Histories.engine = runner.run(_opened(postgres.create_database()))
        Histories.runner = runner
        run_state_machine_as_test(
            Histories,
            settings=settings(
                max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
        runner.run(Histories.engine.close())
