"""`checkpointd diff`."""

import argparse
from typing import Any, NamedTuple

from checkpointd.cli import ids
from checkpointd.cli.comparing import Change, compare
from checkpointd.cli.decoding import decode
from checkpointd.cli.documents import config_document, jsonable, values
from checkpointd.cli.printing import Printer
from checkpointd.cli.state import graph_of
from checkpointd.cli.text import brief, clean
from checkpointd.client import Client
from checkpointd.v1.core_pb2 import Value
from checkpointd.v1.states_pb2 import StateSnapshot

_CHARACTERS = 160
_CHANGES = 40

_ROOT = "__root__"


class _Channel(NamedTuple):
    """How one channel differs. `changes` are those within a channel that both checkpoints have."""

    name: str
    kind: str
    old: Any
    new: Any
    changes: list[Change]


def run(client: Client, options: argparse.Namespace, printer: Printer) -> int:
    """Compare two checkpoints."""
    before, after = (_state(client, options, given) for given in (options.before, options.after))
    channels = list(_compare(before, after))
    if printer.as_json:
        printer.document(_document(before, after, channels))
        return 0
    shortened = _Shown(printer).print(before, after, channels)
    if shortened:
        printer.line(("what ends with … is shortened: --json shows all of it", "dim"))
    return 0


def _state(client: Client, options: argparse.Namespace, given: str) -> StateSnapshot:
    return client.get_state(
        thread_id=options.thread,
        checkpoint_ns=options.namespace,
        checkpoint_id=ids.resolve(client, options.thread, options.namespace, given),
        graph=graph_of(options),
    )


def _compare(before: StateSnapshot, after: StateSnapshot) -> list[_Channel]:
    old, new = _by_channel(before), _by_channel(after)
    channels = []
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            channels.append(_Channel(name, "removed", _decoded(old[name]), None, []))
        elif name not in old:
            channels.append(_Channel(name, "added", None, _decoded(new[name]), []))
        elif old[name] != new[name]:  # as bytes; most channels are the same, and need not be looked into
            was, is_now = _decoded(old[name]), _decoded(new[name])
            if changes := list(compare(was, is_now)):
                channels.append(_Channel(name, "changed", was, is_now, changes))
    return channels


class _Unresolved(NamedTuple):
    base: Value | None
    writes: list[Value]


def _by_channel(snapshot: StateSnapshot) -> dict[str, Value | _Unresolved]:
    found: dict[str, Value | _Unresolved] = dict(values(snapshot, lambda value: value) if snapshot.values else {})
    if snapshot.HasField("root_value"):
        found[_ROOT] = snapshot.root_value
    for one in snapshot.unresolved:
        found[one.channel] = _Unresolved(one.base if one.HasField("base") else None, list(one.writes))
    return found


def _decoded(value: Value | _Unresolved) -> Any:
    if isinstance(value, Value):
        return decode(value)
    # Its value needs the graph's code. What it is made of can be compared all the same.
    base = [] if value.base is None else [decode(value.base)]
    return {"unresolved": {"base": base, "writes": [decode(write) for write in value.writes]}}


def _document(before: StateSnapshot, after: StateSnapshot, channels: list[_Channel]) -> dict[str, Any]:
    return {
        "before": config_document(before.config),
        "after": config_document(after.config),
        "next": {"before": list(before.next), "after": list(after.next)},
        "channels": [
            {
                "channel": channel.name,
                "change": channel.kind,
                **({"old": jsonable(channel.old)} if channel.kind == "removed" else {}),
                **({"new": jsonable(channel.new)} if channel.kind == "added" else {}),
                "changes": [_change_document(change) for change in channel.changes],
            }
            for channel in channels
        ],
        "warnings": _warnings(before, after),
    }


def _change_document(change: Change) -> dict[str, Any]:
    return {
        "change": change.kind,
        "path": [jsonable(part) for part in change.path],
        **({} if change.kind == "added" else {"old": jsonable(change.old)}),
        **({} if change.kind == "removed" else {"new": jsonable(change.new)}),
    }


