"""Random histories of large values on two servers of one database, beside a plain model of what must be readable.

The limits of what is stored how are made small for one of the runs, so that their ends come often.
"""

import asyncio
import copy
import json
import random
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from checkpointd.changes import hash_of
from checkpointd.engine import Database, Engine, values
from checkpointd.engine.errors import BaseMismatch, ThreadExists, ThreadNotFound
from checkpointd.engine.verify import Verification, connect
from checkpointd.v1.checkpoints_pb2 import (
    CheckpointPut,
    PutCheckpointRequest,
)
from checkpointd.v1.core_pb2 import Piece, ValueChange
from checkpointd.v1.threads_pb2 import (
    CopyThreadRequest,
    DeleteRunsRequest,
    DeleteThreadRequest,
    PruneStrategy,
    PruneThreadsRequest,
)
from tests.engine.reading import TENANT
from tests.engine.values_compared import compare
from tests.engine.values_model import CHANNELS, Content, Edit, Kept, Namespace, Thread
from tests.messages import commit
from tests.postgres import TestPostgres

_THREADS = st.sampled_from(["t", "u"])
_NAMESPACES = st.sampled_from(["", "", "n"])
_SERVERS = st.integers(0, 1)
_RUNS = st.integers(0, 2)
_BACK = st.sampled_from([0, 0, 0, 1, 2, 7])
_EDITS = st.builds(
    Edit,
    kind=st.sampled_from(["append", "append", "middle", "middle", "truncate", "swap", "replace"]),
    place=st.sampled_from([0.5, 0.95, 0.3, 0.8, 0.1, 1, 0]),
    size=st.sampled_from([40, 1, 0, 40, 700, 3_000, 13_000]),
    seed=st.integers(0, 9),
)
# The smallest ones keep nothing, or little of what is put.
_CACHES = st.sampled_from([128 << 20, 100_000, 128 << 20, 40_000, 9_000, 0])


async def _opened(url: str, value_cache: int = 128 << 20) -> Engine:
    engine = Engine(Database(url, write_connections=1, read_connections=3), value_cache=value_cache)
    await engine.open()
    return engine


