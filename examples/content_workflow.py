"""A content workflow that survives its process: research, outline, draft, finalize.

Every finished stage is a checkpoint on the server. Kill the program in the middle, and any other process that knows the
task's name sees how far it came, carries on, or goes back to an earlier stage. See examples/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Callable
from datetime import datetime
from operator import add
from textwrap import shorten
from typing import Annotated, Any, NamedTuple, TypedDict
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from checkpointd.client import CheckpointdError
from checkpointd.client.langgraph import RemoteSaver

STAGES = ("research", "outline", "draft", "finalize")

Write = Callable[[str, str], str]
"""What a stage asks of a language model: (stage, prompt) -> text."""


class Content(TypedDict, total=False):
    topic: str
    platform: str
    stage: str
    updated_at: str
    research: str
    outline: list[str]
    draft: str
    final: str
    log: Annotated[list[str], add]


def done(stage: str, what: str) -> Content:
    """What every stage notes when it is done."""
    now = datetime.now().isoformat(timespec="seconds")
    return {"stage": stage, "updated_at": now, "log": [f"{now}  process {os.getpid()}  {stage}: {what}"]}


def build_workflow(saver: RemoteSaver, write: Write) -> CompiledStateGraph[Content]:
    """The four stages in a row."""

    def research(state: Content) -> Content:
        notes = write("research", f"angles on {state['topic']} for readers of {state['platform']}")
        return {**done("research", "notes taken"), "research": notes}

    def outline(state: Content) -> Content:
        answer = write("outline", f"a JSON list of section titles from: {state['research']}")
        try:
            sections = [str(title) for title in json.loads(answer)]
        except ValueError:
            sections = ["Introduction", state["topic"], "Conclusion"]
        return {**done("outline", f"{len(sections)} sections"), "outline": sections}

    def draft(state: Content) -> Content:
        text = write("draft", f"an article with the sections {', '.join(state['outline'])}")
        return {**done("draft", f"{len(text.split())} words"), "draft": text}

    def finalize(state: Content) -> Content:
        return {**done("finalize", "ready to publish"), "final": write("finalize", f"polish: {state['draft']}")}

    graph = StateGraph(Content)
    graph.add_sequence([research, outline, draft, finalize])
    graph.add_edge(START, "research")
    compiled = graph.compile(checkpointer=saver)
    # So that anyone can see and change a thread's state without this code.
    saver.register(compiled, "content workflow")
    return compiled


class Entry(NamedTuple):
    """One line of a task's history."""

    checkpoint_id: str
    stage: str
    next: tuple[str, ...]


class TaskManager:
    """Creates, shows, resumes and rolls back tasks; each is a thread on the server."""

    def __init__(self, saver: RemoteSaver, write: Write) -> None:
        self._workflow = build_workflow(saver, write)

    def create(self, task: str, topic: str, platform: str) -> Content:
        """Run a new task to its end."""
        return self._run(
            {"topic": topic, "platform": platform, "stage": "created", "log": [f"task created: {topic}"]}, task
        )

    def status(self, task: str) -> tuple[Content, tuple[str, ...]] | None:
        """What a task has so far and which stages come next; None when there is no such task."""
        state = self._workflow.get_state(self._config(task))
        return (self._content(state.values), state.next) if state.values else None

    def resume(self, task: str) -> Content:
        """Carry on where the task stopped; a finished one stays as it is."""
        state = self._workflow.get_state(self._config(task))
        return self._run(None, task) if state.next else self._content(state.values)

    def history(self, task: str) -> list[Entry]:
        """The task's checkpoints, newest first."""
        return [
            Entry(state.config["configurable"]["checkpoint_id"], state.values.get("stage", ""), state.next)
            for state in self._workflow.get_state_history(self._config(task))
        ]

    def rollback(self, task: str, checkpoint_id: str) -> Content:
        """Go back to a checkpoint and run from there; what came after it stays in the history."""
        return self._run(None, task, checkpoint_id)

    def _run(self, content: Content | None, task: str, checkpoint_id: str | None = None) -> Content:
        # "sync": a finished stage is on the server's disk before the next one begins.
        return self._content(self._workflow.invoke(content, self._config(task, checkpoint_id), durability="sync"))

    @staticmethod
    def _config(task: str, checkpoint_id: str | None = None) -> RunnableConfig:
        return {"configurable": {"thread_id": task} | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}

    @staticmethod
    def _content(values: Any) -> Content:
        content: Content = values
        return content


