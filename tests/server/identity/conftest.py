"""A server that asks who calls, and credentials for it."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc
import pytest

from tests.postgres import TestPostgres
from tests.server.command import run
from tests.server.identity.authority import Authority, Issuer
from tests.server.wire import UNLIMITED, Metadata
from tests.server_process import ServerProcess


class Secured(NamedTuple):
    """A server with API keys and JWTs."""

    server: ServerProcess
    issuer: Issuer
    operator_key: str
    database_url: str


def bearer(token: str) -> Metadata:
    """The metadata that shows a token."""
    return (("authorization", f"Bearer {token}"),)


@pytest.fixture(scope="session")
def secured(postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One for all tests; each uses tenants of its own."""
    home, url = tmp_path_factory.mktemp("secured"), postgres.create_database()
    issuer = Issuer(home / "jwks.json")
    made = run("admin-key", "--database-url", url)
    options = ("--database-url", url, "--auth", "api-key,jwt", "--jwks", str(issuer.jwks))
    with ServerProcess(home / "log", *options, "--jwt-issuer", "tests", "--jwt-audience", "checkpoints") as server:
        yield Secured(server, issuer, made.stdout.strip(), url)
    postgres.drop_database(url)


@pytest.fixture
def token(secured: Secured, tenant: str) -> Callable[..., str]:
    """Makes tokens; of the test's tenant unless another one is named."""

    def make(role: str, **more: Any) -> str:
        return secured.issuer.token(**({"tenant": tenant, "role": role} | more))

    return make


@pytest.fixture
def channel(secured: Secured) -> Iterator[grpc.Channel]:
    """A channel that shows nothing by itself."""
    with grpc.insecure_channel(secured.server.address, UNLIMITED) as channel:
        yield channel


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def other_tenant(tenant: str) -> str:
    return f"{tenant}.other"
