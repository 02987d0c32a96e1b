"""`checkpointd watch` and `checkpointd wait`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command as Resume
from langgraph.types import interrupt

from checkpointd.client import Client
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.v1.core_pb2 import Checkpoint
from tests.cli.running import Answer, Command

Run = Callable[..., Answer]


@contextmanager
def watching(command: Command, client: Client, *words: str) -> Iterator[Callable[[], str]]:
    """A watch that has begun; gives its next line."""
    token = client.watch_token(thread_id="t")
    process = command.start("watch", "t", "--token", token, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield process.stdout.readline
    finally:
        process.kill()
        process.communicate()


def _put(client: Client, checkpoint_id: str) -> None:
    client.put_checkpoint(thread_id="t", checkpoint=Checkpoint(id=checkpoint_id))


def test_what_is_committed_comes_a_line_each(command: Command, client: Client) -> None:
    with watching(command, client) as line:
        _put(client, "c1")
        first = line()
        assert first.split()[2:] == ["checkpoint", "t", "#1", "c1"]
        client.put_checkpoint(thread_id="other", checkpoint=Checkpoint(id="c1"))
        client.delete_thread(thread_id="t")
        second = line()
        assert second.split()[2:] == ["thread_deleted", "t", "1", "checkpoints", "went"]


def test_it_goes_on_from_a_token(command: Command, client: Client) -> None:
    with watching(command, client, "--json") as line:
        _put(client, "c1")
        _put(client, "c2")
        first = json.loads(line())
    assert (first["kind"], first["sequence"], first["checkpoint_id"]) == ("checkpoint", 1, "c1")
    process = command.start("watch", "t", "--json", "--token", first["token"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["checkpoint_id"] == "c2"
    process.kill()
    process.communicate()


@pytest.mark.parametrize("words", [("t", "--prefix", "x"), ("--token", "forged"), ("--kind", "surprise")])
def test_what_makes_no_sense_is_refused(run: Run, words: tuple[str, ...]) -> None:
    refused = run("watch", *words)
    assert refused.code in (1, 2)
    assert refused.out == ""
    assert refused.err


class State(TypedDict, total=False):
    answer: str


def _ask(state: State) -> State:
    return {"answer": interrupt("may I?")}


def test_waiting_for_a_graph(run: Run, command: Command, saver: RemoteSaver) -> None:
    builder = StateGraph(State)
    builder.add_node("ask", _ask)
    builder.add_edge(START, "ask")
    graph = builder.compile(checkpointer=saver, name="asks")
    saver.register(graph)
    waiting = command.start("wait", "t", stdout=subprocess.PIPE)
    graph.invoke({}, {"configurable": {"thread_id": "t"}})
    assert waiting.communicate(timeout=60)[0] == "t is interrupted\n"
    (thread,) = run("threads", "--json").documents
    after = ("--after", str(thread["sequence"]))
    assert run("wait", "t", *after, "--within", "1s").code == 3
    waiting = command.start("wait", "t", "--until", "finished", *after, "--json", stdout=subprocess.PIPE)
    graph.invoke(Resume(resume="yes"), {"configurable": {"thread_id": "t"}})
    assert json.loads(waiting.communicate(timeout=60)[0]) == {"thread_id": "t", "status": "finished"}
