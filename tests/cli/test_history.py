"""`checkpointd history`."""

from __future__ import annotations

import re
from collections.abc import Callable

from checkpointd.client import Client
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.v1.core_pb2 import Checkpoint, Metadata
from tests.cli.graphs import asking, chat, checkpoint_id, config, counter
from tests.cli.running import Answer, Command

Run = Callable[..., Answer]


def shape(lines: list[str]) -> list[str]:
    """The tree's lines without ids and times."""
    return [
        re.sub(r"\s+", " ", re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "", re.sub(r"● \S+", "●", line))).strip()
        for line in lines
    ]


def test_a_line_of_checkpoints(run: Run, saver: RemoteSaver) -> None:
    counter(saver).invoke({"log": ["in"]}, config("t"))
    title, *lines = run("history", "t").lines
    assert title == "t  4 checkpoints"
    assert shape(lines) == [
        "● step -1 input next: __start__",
        "● step 0 loop next: first",
        "● step 1 loop next: second",
        "● ◀ head step 2 loop end",
    ]
    ids = [checkpoint_id(state.config) for state in saver.get_state_history(config("t"))]
    shown = [line.split()[1] for line in lines]
    assert all(id.endswith(short) for id, short in zip(reversed(ids), shown, strict=True))
    assert all(re.search(r"  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", line) for line in lines)


def test_forks(run: Run, saver: RemoteSaver) -> None:
    graph = chat(saver)
    graph.invoke({"messages": [("human", "play a waltz")]}, config("t"))
    states = list(saver.get_state_history(config("t")))
    wish = next(state for state in states if state.next == ("action",))
    for _ in range(2):
        graph.invoke(None, wish.config)
    graph.invoke({"messages": [("human", "bye")]}, config("t"))
    _, *lines = run("history", "t").lines
    branch = ["│ ● step 3 loop end"]
    assert shape(lines) == [
        "● step -1 input next: __start__",
        "● step 0 loop next: agent",
        "● step 1 loop next: action",
        "├── ● step 2 loop next: agent",
        *branch,
        "├── ● step 2 fork next: action",
        "│ ● step 3 loop next: agent",
        "│ ● step 4 loop end",
        "● step 2 fork next: action",
        "● step 3 loop next: agent",
        "● step 4 loop end",
        "● step 5 input next: __start__",
        "● step 6 loop next: agent",
        "● ◀ head step 7 loop end",
    ]


def test_a_tree_of_any_clients_checkpoints(run: Run, client: Client) -> None:
    """b and c are made from a; d and e from b; f from nothing; the head is e."""
    for id, parent in (("a", ""), ("b", "a"), ("c", "a"), ("d", "b"), ("f", ""), ("e", "b")):
        client.put_checkpoint(
            thread_id="t",
            checkpoint=Checkpoint(id=id, ts="2026-01-02T03:04:05+00:00"),
            parent_checkpoint_id=parent,
            metadata=Metadata(json='{"source": "[red]\\u001b", "step": [1]}'),
        )
    title, *lines = run("history", "t").lines
    assert title == "t  6 checkpoints, 2 forks"
    assert [line.partition("step")[0].rstrip() for line in lines[:6]] == [
        "● f",
        "● a",
        "├── ● c",
        "● b",
        "├── ● d",
        "● e ◀ head",
    ]
    assert r"step [1]  [red]\x1b  ?  2026-01-02 03:04:05" in lines[5]


def test_a_subgraphs_history(run: Run, saver: RemoteSaver) -> None:
    graph = asking(saver)
    graph.invoke({"log": ["in"]}, config("t"))
    lines = run("history", "t").lines
    assert "next: inside (waits for an answer)" in lines[3]
    assert lines[-2] == "other namespaces (--namespace):"
    namespace, count = lines[-1].split()
    assert re.fullmatch(r"inside:[0-9a-f-]+", namespace)
    assert count == "2"
    title, *inner = run("history", "t", "--namespace", namespace).lines
    assert title == f"t, namespace {namespace}  2 checkpoints"
    assert shape(inner[:2]) == [
        "● step -1 input next: __start__",
        "● ◀ head step 0 loop next: ask (waits for an answer)",
    ]
    assert inner[3].split()[:2] == ["''", "(the"]


