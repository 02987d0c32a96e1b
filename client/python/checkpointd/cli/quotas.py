"""`checkpointd quotas`: what tenants may use, and what they do."""

import argparse
from typing import Any

from rich.table import Table

from checkpointd.cli.printing import Printer
from checkpointd.cli.text import clean
from checkpointd.cli.threads import local_time
from checkpointd.client import Client
from checkpointd.v1.limits_pb2 import Quota, TenantQuota, Usage

# The options of `set`, and the fields that they are.
_FIELDS = {"threads": "max_threads", "bytes": "max_bytes", "ops": "max_ops_per_second"}

_PAGE = 1000


def run(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """List, show or set quotas."""
    given = {field: getattr(options, name) for name, field in _FIELDS.items() if hasattr(options, name)}
    if (options.action == "set") != bool(given):
        options.parser.error("give set, and at least one of --threads, --bytes and --ops")
    if options.action == "list":
        _print(printer, _all(client), "no tenant has a quota")
        return 0
    if options.action == "set":
        before = client.get_quota().quota
        client.set_quota(**{field: _limit(before, field) for field in _FIELDS.values()} | given)
    found = client.get_quota()
    one = TenantQuota(tenant=options.tenant, quota=found.quota)
    if found.HasField("usage"):
        one.usage.CopyFrom(found.usage)
    _print(printer, [one], "")
    return 0


def _all(client: Client) -> list[TenantQuota]:
    found: list[TenantQuota] = []
    token: str | None = None
    while token != "":
        page = client.list_quotas(page_size=_PAGE, page_token=token or "")
        found += page.quotas
        token = page.next_page_token
    return found


def _limit(quota: Quota, field: str) -> int | None:
    return getattr(quota, field) if quota.HasField(field) else None  # type: ignore[arg-type]


def _print(printer: Printer, found: list[TenantQuota], none: str) -> None:
    if printer.as_json:
        for one in found:
            printer.document(_document(one))
        return
    if not found:
        printer.line(none)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("tenant", overflow="fold")
    for name in ("threads", "of", "bytes", "of", "requests/s"):
        table.add_column(name, justify="right")
    table.add_column("counted")
    for one in found:
        limits = {field: _limit(one.quota, field) for field in _FIELDS.values()}
        threads, size, ops = ("no limit" if limit is None else f"{limit:,}" for limit in limits.values())
        usage = one.usage if one.HasField("usage") else None
        table.add_row(
            clean(one.tenant),
            *(_used(usage, "threads"), threads, _used(usage, "bytes"), size, ops),
            local_time(usage.counted_at) if usage is not None else "-",
        )
    printer.console.print(table)


def _used(usage: Usage | None, name: str) -> str:
    return "-" if usage is None else f"{getattr(usage, name):,}"


def _document(one: TenantQuota) -> dict[str, Any]:
    usage = one.usage if one.HasField("usage") else None
    return {
        "tenant": one.tenant,
        **{field: _limit(one.quota, field) for field in _FIELDS.values()},
        "threads": None if usage is None else usage.threads,
        "bytes": None if usage is None else usage.bytes,
        "counted_at": None if usage is None else usage.counted_at.ToJsonString(),
    }
