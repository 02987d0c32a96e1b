"""`checkpointd state`, `history`, `diff` and `update` of states that are not a few plain channels."""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import add
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph

from checkpointd.client.langgraph import RemoteSaver
from tests.cli.graphs import config, counter
from tests.cli.running import Answer, Command

Run = Callable[..., Answer]


def longest(one: str, other: str) -> str:
    """A reducer that no server knows."""
    return max(one, other, key=len)


class Odd(TypedDict, total=False):
    word: Annotated[str, longest]


def single(saver: RemoteSaver, schema: Any, node: Any) -> Any:
    """A registered graph of one node."""
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(schema)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    compiled = graph.compile(checkpointer=saver)
    saver.register(compiled)
    return compiled


def test_a_task_that_failed(run: Run, saver: RemoteSaver) -> None:
    def fail(state: Odd) -> Odd:
        raise ValueError("no [b]such\x1b word")

    graph = single(saver, Odd, fail)
    with pytest.raises(ValueError, match="such"):
        graph.invoke({"word": "x"}, config("t"))
    lines = run("state", "t").lines
    place = next(place for place, line in enumerate(lines) if re.match(r"  node  failed  [0-9a-f-]{36}$", line))
    assert r"no [b]such\x1b word" in lines[place + 1]
    assert "no [b]such" in str(run("state", "t", "--json").document["tasks"][0]["error"])
    assert "next: node (failed)" in run("history", "t").lines[-1]


def test_a_channel_that_the_server_can_not_fold(run: Run, saver: RemoteSaver) -> None:
    single(saver, Odd, lambda state: {"word": "longer"}).invoke({"word": "x"}, config("t"))
    ids = [state["config"]["checkpoint_id"] for state in run("history", "t", "--json").documents]
    document = run("diff", "t", ids[1], ids[0], "--json").document
    assert [(channel["channel"], channel["change"]) for channel in document["channels"]] == [("word", "changed")]
    assert run("diff", "t", ids[1], ids[0]).lines[2].startswith("~ word")
    answer = run("update", "t", '{"word": "the longest"}', "--as-node", "node")
    assert answer.code == 1
    assert "NEEDS_CODE" in answer.err


def test_what_was_written_to_such_a_channel_since(run: Run, saver: RemoteSaver) -> None:
    """One of two nodes has finished and the other one failed: the first one's write waits to be folded."""

    def fail(state: Odd) -> Odd:
        raise ValueError

    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Odd)
    graph.add_node("writes", lambda state: {"word": "written"})
    graph.add_node("fails", fail)
    graph.add_edge(START, "writes")
    graph.add_edge(START, "fails")
    compiled = graph.compile(checkpointer=saver)
    saver.register(compiled)
    with pytest.raises(ValueError):  # noqa: PT011
        compiled.invoke({"word": "given"}, config("t"))
    (unresolved,) = run("state", "t", "--json").document["unresolved"]
    assert unresolved == {"channel": "word", "base": "given", "writes": ["written"]}
    lines = run("state", "t").lines
    place = lines.index("unresolved")
    assert lines[place + 1 : place + 4] == ["  word  2 entries", '    base  "given"', '    writes  ["written"]']


def test_a_state_that_is_one_value(run: Run, saver: RemoteSaver) -> None:
    graph = single(saver, Annotated[list, add], lambda state: ["out"])
    graph.invoke(["in"], config("t"))
    assert run("state", "t", "--json").document["values"] == ["in", "out"]
    assert run("state", "t").lines[-3:] == ["value  2 entries", '  0  "in"', '  1  "out"']
    ids = [state["config"]["checkpoint_id"] for state in run("history", "t", "--json").documents]
    assert run("diff", "t", ids[1], ids[0]).lines[2:] == ["~ __root__  1 → 2 entries", '    + [1]  "out"']
    assert run("update", "t", '["by hand"]').code == 0
    assert graph.get_state(config("t")).values == ["in", "out", "by hand"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_that_knows_few_characters(run: Run, saver: RemoteSaver, encoding: str) -> None:
    counter(saver).invoke({"log": ["日本 “x”"]}, config("t"))
    for words in (("state", "t"), ("history", "t"), ("threads",)):
        answer = run(*words, PYTHONIOENCODING=encoding)
        assert (answer.code, answer.err) == (0, "")
    document = run("state", "t", "--json", PYTHONIOENCODING=encoding).document
    assert document["values"]["log"][0] == "日本 “x”"


def test_wide_characters_on_a_narrow_terminal(command: Command, saver: RemoteSaver) -> None:
    counter(saver).invoke({"log": ["日本" * 40], "about": {"🎉" * 5: "é" * 50}}, config("t"))
    for words in (("state", "t"), ("history", "t"), ("threads",)):
        for columns in (3, 20, 41):
            assert command.on_terminal(*words, columns=columns).code == 0
