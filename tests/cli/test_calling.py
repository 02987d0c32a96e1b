"""Calling the command: its help, its exit codes, servers that are not there, and readers that go away."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from checkpointd.client import Client
from checkpointd.v1.core_pb2 import Checkpoint
from tests.cli.running import Answer, Command

Run = Callable[..., Answer]

COMMANDS: dict[str, tuple[str, ...]] = {
    "threads": (),
    "state": ("t",),
    "history": ("t",),
    "diff": ("t", "c1", "c2"),
    "update": ("t", "{}"),
    "label": ("t", "a=b"),
    "delete": ("t", "--yes"),
    "copy": ("t", "u"),
    "prune": ("t", "--yes"),
    "cleanup": ("--older-than", "30d", "--yes"),
    "watch": ("t",),
    "wait": ("t",),
    "quotas": (),
}

# Those whose actions have the options that all have.
WITH_ACTIONS = {"retention": "list", "keys": "list"}


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def address(listening: socket.socket) -> str:
    """Where it listens."""
    return f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("name", [*COMMANDS, *WITH_ACTIONS])
def test_help(run: Run, name: str) -> None:
    words = (name, WITH_ACTIONS[name]) if name in WITH_ACTIONS else (name,)
    text = "\n".join(run(*words, "--help", COLUMNS="200").lines)
    for word in ("--server", "CHECKPOINTD_SERVER", "--tenant", "--json", "exit codes: 0 done; 1 refused"):
        assert word in text


def test_the_guide_has_every_command() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()
    named = re.findall(r"^\| `checkpointd ([a-z]+)[^`]*` \|", guide, re.MULTILINE)
    assert sorted(named) == sorted([*COMMANDS, *WITH_ACTIONS])


def test_the_version(run: Run) -> None:
    assert run("--version").lines == [f"checkpointd {version('checkpointd')}"]


@pytest.mark.parametrize("name", COMMANDS)
def test_no_server(run: Run, name: str) -> None:
    answer = run(name, *COMMANDS[name], "--server", "127.0.0.1:1", "--timeout", "0.2")
    assert (answer.code, answer.out) == (3, "")
    (line,) = answer.err.splitlines()
    assert line.startswith("checkpointd: no server answers at 127.0.0.1:1 (connection refused")


def test_a_server_that_does_not_answer(run: Run, silent: socket.socket) -> None:
    answer = run("threads", "--server", address(silent), "--timeout", "0.2")
    assert (answer.code, answer.out) == (3, "")
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    "words",
    [
        ("threads", "--nothing"),
        ("threads", "more"),
        ("threads", "--limit", "0"),
        ("threads", "--limit", "x"),
        ("threads", "--limit", "9" * 5000),
        ("threads", "--timeout", "0"),
        ("threads", "--timeout", "nan"),
        ("threads", "--order", "x"),
        ("threads", "--server", "nowhere"),
        ("threads", "--server", ""),
        ("threads", "--tenant", "no tenant"),
        ("threads", "--prefix", "x" * 256),
        ("state",),
        ("state", ""),
        ("state", "t" * 256),
        ("state", "t", "--checkpoint", "c" * 129),
        ("diff", "t", "c1"),
        ("update", "t"),
        ("delete",),
        ("copy", "t"),
        ("prune", "t", "--strategy", "x"),
        ("--server", "x", "threads"),
        ("--database-url=postgresql://u:s3cret@h/x",),
    ],
)
def test_words_that_make_no_sense(run: Run, words: tuple[str, ...]) -> None:
    answer = run(*words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.splitlines()[-1].startswith("checkpointd")
    assert "Traceback" not in answer.err
    assert "s3cret" not in answer.err


def test_words_that_are_not_utf8(command: Command) -> None:
    answer = command.run("state", os.fsdecode(b"\xff"))
    assert (answer.code, answer.out) == (2, "")
    assert "Traceback" not in answer.err


def test_the_environment_names_the_server(command: Command, run: Run) -> None:
    assert run("threads").code == 0
    answer = run("threads", "--timeout", "0.2", CHECKPOINTD_SERVER="127.0.0.1:1")
    assert answer.code == 3


@pytest.fixture
def much(client: Client) -> None:
    """More threads than a pipe holds lines."""
    for number in range(700):
        client.put_checkpoint(thread_id=f"{number:03}" + "x" * 250, checkpoint=Checkpoint(id="c1"))


@pytest.mark.usefixtures("much")
@pytest.mark.parametrize("words", [("threads", "--limit", "700"), ("threads", "--json")])
def test_a_reader_that_has_seen_enough(command: Command, words: tuple[str, ...]) -> None:
    with command.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


def test_a_standard_output_that_is_full_or_closed(command: Command) -> None:
    with (
        open("/dev/full", "w") as full,
        command.start("threads", stdout=full, stderr=subprocess.PIPE) as process,
    ):
        _, said = process.communicate()
    assert (process.returncode, said) == (1, "checkpointd: can't print the answer: No space left on device\n")
    with command.start(
        "threads", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1)
    ) as process:
        _, said = process.communicate()
    assert (process.returncode, said) == (0, "")


def test_ctrl_c_while_waiting(command: Command, silent: socket.socket) -> None:
    with (
        command.start(
            "threads", "--server", address(silent), "--timeout", "60", stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process,
        silent.accept()[0],
    ):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", "")


def test_ctrl_c_instead_of_an_answer(command: Command, client: Client) -> None:
    client.put_checkpoint(thread_id="t", checkpoint=Checkpoint(id="c1"))
    answer = command.on_terminal("delete", "t", typed="\x03")
    assert answer.code == 130
    assert "Traceback" not in answer.out
    assert client.get_thread(thread_id="t")
