"""A client goes on working in the parent, and works in the child, when a process forks."""

import os
import subprocess
import sys

import grpc
import pytest

from checkpointd.v1.checkpoints_pb2 import ListCheckpointsRequest
from tests.client.forking import PROGRAMS
from tests.client.scripted_server import ScriptedServer, Waiting, found


@pytest.fixture
def ready(scripted: ScriptedServer) -> ScriptedServer:
    """The server, with what the programs list."""

    def listed(request: ListCheckpointsRequest, context: grpc.ServicerContext) -> object:
        ids = ("c2", "c1") if request.before_checkpoint_id == "c3" else ("c3", "c2", "c1")
        return found(*ids)(request, context)

    scripted.answers["ListCheckpoints"] = listed
    return scripted


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_forks(ready: ScriptedServer, program: str) -> None:
    waiting = Waiting()
    if program == "waiting":
        ready.script.append(waiting)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.client.forking", program, ready.target],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        if program == "waiting":
            assert waiting.entered.wait(30)
        said, _ = process.communicate("go\n")
    assert process.returncode == 0, said


@pytest.mark.parametrize("program", ["quiet", "often", "busy", "waiting"])
def test_a_program_that_forks_with_grpcs_own_support(
    ready: ScriptedServer, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC's own hook stops its threads before a fork; calls and sessions have ended by then."""
    monkeypatch.setitem(os.environ, "GRPC_ENABLE_FORK_SUPPORT", "1")
    test_a_program_that_forks(ready, program)
