"""A connection in a state of its own serves nobody: one that comes back so, one that is lost, one that was left."""

import asyncio
import os
import signal

import psycopg
import pytest
import uvloop
from psycopg.pq import TransactionStatus

from checkpointd.engine import Database, Engine
from checkpointd.engine.batch import Batch, Commit, prepare
from checkpointd.engine.errors import DatabaseUnavailable
from checkpointd.engine.held import HeldConnection
from tests.engine.reading import TENANT, ids
from tests.engine.test_commit import disconnect
from tests.messages import checkpoint_put, put_checkpoint
from tests.postgres import running_postgres
from tests.server_process import eventually


async def test_one_whose_pipeline_was_broken_off_is_given_up(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the next one to use it would be answered before anything is committed."""
    database = Database(database_url, write_connections=1, read_connections=1)
    await database.open()
    try:
        async with database.writing() as connection:
            connection.pgconn.enter_pipeline_mode()
        async with database.writing() as other:
            assert other is not connection
            assert other.pgconn.pipeline_status == psycopg.pq.PipelineStatus.OFF
    finally:
        await database.close()
    assert "a pipeline was broken off" in caplog.text


async def test_one_that_is_lost_while_it_is_idle_fails_nobody(database_url: str) -> None:
    engine = Engine(Database(database_url, write_connections=1))
    await engine.open()
    try:
        for number in ("1", "2", "3"):
            await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", number))
            await asyncio.to_thread(disconnect, database_url)
            await asyncio.sleep(0.1)  # as long as it takes to notice
        # Those that read are looked at then, too.
        await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "4"))
        await asyncio.sleep(0.2)
        assert await ids(engine, "t") == ["4", "3", "2", "1"]
    finally:
        await engine.close()


def _commit(checkpoint_id: str) -> Commit:
    return prepare(TENANT, "t", [checkpoint_put(checkpoint_id)])


async def test_one_that_was_left_in_the_middle_of_a_statement_is_given_up(database_url: str) -> None:
    """Else the next statement on it would get the answer of the one before."""
    database = Database(database_url, write_connections=1, read_connections=1)
    await database.open()
    held = HeldConnection(database.writing)
    try:
        connection = await held.get()
        await connection.run("commit", Batch([_commit("1")]).parameters())
        with psycopg.connect(database_url) as holder:
            holder.execute("SELECT FROM checkpointd.threads FOR UPDATE")
            left = asyncio.create_task(connection.run("commit", Batch([_commit("2")]).parameters()))
            await asyncio.sleep(0.1)
            left.cancel()
            await asyncio.wait([left])
            with pytest.raises((AssertionError, psycopg.Error)):
                await connection.run("commit", Batch([_commit("3")]).parameters())
            await held.give_back()
            other = await held.get()
            assert other is not connection
            assert connection.closed
        ((*_, checkpoint_id, _, _),) = await other.run("commit", Batch([_commit("4")]).parameters())
        assert checkpoint_id == "4"
    finally:
        await held.give_back()
        await database.close()


async def test_who_gives_up_between_preparing_and_running_does_not_spoil_a_statement(database_url: str) -> None:
    """PostgreSQL has it prepared then, and the connection goes on to whoever comes next."""
    database = Database(database_url, write_connections=1, read_connections=1)
    await database.open()
    try:
        async with database.writing() as connection:
            status = TransactionStatus.ACTIVE
            left = asyncio.create_task(connection.run("commit", Batch([_commit("1")]).parameters()))
            await asyncio.sleep(0)
            while status == TransactionStatus.ACTIVE:  # it is preparing
                await asyncio.sleep(0)
                status = TransactionStatus(connection.pgconn.transaction_status)
            left.cancel()
            await asyncio.wait([left])
            assert left.cancelled()
            assert connection.pgconn.transaction_status == TransactionStatus.IDLE
            ((*_, checkpoint_id, _, _),) = await connection.run("commit", Batch([_commit("2")]).parameters())
            assert checkpoint_id == "2"
    finally:
        await database.close()


async def test_who_gives_up_waiting_does_not_hold_up_who_comes_after(engine: Engine) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1"))
    waiting = []
    for _ in range(2):
        request = put_checkpoint("t", "2")
        request.precondition.expected_head = "1"
        waiting.append(engine.checkpoints.put_checkpoint(TENANT, request))
    await asyncio.sleep(0)
    for each in waiting:
        each.cancel()
    async with asyncio.timeout(10):
        await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "3"))


def _answers(database_url: str) -> bool:
    try:
        with psycopg.connect(database_url):
            return True
    except psycopg.OperationalError:
        return False


def test_one_whose_end_leaves_a_statement_unread_is_noticed() -> None:
    """uvloop, which servers run on, says nothing of a socket that was reset."""

    async def put_and_kill(database_url: str) -> None:
        engine = Engine(Database(database_url, write_connections=1, read_connections=1))
        await engine.open()
        await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1"))
        with psycopg.connect(database_url) as connection:
            others = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
        for (pid,) in others:
            os.kill(pid, signal.SIGSTOP)
        putting = engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "2"))
        await asyncio.sleep(0.1)
        for (pid,) in others:
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            with pytest.raises(DatabaseUnavailable):
                await putting
        await engine.close()
        # One that is told to stop in the middle of its recovery may take a minute to do so.
        await asyncio.to_thread(eventually, "PostgreSQL has recovered", lambda: _answers(database_url))

    with running_postgres() as postgres, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(put_and_kill(postgres.create_database()))
