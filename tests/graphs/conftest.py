"""What the tests of graphs share: a saver in the test's own process, and other processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.processes import Processes
from tests.server_process import ServerProcess


@pytest.fixture
def processes(server: ServerProcess, tenant: str) -> Iterator[Processes]:
    """Other operating-system processes on the test's tenant."""
    processes = Processes(server.address, tenant)
    yield processes
    processes.end()


@pytest.fixture
def saver(server: ServerProcess, tenant: str) -> Iterator[RemoteSaver]:
    """A saver in the test's own process, on the same tenant."""
    with RemoteSaver.from_conn_string(server.address, tenant=tenant) as saver:
        yield saver
