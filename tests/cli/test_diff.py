"""`checkpointd diff`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from checkpointd.client import Client
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.v1.core_pb2 import Checkpoint, Value
from tests.cli.graphs import asking, chat, checkpoint_id, config, counter
from tests.cli.running import Answer

Run = Callable[..., Answer]


def put(client: Client, checkpoint_id: str, **values: Any) -> None:
    """Store a checkpoint with these values as JSON."""
    checkpoint = Checkpoint(
        id=checkpoint_id,
        channel_versions=dict.fromkeys(values, checkpoint_id),
        channel_values={
            name: Value(encoding="json", data=json.dumps(value).encode()) for name, value in values.items()
        },
    )
    client.put_checkpoint(thread_id="t", checkpoint=checkpoint)


def changed(lines: list[str]) -> list[str]:
    """A comparison's lines about channels."""
    return [line for line in lines[1:] if "no graph is known" not in line]


def test_what_a_graph_did(run: Run, saver: RemoteSaver) -> None:
    graph = counter(saver)
    graph.invoke({"log": ["in"], "about": {"who": "me"}}, config("t"))
    states = list(graph.get_state_history(config("t")))
    first, last = checkpoint_id(states[2].config), checkpoint_id(states[0].config)
    assert run("diff", "t", first[-8:], last[-8:]).lines == [
        f"t  {first} → {last}",
        "next  first → end",
        "+ count  2",
        "~ log  1 → 3 entries",
        '    + [1]  "first"',
        '    + [2]  "second"',
    ]
    document = run("diff", "t", first, last, "--json").document
    assert document["before"]["checkpoint_id"] == first
    assert document["after"]["checkpoint_id"] == last
    assert document["next"] == {"before": ["first"], "after": []}
    assert document["warnings"] == []
    assert document["channels"] == [
        {"channel": "count", "change": "added", "new": 2, "changes": []},
        {
            "channel": "log",
            "change": "changed",
            "changes": [
                {"change": "added", "path": [1], "new": "first"},
                {"change": "added", "path": [2], "new": "second"},
            ],
        },
    ]
    backwards = run("diff", "t", last, first).lines
    assert backwards[1:] == [
        "next  end → first",
        "- count  2",
        "~ log  3 → 1 entries",
        '    - [1]  "first"',
        '    - [2]  "second"',
    ]


def test_messages_that_were_added_and_one_that_was_replaced(run: Run, saver: RemoteSaver) -> None:
    graph = chat(saver)
    graph.invoke({"messages": [("human", "play a waltz")]}, config("t"))
    states = list(graph.get_state_history(config("t")))
    wish = next(state for state in states if state.next == ("action",))
    calls = [{"name": "play", "args": {"song": "a polka"}, "id": "call"}]
    other = graph.update_state(wish.config, {"messages": [AIMessage("", id="wish", tool_calls=calls)]}, as_node="agent")
    lines = run("diff", "t", checkpoint_id(wish.config), checkpoint_id(states[0].config)).lines
    assert lines[2:] == ["~ messages  2 → 4 entries", "    + [2]  ai: it plays", "    + [3]  ai: Enjoy!"]
    lines = run("diff", "t", checkpoint_id(states[0].config), checkpoint_id(other)).lines
    assert lines[2:] == [
        "~ messages  4 → 2 entries",
        '    ~ [1]  ai:  → play(song="a waltz") → ai:  → play(song="a polka")',
        "    - [2]  ai: it plays",
        "    - [3]  ai: Enjoy!",
    ]


def test_a_subgraphs_checkpoints(run: Run, saver: RemoteSaver) -> None:
    asking(saver).invoke({"log": ["in"]}, config("t"))
    task = run("state", "t", "--json").document["tasks"][0]
    namespace = task["subgraph"]["checkpoint_ns"]
    newest, oldest = (
        state["config"]["checkpoint_id"] for state in run("history", "t", "--namespace", namespace, "--json").documents
    )
    document = run("diff", "t", oldest, newest, "--namespace", namespace, "--json").document
    assert document["before"]["checkpoint_ns"] == namespace
    assert [channel["channel"] for channel in document["channels"]] == ["log"]


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ({"a": 1}, {"a": 1}, ["the values are the same"]),
        ({"a": 1}, {"a": 2}, ["~ a  1 → 2"]),
        ({"a": 1}, {"a": True}, ["~ a  1 → true"]),
        ({"a": 1}, {"b": 1}, ["- a  1", "+ b  1"]),
        ({"a": "long text"}, {"a": "long text and more"}, ['~ a  … + " and more"']),
        ({"a": [1, 2, 3]}, {"a": [1, 3]}, ["~ a  3 → 2 entries", "    - [1]  2"]),
        ({"a": [1, 2]}, {"a": [1, 5]}, ["~ a  2 → 2 entries", "    ~ [1]  2 → 5"]),
        ({"a": {"b": {"c": 1}, "x": 0}}, {"a": {"b": {"c": 2}, "y": 0}}, ["~ a  ", "    ~ b.c  1 → 2", "    - x  0"]),
        ({"a": "[b]\x1b"}, {"a": "[/b]\x9b"}, [r'~ a  "[b]\x1b" → "[/b]\x9b"']),
    ],
)
def test_each_kind_of_change(
    run: Run, client: Client, old: dict[str, Any], new: dict[str, Any], lines: list[str]
) -> None:
    put(client, "c-old", **old)
    put(client, "c-new", **new)
    shown = changed(run("diff", "t", "c-old", "c-new").lines)
    assert [line.rstrip() for line in shown[: len(lines)]] == [line.rstrip() for line in lines]


def test_long_values_are_shortened_and_it_is_said(run: Run, client: Client) -> None:
    put(client, "c-old", a=list(range(100)), b="x" * 1000 + "y")
    put(client, "c-new", a=list(range(200)), b="x" * 1000 + "z")
    lines = run("diff", "t", "c-old", "c-new").lines
    assert "    60 more …" in lines
    assert f'~ b  "…{"x" * 20}y" → "…{"x" * 20}z"' in lines
    assert "--json" in lines[-1]


def test_what_is_not_there(run: Run, client: Client) -> None:
    put(client, "c-old")
    for words in (("t", "c-old", "c-none"), ("t", "c-none", "c-old"), ("nowhere", "c-old", "c-old")):
        answer = run("diff", *words)
        assert (answer.code, answer.out) == (1, "")
        assert "CHECKPOINT_NOT_FOUND" in answer.err
