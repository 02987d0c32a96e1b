"""Channels that fold what they are given into a value with a reducer (langgraph.channels.binop and .delta)."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from checkpointd.engine.state import values
from checkpointd.engine.state.channels import Channel
from checkpointd.engine.state.errors import Opaque, Refused
from checkpointd.engine.state.messages import messages_delta
from checkpointd.engine.state.reducers import reduce, reduce_all
from checkpointd.v1.core_pb2 import Value
from checkpointd.v1.graph_pb2 import BinaryOperator, Delta, Reducer, ReducerKind


class Folded(Channel):
    """The base of the two kinds. What it can't fold it keeps, in order, as `unresolved`."""

    def __init__(self, stored: Value | None, reducer: Reducer, initial: Value | None) -> None:
        super().__init__(initial if stored is None else values.unwrapped(stored))
        self._reducer = reducer
        self._initial = initial

    def update(self, written: Sequence[Value]) -> bool:
        if not written:
            return False
        try:
            self._fold(written)
        except Opaque as problem:
            self.unresolved.extend(written)
            self.problem = str(problem)
        return True

    def _fold(self, written: Sequence[Value]) -> None:
        raise NotImplementedError

    def _overwrite(self, written: Sequence[Value]) -> tuple[int, Value] | None:
        """The place of the one Overwrite among the writes of a step, and what it holds."""
        found = [
            (place, content)
            for place, write in enumerate(written)
            if (content := values.overwriting(write)) is not None
        ]
        if len(found) > 1:
            raise Refused("can receive only one Overwrite per step")
        return found[0] if found else None

    def _set(self, value: Value | None) -> None:
        self._value = value
        self.unresolved.clear()

    def _encoded(self, folded: Any, written: Sequence[Value]) -> Value:
        # The description's initial value is as whoever registered it writes values, not as the thread's are.
        held = None if self._value is self._initial else self._value
        like = Value(encoding=self.style) if held is None else held
        return values.encode(folded, like, *written, style=self.style)

    def _base(self) -> Value:
        """What the next write is folded into. Raises Opaque when that is not known."""
        base = self._initial if self._value is None else self._value
        if self.unresolved or base is None:
            raise Opaque("has nothing known to fold into")
        return base


class BinaryOperatorValue(Folded):
    """Folds one write after the other into its value."""

    def __init__(self, stored: Value | None, spec: BinaryOperator) -> None:
        super().__init__(stored, spec.reducer, spec.initial if spec.HasField("initial") else None)

    def update(self, written: Sequence[Value]) -> bool:
        if not written or self._value is not None:
            return super().update(written)
        # The first write becomes the value as it is, be it an Overwrite.
        self._value = written[0]
        super().update(written[1:])
        return True

    def _fold(self, written: Sequence[Value]) -> None:
        if (overwrite := self._overwrite(written)) is not None:
            place, content = overwrite
            # Those before it are folded for nothing, but one that the reducer refuses fails the step all the same.
            with suppress(Opaque):
                self._folded(written[:place])
            self._set(content)
            return
        self._value = self._encoded(self._folded(written), written)

    def _folded(self, written: Sequence[Value]) -> Any:
        base = values.decode_plain(self._base())
        return reduce_all(self._reducer, base, (values.decode_plain(write) for write in written))

    def replay(self, writes: Iterable[Value]) -> None:
        """Take the writes of many steps (_checkpoint._replay: one update each)."""
        for write in writes:
            self.update([write])


class DeltaValue(Folded):
    """Folded like a binary operator, by many writes at once, and stored as changes."""

    def __init__(self, stored: Value | None, spec: Delta) -> None:
        super().__init__(stored, spec.reducer, spec.initial if spec.HasField("initial") else None)
        # Messages are given ids before they are stored, which takes a form that the server knows.
        self.keeps_writes = spec.reducer.kind != ReducerKind.REDUCER_KIND_MESSAGES_DELTA

    def stored(self) -> None:
        return None

    def _fold(self, written: Sequence[Value]) -> None:
        if (overwrite := self._overwrite(written)) is not None:
            self._reset(overwrite[1])
            return
        base = self._base()
        state, writes = values.decode_plain(base), [values.decode_plain(write) for write in written]
        if self._reducer.kind == ReducerKind.REDUCER_KIND_MESSAGES_DELTA:
            folded: Any = messages_delta(state, writes)
        else:
            folded = reduce(self._reducer, state, writes)
        self._value = self._encoded(folded, written)

    def _reset(self, content: Value) -> None:
        self._set(self._initial if values.is_none(content) else content)

    def replay(self, writes: Iterable[Value]) -> None:
        """Take the writes of many steps at once; the last Overwrite resets (DeltaChannel.replay_writes)."""
        left = list(writes)
        for place in reversed(range(len(left))):
            if (content := _overwriting_or_none(left[place])) is not None:
                self._reset(content)
                left = left[place + 1 :]
                break
        self.update(left)


def _overwriting_or_none(write: Value) -> Value | None:
    """As values.overwriting; a write that can't be read does not reset, and is met again when it is folded."""
    try:
        return values.overwriting(write)
    except Opaque:
        return None
