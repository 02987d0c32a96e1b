"""pytest-grpc's fixtures, made to talk to the real running server, and a look at how it is after each attack."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc
import pytest

from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.postgres import TestPostgres
from tests.server.leasing import StoredLeases
from tests.server.wire import UNLIMITED, health, of_tenant
from tests.server_process import ServerProcess


@pytest.fixture(scope="module")
def grpc_addr(server: ServerProcess) -> str:
    return server.address


@pytest.fixture(scope="module")
def grpc_server(server: ServerProcess) -> ServerProcess:
    return server


@pytest.fixture
def grpc_channel(grpc_create_channel: Callable[..., grpc.Channel], tenant: str) -> Iterator[grpc.Channel]:
    """A channel of the test's own, all of whose calls are its tenant's."""
    with grpc_create_channel(options=UNLIMITED) as channel:
        yield of_tenant(channel, tenant)


@pytest.fixture
def grpc_stub(grpc_stub_cls: type[Any], grpc_channel: grpc.Channel) -> Any:
    return grpc_stub_cls(grpc_channel)


class TwoServers(NamedTuple):
    """Servers that share a database."""

    first: ServerProcess
    second: ServerProcess
    database_url: str


@pytest.fixture(scope="session")
def two_servers(postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoServers]:
    """For modules that make the first one their `server`."""
    home, url = tmp_path_factory.mktemp("two"), postgres.create_database()
    options = ("--database-url", url, "--database-connections", "8")
    with ServerProcess(home / "first", *options) as first, ServerProcess(home / "second", *options) as second:
        yield TwoServers(first, second, url)
    postgres.drop_database(url)


@pytest.fixture
def second_channel(two_servers: TwoServers, tenant: str) -> Iterator[grpc.Channel]:
    """As grpc_channel, to the second of two servers."""
    with grpc.insecure_channel(two_servers.second.address, UNLIMITED) as channel:
        yield of_tenant(channel, tenant)


@pytest.fixture
def stored_leases(two_servers: TwoServers, tenant: str) -> StoredLeases:
    return StoredLeases(two_servers.database_url, tenant)


@pytest.fixture
def checkpoints(grpc_channel: grpc.Channel) -> CheckpointsStub:
    return CheckpointsStub(grpc_channel)


@pytest.fixture
def threads(grpc_channel: grpc.Channel) -> ThreadsStub:
    return ThreadsStub(grpc_channel)


@pytest.fixture
def stays_well(server: ServerProcess) -> Iterator[None]:
    """After the test the server serves, and has logged no fault of its own."""
    logged = server.log.stat().st_size
    yield
    assert health(server.address) == "SERVING"
    with server.log.open("rb") as log:
        log.seek(logged)
        news = log.read().decode(errors="replace")
    assert "Traceback" not in news
    assert "incident" not in news
