"""What the sweep removes and what it leaves."""

import psycopg
import pytest

from checkpointd.engine import Database, Engine, sweep
from checkpointd.engine.sweep import AGE, Sweep
from checkpointd.v1.checkpoints_pb2 import CheckpointPut, PutCheckpointRequest, PutWritesRequest, WritesPut
from checkpointd.v1.core_pb2 import Checkpoint, Value, Write
from checkpointd.v1.threads_pb2 import DeleteThreadRequest

TENANT = "default"


async def _put(engine: Engine, thread_id: str, checkpoint_id: str) -> None:
    put = CheckpointPut(checkpoint=Checkpoint(id=checkpoint_id))
    await engine.checkpoints.put_checkpoint(TENANT, PutCheckpointRequest(thread_id=thread_id, put=put))


async def _write(engine: Engine, thread_id: str, checkpoint_id: str, task_id: str = "task") -> None:
    write = Write(channel="c", value=Value(encoding="null"))
    put = WritesPut(checkpoint_id=checkpoint_id, task_id=task_id, writes=[write])
    await engine.checkpoints.put_writes(TENANT, PutWritesRequest(thread_id=thread_id, put=put))


def _age(url: str, statement: str, *parameters: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement, parameters)


def _age_thread(url: str, thread_id: str) -> None:
    for column in ("created_at", "updated_at"):
        _age(
            url,
            f"UPDATE checkpointd.threads SET {column} = now() - interval '25 hours' WHERE thread_id = %s",
            thread_id,
        )


def _writes(url: str) -> list[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT thread_id, checkpoint_id FROM checkpointd.writes ORDER BY 1, 2").fetchall()


async def _sweep(url: str) -> int:
    database = Database(url, write_connections=1, read_connections=1)
    await database.open()
    try:
        return await Sweep(database).sweep(AGE)
    finally:
        await database.close()


async def test_old_writes_without_a_checkpoint_go_and_all_others_stay(engine: Engine, database_url: str) -> None:
    for thread_id in ("idle", "new"):
        await _put(engine, thread_id, "c1")
        await _write(engine, thread_id, "c1")
        await _write(engine, thread_id, "never-came")
    _age_thread(database_url, "idle")
    assert await _sweep(database_url) == 1
    assert _writes(database_url) == [("idle", "c1"), ("new", "c1"), ("new", "never-came")]
    assert await _sweep(database_url) == 0


async def test_a_thread_in_constant_use_is_swept_up_to_its_old_checkpoints(engine: Engine, database_url: str) -> None:
    await _write(engine, "busy", "never-came")
    await _put(engine, "busy", "c1")
    await _write(engine, "busy", "may-come")
    _age(database_url, "UPDATE checkpointd.threads SET created_at = now() - interval '25 hours'")
    assert await _sweep(database_url) == 0
    _age(database_url, "UPDATE checkpointd.checkpoints SET committed_at = now() - interval '25 hours'")
    assert await _sweep(database_url) == 1
    assert _writes(database_url) == [("busy", "may-come")]
    # What is not old yet is looked at again.
    _age_thread(database_url, "busy")
    assert await _sweep(database_url) == 1


async def test_a_thread_that_is_being_written_is_left_for_the_next_time(engine: Engine, database_url: str) -> None:
    await _write(engine, "t", "never-came")
    _age_thread(database_url, "t")
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT FROM checkpointd.threads FOR UPDATE")
        assert await _sweep(database_url) == 0
    assert await _sweep(database_url) == 1


async def test_it_walks_over_all_threads(engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "STEP", 5)
    for number in range(12):
        await _write(engine, f"t{number}", "never-came")
        _age_thread(database_url, f"t{number}")
    assert await _sweep(database_url) == 12


async def test_old_answers_and_leases_go(engine: Engine, database_url: str) -> None:
    for request_id in ("old", "new"):
        await engine.threads.delete_thread(TENANT, DeleteThreadRequest(thread_id="t", request_id=request_id))
    _age(
        database_url,
        "UPDATE checkpointd.requests SET answered_at = now() - interval '25 hours' WHERE request_id = %s",
        "old",
    )
    _age(
        database_url,
        "INSERT INTO checkpointd.leases SELECT 'default', thread_id, 1, 'h', now() - age FROM"
        " (VALUES ('old', interval '25 hours'), ('new', interval '1 hour')) AS given (thread_id, age)",
    )
    await _sweep(database_url)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT request_id FROM checkpointd.requests").fetchall() == [("new",)]
        assert connection.execute("SELECT thread_id FROM checkpointd.leases").fetchall() == [("new",)]
