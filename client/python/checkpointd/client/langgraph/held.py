"""Large serialised values that this process has sent or received, and that need not travel whole again."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from checkpointd.changes import hash_of
from checkpointd.client.errors import InvalidRequest, ServerFault
from checkpointd.client.langgraph.configs import Place
from checkpointd.client.langgraph.values import Typed
from checkpointd.v1.checkpoints_pb2 import GetCheckpointResponse

# Bytes. What is smaller costs less to send than to talk about.
SMALLEST = 2048

# The contract's: how many values a reader may say that it has.
_MOST_NAMED = 1000


class Entry(NamedTuple):
    """A value as it is stored."""

    version: str  # in the contract's form
    encoding: str
    data: bytes
    hash: int


class _Key(NamedTuple):
    thread_id: str
    checkpoint_ns: str
    channel: str


class Held:
    """The last large value of each channel that is known to be stored. One object for a saver and its clones.

    It may be wrong about what the server has, which can be changed by anybody: hashes and versions tell. All methods
    may be called from any thread.
    """

    def __init__(self, most: int) -> None:
        """Nothing is held at first.

        Args:
            most: bytes of values to hold at most; what was used longest ago goes first. A value that has more than a
                quarter of it is not held, so with 0 none is.

        Raises:
            InvalidRequest: it is no such number.
        """
        if not isinstance(most, int) or most < 0:
            raise InvalidRequest(
                f"value_cache is {most!r}; give it a number of bytes, or 0 to hold nothing",
                reason="INVALID_FIELD",
                metadata={"field": "value_cache"},
            )
        self._most = most
        # Whether the server's last answer said that it knows values sent as changes.
        self.takes_changes = False
        self.start_anew()
        _all.add(self)

    def start_anew(self) -> None:
        """Hold nothing. In a child of this process, where the lock may be held by a thread that is not there."""
        self._lock = threading.Lock()
        self._entries: OrderedDict[_Key, Entry] = OrderedDict()
        self._by_place: dict[tuple[str, str], dict[str, Entry]] = {}
        self._bytes = 0

    @property
    def size(self) -> int:
        """Bytes of values that are held."""
        return self._bytes

    def wants(self, data: bytes) -> bool:
        """Whether a value of this length would be held."""
        return SMALLEST <= len(data) <= self._most // 4

    def enter(self, thread_id: str, checkpoint_ns: str, values: Mapping[str, Entry]) -> None:
        """Hold values, by channel, that are stored. Those that were held of the same channels are forgotten."""
        with self._lock:
            for channel, entry in values.items():
                key = _Key(thread_id, checkpoint_ns, channel)
                self._remove(key)
                if self.wants(entry.data):
                    self._entries[key] = entry
                    self._by_place.setdefault(key[:2], {})[channel] = entry
                    self._bytes += len(entry.data)
            while self._bytes > self._most:
                self._remove(next(iter(self._entries)))

    def _remove(self, key: _Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry.data)
            place = self._by_place[key[:2]]
            del place[key.channel]
            if not place:
                del self._by_place[key[:2]]

    def get(self, thread_id: str, checkpoint_ns: str, channel: str) -> Entry | None:
        """The value that is held of a channel, if one is."""
        key = _Key(thread_id, checkpoint_ns, channel)
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def of(self, thread_id: str, checkpoint_ns: str) -> dict[str, Entry]:
        """The values that are held of a namespace, by channel: as many as a request may name."""
        with self._lock:
            held = list(self._by_place.get((thread_id, checkpoint_ns), {}).items())[-_MOST_NAMED:]
            for channel, _ in held:
                self._entries.move_to_end(_Key(thread_id, checkpoint_ns, channel))
            return dict(held)

    def forget(self, thread_id: str) -> None:
        """Forget what is held of a thread."""
        with self._lock:
            places = [place for place in self._by_place if place[0] == thread_id]
            for place in places:
                for channel in list(self._by_place[place]):
                    self._remove(_Key(*place, channel))

    def received(self, place: Place, answer: GetCheckpointResponse, named: Mapping[str, Entry]) -> dict[str, Typed]:
        """The channels' values in the answer to a request for this place that named these held ones.

        Large ones are held from now on; those named may have been forgotten meanwhile. Raises ServerFault when a value
        was left out that was not named.
        """
        self.takes_changes = answer.takes_changes
        found = answer.checkpoint_tuple.checkpoint
        values: dict[str, Typed] = {}
        large: dict[str, Entry] = {}
        for channel, value in found.channel_values.items():
            encoding, data = value.encoding, value.data
            values[channel] = encoding, data
            if self.wants(data) and (version := found.channel_versions.get(channel)):
                large[channel] = Entry(version, encoding, data, hash_of(data))
        for channel in answer.held_channels:
            if (entry := named.get(channel)) is None:
                raise ServerFault(f"the server left out the value of channel {channel!r}, which it was not told to")
            values[channel] = entry.encoding, entry.data
        if large:
            self.enter(place.thread_id, place.checkpoint_ns, large)
        return values


_all: weakref.WeakSet[Held] = weakref.WeakSet()


def _start_anew() -> None:
    for held in list(_all):
        held.start_anew()


os.register_at_fork(after_in_child=_start_anew)
