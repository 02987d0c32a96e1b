"""`checkpointd threads` and `checkpointd copy`."""

import argparse
import itertools
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table
from rich.text import Text

from checkpointd.cli.documents import thread_document
from checkpointd.cli.printing import Printer
from checkpointd.cli.text import clean
from checkpointd.client import Client
from checkpointd.v1.threads_pb2 import THREAD_ORDER_THREAD_ID, THREAD_ORDER_UPDATED, Thread

# What a person is shown unless told otherwise. A program gets all.
SHOWN = 100

# The most that a page may hold.
_PAGE = 1000


def run(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """List threads."""
    limit = options.limit or (None if printer.as_json else SHOWN)
    order = options.order or ("id" if printer.as_json else "updated")
    # One more than is shown says whether there are more.
    found = client.list_threads(
        thread_id_prefix=options.prefix,
        order=THREAD_ORDER_UPDATED if order == "updated" else THREAD_ORDER_THREAD_ID,
        page_size=_PAGE if limit is None else min(limit + 1, _PAGE),
    )
    if printer.as_json:
        for thread in itertools.islice(found, limit):
            printer.document(thread_document(thread))
        return 0
    assert limit is not None
    listed = list(itertools.islice(found, limit + 1))
    if not listed:
        beginning = f" whose id begins with {options.prefix}" if options.prefix else ""
        tenant = f" in tenant {options.tenant}" if options.tenant else ""
        printer.line(clean(f"no threads{beginning}{tenant}"))
        return 0
    printer.console.print(_table(listed[:limit]))
    if len(listed) > limit:
        printer.line((f"there are more than these {limit}: --limit N shows more, --json all", "dim"))
    return 0


def _table(listed: list[Thread]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("thread", overflow="fold", ratio=None)
    table.add_column("commits", justify="right")
    table.add_column("updated")
    table.add_column("created")
    for thread in listed:
        table.add_row(
            Text(clean(thread.thread_id), "cyan"),
            str(thread.sequence),
            local_time(thread.updated_at),
            local_time(thread.created_at),
        )
    return table


def local_time(time: Timestamp) -> str:
    """A time for a person, by this machine's clock."""
    return show_time(time.ToJsonString())


def show_time(text: str) -> str:
    """ISO 8601 text as a person of this machine's time zone reads it; any other text as it is."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return clean(text)
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}" if time.tzinfo else f"{time:%Y-%m-%d %H:%M:%S}"


def copy(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """Copy a thread."""
    client.copy_thread(source_thread_id=options.source, target_thread_id=options.target)
    if printer.as_json:
        printer.document({"source_thread_id": options.source, "target_thread_id": options.target})
    else:
        printer.line("copied ", (clean(options.source), "cyan"), " to ", (clean(options.target), "cyan"))
    return 0