def pretend(pace: float, hang_at: str | None) -> Write:
    """A stand-in for a language model that takes `pace` seconds, and for ever in one stage."""

    def write(stage: str, prompt: str) -> str:
        print(f"  ▸ {stage:<9} {shorten(prompt, 70, placeholder=' …')}", flush=True)
        if stage == hang_at:
            print(f"  … no answer. Kill me from another terminal: kill -9 {os.getpid()}", flush=True)
            threading.Event().wait()
        time.sleep(pace)
        return {
            "research": "what it is; why it matters; how to begin",
            "outline": '["What it is", "Why it matters", "Your first hour"]',
            "draft": "It is less than it seems. It matters more than you think. Begin today, and begin small.",
            "finalize": "Less than it seems, and it matters more than you think: begin today, begin small.",
        }[stage]

    return write


def show(task: str, content: Content, following: tuple[str, ...]) -> None:
    """Print how a task stands."""
    print(f"{task}: {content['topic']} (for {content['platform']})")
    print(f"  stage   {content['stage']}\n  next    {', '.join(following) or 'nothing, it is finished'}")
    for line in content["log"][-5:]:
        print(f"  log     {line}")
    if "final" in content:
        print(f"  text    {content['final']}")


def show_history(entries: list[Entry]) -> None:
    """Print a task's checkpoints with the numbers that `rollback` takes."""
    print("   #  checkpoint                            after      next")
    for number, entry in enumerate(entries):
        print(f"  {number:>2}  {entry.checkpoint_id}  {entry.stage or '-':<9}  {', '.join(entry.next) or '-'}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="127.0.0.1:50051", help="HOST:PORT (default: %(default)s)")
    parser.add_argument("--tenant", default="default", help="whose tasks (default: %(default)s)")
    parser.add_argument("--pace", type=float, default=1.0, help="seconds that a stage takes (default: %(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="create a task and run it")
    create.add_argument("topic")
    create.add_argument("--platform", default="a blog", help="where it will appear (default: %(default)s)")
    create.add_argument("--task", default=uuid4().hex[:8], help="the task's name (default: a random one)")
    create.add_argument("--hang-at", choices=STAGES, help="never end this stage, so that you can kill the process")
    for name, what in (
        ("status", "show how far a task is"),
        ("resume", "carry on where it stopped"),
        ("history", "list its checkpoints"),
        ("rollback", "go back to a checkpoint and run from there"),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("task")
        if name == "rollback":
            command.add_argument("number", type=int, help="the checkpoint's number in `history`")
    return parser.parse_args()


def run(manager: TaskManager, given: argparse.Namespace) -> None:
    """Do what the command line says."""
    status = manager.status(given.task)
    if given.command == "create":
        if status is not None:
            raise SystemExit(f"there is a task {given.task} already")
        print(f"task {given.task}, process {os.getpid()}", flush=True)
        manager.create(given.task, given.topic, given.platform)
    elif status is None:
        raise SystemExit(f"there is no task {given.task}")
    elif given.command == "resume":
        _, following = status
        print(f"carrying on in process {os.getpid()}" if following else "nothing to carry on, the task is finished")
        manager.resume(given.task)
    elif given.command == "rollback":
        entries = manager.history(given.task)
        if not 0 <= given.number < len(entries):
            raise SystemExit(f"{given.task} has checkpoints 0 to {len(entries) - 1}")
        print(f"back to {entries[given.number].checkpoint_id}, in process {os.getpid()}")
        manager.rollback(given.task, entries[given.number].checkpoint_id)
    if given.command == "history":
        show_history(manager.history(given.task))
    elif (status := manager.status(given.task)) is not None:
        show(given.task, *status)


def main() -> None:
    """Do what the command line says on the server that it names."""
    given = arguments()
    try:
        with RemoteSaver.from_conn_string(given.server, tenant=given.tenant, timeout=10) as saver:
            run(TaskManager(saver, pretend(given.pace, getattr(given, "hang_at", None))), given)
    except CheckpointdError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as a shell says of a program that Ctrl-C ended


if __name__ == "__main__":
    main()
