"""`checkpointd cleanup` and `checkpointd retention`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from checkpointd.client import Client
from checkpointd.v1.core_pb2 import Checkpoint
from tests.cli.running import Answer, Command

Run = Callable[..., Answer]


@pytest.fixture
def left(client: Client) -> Callable[[], dict[str, int]]:
    """Makes a thread `a` of three checkpoints and a thread `b` of one; tells how many each has left."""
    for thread_id, checkpoint_id in (("a", "c1"), ("a", "c2"), ("a", "c3"), ("b", "c1")):
        client.put_checkpoint(thread_id=thread_id, checkpoint=Checkpoint(id=checkpoint_id))
    return lambda: {
        thread.thread_id: sum(head.checkpoint_count for head in client.get_thread(thread_id=thread.thread_id).heads)
        for thread in client.list_threads()
    }


def test_what_is_too_much_goes(run: Run, left: Callable[[], dict[str, int]]) -> None:
    (said,) = run("cleanup", "--keep-last", "1", "--dry-run").lines
    assert said.startswith("would remove 0 of 2 threads, 2 checkpoints, ")
    assert left() == {"a": 3, "b": 1}
    answer = run("cleanup", "--keep-last", "1")
    assert answer.code == 1
    assert "now this removes 0 of 2 threads, 2 checkpoints" in answer.err
    assert "say --yes to do so" in answer.err
    assert left() == {"a": 3, "b": 1}
    document = run("cleanup", "--keep-last", "1", "--yes", "--json").document
    assert (document["dry_run"], document["removed_checkpoints"], document["threads"]) == (False, 2, 2)
    assert left() == {"a": 1, "b": 1}
    assert run("cleanup", "--keep-last", "1").lines == ["removed 0 of 2 threads, 0 checkpoints, 0 B"]


def test_nothing_is_too_old_yet(run: Run, left: Callable[[], dict[str, int]]) -> None:
    assert run("cleanup", "--older-than", "30d").lines == ["removed 0 of 2 threads, 0 checkpoints, 0 B"]
    assert left() == {"a": 3, "b": 1}


def test_policies_are_set_listed_run_and_removed(run: Run, left: Callable[[], dict[str, int]]) -> None:
    assert run("retention", "list").lines == ["no retention policies: nothing is removed by itself"]
    (said,) = run("retention", "set", "long", "--older-than", "90d", "--max-age", "12h").lines
    assert said == "set long: deletes threads idle for 90d, removes checkpoints older than 12h"
    assert run("retention", "set", "short", "--keep-last", "2", "--label", "a=b").lines == [
        "set short: keeps the last 2 checkpoints of a namespace"
    ]
    assert [document["name"] for document in run("retention", "list", "--json").documents] == ["long", "short"]
    listed = run("retention", "list").out
    assert "a=b" in listed
    assert run("label", "a", "a=b").lines == ["a: a=b"]
    (would,) = run("retention", "run", "short", "--dry-run").lines
    assert would.startswith("would remove 0 of 2 threads, 1 checkpoints")
    run("retention", "run", "--yes")
    assert left() == {"a": 2, "b": 1}
    assert run("retention", "remove", "long").lines == ["removed long"]
    assert [document["name"] for document in run("retention", "list", "--json").documents] == ["short"]
    assert "there is no policy 'long'" in run("retention", "run", "long", "--yes").err


def test_setting_one_that_removes_something_asks(run: Run, left: Callable[[], dict[str, int]]) -> None:
    answer = run("retention", "set", "p", "--keep-last", "1")
    assert answer.code == 1
    assert "from now on, first this removes 0 of 2 threads, 2 checkpoints" in answer.err
    assert run("retention", "list", "--json").documents == []
    assert run("retention", "set", "p", "--keep-last", "1", "--yes").code == 0


def test_a_person_is_asked(command: Command, left: Callable[[], dict[str, int]]) -> None:
    answer = command.on_terminal("cleanup", "--keep-last", "1", typed="y\n")
    assert answer.code == 0
    assert "removes 0 of 2 threads, 2 checkpoints" in answer.out
    assert left() == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    "words",
    [
        ("cleanup",),
        ("cleanup", "--older-than", "soon"),
        ("cleanup", "--older-than", "1s"),
        ("cleanup", "--keep-last", "0"),
        ("cleanup", "--keep-last", "1", "--label", "x"),
        ("retention", "set", "p"),
        ("retention", "set", "x" * 64, "--keep-last", "1"),
        ("retention",),
    ],
)
def test_what_makes_no_sense(run: Run, left: Callable[[], dict[str, int]], words: tuple[str, ...]) -> None:
    answer = run(*words)
    assert answer.code == 2, answer
    assert left() == {"a": 3, "b": 1}