def _warnings(before: StateSnapshot, after: StateSnapshot) -> list[str]:
    return list(dict.fromkeys([*before.warnings, *after.warnings]))


class _Shown:
    """A comparison on its way to the printer."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._shortened = False

    def print(self, before: StateSnapshot, after: StateSnapshot, channels: list[_Channel]) -> bool:
        """Print it; whether anything was shortened."""
        old, new = before.config.checkpoint_id, after.config.checkpoint_id
        self._line(0, (clean(before.config.thread_id), "bold cyan"), f"  {clean(old)} → {clean(new)}")
        if before.next != after.next:
            self._line(0, "next  ", (_names(before), "red"), " → ", (_names(after), "green"))
        for channel in channels:
            name = (f"{clean(channel.name)}  ", "cyan")
            if channel.kind == "added":
                self._line(0, ("+ ", "green"), name, (self._brief(channel.new), "green"))
            elif channel.kind == "removed":
                self._line(0, ("- ", "red"), name, (self._brief(channel.old), "red"))
            else:
                self._changed(name, channel)
        if not channels:
            self._line(0, ("the values are the same", "dim"))
        for warning in _warnings(before, after):
            self._line(0, (clean(warning), "yellow"))
        return self._shortened

    def _changed(self, name: tuple[str, str], channel: _Channel) -> None:
        only = channel.changes[0]
        if not only.path:
            self._line(0, ("~ ", "yellow"), name, *self._old_and_new(only))
            return
        size = ""
        if isinstance(channel.old, list) and isinstance(channel.new, list):
            size = f"{len(channel.old)} → {len(channel.new)} entries"
        self._line(0, ("~ ", "yellow"), name, (size, "dim"))
        for change in channel.changes[:_CHANGES]:
            path = (f"{_path(change.path)}  ", "cyan")
            if change.kind == "added":
                self._line(4, ("+ ", "green"), path, (self._brief(change.new), "green"))
            elif change.kind == "removed":
                self._line(4, ("- ", "red"), path, (self._brief(change.old), "red"))
            else:
                self._line(4, ("~ ", "yellow"), path, *self._old_and_new(change))
        if (left_out := len(channel.changes) - _CHANGES) > 0:
            self._line(4, (f"{left_out} more …", "dim"))
            self._shortened = True

    def _old_and_new(self, change: Change) -> list[str | tuple[str, str]]:
        if isinstance(change.old, str) and isinstance(change.new, str):
            begin = _common(change.old, change.new)
            if begin == len(change.old) and begin:
                return [("…", "dim"), (" + ", "green"), (self._brief(change.new[begin:]), "green")]
            # Of two long texts that begin alike, what differs would otherwise be cut off.
            if begin > _CHARACTERS // 2:
                start = begin - 20
                old, new = ("…" + text[start:] for text in (change.old, change.new))
                return [(self._brief(old), "red"), " → ", (self._brief(new), "green")]
        return [(self._brief(change.old), "red"), " → ", (self._brief(change.new), "green")]

    def _brief(self, data: Any) -> str:
        text, shortened = brief(data, _CHARACTERS)
        self._shortened = self._shortened or shortened
        return text

    def _line(self, indent: int, *parts: str | tuple[str, str]) -> None:
        self._printer.line(*parts, indent=indent)


def _common(old: str, new: str) -> int:
    """How many characters two texts have in common at their beginning."""
    for at, (one, other) in enumerate(zip(old, new, strict=False)):
        if one != other:
            return at
    return min(len(old), len(new))


def _names(snapshot: StateSnapshot) -> str:
    return ", ".join(clean(name) for name in snapshot.next) or ("?" if snapshot.warnings else "end")


def _path(path: tuple[Any, ...]) -> str:
    """A path as one would write it in a program: `profile.names[2]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = clean(part) if isinstance(part, str) else brief(part, 40)[0]
            text += f".{name}" if text else name
    return text