class Histories(RuleBasedStateMachine):
    url: str
    engines: list[Engine]
    runner: asyncio.Runner
    count = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).count += 1
        self.prefix = f"{type(self).count}-"
        self.threads: dict[str, Thread] = {}

    def _await(self, awaitable: Any) -> Any:
        async def wait() -> Any:
            return await awaitable

        return self.runner.run(wait())

    def _put(
        self, thread: str, ns: str, checkpoint_id: str, kept: Kept, sent: dict[str, Content | ValueChange]
    ) -> CheckpointPut:
        put = CheckpointPut(checkpoint_ns=ns, parent_checkpoint_id=kept.parent)
        put.checkpoint.id = checkpoint_id
        put.checkpoint.channel_versions.update(kept.versions)
        for channel, value in sent.items():
            if isinstance(value, ValueChange):
                put.channel_changes[channel].CopyFrom(value)
            else:
                message = put.checkpoint.channel_values[channel]
                message.encoding, message.data = value
        rebuilt = {channel: [1, 1] for channel in CHANNELS if channel not in kept.own}
        counters = {"counters_since_delta_snapshot": rebuilt} if rebuilt else {}
        put.metadata.json = json.dumps({"run_id": f"{self.prefix}{kept.run_id}"} | counters)
        return put

    def _send(self, server: int, thread: str, put: CheckpointPut) -> int:
        request = PutCheckpointRequest(thread_id=self.prefix + thread, put=put)
        return int(self._await(self.engines[server].checkpoints.put_checkpoint(TENANT, request)).sequence)

    def _next(self, thread: str, ns: str, back: int, run: int, own: set[str]) -> tuple[str, Kept, Namespace]:
        """The next checkpoint, on one that was committed a few before the last, and its place in the model."""
        kept_thread = self.threads.setdefault(thread, Thread())
        namespace = kept_thread.at(ns)
        line = list(namespace.checkpoints)
        parent = line[max(0, len(line) - 1 - back)] if line else ""
        kept_thread.made += 1
        versions = dict.fromkeys(CHANNELS, f"v{kept_thread.made}")
        kept = Kept(parent, versions, own if parent else set(CHANNELS), str(run), 0)
        return f"c{kept_thread.made}", kept, namespace

    def _stored(self, namespace: Namespace, parent: str, channel: str) -> Content:
        """The value that the next one of a channel grows out of."""
        if parent:
            kept = namespace.checkpoints[parent]
            found = (
                namespace.values[channel, kept.versions[channel]]
                if channel in kept.own
                else namespace.seed(parent, channel)
            )
            if found is not None:
                return found
        return "bytes", random.Random(7).randbytes(5_000)

    @rule(
        server=_SERVERS,
        thread=_THREADS,
        ns=_NAMESPACES,
        back=_BACK,
        run=_RUNS,
        own=st.sets(st.sampled_from(CHANNELS)).map(lambda drawn: drawn or set(CHANNELS)),
        edit=_EDITS,
        steps=st.integers(1, 4),
        encoding=st.sampled_from(["bytes", "bytes", "bytes", "json"]),
        send_twice=st.booleans(),
    )
    def puts(
        self,
        server: int,
        thread: str,
        ns: str,
        back: int,
        run: int,
        own: set[str],
        edit: Edit,
        steps: int,
        encoding: str,
        send_twice: bool,
    ) -> None:
        """Whole values, a few after each other."""
        for step in range(steps):
            checkpoint_id, kept, namespace = self._next(thread, ns, back if step == 0 else 0, run, own)
            sent: dict[str, Content] = {}
            for channel in kept.own:
                _, before = self._stored(namespace, kept.parent, channel)
                sent[channel] = (encoding, edit.applied(before)[:40_000])
            put = self._put(thread, ns, checkpoint_id, kept, {**sent})
            kept.seq = self._send(server, thread, copy.deepcopy(put))
            if send_twice:
                assert self._send(1 - server, thread, put) == kept.seq
            namespace.checkpoints[checkpoint_id] = kept
            for channel, value in sent.items():
                namespace.values.setdefault((channel, kept.versions[channel]), value)
        self._same(thread)

    @rule(
        server=_SERVERS,
        thread=_THREADS,
        ns=_NAMESPACES,
        back=_BACK,
        base=st.integers(0, 30),
        edit=_EDITS,
        wrong=st.sampled_from(["", "", "", "hash", "version"]),
        old_version=st.booleans(),
    )
    def puts_a_change(
        self, server: int, thread: str, ns: str, back: int, base: int, edit: Edit, wrong: str, old_version: bool
    ) -> None:
        """A value that is sent as the change of any other one that is stored."""
        stored = self.threads.get(thread, Thread()).at(ns).values
        versions = [version for channel, version in stored if channel == "big"]
        if not versions:
            return
        checkpoint_id, kept, namespace = self._next(thread, ns, back, 0, {"big"})
        kept.own = {"big"} if kept.parent else set(CHANNELS)
        base_version = versions[-1 - base % len(versions)]
        encoding, before = stored["big", base_version]
        data = edit.applied(before)
        if len(data) > 60_000:
            return
        if old_version:  # one that another value has
            kept.versions["big"] = versions[base % len(versions)]
        said = ValueChange(
            base_version="gone" if wrong == "version" else base_version,
            base_hash=hash_of(before) ^ (wrong == "hash"),
            encoding=encoding,
            pieces=[Piece(offset=at, length=length, literal=new) for at, length, new in edit.parts(len(before))],
            hash=hash_of(data),
        )
        sent: dict[str, Content | ValueChange] = {"big": said}
        if "other" in kept.own:
            sent["other"] = ("bytes", b"small")
        put = self._put(thread, ns, checkpoint_id, kept, sent)
        if wrong:
            with pytest.raises(BaseMismatch):
                self._send(server, thread, put)
            return
        kept.seq = self._send(server, thread, put)
        namespace.checkpoints[checkpoint_id] = kept
        namespace.values.setdefault(("big", kept.versions["big"]), (encoding, data))
        if "other" in kept.own:
            namespace.values["other", kept.versions["other"]] = ("bytes", b"small")
        self._same(thread)

    @rule(server=_SERVERS, thread=_THREADS, ns=_NAMESPACES, which=st.integers(0, 30), edit=_EDITS, anew=st.booleans())
    def puts_again(self, server: int, thread: str, ns: str, which: int, edit: Edit, anew: bool) -> None:
        """A checkpoint that is stored, with other values: under the same versions, which stay, or under new ones."""
        kept_thread = self.threads.get(thread, Thread())
        namespace = kept_thread.at(ns)
        if not namespace.checkpoints:
            return
        line = list(namespace.checkpoints)
        checkpoint_id = line[-1 - which % len(line)]
        kept = namespace.checkpoints[checkpoint_id]
        sent = {}
        for channel in kept.own:
            encoding, before = namespace.values[channel, kept.versions[channel]]
            sent[channel] = (encoding, edit.applied(before)[:40_000])
        if anew:
            kept_thread.made += 1
            kept.versions = dict.fromkeys(CHANNELS, f"v{kept_thread.made}")
        assert self._send(server, thread, self._put(thread, ns, checkpoint_id, kept, {**sent})) == kept.seq
        for channel, value in sent.items():
            namespace.values.setdefault((channel, kept.versions[channel]), value)
        self._same(thread)

    @rule(server=_SERVERS, thread=_THREADS, edits=st.tuples(_EDITS, _EDITS), one_call=st.booleans())
    def puts_together(self, server: int, thread: str, edits: tuple[Edit, Edit], one_call: bool) -> None:
        """Two checkpoints in one commit, or in two that are stored in one batch, with other values of one version."""
        puts: list[CheckpointPut] = []
        models: list[tuple[str, Kept, dict[str, Content]]] = []
        for edit in edits:
            checkpoint_id, kept, namespace = self._next(thread, "", 0, 0, set(CHANNELS))
            if models:
                kept.versions["big"] = models[0][1].versions["big"]
            sent = {}
            for channel in CHANNELS:
                encoding, before = self._stored(namespace, kept.parent, channel)
                sent[channel] = (encoding, edit.applied(before)[:40_000])
            puts.append(self._put(thread, "", checkpoint_id, kept, {**sent}))
            models.append((checkpoint_id, kept, sent))
        service = self.engines[server].checkpoints
        if one_call:
            answer = self._await(service.commit(TENANT, commit(self.prefix + thread, *puts)))
            sequences = list(answer.checkpoint_sequences)
        else:
            calls = [
                service.put_checkpoint(TENANT, PutCheckpointRequest(thread_id=self.prefix + thread, put=put))
                for put in puts
            ]
            sequences = [answer.sequence for answer in self._await(asyncio.gather(*calls))]
        namespace = self.threads[thread].at("")
        # Calls at the same time have no order but that of their commits: one that has to be stored anew comes later.
        for sequence, (checkpoint_id, kept, sent) in sorted(zip(sequences, models, strict=True), key=itemgetter(0)):
            kept.seq = sequence
            namespace.checkpoints[checkpoint_id] = kept
            for channel, value in sent.items():
                namespace.values.setdefault((channel, kept.versions[channel]), value)
        self._same(thread)

    @rule(server=_SERVERS, thread=_THREADS)
    def prunes(self, server: int, thread: str) -> None:
        kept_thread = self.threads.get(thread, Thread())
        for namespace in kept_thread.namespaces.values():
            namespace.cut(set(list(namespace.checkpoints)[-1:]))
        kept_thread.cut = True
        request = PruneThreadsRequest(
            thread_ids=[self.prefix + thread], strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST
        )
        self._await(self.engines[server].threads.prune_threads(TENANT, request))
        self._same(thread)

    @rule(server=_SERVERS, run=_RUNS)
    def deletes_a_run(self, server: int, run: int) -> None:
        for kept_thread in self.threads.values():
            if any(kept.run_id == str(run) for _, _, kept in kept_thread.all()):
                kept_thread.cut = True
                for namespace in kept_thread.namespaces.values():
                    namespace.cut({name for name, kept in namespace.checkpoints.items() if kept.run_id != str(run)})
        request = DeleteRunsRequest(run_ids=[f"{self.prefix}{run}"])
        self._await(self.engines[server].threads.delete_runs(TENANT, request))
        self._same("t", "u")

    @rule(server=_SERVERS, thread=_THREADS)
    def deletes(self, server: int, thread: str) -> None:
        self.threads.pop(thread, None)
        request = DeleteThreadRequest(thread_id=self.prefix + thread)
        self._await(self.engines[server].threads.delete_thread(TENANT, request))
        self._same(thread)

    @rule(server=_SERVERS, source=_THREADS)
    def copies(self, server: int, source: str) -> None:
        target = "u" if source == "t" else "t"
        there = self.threads.get(target, Thread())
        request = CopyThreadRequest(source_thread_id=self.prefix + source, target_thread_id=self.prefix + target)

        def call() -> None:
            self._await(self.engines[server].threads.copy_thread(TENANT, request))

        if source not in self.threads:
            with pytest.raises(ThreadNotFound):
                call()
            return
        # Of what was removed the model does not know all that is left.
        if target in self.threads and (there.cut or self.threads[source].cut):
            return
        if there.takes(self.threads[source]):
            call()
            there.add(copy.deepcopy(self.threads[source]))
            self.threads[target] = there
        else:
            with pytest.raises(ThreadExists):
                call()
        self._same(target)

    @initialize(caches=st.tuples(_CACHES, _CACHES), runs=st.tuples(_RUNS, _RUNS), edit=_EDITS)
    def starts(self, caches: tuple[int, int], runs: tuple[int, int], edit: Edit) -> None:
        """Servers that remember nothing of the history before, so that each can be repeated; and values that grow."""
        for server, value_cache in enumerate(caches):
            self.restarts(server, value_cache)
        self._grows(0, runs[0], Edit("append", 1, 40, 1), 5)
        self._grows(1, runs[1], edit, 2)
        self._grows(0, runs[0], Edit("middle", 0.3, 40, 2), 2)

    def _grows(self, server: int, run: int, edit: Edit, steps: int) -> None:
        self.puts(server, "t", "", 0, run, set(CHANNELS), edit, steps, "bytes", send_twice=False)

    @rule(server=_SERVERS, value_cache=_CACHES)
    def restarts(self, server: int, value_cache: int) -> None:
        self._await(self.engines[server].close())
        self.engines[server] = self._await(_opened(self.url, value_cache))

    def _same(self, *threads: str) -> None:
        """All that is readable of these threads, on both servers, is as the model has it."""
        self._await(
            asyncio.gather(
                *(
                    compare(engine, self.prefix + thread, self.threads.get(thread, Thread()))
                    for engine in self.engines
                    for thread in threads
                )
            )
        )

    def teardown(self) -> None:
        self._same("t", "u")


@pytest.mark.parametrize("limits", ["as they are", "small"])
def test_random_histories(postgres: TestPostgres, monkeypatch: pytest.MonkeyPatch, limits: str) -> None:
    if limits == "small":
        monkeypatch.setattr(values, "_MOST_LINKS", 2)
        monkeypatch.setattr(values, "_MOST_SKIPS", 2)
    with asyncio.Runner() as runner:
        Histories.url = postgres.create_database()
        Histories.engines = [runner.run(_opened(Histories.url)) for _ in range(2)]
        Histories.runner = runner
        run_state_machine_as_test(
            Histories,
            settings=settings(
                max_examples=30,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                # A failure is told as it was found: to make it smaller would take minutes.
                phases=[Phase.explicit, Phase.generate],
            ),
        )
        for engine in Histories.engines:
            runner.run(engine.close())
    with connect(Histories.url) as connection:
        verification = Verification(connection)
        assert list(verification.run()) == []
        assert verification.counts.changes > 0
    postgres.drop_database(Histories.url)
