"""What the tests of states share: a saver on the running server, and the figures, printed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpointd.client.langgraph import PortableSerializer, RemoteSaver
from tests.server_process import ServerProcess
from tests.states.comparing import Tally

_tally = pytest.StashKey[Tally]()


_SERIALISERS = {"portable-json/1": PortableSerializer, "msgpack": JsonPlusSerializer}


@pytest.fixture
def encoding() -> str:
    """What values are stored as; a test that is parametrized with it may say another one."""
    return "portable-json/1"


@pytest.fixture
def saver(server: ServerProcess, tenant: str, encoding: str) -> Iterator[RemoteSaver]:
    """A saver on a tenant of the test's own."""
    with RemoteSaver.from_conn_string(server.address, tenant=tenant, serde=_SERIALISERS[encoding]()) as saver:
        yield saver


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    """What was compared so far."""
    return pytestconfig.stash.setdefault(_tally, Tally())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker of pytest-xdist: hand the figures to the one that prints."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None and (tally := session.config.stash.get(_tally, None)):
        output["tally"] = (dict(tally.counts), dict(tally.allowed))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended: take its figures."""
    if found := getattr(node, "workeroutput", {}).get("tally"):
        node.config.stash.setdefault(_tally, Tally()).add(*found)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures."""
    if tally := config.stash.get(_tally, None):
        terminalreporter.section("states compared with LangGraph's")
        terminalreporter.write_line(str(tally))
