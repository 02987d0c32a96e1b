"""A server on a database that the tests look into, and savers that write in one of the ways."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.writers.lines import (
    LONG,
    Savers,
    StoredLeases,
)
from tests.postgres import TestPostgres
from tests.server_process import ServerProcess


@pytest.fixture(scope="package")
def database(postgres: TestPostgres) -> Iterator[str]:
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(scope="package")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on a database that the tests look into."""
    with ServerProcess(tmp_path_factory.mktemp("leases") / "log", "--database-url", database) as server:
        yield server


@pytest.fixture
def leases(database: str, tenant: str) -> StoredLeases:
    return StoredLeases(database, tenant)


@pytest.fixture
def savers(server: ServerProcess, tenant: str) -> Iterator[Savers]:
    savers = Savers(server, tenant)
    yield savers
    savers.close()


@pytest.fixture
def leasing(savers: Savers) -> RemoteSaver:
    return savers("lease", lease_ttl=LONG, lease_wait=60)


@pytest.fixture
def impatient(savers: Savers) -> RemoteSaver:
    """Another saver, as another process has one."""
    return savers("lease", lease_ttl=LONG, lease_wait=0)


@pytest.fixture
def refusing(savers: Savers) -> RemoteSaver:
    return savers("refuse")
