"""`checkpointd threads` and `checkpointd copy`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from checkpointd.client import Client
from checkpointd.v1.core_pb2 import Checkpoint
from tests.cli.running import Answer, Command

Run = Callable[..., Answer]


def put(client: Client, *thread_ids: str) -> None:
    """Make threads."""
    for thread_id in thread_ids:
        client.put_checkpoint(thread_id=thread_id, checkpoint=Checkpoint(id="c1"))


def test_a_table_of_threads_the_latest_first(run: Run, client: Client) -> None:
    put(client, "b", "a", "c", "b")
    header, *rows = run("threads").lines
    assert header.split() == ["thread", "commits", "status", "updated", "created"]
    assert [row.split()[:2] for row in rows] == [["b", "2"], ["c", "1"], ["a", "1"]]
    assert re.search(r"  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", rows[0])
    assert [row.split()[0] for row in run("threads", "--order", "id").lines[1:]] == ["a", "b", "c"]


def test_threads_as_json_lines(run: Run, client: Client) -> None:
    put(client, "b", "a")
    listed = run("threads", "--json").documents
    assert [thread["thread_id"] for thread in listed] == ["a", "b"]
    assert {"thread_id", "created_at", "updated_at", "sequence", "status", "owner", "labels"} == listed[0].keys()
    assert listed[0]["sequence"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", listed[0]["updated_at"])


def test_no_threads(run: Run, tenant: str) -> None:
    assert run("threads").lines == [f"no threads in tenant {tenant}"]
    assert run("threads", "--prefix", "x").lines == [f"no threads whose id begins with x in tenant {tenant}"]
    assert run("threads", "--json").documents == []


def test_a_limit_and_a_prefix(run: Run, client: Client) -> None:
    put(client, "a1", "a2", "a3", "b1")
    some = run("threads", "--limit", "2", "--order", "id").lines
    assert [line.split()[0] for line in some[1:3]] == ["a1", "a2"]
    assert "--limit" in some[3]
    assert len(run("threads", "--limit", "4").lines) == 1 + 4
    listed = run("threads", "--json", "--prefix", "a", "--limit", "2").documents
    assert [thread["thread_id"] for thread in listed] == ["a1", "a2"]
    assert [row.split()[0] for row in run("threads", "--prefix", "b").lines[1:]] == ["b1"]


def test_more_threads_than_a_page_holds(run: Run, client: Client) -> None:
    names = [f"t{number:04}" for number in range(1100)]
    put(client, *names)
    assert [thread["thread_id"] for thread in run("threads", "--json").documents] == names
    assert len(run("threads").lines) == 1 + 100 + 1
    assert len(run("threads", "--limit", "1050").lines) == 1 + 1050 + 1


def test_another_tenant(run: Run, client: Client, tenant: str) -> None:
    put(client, "mine")
    assert run("threads", "--tenant", f"{tenant}-other", "--json").documents == []
    assert run("threads", "--json", "--tenant", tenant, CHECKPOINTD_TENANT="other").document["thread_id"] == "mine"


HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "[bold]x[/bold]",
    "[/nothing]",
    "a\rb",
    "a\nb",
    "\u202eabc",
    "\x9b2J",
    ":smile:",
    "日本",
]


@pytest.mark.parametrize("thread_id", HOSTILE)
def test_ids_that_would_steer_a_terminal(command: Command, client: Client, thread_id: str) -> None:
    put(client, thread_id)
    answers = [command.on_terminal("threads", NO_COLOR="1"), command.run("threads"), command.run("threads", "--json")]
    for answer in answers:
        assert answer.code == 0
        assert not set(answer.out) & set("\x1b\r\x9b\u202e")
        assert len(answer.out.splitlines()) in {1, 2}
    if thread_id.isprintable():
        assert all(thread_id in answer.out for answer in answers)
    assert answers[-1].document["thread_id"] == thread_id


def test_a_long_id_is_shown_whole_on_a_narrow_terminal(command: Command, client: Client) -> None:
    thread_id = "".join(f"{number:03}" for number in range(85))
    put(client, thread_id)
    seen = command.on_terminal("threads", columns=60, NO_COLOR="1").out
    assert max(map(len, seen.splitlines())) <= 60
    assert thread_id in "".join(line.split(" ")[0] for line in seen.splitlines()[1:])
    assert thread_id in command.run("threads").out


def test_a_copy(run: Run, client: Client) -> None:
    put(client, "a")
    assert run("copy", "a", "b").lines == ["copied a to b"]
    assert client.get_checkpoint(thread_id="b").checkpoint.id == "c1"
    assert run("copy", "a", "c", "--json").document == {"source_thread_id": "a", "target_thread_id": "c"}


@pytest.mark.parametrize(
    ("source", "target", "code", "said"),
    [("nowhere", "b", 1, "there is no thread 'nowhere'"), ("a", "other", 1, "'other'"), ("a", "a", 2, "own id")],
)
def test_a_copy_that_is_refused(run: Run, client: Client, source: str, target: str, code: int, said: Any) -> None:
    put(client, "a")
    client.put_checkpoint(thread_id="other", checkpoint=Checkpoint(id="c2"))
    answer = run("copy", source, target)
    assert (answer.code, answer.out) == (code, "")
    (line,) = answer.err.splitlines()
    assert line.startswith("checkpointd: ")
    assert said in line
