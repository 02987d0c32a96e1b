"""Fixtures that all tests share: a running server, a PostgreSQL, and a tenant of one's own."""

import itertools
import os
import re
from collections.abc import Iterator

import hypothesis
import pytest

from tests import citus
from tests.postgres import TestPostgres, running_postgres
from tests.server_process import ServerProcess

_numbers = itertools.count()

# The same examples every time, and no deadline; HYPOTHESIS_PROFILE=explore looks for others.
hypothesis.settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server with a PostgreSQL of its own, shared by all tests: use `tenant` to be alone on it."""
    home = tmp_path_factory.mktemp("server")
    with ServerProcess(home / "log", "--data-dir", str(home / "data")) as running:
        yield running


@pytest.fixture
def tenant(request: pytest.FixtureRequest) -> str:
    """A tenant that no other test uses."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", request.node.name)[:48]
    return f"{name}-{next(_numbers)}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestPostgres]:
    """A running PostgreSQL for tests that bring their own engine or server."""
    with running_postgres() as running:
        yield running


@pytest.fixture
def database_url(postgres: TestPostgres) -> Iterator[str]:
    """An empty database, gone after the test."""
    if citus.URL:
        with citus.citus_database() as url:
            yield url
        return
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)
