"""An agent that asks before it acts, and whose past can be visited: approve, replay, and see the branches.

The agent plays music with tools. It stops before it uses one (`interrupt_before=["action"]`), and any process may
approve, replay the moment, or change what it was about to play. See examples/README.md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool, tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import StateSnapshot

from checkpointd.client import CheckpointdError
from checkpointd.client.langgraph import RemoteSaver


@tool
def play_on_radio(song: str) -> str:
    """Play a song on the radio."""
    return f"the radio of process {os.getpid()} plays {song}"


@tool
def play_on_gramophone(song: str) -> str:
    """Play a song on the gramophone."""
    return f"the gramophone of process {os.getpid()} plays {song}"


class Musician(BaseChatModel):
    """A stand-in for a language model: plays what it is asked for, then says so."""

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], **kwargs: Any
    ) -> Runnable[Any, AIMessage]:
        """It knows its tools by heart."""
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        last = messages[-1]
        if isinstance(last, ToolMessage):
            answer = AIMessage("Enjoy!")
        else:
            machine = "play_on_gramophone" if "old" in last.text.lower() else "play_on_radio"
            song = last.text.lower().removeprefix("play ").strip(" .!?").title()
            answer = AIMessage(
                "", tool_calls=[{"name": machine, "args": {"song": song}, "id": f"call-{len(messages)}"}]
            )
        return ChatResult(generations=[ChatGeneration(message=answer)])

    @property
    def _llm_type(self) -> str:
        return "musician"


def build_agent(
    saver: RemoteSaver, model: BaseChatModel, tools: Sequence[BaseTool], *, ask_first: bool
) -> CompiledStateGraph[MessagesState]:
    """An agent that takes turns with its tools, and with `ask_first` stops before it uses them."""
    bound = model.bind_tools(tools)

    def agent(state: MessagesState) -> dict[str, list[AIMessage]]:
        return {"messages": [bound.invoke(state["messages"])]}

    def wants_to_act(state: MessagesState) -> Literal["continue", "end"]:
        last = state["messages"][-1]
        return "continue" if isinstance(last, AIMessage) and last.tool_calls else "end"

    graph = StateGraph(MessagesState)
    graph.add_node("agent", agent)
    graph.add_node("action", ToolNode(tools))
    graph.add_edge(START, "agent")
    graph.add_conditional_edges("agent", wants_to_act, {"continue": "action", "end": END})
    graph.add_edge("action", "agent")
    compiled = graph.compile(checkpointer=saver, interrupt_before=["action"] if ask_first else None)
    # So that anyone can see and change a thread's state without this code.
    saver.register(compiled, "music")
    return compiled


def checkpoint_id(config: RunnableConfig | None) -> str | None:
    """The checkpoint that a config names."""
    return config["configurable"].get("checkpoint_id") if config else None


def state_tree(states: Sequence[StateSnapshot]) -> Iterator[str]:
    """The lines of the tree that a conversation's states form; `states` are its history, newest first."""
    known = {checkpoint_id(state.config) for state in states}

    def branch(siblings: list[StateSnapshot], indent: str) -> Iterator[str]:
        for state in siblings:
            last = state is siblings[-1]
            here = checkpoint_id(state.config)
            head = "  ◀ head" if state is states[0] else ""
            messages = state.values.get("messages")
            what = f"  ({' '.join(said(messages[-1]).split())})" if messages else ""
            yield f"{indent}{'└── ' if last else '├── '}{here} -> next: {', '.join(state.next) or 'end'}{what}{head}"
            children = [child for child in states if checkpoint_id(child.parent_config) == here]
            yield from branch(children, indent + ("    " if last else "│   "))

    return branch([state for state in states if checkpoint_id(state.parent_config) not in known], "")


def said(message: AnyMessage) -> str:
    """One message as a line."""
    if isinstance(message, AIMessage) and message.tool_calls:
        call = message.tool_calls[0]
        return f"agent  {call['name']}({', '.join(f'{name}={value!r}' for name, value in call['args'].items())})"
    who = {"human": "you", "ai": "agent"}.get(message.type, message.type)
    return f"{who:<5}  {message.text}"


