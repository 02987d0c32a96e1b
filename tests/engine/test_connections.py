"""A connection that comes back in a state of its own serves nobody."""

import psycopg
import pytest

from checkpointd.engine import Database


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
