"""`checkpointd history`."""

import argparse
import itertools
from collections.abc import Iterable
from typing import NamedTuple

from rich.text import Text

from checkpointd.cli import ids, tree
from checkpointd.cli.documents import metadata, snapshot_document
from checkpointd.cli.presence import say_missing
from checkpointd.cli.printing import Printer
from checkpointd.cli.state import brief_word, graph_of
from checkpointd.cli.text import brief, clean
from checkpointd.cli.threads import SHOWN, show_time
from checkpointd.client import Client, NotFound
from checkpointd.v1.checkpoints_pb2 import CHECKPOINT_VIEW_METADATA
from checkpointd.v1.states_pb2 import StateSnapshot

# How LangGraph names the channel that leads to a node.
_LEADS_TO = "branch:to:"

_NAMESPACES = 10

# Longer cells do not push those of all other lines to the right.
_WIDEST = 60


class _Step(NamedTuple):
    """What is shown of a checkpoint: a snapshot without its values, of which all would be too much to hold."""

    node: tree.Node
    step: str
    source: str
    next: tuple[str, ...]
    waits: bool
    failed: bool
    is_known: bool
    created: str


def run(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """Show a thread's history."""
    limit = options.limit or (None if printer.as_json else SHOWN)
    history = client.get_state_history(
        thread_id=options.thread,
        checkpoint_ns=options.namespace,
        limit=None if limit is None else limit + 1,
        graph=graph_of(options),
    )
    if printer.as_json:
        printed = 0
        for printed, snapshot in enumerate(itertools.islice(history, limit), start=1):  # noqa: B007
            printer.document(snapshot_document(snapshot))
        return 0 if printed else say_missing(client, options.thread, options.namespace, printer)
    assert limit is not None
    warnings: dict[str, None] = {}
    steps: list[_Step] = []
    for snapshot in history:
        warnings.update(dict.fromkeys(snapshot.warnings))
        steps.append(_step(snapshot))
    if not steps:
        return say_missing(client, options.thread, options.namespace, printer)
    more = len(steps) > limit
    steps = steps[:limit]
    if not all(step.is_known for step in steps):
        steps = _guessed(client, options, steps)
    _print(options, printer, steps)
    if more:
        printer.line((f"these are the {limit} that were committed last: --limit N shows more, --json all", "dim"))
    for warning in warnings:
        printer.line((clean(warning), "yellow"))
    _print_namespaces(client, options, printer)
    return 0


def _step(snapshot: StateSnapshot) -> _Step:
    about = metadata(snapshot)
    return _Step(
        tree.Node(snapshot.config.checkpoint_id, snapshot.parent_config.checkpoint_id),
        brief(about.get("step"), 8)[0],
        brief_word(about.get("source")),
        tuple(clean(name) for name in snapshot.next),
        bool(snapshot.interrupts),
        any(task.HasField("error") for task in snapshot.tasks),
        bool(snapshot.next or snapshot.tasks or not snapshot.warnings),
        show_time(snapshot.created_at),
    )


def _guessed(client: Client, options: argparse.Namespace, steps: list[_Step]) -> list[_Step]:
    """The same, where the graph is not known: with the nodes that changed channels lead to, by LangGraph's names."""
    changed = {
        found.checkpoint.id: found.checkpoint.updated_channels.names
        for found in client.list_checkpoints(
            thread_id=options.thread,
            checkpoint_ns=options.namespace,
            limit=len(steps),
            view=CHECKPOINT_VIEW_METADATA,
        )
    }
    return [
        step if step.is_known else step._replace(next=_leads_to(changed.get(step.node.checkpoint_id, ())))
        for step in steps
    ]


def _leads_to(channels: Iterable[str]) -> tuple[str, ...]:
    nodes = [name.removeprefix(_LEADS_TO) for name in channels if name.startswith(_LEADS_TO) or name == "__start__"]
    return tuple(f"{clean(node)}?" for node in sorted(nodes))


def _print(options: argparse.Namespace, printer: Printer, steps: list[_Step]) -> None:
    nodes = [step.node for step in steps]
    forks = tree.forks(nodes)
    namespace = f", namespace {clean(options.namespace)}" if options.namespace else ""
    counts = [f"{len(steps)} checkpoint{'s' * (len(steps) != 1)}"]
    if forks:
        counts.append(f"{forks} fork{'s' * (forks != 1)}")
    printer.line((clean(options.thread), "bold cyan"), f"{namespace}  ", (", ".join(counts), "dim"))
    # Parents that are not shown are named too.
    short = ids.short_ids({*(node.checkpoint_id for node in nodes), *(node.parent_id for node in nodes)} - {""})
    shown = {node.checkpoint_id for node in nodes}
    rows = tree.draw(nodes)
    cells = [_cells(row, steps[row.place], short) for row in rows]
    widths = [min(_WIDEST, max(cell.cell_len for cell in column)) for column in zip(*cells, strict=True)]
    for row, columns in zip(rows, cells, strict=True):
        parent_id = nodes[row.place].parent_id
        if row.begins_tree and parent_id and parent_id not in shown:
            _line(printer, Text(f"┆ made from {clean(short[parent_id])}, which is not shown", "dim"))
        for cell, width in zip(columns, widths, strict=True):
            cell.pad_right(max(0, width - cell.cell_len))
        line = Text("  ").join(columns)
        line.rstrip()
        _line(printer, line)


def _cells(row: tree.Row, step: _Step, short: dict[str, str]) -> tuple[Text, ...]:
    """A line's columns; the head is marked where no terminal is too narrow to show it."""
    return (
        Text.assemble(
            (f"{row.guides}● ", "dim"),
            (clean(short[step.node.checkpoint_id]), "yellow"),
            (" ◀ head", "bold magenta") if row.place == 0 else "",
        ),
        Text(f"step {step.step}", "dim"),
        Text(step.source, "dim"),
        _what(step),
        Text(step.created, "dim"),
    )


def _what(step: _Step) -> Text:
    if not step.next:
        return Text("end" if step.is_known else "?")
    status = " (failed)" if step.failed else " (waits for an answer)" if step.waits else ""
    return Text.assemble("next: ", (", ".join(step.next), "green"), (status, "red"))


def _line(printer: Printer, text: Text) -> None:
    """One line, cut off on the right where the terminal ends: wrapped, a tree can't be read."""
    printer.console.print(text, no_wrap=True, overflow="ellipsis")


def _print_namespaces(client: Client, options: argparse.Namespace, printer: Printer) -> None:
    """Say where else the thread has checkpoints."""
    try:
        heads = client.get_thread(thread_id=options.thread).heads
    except NotFound:  # deleted meanwhile
        return
    others = [head for head in heads if head.checkpoint_ns != options.namespace]
    if not others:
        return
    printer.line(("other namespaces (--namespace):", "dim"))
    for head in others[:_NAMESPACES]:
        name = clean(head.checkpoint_ns) or "'' (the root graph's)"
        printer.line((name, "cyan"), (f"  {head.checkpoint_count}", "dim"), indent=2)
    if len(others) > _NAMESPACES:
        printer.line((f"and {len(others) - _NAMESPACES} more", "dim"), indent=2)
