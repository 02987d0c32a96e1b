"""`checkpointd state`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from checkpointd.client import Client
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.v1.core_pb2 import Checkpoint, Metadata, Value
from tests.cli.graphs import asking, chat, checkpoint_id, config, counter
from tests.cli.running import Answer, Command

Run = Callable[..., Answer]

KEYS = {
    "config",
    "parent_config",
    "created_at",
    "metadata",
    "values",
    "next",
    "tasks",
    "interrupts",
    "unresolved",
    "warnings",
}


def put(client: Client, values: dict[str, Value], thread_id: str = "t") -> None:
    """Store a checkpoint with these values, as no LangGraph would."""
    checkpoint = Checkpoint(id="c1", channel_versions=dict.fromkeys(values, "1"), channel_values=values)
    client.put_checkpoint(thread_id=thread_id, checkpoint=checkpoint, metadata=Metadata(json='{"source": "x"}'))


def test_the_state_of_a_finished_thread(run: Run, saver: RemoteSaver) -> None:
    graph = counter(saver)
    graph.invoke({"log": ["in"], "about": {"who": "me"}}, config("t"))
    head = graph.get_state(config("t"))
    text = run("state", "t").out
    assert [line.split(maxsplit=1) for line in text.splitlines()[:4]] == [
        ["thread", "t"],
        ["checkpoint", f"{checkpoint_id(head.config)}  (head)"],
        ["parent", checkpoint_id(head.parent_config)],
        ["step", "2, loop"],
    ]
    assert text.splitlines()[5:] == [
        "next        nothing, it is finished",
        "values",
        "  about  1 entry",
        '    who  "me"',
        "  count  2",
        "  log  3 entries",
        '    0  "in"',
        '    1  "first"',
        '    2  "second"',
    ]


def test_a_state_as_json(run: Run, saver: RemoteSaver) -> None:
    graph = counter(saver)
    graph.invoke({"log": ["in"], "about": {"who": "me"}}, config("t"))
    head = graph.get_state(config("t"))
    document = run("state", "t", "--json").document
    assert document.keys() == KEYS
    assert document["values"] == head.values
    assert document["metadata"] == head.metadata
    assert document["config"] == {
        "thread_id": "t",
        "checkpoint_ns": "",
        "checkpoint_id": checkpoint_id(head.config),
        "checkpoint_map": {},
    }
    assert document["parent_config"]["checkpoint_id"] == checkpoint_id(head.parent_config)
    assert (document["next"], document["tasks"], document["interrupts"]) == ([], [], [])


def test_an_earlier_checkpoint_by_a_part_of_its_id(run: Run, saver: RemoteSaver) -> None:
    graph = counter(saver)
    graph.invoke({"log": ["in"]}, config("t"))
    past = next(state for state in graph.get_state_history(config("t")) if state.next == ("second",))
    wanted = checkpoint_id(past.config)
    for part in (wanted, wanted[-8:], wanted[:-4]):
        document = run("state", "t", "--json", "--checkpoint", part).document
        assert document["config"]["checkpoint_id"] == wanted
        (task,) = document["tasks"]
        assert task["name"] == "second"
        assert task["path"] == ["__pregel_pull", "second"]
        assert task["result"] == {"log": ["second"], "count": 2}
    lines = run("state", "t", "--checkpoint", wanted[-8:]).lines
    assert "next        second" in lines
    assert "(head)" not in lines[1]
    assert "tasks" in lines
    assert any(re.match(r"  second  finished  [0-9a-f-]{36}$", line) for line in lines)


def test_messages_and_tool_calls(run: Run, saver: RemoteSaver) -> None:
    chat(saver).invoke({"messages": [("human", "play [b]one[/b]\nafter \x1b[31manother")]}, config("t"))
    lines = run("state", "t").lines
    start = lines.index("  messages  4 entries")
    assert lines[start + 1 :] == [
        r"    0  human: play [b]one[/b]\nafter \x1b[31manother",
        r'    1  ai:  → play(song="[b]one[/b]\nafter \x1b[31manother")',
        "    2  ai: it plays",
        "    3  ai: Enjoy!",
    ]
    message = run("state", "t", "--json").document["values"]["messages"][0]
    assert message["$class"] == "langchain_core.messages.human.HumanMessage"
    assert message["parts"]["content"] == "play [b]one[/b]\nafter \x1b[31manother"


def test_an_interrupt_in_a_subgraph(run: Run, saver: RemoteSaver) -> None:
    graph = asking(saver)
    graph.invoke({"log": ["in"]}, config("t"))
    lines = run("state", "t", "--subgraphs").lines
    assert "next        inside" in lines
    assert any(re.match(r"  inside  waits  [0-9a-f-]{36}$", line) for line in lines)
    assert any(re.match(r"      namespace   inside:[0-9a-f-]{36}$", line) for line in lines)
    assert "      next        ask" in lines
    assert lines[-3] == "interrupts"
    assert lines[-1] == '    question  "go on?"'
    document = run("state", "t", "--subgraphs", "--json").document
    (task,) = document["tasks"]
    (asked,) = document["interrupts"]
    assert asked["value"] == {"question": "go on?"}
    assert asked["id"]
    assert task["interrupts"] == [asked]
    below = task["subgraph_state"]
    assert below.keys() == KEYS
    namespace = below["config"]["checkpoint_ns"]
    assert below["next"] == ["ask"]
    assert run("state", "t", "--namespace", namespace, "--json").document["values"] == below["values"]
    assert run("state", "t", "--json").document["tasks"][0]["subgraph"]["checkpoint_ns"] == namespace


def test_a_graph_that_is_not_known(run: Run, saver: RemoteSaver) -> None:
    graph = counter(saver, register=False)
    graph.invoke({"log": ["in"]}, config("t"))
    lines = run("state", "t").lines
    assert "next        nothing, as far as is known; see the warnings" in lines
    assert lines[-2] == "warnings"
    assert run("state", "t", "--json").document["warnings"]
    saver.register(graph, "mine")
    assert run("state", "t", "--graph", "mine", "--json").document["warnings"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "there is no thread 'nowhere'"),
        (("t", "--namespace", "x"), "thread 't' has no checkpoints in namespace 'x'; it has some in: ''"),
        (("t", "--checkpoint", "nope"), "thread 't' has no checkpoint 'nope' in namespace ''"),
        (("t", "--graph", "nope"), "GRAPH_NOT_FOUND"),
    ],
)
@pytest.mark.parametrize("json", [(), ("--json",)])
def test_what_is_not_there(run: Run, client: Client, words: tuple[str, ...], said: str, json: tuple[str, ...]) -> None:
    put(client, {})
    answer = run("state", *words, *json)
    assert (answer.code, answer.out) == (1, "")
    (line,) = answer.err.splitlines()
    assert said in line


def test_a_part_of_an_id_that_several_have(run: Run, saver: RemoteSaver) -> None:
    counter(saver).invoke({"log": ["in"]}, config("t"))
    head = checkpoint_id(saver.get_state(config("t")).config)
    answer = run("state", "t", "--checkpoint", head[:4])
    assert (answer.code, answer.out) == (1, "")
    assert head in answer.err
    assert "say more of it" in answer.err


def test_writes_without_a_checkpoint(run: Run, client: Client) -> None:
    client.put_writes(thread_id="t", checkpoint_id="later", task_id="task", writes=[])
    client.put_checkpoint(thread_id="t", checkpoint_ns="sub", checkpoint=Checkpoint(id="c1"))
    answer = run("state", "t")
    assert answer == Answer(
        1, "", "checkpointd: thread 't' has no checkpoints of its root graph; it has some in: 'sub'\n"
    )


VALUES: dict[str, tuple[Value, str, Any]] = {
    "null": (Value(encoding="null"), "null", None),
    "bytes": (Value(encoding="bytes", data=b"\0\1\2"), "<3 bytes>", {"$bytes": "AAEC"}),
    "json": (Value(encoding="json", data=b'"[red]\\u009b"'), r'"[red]\x9b"', "[red]\x9b"),
    "surrogate": (Value(encoding="json", data=b'"\\ud800"'), r'"\ud800"', "\ud800"),
    "nan": (Value(encoding="json", data=b"NaN"), "nan", {"$float": "nan"}),
    "portable": (
        Value(encoding="portable-json/1", data=b"{}" * 60),
        "<portable-json/1, 120 bytes>",
        {"$opaque": "e317fXt9" * 20, "$encoding": "portable-json/1"},
    ),
    "broken": (Value(encoding="json", data=b"{"), "<json, 1 bytes>", {"$opaque": "ew==", "$encoding": "json"}),
    "hostile": (Value(encoding="\x1b[2J", data=b""), r"<\x1b[2J, 0 bytes>", {"$opaque": "", "$encoding": "\x1b[2J"}),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_of_any_encoding(run: Run, client: Client, name: str) -> None:
    value, shown, document = VALUES[name]
    put(client, {"channel": value})
    lines = run("state", "t").lines
    assert f"  channel  {shown}" in lines
    answer = run("state", "t", "--json")
    assert answer.document["values"] == {"channel": document}
    assert not set(answer.out) & set("\x1b\x9b")


def test_names_of_channels_are_data_too(run: Run, client: Client) -> None:
    put(client, {"[bold]\x1b[2J": Value(encoding="json", data=b"1")})
    assert r"  [bold]\x1b[2J  1" in run("state", "t").lines


def test_long_values_are_shortened_and_it_is_said(run: Run, client: Client) -> None:
    text = "x" * 10_000
    put(client, {"text": Value(encoding="json", data=f'"{text}"'.encode())})
    put(client, {"list": Value(encoding="json", data=str(list(range(50))).encode())}, "many")
    lines = run("state", "t").lines
    assert max(map(len, lines)) < 300
    assert "--json" in lines[-1]
    assert run("state", "t", "--json").document["values"]["text"] == text
    lines = run("state", "many").lines
    assert "  list  50 entries, the last 20 of them …" in lines
    assert "    30  30" in lines
    assert "    49  49" in lines
    assert "    29  29" not in lines
    assert "--json" in lines[-1]


def test_a_narrow_terminal_wraps_and_keeps_the_indent(command: Command, client: Client) -> None:
    put(client, {"text": Value(encoding="json", data=b'"' + b"word " * 20 + b'"')})
    seen = command.on_terminal("state", "t", columns=30, NO_COLOR="1").out.splitlines()
    assert max(map(len, seen)) <= 30
    start = next(place for place, line in enumerate(seen) if line.startswith("  text  "))
    assert seen[start + 1].startswith("  word")
    assert command.on_terminal("state", "t", columns=1).code == 0


def test_colours_on_a_terminal_only(command: Command, client: Client) -> None:
    put(client, {})
    assert "\x1b[" in command.on_terminal("state", "t").out
    assert "\x1b[" not in command.on_terminal("state", "t", NO_COLOR="1").out
    assert "\x1b[" not in command.run("state", "t").out
