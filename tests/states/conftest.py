"""What the tests of states share: a saver on the running server, and the figures, printed at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from checkpointd.client.langgraph import RemoteSaver
from tests.server_process import ServerProcess
from tests.states.comparing import Tally

_tally = pytest.StashKey[Tally]()


@pytest.fixture
def saver(server: ServerProcess, tenant: str) -> Iterator[RemoteSaver]:
    """A saver on a tenant of the test's own."""
    with RemoteSaver.from_conn_string(server.address, tenant=tenant) as saver:
        yield saver


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    """What was compared so far."""
    return pytestconfig.stash.setdefault(_tally, Tally())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures."""
    if tally := config.stash.get(_tally, None):
        terminalreporter.section("states compared with LangGraph's")
        terminalreporter.write_line(str(tally))
