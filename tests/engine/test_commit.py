"""Group commit: few transactions for many callers, one statement each, and each caller answered for itself."""

import asyncio

import psycopg
import pytest

from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import DatabaseReadOnly, DatabaseUnavailable, InvalidField, StartupError
from checkpointd.v1.checkpoints_pb2 import PutCheckpointResponse
from tests.engine.reading import TENANT, get, history, ids, listed, values, writes
from tests.messages import put_checkpoint, put_writes
from tests.postgres import TestPostgres
from tests.statements import StatementLog


async def test_callers_that_wait_together_share_transactions(engine: Engine, database_url: str) -> None:
    puts = (put_checkpoint(f"t{number}", "1", values={"a": "1"}) for number in range(1000))
    await asyncio.gather(*(engine.checkpoints.put_checkpoint(TENANT, put) for put in puts))
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*), count(DISTINCT xmin::text) FROM checkpointd.checkpoints").fetchone()
    assert row is not None
    stored, transactions = row
    assert stored == 1000
    assert transactions < 20


async def test_each_read_and_each_batch_is_one_statement(postgres: TestPostgres, database_url: str) -> None:
    log = StatementLog(database_url, postgres.log_file)
    engine = Engine(Database(database_url, write_connections=1, read_connections=1))
    await engine.open()
    try:
        log.take()
        both = (
            engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1", values={"a": "1"})),
            engine.checkpoints.put_writes(TENANT, put_writes("u", "1", "task", [(0, "a", "2"), (1, "b", "3")])),
        )
        await asyncio.gather(*both)
        assert len(log.take()) == 1
        for read in (get(engine, "t"), get(engine, "t", "1"), ids(engine, "t"), history(engine, "t", "a")):
            await read
            assert len(log.take()) == 1
    finally:
        await engine.close()


async def test_ops_on_one_thread_keep_their_order_within_a_batch(engine: Engine) -> None:
    numbers = [f"{number:03}" for number in range(300)]
    responses = await asyncio.gather(
        *(engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", number)) for number in numbers)
    )
    assert [response.sequence for response in responses] == list(range(1, 301))
    assert await ids(engine, "t") == numbers[::-1]


async def test_the_same_rows_twice_in_one_batch(engine: Engine) -> None:
    first, second = (
        put_checkpoint("t", "1", values={"a": "1"}),
        put_checkpoint("t", "1", values={"a": "2"}, metadata={"n": 2}),
    )
    responses = await asyncio.gather(
        engine.checkpoints.put_checkpoint(TENANT, first),
        engine.checkpoints.put_writes(TENANT, put_writes("t", "1", "task", [(0, "x", "1"), (-1, "e", "1")])),
        engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "2")),
        engine.checkpoints.put_checkpoint(TENANT, second),
        engine.checkpoints.put_writes(TENANT, put_writes("t", "1", "task", [(0, "x", "2"), (-1, "e", "2")])),
    )
    sequences = [response.sequence for response in responses if isinstance(response, PutCheckpointResponse)]
    assert sequences == [1, 3, 1]
    found = await get(engine, "t", "1")
    assert values(found) == {"a": b"1"}
    assert found.metadata.json == '{"n": 2}'
    assert writes(found) == [("task", -1, "e", b"2"), ("task", 0, "x", b"1")]
    assert (await get(engine, "t")).checkpoint.id == "2"


@pytest.mark.parametrize("threads", [["t"], ["t", "u"]])
@pytest.mark.parametrize("holds", [("checkpoint",), ("writes",), ("checkpoint", "writes")])
async def test_whatever_a_batch_holds_is_stored(database_url: str, threads: list[str], holds: tuple[str, ...]) -> None:
    """Each kind has a statement of its own."""
    engine = Engine(Database(database_url, write_connections=1))
    await engine.open()
    try:
        for thread_id in threads:
            await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint(thread_id, "0"))
        for _ in range(2):  # also when it is sent again
            answers = await asyncio.gather(
                *(
                    engine.checkpoints.put_checkpoint(TENANT, put_checkpoint(thread_id, "1", values={"a": thread_id}))
                    for thread_id in threads
                    if "checkpoint" in holds
                ),
                *(
                    engine.checkpoints.put_writes(TENANT, put_writes(thread_id, "0", "task", [(0, "b", thread_id)]))
                    for thread_id in threads
                    if "writes" in holds
                ),
            )
            sequences = [each.sequence for each in answers if isinstance(each, PutCheckpointResponse)]
            assert sequences == [2] * len(threads) * ("checkpoint" in holds)
        for thread_id in threads:
            if "checkpoint" in holds:
                assert values(await get(engine, thread_id)) == {"a": thread_id.encode()}
            kept = [("task", 0, "b", thread_id.encode())] if "writes" in holds else []
            assert writes(await get(engine, thread_id, "0")) == kept
    finally:
        await engine.close()


async def test_one_op_that_the_database_refuses_does_not_fail_its_neighbours(engine: Engine, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "ALTER TABLE checkpointd.checkpoints "
            "ADD CHECK (1 / (CASE checkpoint_id WHEN 'poison' THEN 0 ELSE 1 END) = 1)"
        )
    puts = [put_checkpoint(f"t{number}", "poison" if number == 50 else "fine") for number in range(100)]
    answers = await asyncio.gather(
        *(engine.checkpoints.put_checkpoint(TENANT, put) for put in puts), return_exceptions=True
    )
    refused = [number for number, answer in enumerate(answers) if isinstance(answer, BaseException)]
    assert refused == [50]
    assert isinstance(answers[50], InvalidField)
    assert len(await listed(engine)) == 99


def disconnect(database_url: str) -> None:
    """Cut all other connections to the database, as its restart does."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def refusals(engine: Engine) -> int:
    """How often a put is answered UNAVAILABLE before it is stored, 100 at the most."""
    for number in range(100):
        try:
            await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "again"))
        except DatabaseUnavailable:
            continue
        return number
    return 100


async def test_a_lost_connection_is_unavailable_and_then_fine_again(engine: Engine, database_url: str) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1"))
    disconnect(database_url)
    assert 0 < await refusals(engine) < 100
    assert await ids(engine, "t") == ["again", "1"]


async def test_a_database_that_turns_read_only_says_so_and_keeps_reading(engine: Engine, database_url: str) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "1"))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET default_transaction_read_only = on".encode())
    with pytest.raises(StartupError, match="read-only"):
        await Engine(Database(database_url)).open()
    disconnect(database_url)
    with pytest.raises(DatabaseReadOnly):
        await refusals(engine)
    assert (await get(engine, "t")).checkpoint.id == "1"
