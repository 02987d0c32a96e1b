"""An agent with tools: stopped before it acts, approved elsewhere, replayed, and the tree that its branches form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langgraph.graph import MessagesState
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot

from checkpointd.client.langgraph import RemoteSaver
from examples.time_travel import build_agent, state_tree
from tests.graphs.configs import checkpoint, id_of, parent_of, thread
from tests.graphs.processes import Processes, tell


@tool
def play_on_spotify(song: str) -> str:
    """Play a song on Spotify."""
    tell(f"spotify plays {song}")
    return f"Spotify plays {song}"


@tool
def play_on_apple(song: str) -> str:
    """Play a song on Apple Music."""
    tell(f"apple plays {song}")
    return f"Apple plays {song}"


TOOLS = [play_on_spotify, play_on_apple]


class ScriptedModel(GenericFakeChatModel):
    """Says the messages of its script in turn."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Runnable[Any, AIMessage]:
        assert tools == TOOLS
        return self


def script(*lines: AIMessage | str) -> Iterator[AIMessage | str]:
    for line in lines:
        tell("agent")
        yield line


def wish(song: str, *tools: str) -> AIMessage:
    calls = [{"name": name, "args": {"song": song}, "id": f"{name}-{song}"} for name in tools]
    return AIMessage("", tool_calls=calls)


WISH = wish("Cruel Summer", "play_on_spotify")


def agent(saver: RemoteSaver, *lines: AIMessage | str, ask_first: bool = True) -> CompiledStateGraph[MessagesState]:
    return build_agent(saver, ScriptedModel(messages=script(*lines)), TOOLS, ask_first=ask_first)


def ask(saver: RemoteSaver, *lines: AIMessage | str, ask_first: bool = True) -> list[AnyMessage]:
    app = agent(saver, *lines, ask_first=ask_first)
    return list(app.invoke({"messages": [HumanMessage("Play Taylor Swift's best")]}, thread("t"))["messages"])


def go_on(saver: RemoteSaver, *lines: AIMessage | str, checkpoint_id: str | None = None) -> list[AnyMessage]:
    app = agent(saver, *lines)
    return list(app.invoke(None, checkpoint("t", checkpoint_id) if checkpoint_id else thread("t"))["messages"])


def play_instead(saver: RemoteSaver, checkpoint_id: str, song: str, *lines: AIMessage | str) -> list[AnyMessage]:
    app = agent(saver, *lines)
    at = checkpoint("t", checkpoint_id)
    last = app.get_state(at).values["messages"][-1]
    changed = wish(song, "play_on_apple").model_copy(update={"id": last.id})
    return list(app.invoke(None, app.update_state(at, {"messages": [changed]}, as_node="agent"))["messages"])


def stream_from(saver: RemoteSaver, checkpoint_id: str, *lines: AIMessage | str) -> list[str]:
    app = agent(saver, *lines, ask_first=False)
    return [name for event in app.stream(None, checkpoint("t", checkpoint_id)) for name in event]


def history(saver: RemoteSaver) -> list[StateSnapshot]:
    return list(agent(saver).get_state_history(thread("t")))


def waiting(states: list[StateSnapshot]) -> StateSnapshot:
    """The state in which the agent first wished to act."""
    return [state for state in states if state.next == ("action",)][-1]


def texts(messages: list[AnyMessage] | list[BaseMessage]) -> list[tuple[str, str]]:
    return [(message.type, message.text) for message in messages]


def test_the_agent_stops_before_it_acts(processes: Processes, saver: RemoteSaver) -> None:
    messages, told = processes.ran(ask, WISH)

    assert told == ["agent"], "no tool was used"
    state = agent(saver).get_state(thread("t"))
    assert state.next == ("action",)
    assert state.values["messages"] == messages
    assert state.values["messages"][-1].tool_calls[0]["args"] == {"song": "Cruel Summer"}


