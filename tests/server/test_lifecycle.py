"""The server is told to stop: while it loads, starts, serves and stops."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from checkpointd.v1.checkpoints_pb2 import ListCheckpointsRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.leases_pb2_grpc import LeasesStub
from tests.messages import put_checkpoint
from tests.server.leasing import acquire, acquisition
from tests.server.wire import UNLIMITED, refused
from tests.server_process import COMMAND, ServerProcess, environment, eventually

ROOT = Path(__file__).parents[2]
SIGNALS = [signal.SIGINT, signal.SIGTERM]
SOON = 10.0  # seconds; far less than the drain timeout, and than the tests' own

_Status = health_pb2.HealthCheckResponse


def _starting(*options: str, **settings: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, "serve", "--listen", "127.0.0.1:0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**settings),
        text=True,
    )


def _says(process: "subprocess.Popen[str]", text: str) -> None:
    """Wait until it says something on stderr."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"it ended without saying {text!r}")


def _told(process: "subprocess.Popen[str]", number: signal.Signals) -> tuple[str, str]:
    """What a process says from a signal to its end."""
    process.send_signal(number)
    return process.communicate(timeout=60)


@pytest.mark.parametrize("module", ["argparse", "grpc._compression", "psycopg.pq", "checkpointd.server.config"])
def test_ctrl_c_while_it_loads(module: str, tmp_path: Path) -> None:
    # Python then tells, when it has loaded a module, on a line that ends with its name.
    loading = _starting("--data-dir", str(tmp_path), PYTHONPROFILEIMPORTTIME="1")
    _says(loading, f" {module}\n")
    said, logged = _told(loading, signal.SIGINT)
    assert said == ""
    assert [line for line in logged.splitlines() if not line.startswith("import time:")] == []
    assert loading.returncode == 130


@pytest.mark.parametrize("number", SIGNALS)
def test_stopped_while_it_makes_its_postgresql(number: signal.Signals, tmp_path: Path) -> None:
    starting = _starting("--data-dir", str(tmp_path / "data"))
    _says(starting, "making a new PostgreSQL")
    said, logged = _told(starting, number)
    assert said == ""
    assert "Traceback" not in logged
    assert "stopped while starting" in logged
    assert starting.returncode == 0
    assert not [process for process in psutil.process_iter(["cwd"]) if str(tmp_path) in str(process.info["cwd"])]
    with ServerProcess(tmp_path / "log", "--data-dir", str(tmp_path / "data")) as running:
        assert running.stop() == 0


def test_stopped_while_it_waits_for_a_database() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=100&sslmode=disable"
        starting = _starting("--database-url", url)
        connection, _ = silent.accept()
        with connection:
            connection.recv(8)
            said, logged = _told(starting, signal.SIGINT)
    assert said == ""
    assert "Traceback" not in logged
    assert starting.returncode == 0


@pytest.fixture
def running(tmp_path: Path, database_url: str) -> Iterator[ServerProcess]:
    """A server that would wait for ten minutes for a call."""
    with ServerProcess(tmp_path / "log", "--database-url", database_url, "--drain-timeout", "600") as server:
        yield server


@contextmanager
def _a_call_that_goes_on(server: ServerProcess) -> Iterator["grpc.Call"]:
    """A list that its client does not read on."""
    with grpc.insecure_channel(server.address, options=UNLIMITED) as channel:
        stub = CheckpointsStub(channel)
        for number in range(16):
            stub.PutCheckpoint(put_checkpoint("t", f"c{number}", values={"a": os.urandom(1 << 20)}))
        call = stub.ListCheckpoints(ListCheckpointsRequest(thread_id="t"))
        next(call)
        yield call


def test_who_watches_its_health_does_not_hold_it_up(running: ServerProcess) -> None:
    with grpc.insecure_channel(running.address) as first, grpc.insecure_channel(running.address) as second:
        watches = [
            health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service))
            for channel, service in ((first, ""), (second, ""), (second, "checkpointd.v1.Threads"), (second, "other"))
        ]
        statuses = [[next(watch).status] for watch in watches]
        running.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        for seen, watch in zip(statuses, watches, strict=True):
            seen += [answer.status for answer in watch]
        assert running.wait() == 0
        assert time.monotonic() < began + SOON
    assert statuses == [[_Status.SERVING, _Status.NOT_SERVING]] * 3 + [[_Status.SERVICE_UNKNOWN]]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_second_signal_cuts_off(running: ServerProcess, number: signal.Signals) -> None:
    with _a_call_that_goes_on(running) as call:
        running.process.send_signal(number)
        eventually("it is stopping", lambda: "stopping: " in running.log.read_text())
        assert call.is_active()
        began = time.monotonic()
        assert running.stop(number) == 0
        assert time.monotonic() < began + SOON
    logged = running.log.read_text()
    assert "stopping: waiting for running calls, at most 600 s; Ctrl-C again cuts them off" in logged
    assert "Traceback" not in logged


def test_a_call_is_answered_before_it_stops(running: ServerProcess) -> None:
    with _a_call_that_goes_on(running) as call:
        running.process.send_signal(signal.SIGTERM)
        eventually("it is stopping", lambda: "stopping: " in running.log.read_text())
        assert len(list(call)) > 0  # type: ignore[call-overload]
        assert running.wait() == 0


def test_who_waits_for_a_lease_is_sent_elsewhere(running: ServerProcess) -> None:
    with grpc.insecure_channel(running.address) as channel:
        acquire(channel, "a")
        waiting = LeasesStub(channel).AcquireLease.future(acquisition("b", wait=600))
        acquire(channel, "c", "another thread")  # by now the one before it has come
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() < began + SOON
        with refused(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING"):
            waiting.result()


def test_an_environment_that_was_half_made_is_made_again(tmp_path: Path) -> None:
    """Ctrl-C while `make serve` makes it leaves a Python without pip."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    # The rest of it needs a network, and a checkout that builds.
    made = subprocess.run(
        ["make", f"PYTHON={sys.executable}", ".venv/.serve"],
        check=False, capture_output=True, cwd=tmp_path, timeout=300, env=environment(PIP_NO_INDEX="1"),
    )  # fmt: skip
    assert made.returncode != 0
    pip = subprocess.run([tmp_path / ".venv" / "bin" / "python", "-m", "pip", "--version"], check=False)
    assert pip.returncode == 0
