"""Channels that keep what they are given: what each kind holds, takes and stores (langgraph.channels).

A channel holds serialised values and decodes only what its rules look into. What it can't take without the user's code
it keeps, in order, in `unresolved`, for someone who has that.
"""

from collections.abc import Sequence
from typing import Any

from checkpointd.engine.state import objects, values
from checkpointd.engine.state.errors import Opaque, Refused
from checkpointd.v1.core_pb2 import Value
from checkpointd.v1.graph_pb2 import Barrier


class Channel:
    """A channel. The base is LangGraph's LastValue without its guard; the kinds say in what they differ."""

    keeps_writes = False
    """Whether what is unresolved may stay so in a checkpoint: it is stored as writes, for who can fold them."""

    style = values.MSGPACK
    """The encoding of what it makes itself, where the values that it is given do not tell."""

    def __init__(self, stored: Value | None = None) -> None:
        """`stored` is the checkpoint's value of it. Raises Opaque when that can't be what this kind stores."""
        self._value = stored
        self.unresolved: list[Value] = []
        self.problem = "is of a class of the graph's own"  # why there is something unresolved

    def available(self) -> bool:
        """Whether there is something to read."""
        return self._value is not None

    def value(self) -> Value:
        """What a reader reads. Only for a channel that is available."""
        assert self._value is not None
        return self._value

    def stored(self) -> Value | None:
        """What a checkpoint stores of it; None for nothing."""
        return self._value

    def update(self, written: Sequence[Value]) -> bool:
        """Take the writes of one superstep, none included. Returns whether that changed something.

        Raises:
            Refused: the graph itself would raise.
            Opaque: a write can't be looked into, though this kind has to.
        """
        if not written:
            return False
        self._value = written[-1]
        return True

    def consume(self) -> bool:
        """Told that a task which it triggered has run. Returns whether that changed something."""
        return False

    def finish(self) -> bool:
        """Told that the graph is about to finish. Returns whether that changed something."""
        return False


def _one_only(written: Sequence[Value]) -> None:
    if len(written) > 1:
        raise Refused("can receive only one value per step")


class LastValue(Channel):
    """Holds what one task wrote."""

    def update(self, written: Sequence[Value]) -> bool:
        _one_only(written)
        return super().update(written)


class AnyValue(Channel):
    """Holds any one of what was written; a step without a write empties it."""

    def update(self, written: Sequence[Value]) -> bool:
        if written:
            return super().update(written)
        emptied = self._value is not None
        self._value = None
        return emptied


class EphemeralValue(AnyValue):
    """Holds a value for one step."""

    def __init__(self, stored: Value | None, guard: bool) -> None:
        super().__init__(stored)
        self._guard = guard

    def update(self, written: Sequence[Value]) -> bool:
        if self._guard:
            _one_only(written)
        return super().update(written)


class UntrackedValue(Channel):
    """Holds a value that no checkpoint stores."""

    def __init__(self, guard: bool) -> None:
        super().__init__()
        self._guard = guard

    def stored(self) -> None:
        return None

    def update(self, written: Sequence[Value]) -> bool:
        if self._guard:
            _one_only(written)
        return super().update(written)


class LastValueAfterFinish(Channel):
    """Holds a value that becomes readable when the graph is about to finish. Stored as (value, finished)."""

    def __init__(self, stored: Value | None) -> None:
        super().__init__()
        self._finished = False
        if stored is not None:
            match values.items(stored):
                case [held, bool(finished)]:
                    self._value, self._finished = values.encode(held, stored), finished
                case _:
                    raise Opaque("is not a pair of a value and whether it is finished")

    def available(self) -> bool:
        return self._value is not None and self._finished

    def stored(self) -> Value | None:
        if self._value is None:
            return None
        return values.encode([values.decode(self._value), self._finished], self._value, style=self.style)

    def update(self, written: Sequence[Value]) -> bool:
        if written:
            self._finished = False
        return super().update(written)

    def consume(self) -> bool:
        if not self._finished:
            return False
        self._value, self._finished = None, False
        return True

    def finish(self) -> bool:
        if self._finished or self._value is None:
            return False
        self._finished = True
        return True


class BarrierValue(Channel):
    """Waits until every name has been written. Stored as the set of names seen, and when it waits for the graph's
    finish too, as (set, finished)."""

    def __init__(self, stored: Value | None, spec: Barrier) -> None:
        super().__init__()
        self._names = frozenset(spec.names)
        self._after_finish = spec.after_finish
        self._seen: dict[str, None] = {}  # in the order in which they came
        self._is_complete: bool | None = None  # None: not known since the last change
        self._finished = False
        if stored is not None:
            held = values.decode(stored)
            if self._after_finish:
                match held:
                    case [seen, bool(finished)]:
                        held, self._finished = seen, finished
                    case _:
                        raise Opaque("is not a pair of names and whether it is finished")
            seen = held if isinstance(held, list) else objects.set_items(held)
            if not all(isinstance(name, str) for name in seen):
                raise Opaque("is not a set of names")
            self._seen = dict.fromkeys(seen)

    def _complete(self) -> bool:
        # Asked once for every node that waits for it.
        if self._is_complete is None:
            self._is_complete = self._names == self._seen.keys()
        return self._is_complete

    def available(self) -> bool:
        return self._complete() and (self._finished or not self._after_finish)

    def value(self) -> Value:
        return values.NULL

    def stored(self) -> Value:
        seen = objects.set_of(list(self._seen))
        return values.encode([seen, self._finished] if self._after_finish else seen, style=self.style)

    def update(self, written: Sequence[Value]) -> bool:
        changed = False
        for write in written:
            name = values.decode_plain(write)
            if not isinstance(name, str) or name not in self._names:
                raise Refused(f"waits for {sorted(self._names)} and was given something else")
            if name not in self._seen:
                self._seen[name] = None
                self._is_complete = None
                changed = True
        return changed

    def consume(self) -> bool:
        if not self.available():
            return False
        self._seen, self._finished, self._is_complete = {}, False, None
        return True

    def finish(self) -> bool:
        if not self._after_finish or self._finished or not self._complete():
            return False
        self._finished = True
        return True


class TopicValue(Channel):
    """Holds a list of what was written, over one step or for ever. A list written counts as its entries."""

    def __init__(self, stored: Value | None, accumulate: bool) -> None:
        super().__init__(stored)
        self._accumulate = accumulate
        self._like = [stored] if stored is not None else []
        self._entries = values.items(stored) if stored is not None else []

    @property
    def entries(self) -> Sequence[Any]:
        """The list, decoded."""
        return self._entries

    def available(self) -> bool:
        return bool(self._entries)

    def value(self) -> Value:
        if self._value is None:
            self._value = values.encode(self._entries, *self._like, style=self.style)
        return self._value

    def stored(self) -> Value:
        return self.value()

    def update(self, written: Sequence[Value]) -> bool:
        entries: list[Any] = []
        for write in written:
            data = values.decode(write)
            entries.extend(data if isinstance(data, list) else [data])
        changed = bool(entries)
        if not self._accumulate:
            changed = changed or bool(self._entries)
            self._entries = []
        if changed:
            self._entries = [*self._entries, *entries]
            self._like.extend(written)
            self._value = None  # to be encoded when it is read
        return changed


class OpaqueValue(Channel):
    """A channel of the user's own class: what it stores is all that is known of it."""

    def update(self, written: Sequence[Value]) -> bool:
        self.unresolved.extend(written)
        return bool(written)
