"""`checkpointd state`."""

import argparse
from typing import Any

from checkpointd.cli import ids
from checkpointd.cli.decoding import decode
from checkpointd.cli.documents import metadata, result, snapshot_document, values
from checkpointd.cli.presence import say_missing
from checkpointd.cli.printing import Printer
from checkpointd.cli.text import brief, clean, entries, is_one_line
from checkpointd.cli.threads import show_time
from checkpointd.client import Client
from checkpointd.v1.states_pb2 import GraphRef, StateInterrupt, StateSnapshot, StateTask

# How much of a value a person is shown: so many characters of a line, so many entries of a list or a dict.
_CHARACTERS = 240
_ENTRIES = 20


def nothing_next(snapshot: StateSnapshot) -> str:
    """What to say of a state after which nothing runs, as far as that is known."""
    return "nothing, as far as is known; see the warnings" if snapshot.warnings else "nothing, it is finished"


def graph_of(options: argparse.Namespace) -> GraphRef | None:
    """The graph that the options name."""
    return None if options.graph is None else GraphRef(name=options.graph)


def run(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """Show a thread's state."""
    checkpoint_id = options.checkpoint
    if checkpoint_id is not None:
        checkpoint_id = ids.resolve(client, options.thread, options.namespace, checkpoint_id)
    snapshot = client.get_state(
        thread_id=options.thread,
        checkpoint_ns=options.namespace,
        checkpoint_id=checkpoint_id,
        subgraphs=options.subgraphs,
        graph=graph_of(options),
    )
    if not snapshot.exists:
        return say_missing(client, options.thread, options.namespace, printer)
    if printer.as_json:
        printer.document(snapshot_document(snapshot))
        return 0
    shortened = _Shown(printer).snapshot(snapshot, 0, head=options.checkpoint is None)
    if shortened:
        printer.line()
        printer.line(("what ends with … is shortened: --json shows all of it", "dim"))
    return 0


class _Shown:
    """A state on its way to the printer."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._shortened = False

    def snapshot(self, snapshot: StateSnapshot, indent: int, *, head: bool) -> bool:
        """Print it; whether anything was shortened."""
        self._about(snapshot, indent, head=head)
        found = values(snapshot)
        if snapshot.HasField("root_value"):
            self._entry("value", found, indent)
        else:
            self._title("values", indent)
            for name, data in found.items():
                self._entry(clean(name), data, indent + 2)
            if not found:
                self._line(indent + 2, ("none", "dim"))
        if snapshot.tasks:
            self._title("tasks", indent)
            for task in snapshot.tasks:
                self._task(task, indent + 2)
        if snapshot.interrupts:
            self._title("interrupts", indent)
            for one in snapshot.interrupts:
                self._interrupt(one, indent + 2)
        if snapshot.unresolved:
            self._title("unresolved", indent)
            for channel in sorted(snapshot.unresolved, key=lambda one: one.channel):
                base = decode(channel.base) if channel.HasField("base") else []
                writes = [decode(write) for write in channel.writes]
                self._entry(clean(channel.channel), {"base": base, "writes": writes}, indent + 2)
        if snapshot.warnings:
            self._title("warnings", indent)
            for warning in snapshot.warnings:
                self._line(indent + 2, (clean(warning), "yellow"))
        return self._shortened

    def _about(self, snapshot: StateSnapshot, indent: int, *, head: bool) -> None:
        config, about = snapshot.config, metadata(snapshot)
        rows = [
            ("thread", config.thread_id),
            ("namespace", config.checkpoint_ns),
            ("checkpoint", config.checkpoint_id + ("  (head)" if head else "")),
            ("parent", snapshot.parent_config.checkpoint_id),
            ("step", f"{brief(about.get('step'), 20)[0]}, {brief_word(about.get('source'))}"),
            ("created", show_time(snapshot.created_at)),
        ]
        for name, text in rows:
            if text:
                self._line(indent, (f"{name:<12}", "bold"), clean(text))
        if snapshot.next:
            self._line(indent, (f"{'next':<12}", "bold"), (", ".join(clean(name) for name in snapshot.next), "green"))
        else:
            self._line(indent, (f"{'next':<12}", "bold"), nothing_next(snapshot))

    def _task(self, task: StateTask, indent: int) -> None:
        status = "failed" if task.HasField("error") else "waits" if task.interrupts else ""
        status = status or ("finished" if task.HasField("result") else "to run")
        self._line(indent, (clean(task.name), "green"), f"  {status}  ", (clean(task.id), "dim"))
        if task.HasField("error"):
            self._entry("error", decode(task.error), indent + 2)
        if task.HasField("result"):
            self._entry("result", result(task.result), indent + 2)
        if task.HasField("subgraph"):
            self._line(indent + 2, ("subgraph  ", "bold"), clean(task.subgraph.checkpoint_ns))
        if task.HasField("subgraph_state"):
            below = task.subgraph_state
            if below.exists:
                self.snapshot(below, indent + 4, head=False)
            else:
                self._line(indent + 2, ("subgraph  ", "bold"), clean(below.config.checkpoint_ns), " has no state yet")

    def _interrupt(self, one: StateInterrupt, indent: int) -> None:
        self._entry(clean(one.id) or "(no id)", decode(one.value), indent)

    def _entry(self, name: str, data: Any, indent: int) -> None:
        """A name and its data: in one line, or with the entries of a list or dict each in a line below."""
        if is_one_line(data):
            self._line(indent, (f"{name}  ", "cyan"), self._brief(data))
            return
        kind = f"{len(data)} entries" if len(data) != 1 else "1 entry"
        left_out = len(data) - _ENTRIES
        if left_out > 0:
            kind += f", the {'last' if isinstance(data, list) else 'first'} {_ENTRIES} of them …"
            self._shortened = True
        self._line(indent, (f"{name}  ", "cyan"), (kind, "dim"))
        for key, item in entries(data, _ENTRIES):
            self._line(indent + 2, (f"{key}  ", "dim"), self._brief(item))

    def _brief(self, data: Any) -> str:
        text, shortened = brief(data, _CHARACTERS)
        self._shortened = self._shortened or shortened
        return text

    def _title(self, title: str, indent: int) -> None:
        self._line(indent, (title, "bold"))

    def _line(self, indent: int, *parts: str | tuple[str, str]) -> None:
        self._printer.line(*parts, indent=indent)


def brief_word(data: Any) -> str:
    """A word of a checkpoint's metadata, which may be anything."""
    return clean(data)[:40] if isinstance(data, str) else brief(data, 40)[0]
