"""Large values that several writers, on two servers of one database, put, copy and remove at the same time."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from checkpointd.changes import hash_of
from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import BaseMismatch, ThreadExists, ThreadNotFound
from checkpointd.engine.verify import Counts, Verification, connect
from checkpointd.v1.checkpoints_pb2 import PutCheckpointRequest
from checkpointd.v1.core_pb2 import Piece, ValueChange
from checkpointd.v1.threads_pb2 import (
    CopyThreadRequest,
    DeleteRunsRequest,
    DeleteThreadRequest,
    PruneStrategy,
    PruneThreadsRequest,
)
from tests.engine.reading import TENANT, get, listed, values
from tests.messages import checkpoint_put, commit, put_checkpoint

_BASE = random.Random(1).randbytes(20_000)
_OTHER = _BASE[:5_000] + b"what the other one has more" + _BASE[5_000:]


@pytest.fixture
async def engines(database_url: str) -> AsyncIterator[list[Engine]]:
    """Two servers of one database."""
    both = [Engine(Database(database_url)) for _ in range(2)]
    for engine in both:
        await engine.open()
    yield both
    for engine in both:
        await engine.close()


def _verified(url: str) -> Counts:
    with connect(url) as connection:
        verification = Verification(connection)
        assert list(verification.run()) == []
    return verification.counts


@pytest.mark.parametrize("one_call", [True, False])
async def test_two_values_of_one_version_in_a_batch(engines: list[Engine], one_call: bool, database_url: str) -> None:
    """The first one stays, and the next value is made of it."""
    service = engines[0].checkpoints
    puts = [
        checkpoint_put("c1", values={"x": _BASE}, versions={"x": "v"}),
        checkpoint_put("c2", values={"x": _OTHER}, versions={"x": "v"}),
    ]
    if one_call:
        await service.commit(TENANT, commit("t", *puts))
    else:
        calls = [service.put_checkpoint(TENANT, PutCheckpointRequest(thread_id="t", put=put)) for put in puts]
        await asyncio.gather(*calls)
    following = _OTHER + b"and more"
    await service.put_checkpoint(TENANT, put_checkpoint("t", "c3", values={"x": following}))
    for engine in engines:
        found = [values(await get(engine, "t", checkpoint_id))["x"] for checkpoint_id in ("c1", "c2", "c3")]
        assert found == [_BASE, _BASE, following]
    _verified(database_url)


async def test_a_copy_over_another_value_of_one_version(engines: list[Engine], database_url: str) -> None:
    service = engines[0].checkpoints
    for thread_id, data in (("t", _BASE), ("u", _OTHER)):
        await service.put_checkpoint(TENANT, put_checkpoint(thread_id, "c1", values={"x": data}))
    await service.put_checkpoint(TENANT, put_checkpoint("t", "c2", values={"x": _BASE + b"and more"}))
    with pytest.raises(ThreadExists):
        await engines[0].threads.copy_thread(TENANT, CopyThreadRequest(source_thread_id="t", target_thread_id="u"))
    assert [values(one)["x"] for one in await listed(engines[1], "u")] == [_OTHER]
    assert _verified(database_url).changes == 1


async def test_another_encoding_where_a_thread_is_made_anew(engines: list[Engine]) -> None:
    """A server that remembers the bytes does not take them for what they were."""
    first, second = engines
    await first.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "c", values={"x": _BASE}))
    await second.threads.delete_thread(TENANT, DeleteThreadRequest(thread_id="t"))
    request = put_checkpoint("t", "c", values={"x": _BASE})
    request.put.checkpoint.channel_values["x"].encoding = "json"
    await second.checkpoints.put_checkpoint(TENANT, request)
    for engine in engines:
        found = (await get(engine, "t", "c")).checkpoint.channel_values["x"]
        assert (found.encoding, found.data) == ("json", _BASE)


class _Writer:
    """Puts values that grow, whole and as changes, on one thread through one server after the other."""

    def __init__(self, engines: list[Engine], name: str, thread_id: str) -> None:
        self._engines, self._name, self._thread_id = engines, name, thread_id
        self._random = random.Random(name)
        self.changes = 0

    async def run(self, steps: int) -> None:
        data, base = self._random.randbytes(4_000), ""
        for step in range(steps):
            before = data
            at = self._random.randrange(len(data))
            data = data[:at] + self._random.randbytes(60) + data[at:]
            checkpoint_id = f"{step:04}{self._name}"
            request = put_checkpoint(
                self._thread_id,
                checkpoint_id,
                values={self._name: data},
                metadata={"run_id": str(step % 7)},
            )
            engine = self._engines[self._random.randrange(2)].checkpoints
            if base and step % 2:
                change = ValueChange(base_version=base, base_hash=hash_of(before), encoding="bytes", hash=hash_of(data))
                change.pieces.append(Piece(length=at, literal=data[at : at + 60]))
                change.pieces.append(Piece(offset=at, length=len(before) - at))
                changed = PutCheckpointRequest()
                changed.CopyFrom(request)
                del changed.put.checkpoint.channel_values[self._name]
                changed.put.channel_changes[self._name].CopyFrom(change)
                try:
                    await engine.put_checkpoint(TENANT, changed)
                    self.changes += 1
                except BaseMismatch:  # its base was removed meanwhile
                    await engine.put_checkpoint(TENANT, request)
            else:
                await engine.put_checkpoint(TENANT, request)
            base = f"v{checkpoint_id}"


async def _removes(engines: list[Engine], thread_ids: list[str], steps: int) -> None:
    chosen = random.Random(5)
    for step in range(steps):
        threads = engines[step % 2].threads
        match chosen.choice(["prune", "runs", "copy", "copy", "delete"]):
            case "prune":
                request = PruneThreadsRequest(
                    thread_ids=[chosen.choice(thread_ids)], strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST
                )
                await threads.prune_threads(TENANT, request)
            case "runs":
                await threads.delete_runs(TENANT, DeleteRunsRequest(run_ids=[str(chosen.randrange(7))]))
            case "copy":
                copied = CopyThreadRequest(
                    source_thread_id=chosen.choice(thread_ids), target_thread_id=f"copy{chosen.randrange(4)}"
                )
                try:
                    await threads.copy_thread(TENANT, copied)
                except (ThreadExists, ThreadNotFound):
                    continue
            case "delete":
                await threads.delete_thread(
                    TENANT, DeleteThreadRequest(thread_id=chosen.choice([*thread_ids, "copy0", "copy1"]))
                )


async def test_all_at_once(engines: list[Engine], database_url: str) -> None:
    """Whatever was removed in between: what is listed can be built, and verifying finds nothing."""
    thread_ids = ["t", "u"]
    writers = [_Writer(engines, name, thread_id) for thread_id in thread_ids for name in "abc"]
    await asyncio.gather(
        *(writer.run(80) for writer in writers),
        *(_removes(engines if half else engines[::-1], thread_ids, 60) for half in range(2)),
    )
    assert sum(writer.changes for writer in writers) > 0
    everything = await listed(engines[0])
    assert everything
    assert [values(one) for one in everything] == [values(one) for one in await listed(engines[1])]
    for one in everything:
        assert one.checkpoint.channel_values.keys() == one.checkpoint.channel_versions.keys()
    assert _verified(database_url).changes > 0
