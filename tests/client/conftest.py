"""Fixtures of the client's tests: a server that does as it is told, and clients of it."""

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from checkpointd.client import AsyncClient, Client
from tests.client.scripted_server import ScriptedServer


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    """A server that does as it is told."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def client(scripted: ScriptedServer) -> Iterator[Client]:
    with Client(scripted.target, tenant="team-a", timeout=30) as client:
        yield client


@pytest.fixture
async def async_client(scripted: ScriptedServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(scripted.target, tenant="team-a", timeout=30) as client:
        yield client


class Either:
    """One of the two clients, with which a test that is about both can talk in the same way."""

    def __init__(self, client: Client | AsyncClient) -> None:
        self.client = client

    async def call(self, name: str, **parameters: Any) -> Any:
        """What the method returns."""
        result = getattr(self.client, name)(**parameters)
        return await result if inspect.isawaitable(result) else result

    async def every(self, name: str, **parameters: Any) -> list[Any]:
        """All items of what the method returns."""
        items = getattr(self.client, name)(**parameters)
        return [item async for item in items] if hasattr(items, "__aiter__") else list(items)

    async def close(self) -> None:
        closing = self.client.close()
        if closing is not None:
            await closing


@pytest.fixture(params=[Client, AsyncClient])
async def either(request: pytest.FixtureRequest, scripted: ScriptedServer) -> AsyncIterator[Either]:
    """A client of each kind in turn."""
    either = Either(request.param(scripted.target, tenant="team-a", timeout=30))
    yield either
    await either.close()
