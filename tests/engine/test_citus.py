"""On a coordinator of Citus: whole tables serve, distributed ones are refused at the start.

Needs a Citus: CHECKPOINTD_TEST_CITUS_URL is that of an empty database of one with the extension.
"""

import os
from collections.abc import Iterator

import psycopg
import pytest

from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import StartupError
from tests.engine.reading import TENANT, get, values
from tests.messages import put_checkpoint

_URL = os.environ.get("CHECKPOINTD_TEST_CITUS_URL", "")

pytestmark = pytest.mark.skipif(not _URL, reason="CHECKPOINTD_TEST_CITUS_URL names no database of a Citus")


@pytest.fixture
def citus() -> Iterator[psycopg.Connection]:
    with psycopg.connect(_URL, autocommit=True) as connection:
        yield connection
        connection.execute("DROP SCHEMA IF EXISTS checkpointd CASCADE")


async def _stores() -> None:
    engine = Engine(Database(_URL))
    await engine.open()
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "c1", values={"x": "1"}))
    assert values(await get(engine, "t")) == {"x": b"1"}
    await engine.close()


async def test_tables_that_are_whole_serve(citus: psycopg.Connection) -> None:
    await _stores()
    citus.execute("SELECT citus_add_local_table_to_metadata('checkpointd.writes')")
    await _stores()


@pytest.mark.parametrize(
    "distribute",
    [
        "SELECT create_distributed_table('checkpointd.writes', 'thread_id')",
        "SELECT create_reference_table('checkpointd.graphs')",
        "SELECT citus_schema_distribute('checkpointd')",
    ],
)
async def test_tables_that_are_distributed_are_refused(citus: psycopg.Connection, distribute: str) -> None:
    await _stores()
    citus.execute(distribute)
    with pytest.raises(StartupError, match=r"Citus distributes checkpointd\..*leave them on the coordinator"):
        await _stores()
