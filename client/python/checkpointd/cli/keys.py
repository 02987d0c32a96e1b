"""`checkpointd keys`: make, list, rotate and revoke API keys."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from checkpointd.cli.printing import Printer
from checkpointd.cli.text import clean
from checkpointd.cli.threads import local_time
from checkpointd.client import Client
from checkpointd.v1.access_pb2 import Role
from checkpointd.v1.api_keys_pb2 import ApiKey


def run(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """Do one of them."""
    _ACTIONS[options.action](client, options, printer)
    return 0


def _create(client: Client, options: argparse.Namespace, printer: Printer) -> None:
    made = client.create_api_key(
        role=Role.Value(f"ROLE_{options.role.upper()}"),
        name=options.name,
        thread_id_prefixes=options.prefix or (),
        ttl=options.ttl,
    )
    _tell(made.api_key, made.secret, printer)


def _list(client: Client, options: argparse.Namespace, printer: Printer) -> None:
    found = client.list_api_keys()
    if printer.as_json:
        for key in found:
            printer.document(_document(key))
    elif found:
        printer.console.print(_table(found))
    else:
        printer.line("no API keys")


def _rotate(client: Client, options: argparse.Namespace, printer: Printer) -> None:
    made = client.rotate_api_key(key_id=options.key_id, grace=options.grace)
    _tell(made.api_key, made.secret, printer)


def _revoke(client: Client, options: argparse.Namespace, printer: Printer) -> None:
    client.revoke_api_key(key_id=options.key_id)
    if printer.as_json:
        printer.document({"key_id": options.key_id, "revoked": True})
    else:
        printer.line("revoked ", (clean(options.key_id), "cyan"))


_ACTIONS: dict[str, Callable[[Client, argparse.Namespace, Printer], None]] = {
    "create": _create,
    "list": _list,
    "rotate": _rotate,
    "revoke": _revoke,
}


def _tell(key: ApiKey, secret: str, printer: Printer) -> None:
    """The key goes to the standard output, alone, so that it can be piped to where it is kept."""
    if printer.as_json:
        printer.document(_document(key) | {"secret": secret})
        return
    printer.line(secret)
    printer.note(f"this is the only time that the key {key.key_id} is shown; it ends {_end(key)}")


def _document(key: ApiKey) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "role": _role(key),
        "thread_id_prefixes": list(key.thread_id_prefixes),
        "created_at": key.created_at.ToJsonString(),
        "expires_at": key.expires_at.ToJsonString() if key.HasField("expires_at") else None,
    }


def _table(keys: list[ApiKey]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("key", "name", "role", "threads", "created", "ends"):
        table.add_column(column, overflow="fold")
    for key in keys:
        ended = key.HasField("expires_at") and key.expires_at.ToDatetime(UTC) <= datetime.now(UTC)
        table.add_row(
            Text(key.key_id, "cyan"),
            clean(key.name),
            _role(key),
            clean(", ".join(f"{prefix}*" for prefix in key.thread_id_prefixes) or "all"),
            local_time(key.created_at),
            _end(key),
            style="dim" if ended else "",
        )
    return table


def _end(key: ApiKey) -> str:
    return local_time(key.expires_at) if key.HasField("expires_at") else "never"


def _role(key: ApiKey) -> str:
    return Role.Name(key.role).removeprefix("ROLE_").lower()
