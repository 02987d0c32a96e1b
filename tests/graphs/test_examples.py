"""The examples, each command in a process of its own, as a newcomer types them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from tests.graphs.processes import PATIENCE
from tests.server_process import ServerProcess

EXAMPLES = Path(__file__).parents[2] / "examples"
ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True)
class Terminal:
    """Where the commands of an example are typed."""

    server: str
    tenant: str

    def type(self, program: str, *words: str) -> str:
        """Run a command to its end and return what it printed."""
        with self.start(program, *words) as running:
            printed, complaint = running.communicate(timeout=PATIENCE)
        assert running.returncode == 0, complaint
        return printed

    def refused(self, program: str, *words: str, code: int = 1) -> str:
        """Run a command that refuses, and return the line with which it does."""
        with self.start(program, *words) as running:
            _, complaint = running.communicate(timeout=PATIENCE)
        assert running.returncode == code
        return complaint

    @contextmanager
    def start(self, program: str, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command; it is ended when it takes too long."""
        running = subprocess.Popen(
            [sys.executable, str(EXAMPLES / program), "--server", self.server, "--tenant", self.tenant, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=os.environ | {"PYTHONUTF8": "1"},
        )
        guard = threading.Timer(PATIENCE, running.kill)
        guard.start()
        try:
            with running:
                yield running
        finally:
            guard.cancel()


@pytest.fixture
def terminal(server: ServerProcess, tenant: str) -> Terminal:
    return Terminal(server.address, tenant)


def printed_until(running: subprocess.Popen[str], pattern: str) -> str:
    """What a command prints up to the first line with the pattern."""
    return read_until(running.stdout, pattern)


def read_until(printed: IO[str] | None, pattern: str) -> str:
    """What comes up to the first line with the pattern."""
    assert printed is not None
    lines = []
    for line in printed:
        lines.append(line)
        if re.search(pattern, line):
            return "".join(lines)
    raise AssertionError(f"{pattern!r} was not printed, but: {''.join(lines)}")


def workflow(terminal: Terminal, *words: str) -> str:
    return terminal.type("content_workflow.py", "--pace", "0", *words)


def test_content_workflow(terminal: Terminal) -> None:
    task = ["create", "checkpoints", "--task", "intro", "--hang-at", "draft"]
    with terminal.start("content_workflow.py", "--pace", "0", *task) as hanging:
        printed = printed_until(hanging, "no answer")
        hanging.send_signal(signal.SIGKILL)
    assert re.findall(r"▸ (\w+)", printed) == ["research", "outline", "draft"]

    status = workflow(terminal, "status", "intro")
    assert re.search(r"stage +outline\n +next +draft\n", status)

    resumed = workflow(terminal, "resume", "intro")
    assert re.findall(r"▸ (\w+)", resumed) == ["draft", "finalize"]
    assert re.search(r"next +nothing, it is finished", resumed)
    assert len(set(re.findall(r"process (\d+)  ", resumed))) == 2, "two processes did the stages"

    history = workflow(terminal, "history", "intro")
    assert re.findall(rf" (\d)  {ID}  (\w+)", history) == [
        ("0", "finalize"),
        ("1", "draft"),
        ("2", "outline"),
        ("3", "research"),
        ("4", "created"),
    ]

    assert workflow(terminal, "resume", "intro").startswith("nothing to carry on, the task is finished\n")

    rolled_back = workflow(terminal, "rollback", "intro", "3")
    assert re.findall(r"▸ (\w+)", rolled_back) == ["outline", "draft", "finalize"]
    assert len(re.findall(ID, workflow(terminal, "history", "intro"))) == 10

    assert terminal.refused("content_workflow.py", "status", "none") == "there is no task none\n"
    assert terminal.refused("content_workflow.py", *task) == "there is a task intro already\n"
    assert "invalid choice: 'draff'" in terminal.refused("content_workflow.py", *task[:-1], "draff", code=2)


def test_time_travel(terminal: Terminal) -> None:
    program = "time_travel.py"
    for command in ("tree", "approve", "replay"):
        assert terminal.refused(program, command) == "music is empty: ask for something first\n"
    assert terminal.refused(program, "ask", " ").startswith("the request is empty: ask for something")
    assert "waiting before action" in terminal.type(program, "ask", "play an old waltz")
    approved = terminal.type(program, "approve")
    assert re.search(r"tool +the gramophone of process \d+ plays An Old Waltz\n +agent +Enjoy!", approved)
    assert terminal.refused(program, "approve") == "nothing waits to be approved\n"
    assert re.search(
        r"gramophone of process \d+ plays Take Five", terminal.type(program, "replay", "--song", "Take Five")
    )

    assert terminal.refused(program, "replay", "--from", "nonsense") == (
        "there is no checkpoint nonsense in music; see tree\n"
    )

    _, *tree = terminal.type(program, "tree").splitlines()
    assert [re.sub(r"\d+ plays", "N plays", re.sub(ID, "ID", line)) for line in tree] == [
        "└── ID -> next: __start__",
        "    └── ID -> next: agent  (you play an old waltz)",
        "        └── ID -> next: action  (agent play_on_gramophone(song='An Old Waltz'))",
        "            ├── ID -> next: action  (agent play_on_gramophone(song='Take Five'))",
        "            │   └── ID -> next: agent  (tool the gramophone of process N plays Take Five)",
        "            │       └── ID -> next: end  (agent Enjoy!)  ◀ head",
        "            └── ID -> next: agent  (tool the gramophone of process N plays An Old Waltz)",
        "                └── ID -> next: end  (agent Enjoy!)",
    ]
    for line in (tree[0], tree[-1]):  # the agent has yet to wait, and waits no more
        checkpoint = re.findall(ID, line)[0]
        refusal = terminal.refused(program, "replay", "--from", checkpoint, "--song", "Autumn Leaves")
        assert "does not wait to play at this checkpoint" in refusal


def test_many_workers(terminal: Terminal) -> None:
    size = ["--jobs", "3", "--steps", "6"]
    assert terminal.refused("many_workers.py", "watch") == "no jobs yet: start work first\n"
    with terminal.start("many_workers.py", "work", *size, "--workers", "3", "--pace", "0.05") as working:
        crew = printed_until(working, "worker-3")
        victim = re.search(r"worker-2 is process (\d+)", crew)
        assert victim is not None
        os.kill(int(victim[1]), signal.SIGKILL)
        printed, complaint = working.communicate()
    assert working.returncode == 0, complaint

    assert "worker-2 died" in printed
    assert "18 steps were to do, 18 were done" in printed
    rows = re.findall(r"^(job-\d) +█+ +6/6 +(.*)$", printed, re.MULTILINE)
    assert [name for name, _ in rows] == ["job-0", "job-1", "job-2"]
    assert [sum(map(int, re.findall(r"\d: (\d+)", shares))) for _, shares in rows] == [6, 6, 6]

    watched = terminal.type("many_workers.py", "watch", *size)
    assert re.findall(r"^(job-\d) +█+ +6/6 +(.*)$", watched, re.MULTILINE) == rows


@pytest.mark.parametrize(
    ("words", "sign"),
    [
        (["content_workflow.py", "create", "checkpoints", "--hang-at", "research"], "no answer"),
        (["many_workers.py", "work", "--pace", "0.05", "--steps", "100000"], "worker-4"),
    ],
)
def test_control_c_ends_a_program_quietly(terminal: Terminal, words: list[str], sign: str) -> None:
    with terminal.start(*words) as running:
        printed_until(running, sign)
        running.send_signal(signal.SIGINT)
        assert running.communicate(timeout=PATIENCE) == ("", "")
    assert running.returncode == 130


@pytest.mark.parametrize(
    "words", [["content_workflow.py", "status", "intro"], ["time_travel.py", "tree"], ["many_workers.py", "watch"]]
)
def test_without_a_server_a_program_says_that_it_waits(words: list[str], tenant: str) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and never listens
        nowhere = "127.0.0.1:{1}".format(*bound.getsockname())
        with Terminal(nowhere, tenant).start(*words) as running:
            said = running.stdout if words[0] == "many_workers.py" else running.stderr
            read_until(said, rf"^no answer from {nowhere} yet \(connection refused\); trying again for \d+\.\d s$")
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=PATIENCE)
    assert running.returncode == 130


def test_an_address_that_is_none_is_one_line(tenant: str) -> None:
    for words in (["content_workflow.py", "status", "intro"], ["time_travel.py", "tree"], ["many_workers.py", "watch"]):
        (line,) = Terminal("nohost", tenant).refused(*words).splitlines()
        assert line.startswith("target is not HOST:PORT; give it one, such as 127.0.0.1:50051")
