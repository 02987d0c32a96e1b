"""`checkpointd watch` and `checkpointd wait`."""

import argparse
from typing import Any

from rich.text import Text

from checkpointd.cli.printing import Printer
from checkpointd.cli.text import clean
from checkpointd.cli.threads import local_time
from checkpointd.client import Client
from checkpointd.v1.watch_pb2 import WatchEvent, WatchEventKind

_STYLES = {"writes": "blue", "thread_deleted": "red", "thread_pruned": "red", "runs_deleted": "red"}

# What an event of a kind has, besides what each has.
_FIELDS = {
    "checkpoint": ("checkpoint_ns", "checkpoint_id", "sequence", "run_id", "source", "step"),
    "writes": ("checkpoint_ns", "checkpoint_id", "sequence", "task_id", "interrupt", "error"),
    "thread_copied": ("source_thread_id",),
    "thread_pruned": ("removed_checkpoints",),
    "runs_deleted": ("removed_checkpoints",),
    "thread_deleted": ("removed_checkpoints",),
    "lease_taken": ("holder",),
    "lease_ended": ("holder",),
}

_PREFIX = "WATCH_EVENT_KIND_"
_WIDEST = max(map(len, _FIELDS))


def run(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """Print what is committed, as it happens, until it is interrupted or no server is there any more."""
    for event in client.watch(
        thread_id=options.thread,
        thread_id_prefix=options.prefix,
        kinds=[WatchEventKind.Value(_PREFIX + kind.upper().replace("-", "_")) for kind in options.kind or ()],
        checkpoint_ns=options.namespace or (),
        token=options.token,
    ):
        if printer.as_json:
            printer.document(_document(event))
        else:
            kind = _kind(event)
            printer.line(
                (local_time(event.committed_at), "dim"),
                "  ",
                (f"{kind:{_WIDEST}}", _STYLES.get(kind, "green")),
                "  ",
                (clean(event.thread_id), "cyan"),
                _details(event, kind),
            )
        printer.flush()
    return 0


def wait(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """Wait for what a thread comes to, and print it."""
    status = client.wait_for(
        thread_id=options.thread,
        until=options.until or ("finished", "interrupted", "failed"),
        after=options.after,
        timeout=options.within,
    )
    if printer.as_json:
        printer.document({"thread_id": options.thread, "status": status})
    else:
        printer.line((clean(options.thread), "cyan"), f" {'has' if status != 'interrupted' else 'is'} {status}")
    return 0


def _kind(event: WatchEvent) -> str:
    """As people write it; of a kind that is newer than this command, the number."""
    known = event.kind in WatchEventKind.values()
    return WatchEventKind.Name(event.kind).removeprefix(_PREFIX).lower() if known else str(int(event.kind))


def _document(event: WatchEvent) -> dict[str, Any]:
    kind = _kind(event)
    return {
        "kind": kind,
        "thread_id": event.thread_id,
        "committed_at": event.committed_at.ToJsonString(),
        **{name: getattr(event, name) for name in _FIELDS.get(kind, ())},
        "token": event.token,
    }


def _details(event: WatchEvent, kind: str) -> Text:
    """What a person wants to know beyond the kind and the thread."""
    text = ""
    if kind in ("checkpoint", "writes"):
        text = f"  #{event.sequence}  {event.checkpoint_id}"
        text += f"  {event.source}, step {event.step}" if kind == "checkpoint" and event.source else ""
        text += f"  in {event.checkpoint_ns}" if event.checkpoint_ns else ""
    elif kind == "thread_copied":
        text = f"  from {event.source_thread_id}"
    elif kind in ("lease_taken", "lease_ended"):
        text = f"  {event.holder}"
    elif "removed_checkpoints" in _FIELDS.get(kind, ()):
        text = f"  {event.removed_checkpoints:,} checkpoints went"
    details = Text(clean(text))
    if event.interrupt:
        details.append("  interrupted", "magenta")
    if event.error:
        details.append("  failed", "red")
    return details
