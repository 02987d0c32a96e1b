"""`checkpointd update`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from checkpointd.client.langgraph import RemoteSaver
from tests.cli.graphs import asking, chat, checkpoint_id, config, counter
from tests.cli.running import Answer

Run = Callable[..., Answer]


def test_an_update_at_the_head(run: Run, saver: RemoteSaver) -> None:
    graph = counter(saver)
    graph.invoke({"log": ["in"]}, config("t"))
    line, following = run("update", "t", '{"count": 10, "log": ["by hand"]}').lines
    head = graph.get_state(config("t"))
    assert line == f"updated t: its head is now {checkpoint_id(head.config)}"
    assert following == f"next: {head.next[0] if head.next else 'nothing, it is finished'}"
    assert head.values == {"count": 10, "log": ["in", "first", "second", "by hand"]}
    assert head.metadata is not None
    assert head.metadata["source"] == "update"


def test_an_update_as_a_node_leads_on_from_it(run: Run, saver: RemoteSaver) -> None:
    graph = counter(saver)
    graph.invoke({"log": ["in"]}, config("t"))
    before = graph.get_state(config("t"))
    made = run("update", "t", '{"count": 7}', "--as-node", "first", "--json").document
    after = graph.get_state(config("t"))
    assert made["config"]["checkpoint_id"] == checkpoint_id(after.config)
    assert made["parent_config"]["checkpoint_id"] == checkpoint_id(before.config)
    assert after.next == ("second",)
    assert graph.invoke(None, config("t"))["count"] == 8


@pytest.mark.parametrize("given", ["argument", "input", "file"])
def test_where_the_values_come_from(run: Run, saver: RemoteSaver, tmp_path: Path, given: str) -> None:
    graph = counter(saver)
    graph.invoke({"log": ["in"]}, config("t"))
    values = json.dumps({"about": {"name": "[b]Ä\x1b[/b]", "list": [1, None, 2.5]}})
    file = tmp_path / "values.json"
    file.write_text(values)
    if given == "input":
        answer = run("update", "t", "-", given=values)
    else:
        answer = run("update", "t", values if given == "argument" else f"@{file}")
    assert answer.code == 0
    assert graph.get_state(config("t")).values["about"] == {"name": "[b]Ä\x1b[/b]", "list": [1, None, 2.5]}


def test_an_update_of_an_earlier_checkpoint_forks(run: Run, saver: RemoteSaver) -> None:
    graph = counter(saver)
    graph.invoke({"log": ["in"]}, config("t"))
    past = next(state for state in graph.get_state_history(config("t")) if state.next == ("second",))
    made = run("update", "t", '{"count": 50}', "--checkpoint", checkpoint_id(past.config)[-8:], "--json").document
    assert made["parent_config"]["checkpoint_id"] == checkpoint_id(past.config)
    assert graph.get_state(config("t")).values["count"] == 50
    lines = run("history", "t").lines
    assert lines[0] == "t  5 checkpoints, 1 fork"
    assert [line.partition("●")[0] for line in lines[1:]] == ["", "", "", "├── ", ""]


def test_a_choice_that_only_code_can_make(run: Run, saver: RemoteSaver) -> None:
    graph = chat(saver)
    graph.invoke({"messages": [("human", "play a waltz")]}, config("t"))
    answer = run("update", "t", "null", "--as-node", "agent")
    assert (answer.code, answer.out) == (1, "")
    assert "NEEDS_CODE" in answer.err
    assert "--goto" in answer.err
    assert run("update", "t", "null", "--as-node", "agent", "--goto", "action").code == 0
    assert graph.get_state(config("t")).next == ("action",)
    assert run("update", "t", "null", "--as-node", "agent", "--goto", "__end__").code == 0
    assert graph.get_state(config("t")).next == ()


def test_chat_messages(run: Run, saver: RemoteSaver) -> None:
    graph = chat(saver)
    graph.invoke({"messages": [("human", "play a waltz")]}, config("t"))
    given = [
        "bye",
        {"role": "assistant", "content": "", "id": "a", "tool_calls": [{"name": "f", "args": {"x": 1}, "id": "1"}]},
        {"type": "tool", "content": [{"type": "text", "text": "done"}], "tool_call_id": "1"},
        {"type": "remove", "id": "answer"},
        {"role": "system", "content": "be nice"},
    ]
    words = ("--as-node", "action")
    assert run("update", "t", json.dumps({"messages": given}), *words).code == 0
    messages = graph.get_state(config("t")).values["messages"]
    assert [(message.type, message.text) for message in messages] == [
        ("human", "play a waltz"),
        ("ai", ""),
        ("ai", "it plays"),
        ("human", "bye"),
        ("ai", ""),
        ("tool", "done"),
        ("system", "be nice"),
    ]
    assert messages[4].tool_calls == [{"name": "f", "args": {"x": 1}, "id": "1", "type": "tool_call"}]
    assert all(message.id for message in messages)
    assert graph.invoke(None, config("t"))["messages"][-1].text == "Enjoy!"
    assert run("update", "t", '{"messages": {"role": "user", "content": "one"}}', *words).code == 0
    assert graph.get_state(config("t")).values["messages"][-1].text == "one"


def test_an_update_of_a_subgraph(run: Run, saver: RemoteSaver) -> None:
    graph = asking(saver)
    graph.invoke({"log": ["in"]}, config("t"))
    namespace = run("state", "t", "--json").document["tasks"][0]["subgraph"]["checkpoint_ns"]
    made = run("update", "t", '{"count": 3}', "--namespace", namespace, "--json").document
    assert made["config"]["checkpoint_ns"] == namespace
    assert run("state", "t", "--namespace", namespace, "--json").document["values"]["count"] == 3


def test_the_head_that_is_expected(run: Run, saver: RemoteSaver) -> None:
    graph = counter(saver)
    graph.invoke({"log": ["in"]}, config("t"))
    head = checkpoint_id(graph.get_state(config("t")).config)
    assert run("update", "t", '{"count": 1}', "--expect-head", head[-8:]).code == 0
    for expected in (head, head[-8:], ""):
        answer = run("update", "t", '{"count": 2}', "--expect-head", expected)
        assert (answer.code, answer.out) == (1, "")
        assert "HEAD_MOVED" in answer.err
    assert graph.get_state(config("t")).values["count"] == 1
    assert (
        run("update", "new", '{"count": 1}', "--graph", "counter", "--as-node", "first", "--expect-head", "").code == 0
    )
    assert graph.get_state(config("new")).next == ("second",)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "{",
        "{'a': 1}",
        "[1,]",
        "NaN",
        '{"a": Infinity}',
        r'{"a": "\ud800"}',
        "[" * 100_000,
        "9" * 5000,
        "@/no/such/file",
        "@/",
    ],
)
def test_what_is_no_json(run: Run, saver: RemoteSaver, given: str) -> None:
    graph = counter(saver)
    graph.invoke({"log": ["in"]}, config("t"))
    before = graph.get_state(config("t"))
    answers = [run("update", "t", given)]
    if not given.startswith("@"):
        answers.append(run("update", "t", "-", given=given))
    for answer in answers:
        assert (answer.code, answer.out) == (2, "")
        (line,) = answer.err.splitlines()
        assert line.startswith("checkpointd: ")
    assert graph.get_state(config("t")) == before


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("t", "{}", "--as-node", "nobody"), "INVALID_UPDATE"),
        (("t", "{}", "--checkpoint", "none"), "CHECKPOINT_NOT_FOUND"),
        (("t", "{}", "--graph", "none"), "GRAPH_NOT_FOUND"),
        (("t", "{}", "--namespace", "nowhere"), "SUBGRAPH_NOT_FOUND"),
        (("nowhere", "{}"), "GRAPH_UNKNOWN"),
        (("t", "[1]"), "INVALID_UPDATE"),
    ],
)
def test_what_the_server_refuses(run: Run, saver: RemoteSaver, words: tuple[str, ...], reason: str) -> None:
    counter(saver).invoke({"log": ["in"]}, config("t"))
    answer = run("update", *words)
    assert (answer.code, answer.out) == (1, "")
    assert reason in answer.err
