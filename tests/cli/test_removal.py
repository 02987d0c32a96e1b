"""`checkpointd delete` and `checkpointd prune`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from checkpointd.client import Client
from checkpointd.v1.core_pb2 import Checkpoint
from tests.cli.running import Answer, Command

Run = Callable[..., Answer]


@pytest.fixture
def there(client: Client) -> Callable[[], dict[str, int]]:
    """Makes a thread `a` of three checkpoints and a thread `b` of one; tells how many each has left."""
    for thread_id, checkpoint_id in (("a", "c1"), ("a", "c2"), ("a", "c3"), ("b", "c1")):
        client.put_checkpoint(thread_id=thread_id, checkpoint=Checkpoint(id=checkpoint_id))
    return lambda: {
        thread.thread_id: sum(head.checkpoint_count for head in client.get_thread(thread_id=thread.thread_id).heads)
        for thread in client.list_threads()
    }


Left = Callable[[], dict[str, int]]
ALL = {"a": 3, "b": 1}


def test_threads_are_deleted(run: Run, there: Left) -> None:
    assert run("delete", "a", "--yes").lines == ["deleted 1 thread with 3 checkpoints"]
    assert there() == {"b": 1}


def test_deleting_says_as_json_what_it_did(run: Run, there: Left) -> None:
    assert run("delete", "a", "b", "a", "--yes", "--json").documents == [
        {"thread_id": "a", "deleted": True},
        {"thread_id": "b", "deleted": True},
    ]
    assert there() == {}


def test_threads_that_are_not_there(run: Run, there: Left) -> None:
    answer = run("delete", "nowhere", "b", "--yes")
    assert answer == Answer(1, "deleted 1 thread with 1 checkpoint\n", "checkpointd: there is no thread 'nowhere'\n")
    assert there() == {"a": 3}
    assert run("delete", "nowhere", "--json").out == '{"thread_id": "nowhere", "deleted": false}\n'


def test_old_checkpoints_are_removed(run: Run, there: Left) -> None:
    assert run("prune", "a", "b", "--yes").lines == ["removed 2 checkpoints of 2 threads"]
    assert there() == {"a": 1, "b": 1}


def test_pruning_says_as_json_what_it_did(run: Run, there: Left) -> None:
    answer = run("prune", "b", "nowhere", "--strategy", "delete", "--yes", "--json")
    assert answer.code == 1
    assert answer.out == (
        '{"thread_ids": ["b"], "missing": ["nowhere"], "strategy": "delete", "removed_checkpoints": 1}\n'
    )
    assert there() == {"a": 3}


@pytest.mark.parametrize("words", [("delete", "a", "b"), ("prune", "a"), ("prune", "a", "--strategy", "delete")])
class TestAsking:
    def test_without_a_terminal_nothing_is_done(self, run: Run, there: Left, words: tuple[str, ...]) -> None:
        for given in (None, "y\n"):
            answer = run(*words, given=given)
            assert (answer.code, answer.out) == (1, "")
            assert "--yes" in answer.err
        assert there() == ALL

    @pytest.mark.parametrize("typed", ["n\n", "\n", "\x04", "yesterday\n"])
    def test_a_no(self, command: Command, there: Left, words: tuple[str, ...], typed: str) -> None:
        answer = command.on_terminal(*words, typed=typed)
        assert answer.code == 1
        assert "[y/N]" in answer.out
        assert "nothing done" in answer.out
        assert there() == ALL

    @pytest.mark.parametrize("typed", ["y\n", "YES\n"])
    def test_a_yes(self, command: Command, there: Left, words: tuple[str, ...], typed: str) -> None:
        answer = command.on_terminal(*words, typed=typed)
        assert answer.code == 0
        assert "? [y/N]" in answer.out
        assert there() != ALL


def test_the_question_names_what_is_lost(command: Command, client: Client) -> None:
    for number in range(7):
        client.put_checkpoint(thread_id=f"t\x1b{number}", checkpoint=Checkpoint(id="c1"))
    answer = command.on_terminal("delete", *(f"t\x1b{number}" for number in range(7)), typed="n\n")
    assert (
        r"delete 7 threads with 7 checkpoints: t\x1b0, t\x1b1, t\x1b2, t\x1b3, t\x1b4 and 2 more? [y/N]" in answer.out
    )


def test_threads_that_are_not_there_are_not_asked_about(command: Command) -> None:
    answer = command.on_terminal("delete", "nowhere")
    assert answer.code == 1
    assert answer.out == "checkpointd: there is no thread 'nowhere'\n"
