"""What the server itself makes of a thread, whichever language began it: without the graph's code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from langchain_core.runnables import RunnableConfig

from checkpointd.client.langgraph import RemoteSaver
from tests.languages.graphs import GRAPHS, compiled
from tests.languages.sides import Side
from tests.server_process import ServerProcess

Languages = tuple[Side, Side]
CONFIG: RunnableConfig = {"configurable": {"thread_id": "t"}}
HI = {"log": ["hi"]}


@pytest.fixture
def anyone(server: ServerProcess, tenant: str) -> Iterator[RemoteSaver]:
    """Somebody who reads and updates states through the server, which knows the graphs by their names."""
    with RemoteSaver(server.address, tenant=tenant) as saver:
        for name in GRAPHS:
            saver.register(compiled(name, saver, []), name)
        yield saver


@pytest.mark.parametrize(
    ("graph", "after", "questions"),
    [
        ("questions", ["ask"], ["first?"]),
        ("choices", ["left", "right"], ["left?", "right?"]),
        ("sends", ["work"], ["item 2?"]),
        ("nested", ["inner"], ["inside?"]),
        ("barrier", ["ask"], ["slow?"]),
    ],
)
def test_the_server_says_what_waits(
    languages: Languages, anyone: RemoteSaver, graph: str, after: list[str], questions: list[str]
) -> None:
    one, _ = languages
    begun = one.invoke(graph, "t", HI)
    state = anyone.get_state(CONFIG, graph_name=graph)
    assert not state.unresolved
    assert not state.warnings
    assert sorted(state.next) == after
    assert sorted(interrupt.value for interrupt in state.interrupts) == questions
    # The ids are those of the language that asked.
    assert {interrupt.id: interrupt.value for interrupt in state.interrupts} == begun.interrupts


def test_the_server_says_what_waits_when_both_have_worked_on_a_task(
    languages: Languages, server: ServerProcess, tenant: str
) -> None:
    one, other = languages
    one.invoke("questions", "t", HI)
    asked = other.resume("questions", "t", "a")
    with RemoteSaver(server.address, tenant=tenant) as saver:
        for register in (False, True):
            if register:
                saver.register(compiled("questions", saver, []), "questions")
            state = saver.get_state(CONFIG, graph_name="questions" if register else None)
            assert {interrupt.id: interrupt.value for interrupt in state.interrupts} == asked.interrupts
            assert list(asked.interrupts.values()) == ["second?"]
            assert len(state.warnings) == (0 if register else 1)  # that the graph is not known


def test_the_server_updates_a_state_and_either_language_goes_on(languages: Languages, anyone: RemoteSaver) -> None:
    one, other = languages
    one.invoke("steps", "t", HI)
    anyone.update_state(CONFIG, {"log": ["edited"]}, "one", graph_name="steps")
    assert other.look("steps", "t").next == ["two"]

    finished = other.invoke("steps", "t", None)
    assert finished.ran == ["three", "two"]
    assert finished.log == ["hi", "one", "two", "three", "edited", "two", "three"]
    assert one.look("steps", "t").log == finished.log


def test_the_server_answers_a_tool_call_in_place_of_the_tool(languages: Languages, anyone: RemoteSaver) -> None:
    one, other = languages
    one.invoke("chat", "t", {"messages": [{"role": "user", "content": "tea"}]})
    answer = {"role": "tool", "content": "oolong", "tool_call_id": "call-1"}
    anyone.update_state(CONFIG, {"messages": [answer]}, "tools", graph_name="chat")
    assert other.look("chat", "t").next == ["agent"]

    finished = other.invoke("chat", "t", None)
    assert finished.ran == ["agent"]
    assert [message[:2] for message in finished.messages] == [
        ["human", "tea"],
        ["ai", ""],
        ["tool", "oolong"],
        ["ai", "found oolong"],
    ]
    assert one.look("chat", "t").messages == finished.messages
