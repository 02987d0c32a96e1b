"""Merging lists of messages (langgraph.graph.message and langgraph.pregel._messages), on decoded values.

A message is an object of which only the fields `id` and `type` are read. It is passed on as it came, unless it lacks
an id and gets one. Other forms that LangGraph takes for messages become such objects first.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from checkpointd.engine.state import objects
from checkpointd.engine.state.errors import Opaque, Refused
from checkpointd.engine.state.message_forms import message_object, messages
from checkpointd.engine.state.packed import Ext
from checkpointd.engine.state.portable import Tag

_REMOVE_ALL = "__remove_all__"

_TYPES = frozenset(("human", "ai", "tool", "system", "function", "chat", "remove"))


@dataclass(frozen=True, slots=True)
class _Message:
    data: Ext | Tag
    id: str | None
    removes: bool


def _message(data: Any, *, chunks: bool) -> _Message:
    data = message_object(data)
    kind, message_id = objects.message_of(data)
    if not isinstance(kind, str) or not isinstance(message_id, str | None):
        raise Opaque("holds an object that is no message")
    if kind not in _TYPES and not (chunks and kind.endswith("MessageChunk")):
        raise Opaque(f"holds an object of the type {kind!r}, which is no message that the server knows")
    return _Message(data, message_id, kind == "remove")


def identified(data: Any, *, strict: bool) -> Any:
    """A message with an id, made if it has none; anything else as it is. `strict`: other forms of messages become
    message objects, and an empty id counts as none (_messages._message_with_id); else only message objects count."""
    try:
        message = _message(data, chunks=True) if strict or isinstance(data, Ext | Tag) else None
    except (Opaque, Refused):
        message = None
    if message is None or (message.id is not None and (message.id or not strict)):
        return data if message is None else message.data
    return objects.message_with_id(message.data, str(uuid.uuid4()))


def _with_id(data: Any) -> _Message:
    message = _message(data, chunks=False)
    if message.id is not None:
        return message
    made = str(uuid.uuid4())
    return _Message(objects.message_with_id(message.data, made), made, message.removes)


def add_messages(left: Any, right: Any) -> list[Ext | Tag]:
    """`add_messages(left, right)`: appends, replaces what has the same id, removes what a RemoveMessage names."""
    return add_messages_in_turn(left, [right])


def add_messages_in_turn(left: Any, writes: Iterable[Any]) -> list[Ext | Tag]:
    """`add_messages` with one write after the other."""
    merged = _Merged(_listed(left))
    for write in writes:
        theirs = _listed(write)
        resets = [place for place, message in enumerate(theirs) if message.removes and message.id == _REMOVE_ALL]
        if resets:
            merged = _Merged(theirs[resets[-1] + 1 :])
        else:
            merged.add(theirs)
    return merged.data()


def _listed(data: Any) -> list[_Message]:
    if data is None:
        raise Refused("can't merge messages with None")
    return [_with_id(message) for message in messages(data)]


class _Merged:
    """Messages in order, with gaps where some were removed, and the places of each id; the last one is replaced."""

    def __init__(self, given: list[_Message]) -> None:
        self._messages: list[_Message | None] = [*given]
        self._places: dict[str | None, list[int]] = {}
        for place, message in enumerate(given):
            self._places.setdefault(message.id, []).append(place)

    def add(self, theirs: Sequence[_Message]) -> None:
        """Append and replace; remove what is asked for once all are in."""
        merged, places = self._messages, self._places
        gone: dict[str | None, None] = {}
        for message in theirs:
            if message.id not in places:
                if message.removes:
                    raise Refused(f"can't remove the message {message.id!r}, which is not there")
                places[message.id] = [len(merged)]
                merged.append(message)
            elif message.removes:
                gone[message.id] = None
            else:
                gone.pop(message.id, None)
                merged[places[message.id][-1]] = message
        for removed in gone:
            for place in places.pop(removed):
                merged[place] = None

    def data(self) -> list[Ext | Tag]:
        return [message.data for message in self._messages if message is not None]


def messages_delta(state: Any, writes: Sequence[Any]) -> list[Ext | Tag]:
    """`_messages_delta_reducer(state, writes)`: like add_messages for many writes at once, and more forgiving."""
    if not isinstance(state, list):
        raise Opaque("is no list of messages")
    flat = [data for write in writes for data in messages(write)]
    merged: list[Ext | Tag | None] = []
    places: dict[str, int] = {}
    for data in state:
        message = _message(data, chunks=True)
        if message.id is not None:
            places[message.id] = len(merged)
        merged.append(message.data)
    for data in flat:
        message = _message(data, chunks=True)
        if message.id is None:
            merged.append(message.data)
        elif message.removes:
            if message.id in places:
                merged[places.pop(message.id)] = None
        elif message.id in places:
            merged[places[message.id]] = message.data
        else:
            places[message.id] = len(merged)
            merged.append(message.data)
    return [data for data in merged if data is not None]
