"""`checkpointd update`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from checkpointd.cli import ids
from checkpointd.cli.documents import config_document
from checkpointd.cli.printing import Printer
from checkpointd.cli.state import graph_of, nothing_next
from checkpointd.cli.text import clean
from checkpointd.client import Client
from checkpointd.v1.core_pb2 import Precondition, Value
from checkpointd.v1.states_pb2 import ChannelWrites, Goto, GotoTarget, StateUpdate, Superstep


class NotUnderstood(Exception):
    """What was given to update with is not JSON, or can't be read."""


def run(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """Update a thread's state."""
    update = _values(_read(options.values))
    update.as_node = options.as_node
    if options.goto is not None:
        update.goto.CopyFrom(Goto(targets=[GotoTarget(node=node) for node in options.goto]))
    precondition = None
    if options.expect_head is not None:
        expected = ids.resolve(client, options.thread, options.namespace, options.expect_head)
        precondition = Precondition(expected_head=expected)
    response = client.update_state(
        thread_id=options.thread,
        checkpoint_ns=options.namespace,
        checkpoint_id=ids.resolve(client, options.thread, options.namespace, options.checkpoint),
        supersteps=[Superstep(updates=[update])],
        graph=graph_of(options),
        precondition=precondition,
    )
    if printer.as_json:
        parent = config_document(response.parent_config) if response.HasField("parent_config") else None
        printer.document({"config": config_document(response.config), "parent_config": parent})
        return 0
    head = (clean(response.config.checkpoint_id), "yellow")
    printer.line("updated ", (clean(options.thread), "cyan"), ": its head is now ", head)
    made = client.get_state(
        thread_id=options.thread,
        checkpoint_ns=response.config.checkpoint_ns,
        checkpoint_id=response.config.checkpoint_id,
        graph=graph_of(options),
    )
    printer.line("next: ", ", ".join(clean(name) for name in made.next) or nothing_next(made))
    return 0


def _read(given: str) -> Any:
    where = "the argument"
    try:
        if given == "-":
            where = "what came on the standard input"
            text = sys.stdin.buffer.read().decode() if sys.stdin is not None else ""
        elif given.startswith("@"):
            where = clean(given[1:])
            text = Path(given[1:]).read_text(encoding="utf-8")
        else:
            text = given
        return json.loads(text, parse_constant=_refuse)
    except OSError as error:
        raise NotUnderstood(f"can't read {where}: {error.strerror}") from None
    except RecursionError:
        raise NotUnderstood(f"{where} is nested too deeply") from None
    except ValueError as error:
        raise NotUnderstood(f"{where} is not JSON: {error}") from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"it has no {constant}")


def _values(data: Any) -> StateUpdate:
    if data is None:
        return StateUpdate()
    if isinstance(data, dict):
        writes = [ChannelWrites(channel=name, values=[_value(item)]) for name, item in data.items()]
        return StateUpdate(writes=writes)
    return StateUpdate(value=_value(data))


def _value(data: Any) -> Value:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    try:
        return Value(encoding="json", data=text.encode())
    except UnicodeEncodeError:
        raise NotUnderstood("the JSON holds half of a character (a lone surrogate)") from None
