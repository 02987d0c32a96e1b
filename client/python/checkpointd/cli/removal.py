"""`checkpointd delete` and `checkpointd prune`: what can't be undone is asked about first."""

import argparse
import sys
from typing import NamedTuple

from checkpointd.cli.printing import Printer
from checkpointd.cli.text import clean
from checkpointd.client import Client, NotFound
from checkpointd.v1.threads_pb2 import PRUNE_STRATEGY_DELETE, PRUNE_STRATEGY_KEEP_LATEST

_STRATEGIES = {"keep-latest": PRUNE_STRATEGY_KEEP_LATEST, "delete": PRUNE_STRATEGY_DELETE}

# The most threads that one call takes.
_AT_ONCE = 1000

# A question names no more threads than these.
_NAMED = 5


class _Found(NamedTuple):
    thread_ids: list[str]
    missing: list[str]
    checkpoints: int


def delete(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """Delete threads. Those that do not exist are said and make it fail, after the others are gone."""
    found = _find(client, options.threads, printer)
    if not _agreed(options, printer, found, f"delete {_counted(found)}"):
        return 1
    for thread_id in found.thread_ids:
        client.delete_thread(thread_id=thread_id)
    # Said when all is done: who reads it may go away, and the work must not stop half-way.
    if printer.as_json:
        for thread_id in dict.fromkeys(options.threads):
            printer.document({"thread_id": thread_id, "deleted": thread_id in found.thread_ids})
    elif found.thread_ids:
        printer.line(f"deleted {_counted(found)}")
    return 1 if found.missing else 0


def prune(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """Remove old checkpoints of threads. Threads that do not exist are said and make it fail, after the others."""
    found = _find(client, options.threads, printer)
    keep = options.strategy == "keep-latest"
    what = f"remove all but the latest of {_counted(found)}" if keep else f"delete {_counted(found)}"
    if not _agreed(options, printer, found, what):
        return 1
    removed = 0
    for start in range(0, len(found.thread_ids), _AT_ONCE):
        removed += client.prune_threads(
            thread_ids=found.thread_ids[start : start + _AT_ONCE], strategy=_STRATEGIES[options.strategy]
        )
    if printer.as_json:
        printer.document(
            {
                "thread_ids": found.thread_ids,
                "missing": found.missing,
                "strategy": options.strategy,
                "removed_checkpoints": removed,
            }
        )
    elif found.thread_ids:
        printer.line(f"removed {_plural(removed, 'checkpoint')} of {_plural(len(found.thread_ids), 'thread')}")
    return 1 if found.missing else 0


def _find(client: Client, thread_ids: list[str], printer: Printer) -> _Found:
    there, missing, checkpoints = [], [], 0
    for thread_id in dict.fromkeys(thread_ids):
        try:
            heads = client.get_thread(thread_id=thread_id).heads
        except NotFound:
            missing.append(thread_id)
            printer.note(f"there is no thread {thread_id!r}")
        else:
            there.append(thread_id)
            checkpoints += sum(head.checkpoint_count for head in heads)
    return _Found(there, missing, checkpoints)


def _agreed(options: argparse.Namespace, printer: Printer, found: _Found, what: str) -> bool:
    """Whether to go on: there is nothing to lose, or it was said before, or is said now."""
    if options.yes or not found.thread_ids:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        printer.note(f"nothing done: `{options.command}` asks first, and there is no terminal to ask on; give --yes")
        return False
    named = ", ".join(clean(thread_id) for thread_id in found.thread_ids[:_NAMED])
    more = len(found.thread_ids) - _NAMED
    # Not input(), which would ask on the standard output.
    print(f"{what}: {named}{f' and {more} more' if more > 0 else ''}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    printer.note("nothing done")
    return False


def _counted(found: _Found) -> str:
    return f"{_plural(len(found.thread_ids), 'thread')} with {_plural(found.checkpoints, 'checkpoint')}"


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