def show(state: StateSnapshot) -> None:
    """Print a conversation and what it waits for."""
    for message in state.values["messages"]:
        print(f"  {said(message)}")
    if state.next:
        print(f"  waiting before {', '.join(state.next)}: approve, or replay with another song")


def other_song(state: StateSnapshot, song: str) -> AIMessage:
    """The same wish to act, for another song: with the message's own id, so that it replaces it."""
    messages = state.values.get("messages")
    wish = messages[-1] if messages else None
    if not isinstance(wish, AIMessage) or not wish.tool_calls:
        raise SystemExit("the agent does not wait to play at this checkpoint, so there is no song to change; see tree")
    return AIMessage("", id=wish.id, tool_calls=[{**wish.tool_calls[0], "args": {"song": song}}])


def replay(
    agent: CompiledStateGraph[MessagesState], conversation: RunnableConfig, start: str, song: str | None
) -> None:
    """Go back to a checkpoint and run from there, on a branch of its own."""
    at: RunnableConfig = {"configurable": {**conversation["configurable"], "checkpoint_id": start}}
    if song is not None:
        at = agent.update_state(at, {"messages": [other_song(agent.get_state(at), song)]}, as_node="agent")
    agent.invoke(None, at)


def starting_point(states: Sequence[StateSnapshot], given: argparse.Namespace) -> str:
    """The checkpoint to replay from: the one that was given, or the first at which the agent waited to act."""
    if given.start is not None:
        if given.start not in {checkpoint_id(state.config) for state in states}:
            raise SystemExit(f"there is no checkpoint {given.start} in {given.conversation}; see tree")
        return str(given.start)
    waiting = [state for state in states if state.next == ("action",)]
    if not waiting:
        raise SystemExit("the agent has never waited to act in this conversation")
    return str(checkpoint_id(waiting[-1].config))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="127.0.0.1:50051", help="HOST:PORT (default: %(default)s)")
    parser.add_argument("--tenant", default="default", help="whose conversations (default: %(default)s)")
    parser.add_argument("--conversation", default="music", help="the thread (default: %(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ask", help="ask for music").add_argument("request", help='such as "play an old waltz"')
    commands.add_parser("approve", help="let the agent do what it waits to do")
    again = commands.add_parser("replay", help="go back and run from there, on a branch of its own")
    again.add_argument("--from", dest="start", metavar="CHECKPOINT", help="default: where the agent first waited")
    again.add_argument("--song", help="what to play this time")
    commands.add_parser("tree", help="print the branches")
    return parser.parse_args()


def run(agent: CompiledStateGraph[MessagesState], given: argparse.Namespace) -> None:
    """Do what the command line says."""
    conversation: RunnableConfig = {"configurable": {"thread_id": given.conversation}}
    states = list(agent.get_state_history(conversation))
    if given.command == "ask":
        if not given.request.strip():
            raise SystemExit('the request is empty: ask for something, such as "play an old waltz"')
        agent.invoke({"messages": [HumanMessage(given.request)]}, conversation)
    elif not states:
        raise SystemExit(f"{given.conversation} is empty: ask for something first")
    elif given.command == "approve":
        if not states[0].next:
            raise SystemExit("nothing waits to be approved")
        agent.invoke(None, conversation)
    elif given.command == "replay":
        replay(agent, conversation, starting_point(states, given), given.song)
    states = list(agent.get_state_history(conversation))
    print(f"{given.conversation}, seen by process {os.getpid()}")
    if given.command == "tree":
        print("\n".join(state_tree(states)))
    else:
        show(states[0])


def main() -> None:
    """Do what the command line says on the server that it names."""
    given = arguments()
    try:
        with RemoteSaver.from_conn_string(given.server, tenant=given.tenant, timeout=10) as saver:
            run(build_agent(saver, Musician(), [play_on_radio, play_on_gramophone], ask_first=True), given)
    except CheckpointdError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as a shell says of a program that Ctrl-C ended


if __name__ == "__main__":
    main()
