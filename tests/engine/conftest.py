"""An engine on a fresh database."""

from collections.abc import AsyncIterator

import pytest

from checkpointd.engine import Database, Engine


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[Engine]:
    running = Engine(Database(database_url))
    await running.open()
    yield running
    await running.close()
