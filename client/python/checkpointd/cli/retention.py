"""`checkpointd retention` and `checkpointd cleanup`: what becomes of threads in time, and what is too old now."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from checkpointd.cli.printing import Printer
from checkpointd.cli.text import clean
from checkpointd.client import Client, retention_policy
from checkpointd.v1.retention_pb2 import RetentionPolicy


class _Done(NamedTuple):
    """What was done, or would be."""

    threads: int = 0
    removed_threads: int = 0
    removed_checkpoints: int = 0
    removed_bytes: int = 0


def run(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """List, set, remove or carry out policies."""
    return _ACTIONS[options.action](client, options, printer)


def cleanup(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """Carry out a policy that is not stored."""
    return _carry_out(client, _policy("cleanup", options), options, printer)


def _list(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    policies = client.list_retention_policies()
    if printer.as_json:
        for policy in policies:
            printer.document(_document(policy))
    elif policies:
        printer.console.print(_table(policies))
    else:
        printer.line("no retention policies: nothing is removed by itself")
    return 0


def _set(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    policy = _policy(options.name, options)
    if not options.yes and not _agreed(_through(client, policy, options, dry_run=True), printer, "from now on, first"):
        return 1
    client.set_retention_policy(policy=policy, remove_everything=options.yes or sys.stdin.isatty())
    if printer.as_json:
        printer.document(_document(policy))
    else:
        printer.line("set ", (clean(policy.name), "cyan"), clean(f": {_terms(policy)}"))
    return 0


def _remove(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    client.delete_retention_policy(name=options.name)
    if printer.as_json:
        printer.document({"name": options.name, "removed": True})
    else:
        printer.line("removed ", (clean(options.name), "cyan"))
    return 0


def _run(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    policies = client.list_retention_policies()
    chosen = [policy for policy in policies if not options.names or policy.name in options.names]
    if unknown := set(options.names) - {policy.name for policy in policies}:
        printer.note(f"there is no policy {min(unknown)!r}; see `checkpointd retention list`")
        return 1
    return max([_carry_out(client, policy, options, printer) for policy in chosen], default=0)


_ACTIONS: dict[str, Callable[[Client, argparse.Namespace, Printer], int]] = {
    "list": _list,
    "set": _set,
    "remove": _remove,
    "run": _run,
}


def _policy(name: str, options: argparse.Namespace) -> RetentionPolicy:
    return retention_policy(
        name,
        labels=dict(options.label or ()),
        delete_idle_after=options.older_than,
        keep_last=options.keep_last or 0,
        max_age=options.max_age,
        keep_metadata=options.keep_metadata,
    )


def _carry_out(client: Client, policy: RetentionPolicy, options: argparse.Namespace, printer: Printer) -> int:
    """Say what would go, ask, and let it go."""
    if options.dry_run or not options.yes:
        found = _through(client, policy, options, dry_run=True)
        if options.dry_run:
            _tell(found, policy, printer, would=True)
            return 0
        if not _agreed(found, printer, "now"):
            return 1
    _tell(_through(client, policy, options, dry_run=False), policy, printer, would=False)
    return 0


def _through(client: Client, policy: RetentionPolicy, options: argparse.Namespace, *, dry_run: bool) -> _Done:
    """All threads, a page at a time."""
    done, token = _Done(), None
    with _progress("looking" if dry_run else "removing") as advance:
        while token != "":
            page = client.apply_retention_policy(
                policy=policy,
                dry_run=dry_run,
                page_token=token or "",
                # Who is here has agreed.
                remove_everything=not dry_run,
            )
            done = _Done(*(before + getattr(page, name) for name, before in done._asdict().items()))
            advance(done.threads, page.total_threads)
            token = page.next_page_token
    return done


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on the standard error, when that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("threads"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=max(total, done) if total else None)

        yield advance


def _agreed(found: _Done, printer: Printer, when: str) -> bool:
    """Whether the person who is asked agrees. Nothing to remove needs no asking."""
    if not found.removed_checkpoints and not found.removed_threads:
        return True
    question = f"{when} this removes {_counted(found)}"
    if not sys.stdin.isatty():
        printer.note(f"{question}; say --yes to do so")
        return False
    sys.stderr.write(f"{question}. Remove them? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _tell(done: _Done, policy: RetentionPolicy, printer: Printer, *, would: bool) -> None:
    if printer.as_json:
        printer.document({"policy": _document(policy), "dry_run": would} | done._asdict())
    else:
        printer.line(clean(f"{'would remove' if would else 'removed'} {_counted(done)}"))


def _counted(done: _Done) -> str:
    whole = f"{done.removed_threads:,} of {done.threads:,} threads"
    return f"{whole}, {done.removed_checkpoints:,} checkpoints, {_bytes(done.removed_bytes)}"


def _bytes(number: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def _document(policy: RetentionPolicy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "labels": dict(policy.labels),
        "delete_idle_after": _seconds(policy, "delete_idle_after"),
        "keep_last": policy.keep_last or None,
        "max_age": _seconds(policy, "max_age"),
        "keep_metadata": json.loads(policy.keep_metadata or "{}"),
    }


def _table(policies: list[RetentionPolicy]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("policy", "threads", "what it does"):
        table.add_column(column, overflow="fold")
    for policy in policies:
        labels = ", ".join(f"{key}={value}" for key, value in sorted(policy.labels.items()))
        table.add_row(Text(clean(policy.name), "cyan"), clean(labels or "all"), clean(_terms(policy)))
    return table


def _terms(policy: RetentionPolicy) -> str:
    terms = []
    if (idle := _seconds(policy, "delete_idle_after")) is not None:
        terms.append(f"deletes threads idle for {_length(idle)}")
    if policy.keep_last:
        terms.append(f"keeps the last {policy.keep_last} checkpoints of a namespace")
    if (age := _seconds(policy, "max_age")) is not None:
        terms.append(f"removes checkpoints older than {_length(age)}")
    if policy.keep_metadata:
        terms.append(f"keeps those with {policy.keep_metadata}")
    return ", ".join(terms)


def _seconds(policy: RetentionPolicy, field: str) -> float | None:
    return getattr(policy, field).ToNanoseconds() / 1e9 if policy.HasField(field) else None  # type: ignore[arg-type]


def _length(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"