def test_a_limit_shows_what_was_committed_last(run: Run, saver: RemoteSaver) -> None:
    counter(saver).invoke({"log": ["in"]}, config("t"))
    title, cut, *lines = run("history", "t", "--limit", "2").lines
    assert title == "t  2 checkpoints"
    assert re.fullmatch(r"┆ made from \S+, which is not shown", cut)
    assert shape(lines[:2]) == ["● step 1 loop next: second", "● ◀ head step 2 loop end"]
    assert "--limit" in lines[2]
    assert len(run("history", "t", "--limit", "2", "--json").documents) == 2


def test_history_as_json_lines(run: Run, saver: RemoteSaver) -> None:
    counter(saver).invoke({"log": ["in"]}, config("t"))
    history = run("history", "t", "--json").documents
    states = list(saver.get_state_history(config("t")))
    assert [state["config"]["checkpoint_id"] for state in history] == [checkpoint_id(state.config) for state in states]
    assert [state["values"] for state in history] == [state.values for state in states]
    assert [tuple(state["next"]) for state in history] == [state.next for state in states]
    assert history[-1]["parent_config"] is None


def test_a_graph_that_is_not_known(run: Run, saver: RemoteSaver) -> None:
    graph = counter(saver, register=False)
    graph.invoke({"log": ["in"]}, config("t"))
    lines = run("history", "t").lines
    assert shape(lines[1:5]) == [
        "● step -1 input next: __start__?",
        "● step 0 loop next: first?",
        "● step 1 loop next: second?",
        "● ◀ head step 2 loop ?",
    ]
    assert "no graph is known" in lines[5]
    saver.register(graph, "mine")
    known = run("history", "t", "--graph", "mine").lines
    assert shape(known[1:])[-2:] == ["● step 1 loop next: second", "● ◀ head step 2 loop end"]
    answer = run("history", "t", "--graph", "another")
    assert (answer.code, answer.out) == (1, "")
    assert "GRAPH_NOT_FOUND" in answer.err


def test_nothing_there(run: Run, saver: RemoteSaver) -> None:
    counter(saver).invoke({"log": ["in"]}, config("t"))
    for json in ((), ("--json",)):
        assert run("history", "nowhere", *json) == Answer(1, "", "checkpointd: there is no thread 'nowhere'\n")
        said = "checkpointd: thread 't' has no checkpoints in namespace 'x'; it has some in: ''\n"
        assert run("history", "t", "--namespace", "x", *json) == Answer(1, "", said)


def test_a_narrow_terminal_cuts_lines_off_and_shows_the_head(command: Command, saver: RemoteSaver) -> None:
    counter(saver).invoke({"log": ["in"]}, config("t"))
    seen = command.on_terminal("history", "t", columns=30, NO_COLOR="1").out.splitlines()
    assert len(seen) == 5
    assert max(map(len, seen)) <= 30
    assert "◀ head" in seen[4]
    assert all(line.endswith("…") for line in seen[1:])


def test_a_long_history(run: Run, client: Client) -> None:
    """Longer than Python's stack is deep, with a fork at every checkpoint."""
    for number in range(1500):
        for fork in range(2):
            client.put_checkpoint(
                thread_id="t",
                checkpoint=Checkpoint(id=f"{number:05}-{fork}"),
                parent_checkpoint_id=f"{number - 1:05}-1" if number else "",
            )
    lines = run("history", "t", "--limit", "3000").lines
    assert lines[0] == "t  3000 checkpoints, 1499 forks"
    assert lines[3000].startswith("● 01499-1 ◀ head")
    assert len([line for line in lines if line.startswith("├── ● ")]) == 1499
