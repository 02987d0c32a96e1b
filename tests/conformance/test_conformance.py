"""LangGraph's own conformance suite for checkpointers, over the real server."""

import itertools
from collections.abc import AsyncGenerator, Generator

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import ALL_CAPABILITIES
from langgraph.checkpoint.conformance.initializer import _REGISTRY
from langgraph.checkpoint.memory import InMemorySaver

from checkpointd.client.langgraph import RemoteSaver
from tests.server_process import ServerProcess


@pytest.fixture(autouse=True)
def _registry() -> Generator[None]:
    """The suite registers what it tests in a module of its own: leave it as it was."""
    yield
    _REGISTRY.clear()


async def test_every_capability_is_there_and_passes(
    server: ServerProcess, tenant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = itertools.count()

    @checkpointer_test(name="RemoteSaver")
    async def remote_saver() -> AsyncGenerator[BaseCheckpointSaver[str]]:
        # Each capability's tests expect a store of their own.
        async with RemoteSaver(server.address, tenant=f"{tenant[:40]}-{next(numbers)}") as saver:
            yield saver

    report = await validate(remote_saver)
    with capsys.disabled():
        report.print_report()
    failures = [failure for result in report.results.values() for failure in result.failures]
    assert failures == []
    assert {name for name, result in report.results.items() if result.passed} == {one.value for one in ALL_CAPABILITIES}


async def test_the_suite_can_fail() -> None:
    """InMemorySaver has no copy_thread, prune and delete_for_runs: the report must say so."""

    @checkpointer_test(name="InMemorySaver")
    async def in_memory() -> AsyncGenerator[BaseCheckpointSaver[str]]:
        yield InMemorySaver()

    report = await validate(in_memory)
    assert {name for name, result in report.results.items() if result.passed} < {one.value for one in ALL_CAPABILITIES}
