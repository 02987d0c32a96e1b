"""What the tests of the command share: the installed command, on the running server and a tenant of the test's own."""

from collections.abc import Callable, Iterator

import pytest

from checkpointd.client import Client
from checkpointd.client.langgraph import RemoteSaver
from tests.cli.running import Answer, Command
from tests.server_process import ServerProcess


@pytest.fixture
def command(server: ServerProcess, tenant: str) -> Command:
    """The command, told where the server is and whose threads these are."""
    return Command(CHECKPOINTD_SERVER=server.address, CHECKPOINTD_TENANT=tenant)


@pytest.fixture
def run(command: Command) -> Callable[..., Answer]:
    """Runs the command with these words, without a terminal."""
    return command.run


@pytest.fixture
def saver(server: ServerProcess, tenant: str) -> Iterator[RemoteSaver]:
    """A saver of the tenant."""
    with RemoteSaver.from_conn_string(server.address, tenant=tenant) as saver:
        yield saver


@pytest.fixture
def client(server: ServerProcess, tenant: str) -> Iterator[Client]:
    """A client of the tenant."""
    with Client(server.address, tenant=tenant) as client:
        yield client
