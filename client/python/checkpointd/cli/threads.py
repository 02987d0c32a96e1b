"""`checkpointd threads` and `checkpointd copy`."""

import argparse
import itertools
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table
from rich.text import Text

from checkpointd.cli.documents import status_of, thread_document
from checkpointd.cli.printing import Printer
from checkpointd.cli.text import clean
from checkpointd.client import Client
from checkpointd.v1.threads_pb2 import THREAD_ORDER_THREAD_ID, THREAD_ORDER_UPDATED, Thread, ThreadStatus

# What a person is shown unless told otherwise. A program gets all.
SHOWN = 100

# The most that a page may hold.
_PAGE = 1000

_STYLES = {"busy": "yellow", "interrupted": "magenta", "failed": "red"}


def run(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """List threads."""
    limit = options.limit or (None if printer.as_json else SHOWN)
    order = options.order or ("id" if printer.as_json else "updated")
    # One more than is shown says whether there are more.
    found = client.list_threads(
        thread_id_prefix=options.prefix,
        order=THREAD_ORDER_UPDATED if order == "updated" else THREAD_ORDER_THREAD_ID,
        page_size=_PAGE if limit is None else min(limit + 1, _PAGE),
        labels=dict(options.label or ()),
        owner=options.owner,
        status=ThreadStatus.Value(f"THREAD_STATUS_{(options.status or 'unspecified').upper()}"),
        updated_before=None if options.idle_for is None else datetime.now(UTC) - timedelta(seconds=options.idle_for),
    )
    if printer.as_json:
        for thread in itertools.islice(found, limit):
            printer.document(thread_document(thread))
        return 0
    assert limit is not None
    listed = list(itertools.islice(found, limit + 1))
    if not listed:
        beginning = f" whose id begins with {options.prefix}" if options.prefix else ""
        asked = " as asked for" if options.label or options.owner or options.status or options.idle_for else ""
        tenant = f" in tenant {options.tenant}" if options.tenant else ""
        printer.line(clean(f"no threads{beginning}{asked}{tenant}"))
        return 0
    printer.console.print(_table(listed[:limit]))
    if len(listed) > limit:
        printer.line((f"there are more than these {limit}: --limit N shows more, --json all", "dim"))
    return 0


def _table(listed: list[Thread]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("thread", overflow="fold", ratio=None)
    table.add_column("commits", justify="right")
    table.add_column("status")
    table.add_column("updated")
    table.add_column("created")
    owned, labelled = any(thread.owner for thread in listed), any(thread.labels for thread in listed)
    if owned:
        table.add_column("owner", overflow="fold")
    if labelled:
        table.add_column("labels", overflow="fold")
    for thread in listed:
        cells: list[Text | str] = [
            Text(clean(thread.thread_id), "cyan"),
            str(thread.sequence),
            Text(status_of(thread), _STYLES.get(status_of(thread), "")),
            local_time(thread.updated_at),
            local_time(thread.created_at),
        ]
        if owned:
            cells.append(clean(thread.owner))
        if labelled:
            cells.append(clean(_labels(thread)))
        table.add_row(*cells)
    return table


def _labels(thread: Thread) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(thread.labels.items()))


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


def label(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """Change a thread's labels and owner, and show them."""
    thread = client.update_thread(
        thread_id=options.thread,
        set_labels=dict(options.labels),
        remove_labels=options.remove or (),
        owner=options.owner,
    )
    if printer.as_json:
        printer.document(thread_document(thread))
    else:
        owner = f", of {thread.owner}" if thread.owner else ""
        printer.line((clean(thread.thread_id), "cyan"), clean(f"{owner}: {_labels(thread) or 'no labels'}"))
    return 0


def copy(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """Copy a thread."""
    client.copy_thread(source_thread_id=options.source, target_thread_id=options.target)
    if printer.as_json:
        printer.document({"source_thread_id": options.source, "target_thread_id": options.target})
    else:
        printer.line("copied ", (clean(options.source), "cyan"), " to ", (clean(options.target), "cyan"))
    return 0
