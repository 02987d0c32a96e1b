"""On Citus: tables are distributed by thread, and what a step of a graph needs goes to one node.

Needs a Citus: CHECKPOINTD_TEST_CITUS_URL (tests/citus.py). The engine's other tests run on it too when it is given, but
for those that read PostgreSQL's log, lock rows by themselves, watch, or look at batches of several threads.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import psycopg
import pytest

import checkpointd.engine.citus
from checkpointd.engine import Database, Engine, arrays
from checkpointd.engine.batch import prepare
from checkpointd.engine.committer import store
from checkpointd.engine.errors import HeadMoved, StartupError, WatchOff
from checkpointd.engine.prepared import ServingConnection
from checkpointd.engine.sql import CITUS_STATEMENTS, STATEMENTS
from checkpointd.engine.sweep import Sweep
from checkpointd.engine.tuples import NOTHING_KNOWN
from checkpointd.v1.checkpoints_pb2 import CheckpointPut, WritesPut
from checkpointd.v1.core_pb2 import Precondition
from checkpointd.v1.leases_pb2 import AcquireLeaseRequest
from checkpointd.v1.retention_pb2 import ApplyRetentionPolicyRequest, RetentionPolicy
from checkpointd.v1.threads_pb2 import (
    CopyThreadRequest,
    DeleteThreadRequest,
    ListThreadsRequest,
    PruneStrategy,
    PruneThreadsRequest,
    UpdateThreadRequest,
)
from checkpointd.v1.watch_pb2 import WatchRequest
from tests import citus
from tests.engine.reading import TENANT, get, ids, values
from tests.messages import checkpoint_put, put_checkpoint, put_writes, writes_put

needs_citus = pytest.mark.skipif(not citus.URL, reason="CHECKPOINTD_TEST_CITUS_URL names no Citus")

_OF_THREADS = {
    *("threads", "thread_labels", "checkpoints", "channel_values", "writes", "leases", "requests", "thread_bytes")
}


def test_each_statement_for_citus_is_one_that_is_used() -> None:
    """In place of another one, or by a module for Citus."""
    folder = Path(checkpointd.engine.citus.__file__).parent
    used = "".join(path.read_text() for path in folder.glob("citus*.py"))
    for name in CITUS_STATEMENTS.keys() - STATEMENTS.keys():
        within = any(f"{{{{{name}}}}}" in path.read_text() for path in _files())
        assert within or f'"{name}"' in used, name


def _files() -> list[Path]:
    return list((Path(checkpointd.engine.citus.__file__).parent / "sql" / "citus").glob("*.sql"))


@pytest.fixture
async def on_citus(database_url: str) -> AsyncIterator[Engine]:
    engine = Engine(Database(database_url))
    await engine.open()
    yield engine
    await engine.close()


@needs_citus
async def test_what_is_of_a_thread_is_on_one_node(on_citus: Engine, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT replace(table_name::text, 'checkpointd.', ''), distribution_column, colocation_id "
            "FROM citus_tables WHERE citus_table_type = 'distributed'"
        ).fetchall()
    assert {name for name, _, _ in found} == _OF_THREADS
    assert {column for _, column, _ in found} == {"thread_id"}
    assert len({group for _, _, group in found}) == 1


@needs_citus
async def test_a_second_server_finds_them_so(on_citus: Engine, database_url: str) -> None:
    second = Engine(Database(database_url))
    await second.open()
    await on_citus.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "c1", values={"x": "1"}))
    assert values(await get(second, "t")) == {"x": b"1"}
    await second.close()


@needs_citus
async def test_what_a_step_needs_goes_to_one_node(on_citus: Engine, database_url: str) -> None:
    put = put_checkpoint("t", "c1", values={"x": "1" * 3000})
    await on_citus.checkpoints.put_checkpoint(TENANT, put)
    named = {"tenant": TENANT, "thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "c1"}
    read = {**named, **NOTHING_KNOWN, "channel": "x", "version": "vc1", "channels": ["x"], "below": 9, "size": 4}
    read |= {"before": "", "filter": "{}", "request_id": "r"}
    async with await ServingConnection.connect(database_url, autocommit=True) as connection:
        connection.learn(await arrays.register(connection), on_citus=True)
        await connection.execute(connection.sql("serving_session"))
        nodes = await _Nodes.of(connection)
        for statement in ("get_head", "get_by_id", "value", "history_of_head", "list_namespace_full", "read_lease"):
            assert await nodes.touched(connection.execute(connection.sql(statement), read)) == 1, statement
        for some in ("checkpoint", "writes"), ("checkpoint",), ("writes",):
            commit = prepare(TENANT, "t", [_op(one) for one in some])
            assert await nodes.touched(store(connection, [commit])) == 1, some
        assert (
            await nodes.touched(connection.execute(connection.sql("count_threads_of_tenant"), named)) > 1
        )  # as this one does, which looks at all


class _Nodes:
    """Says over how many parts of the distributed tables goes what a connection does."""

    def __init__(self, connection: ServingConnection, part_of: dict[str, str]) -> None:
        self._part_of = part_of
        self._said: list[str] = []
        connection.add_notice_handler(lambda notice: self._said.append(notice.message_primary or ""))

    @classmethod
    async def of(cls, connection: ServingConnection) -> "_Nodes":
        cursor = await connection.execute("SELECT shardid::text, shardminvalue FROM pg_dist_shard")
        parts: dict[str, str] = dict(await cursor.fetchall())
        await connection.execute("SET citus.log_remote_commands = on; SET citus.log_local_commands = on")
        return cls(connection, parts)

    async def touched(self, doing: Awaitable[object]) -> int:
        """Over how many it goes."""
        self._said.clear()
        await doing
        shards = re.findall(r"checkpointd\.\w+?_(\d{6,})", " ".join(self._said))
        return len({self._part_of[shard] for shard in shards})


def _op(kind: str) -> CheckpointPut | WritesPut:
    if kind == "checkpoint":
        return checkpoint_put("c2", parent="c1", values={"x": "2"})
    return writes_put("c2", "task", [(0, "x", "w")])


@needs_citus
async def test_the_life_of_a_thread(on_citus: Engine) -> None:
    engine = on_citus
    for turn in range(4):
        parent = f"c{turn - 1}" if turn else ""
        put = put_checkpoint("t", f"c{turn}", parent=parent, values={"x": f"{turn}" * 3000}, metadata={"run_id": "r"})
        await engine.checkpoints.put_checkpoint(TENANT, put)
        await engine.checkpoints.put_writes(TENANT, put_writes("t", f"c{turn}", "task", [(0, "x", "w")]))
    await engine.threads.update_thread(TENANT, UpdateThreadRequest(thread_id="t", set_labels={"a": "b"}, owner="ann"))
    lease = AcquireLeaseRequest(thread_id="t", holder="h")
    lease.ttl.FromSeconds(60)
    token = (await engine.leases.acquire_lease(TENANT, lease)).lease.fencing_token
    under_lease = put_checkpoint("t", "c4", parent="c3", values={"x": "4"})
    under_lease.precondition.CopyFrom(Precondition(expected_head="c3", fencing_token=token))
    await engine.checkpoints.put_checkpoint(TENANT, under_lease)
    too_late = put_checkpoint("t", "c5", parent="c3", values={"x": "5"})
    too_late.precondition.expected_head = "c3"
    with pytest.raises(HeadMoved):
        await engine.checkpoints.put_checkpoint(TENANT, too_late)
    await engine.threads.copy_thread(TENANT, CopyThreadRequest(source_thread_id="t", target_thread_id="u"))
    assert await ids(engine, "u") == await ids(engine, "t") == ["c4", "c3", "c2", "c1", "c0"]
    assert sorted(await ids(engine)) == sorted(2 * ["c4", "c3", "c2", "c1", "c0"])
    keep = PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST
    await engine.threads.prune_threads(TENANT, PruneThreadsRequest(thread_ids=["t"], strategy=keep))
    assert await ids(engine, "t") == ["c4"]
    assert values(await get(engine, "u", "c2")) == {"x": b"2" * 3000}
    policy = ApplyRetentionPolicyRequest(policy=RetentionPolicy(name="p", keep_last=2))
    await engine.retention.apply_retention_policy(TENANT, policy)
    assert await ids(engine, "u") == ["c4", "c3"]
    listed = await engine.threads.list_threads(TENANT, ListThreadsRequest(labels={"a": "b"}, owner="ann"))
    assert [thread.thread_id for thread in listed.threads] == ["t", "u"]
    await engine.threads.delete_thread(TENANT, DeleteThreadRequest(thread_id="t"))
    assert await ids(engine, "t") == []
    assert await Sweep(engine._database).sweep(0.0) == 0


@needs_citus
async def test_many_threads_at_once(on_citus: Engine) -> None:
    puts = [put_checkpoint(f"t{number}", "c", values={"x": "1"}) for number in range(50)]
    await asyncio.gather(*(on_citus.checkpoints.put_checkpoint(TENANT, put) for put in puts))
    listed = await on_citus.threads.list_threads(TENANT, ListThreadsRequest(page_size=100))
    assert len(listed.threads) == 50


@needs_citus
async def test_what_is_not_to_be_had(on_citus: Engine, database_url: str) -> None:
    with pytest.raises(WatchOff):
        await anext(on_citus.watches.watch(TENANT, WatchRequest()))
    secured = Database(database_url, row_security="on")
    with pytest.raises(StartupError, match="row-level security can't be had on Citus"):
        await secured.open()


@needs_citus
async def test_a_schema_that_is_older_than_the_extension_is_refused(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP EXTENSION citus CASCADE")
        before = Database(database_url)
        await before.open()
        await before.close()
        connection.execute("CREATE EXTENSION citus")
    with pytest.raises(StartupError, match="made before it"):
        await Database(database_url).open()