def test_another_process_approves(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(ask, WISH)

    messages, told = processes.ran(go_on, "Enjoy!")

    assert told == ["spotify plays Cruel Summer", "agent"]
    assert texts(messages) == [
        ("human", "Play Taylor Swift's best"),
        ("ai", ""),
        ("tool", "Spotify plays Cruel Summer"),
        ("ai", "Enjoy!"),
    ]
    assert agent(saver).get_state(thread("t")).next == ()


def test_several_calls_and_rounds_each_approved_elsewhere(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(ask, wish("Fearless", "play_on_apple", "play_on_spotify"))
    _, first = processes.ran(go_on, WISH)
    messages, second = processes.ran(go_on, "Enough.")

    assert sorted(first) == ["agent", "apple plays Fearless", "spotify plays Fearless"]
    assert second == ["spotify plays Cruel Summer", "agent"]
    answers = [message for message in messages if isinstance(message, ToolMessage)]
    assert [answer.tool_call_id for answer in answers] == [
        "play_on_apple-Fearless",
        "play_on_spotify-Fearless",
        "play_on_spotify-Cruel Summer",
    ]
    assert agent(saver).get_state(thread("t")).values["messages"] == messages


def test_a_replay_runs_only_what_comes_after(processes: Processes) -> None:
    processes.run(ask, WISH, "Enjoy!", ask_first=False)
    start = waiting(processes.run(history))

    nodes, told = processes.ran(stream_from, id_of(start), "Enjoy it again!")

    assert nodes == ["action", "agent"]
    assert told == ["spotify plays Cruel Summer", "agent"]
    messages = processes.run(history)[0].values["messages"]
    assert messages[:2] == start.values["messages"]
    assert texts(messages)[2:] == [("tool", "Spotify plays Cruel Summer"), ("ai", "Enjoy it again!")]


def test_the_state_tree_after_a_replay(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(ask, WISH, "Enjoy!", ask_first=False)
    processes.run(stream_from, id_of(waiting(history(saver))), "Enjoy it again!")

    tree = list(state_tree(history(saver)))

    assert [re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", line) for line in tree] == [
        "└── ID -> next: __start__",
        "    └── ID -> next: agent  (you Play Taylor Swift's best)",
        "        └── ID -> next: action  (agent play_on_spotify(song='Cruel Summer'))",
        "            ├── ID -> next: action  (agent play_on_spotify(song='Cruel Summer'))",
        "            │   └── ID -> next: agent  (tool Spotify plays Cruel Summer)",
        "            │       └── ID -> next: end  (agent Enjoy it again!)  ◀ head",
        "            └── ID -> next: agent  (tool Spotify plays Cruel Summer)",
        "                └── ID -> next: end  (agent Enjoy!)",
    ]
    assert sorted(re.findall(r"[0-9a-f-]{36}", "\n".join(tree))) == sorted(id_of(state) for state in history(saver))


def test_the_wish_is_changed_on_a_fork(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(ask, WISH)
    processes.run(go_on, "Enjoy!")
    before = history(saver)

    messages, told = processes.ran(play_instead, id_of(waiting(before)), "Red", "There.")

    assert told == ["apple plays Red", "agent"]
    assert texts(messages)[-2:] == [("tool", "Apple plays Red"), ("ai", "There.")]
    after = history(saver)
    assert after[-len(before) :] == before
    forks = [state for state in after if (state.metadata or {}).get("source") == "update"]
    assert [parent_of(fork) for fork in forks] == [id_of(waiting(before))]
    branches = [state for state in after if parent_of(state) == id_of(waiting(before))]
    assert len(branches) == 2


def test_a_finished_conversation_goes_on_in_another_process(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(ask, "Which of them?")
    messages = processes.run(ask, WISH)

    assert texts(messages)[:3] == [
        ("human", "Play Taylor Swift's best"),
        ("ai", "Which of them?"),
        ("human", "Play Taylor Swift's best"),
    ]
    assert agent(saver).get_state(thread("t")).next == ("action",)
