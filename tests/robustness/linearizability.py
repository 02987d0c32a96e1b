"""Whether a history of concurrent operations could have happened one at a time.

A history is linearizable (Herlihy and Wing, "Linearizability: a correctness condition for concurrent objects", 1990)
when there is an order of its operations, each placed at one moment between its beginning and its end, that a sequential
object could have gone through with the same answers.

The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993) with the improvements of Lowe
("Testing for linearizability", 2017): the beginnings and ends of the operations are a doubly linked list in the order
of time; an operation is tried when its beginning comes before the first end in the list; one that is placed is lifted
out of the list, and put back when the search returns; and a configuration (which operations are placed, and the state
that they lead to) that was met before is not searched again. porcupine and knossos do the same.

Two things are added. An operation that only observes is placed as soon as it can be, and nothing else is tried there:
whatever order exists with it later exists with it now too, because it changes no state and nothing has to wait for
anything because of it. And an operation without an end may be left out altogether; those are tried last.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

StateT = TypeVar("StateT")
OpT = TypeVar("OpT")
OpT_contra = TypeVar("OpT_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Operation(Generic[OpT]):
    """What was done, and between which moments.

    Without an end it may have taken effect at any time after `start`, or never.
    """

    op: OpT
    start: int
    end: int | None


class Model(Protocol[StateT, OpT_contra]):
    """A sequential object. States are hashable."""

    @property
    def initial(self) -> StateT:
        """The state before all operations."""

    def step(self, state: StateT, op: OpT_contra) -> Sequence[StateT]:
        """The states that `op`, with the answer it got, may lead to from `state`. None: it can't happen there."""

    def observes(self, op: OpT_contra) -> bool:
        """Whether `op` leaves every state as it is."""


@dataclass(slots=True)
class Result(Generic[StateT, OpT]):
    """The answer. When no order was found, the longest one, and where it ends."""

    ok: bool
    order: list[OpT]  # the order found, or the longest there is
    state: StateT  # where it leads
    due: OpT | None = None  # what ended before anything else could begin, and can't be placed
    blocked: list[OpT] = field(default_factory=list)  # what else can't be placed there


class TooManyConfigurations(Exception):
    """The search was given up: the history can neither be told right nor wrong."""


class _Entry:
    """The beginning or the end of an operation, in the list."""

    __slots__ = ("call", "next", "number", "previous", "time")

    def __init__(self, number: int, time: int, call: "_Entry | None") -> None:
        self.number = number
        self.time = time
        self.call = call  # of an end: the beginning
        self.previous: _Entry = self
        self.next: _Entry = self

    def insert_after(self, other: "_Entry") -> None:
        self.previous, self.next = other, other.next
        other.next.previous = self
        other.next = self

    def unlink(self) -> None:
        self.previous.next = self.next
        self.next.previous = self.previous

    def relink(self) -> None:
        self.previous.next = self
        self.next.previous = self


class _Search(Generic[StateT, OpT]):
    def __init__(self, model: Model[StateT, OpT], operations: Sequence[Operation[OpT]]) -> None:
        self.model = model
        # Numbered by their beginnings, so that the first in the list is the lowest that is not placed.
        required = sorted((each for each in operations if each.end is not None), key=lambda each: each.start)
        optional = sorted((each for each in operations if each.end is None), key=lambda each: each.start)
        self.operations = required + optional
        self.required = len(required)
        self.observing = [model.observes(each.op) for each in self.operations]
        self.placed = 0  # a bit for each operation that is
        self.head = _Entry(-1, 0, None)  # of a ring
        self.calls: list[_Entry] = []
        self.ends: list[_Entry] = []
        for number, operation in enumerate(required):
            call = _Entry(number, operation.start, None)
            self.calls.append(call)
            self.ends.append(_Entry(number, operation.end or 0, call))
        # What begins at the moment at which something ends was concurrent with it, as far as anybody can tell.
        for entry in sorted(self.calls + self.ends, key=lambda entry: (entry.time, entry.call is not None)):
            entry.insert_after(self.head.previous)

    def lift(self, number: int) -> None:
        self.placed |= 1 << number
        if number < self.required:
            self.calls[number].unlink()
            self.ends[number].unlink()

    def unlift(self, number: int) -> None:
        """Undoes the last `lift`."""
        self.placed ^= 1 << number
        if number < self.required:
            self.ends[number].relink()
            self.calls[number].relink()

    def window(self) -> tuple[list[int], int]:
        """What may come next: the operations that began before the first end in the list, and whose end that is."""
        numbers = []
        entry = self.head.next
        while entry.call is None:
            numbers.append(entry.number)
            entry = entry.next
        due = entry.number
        for number in range(self.required, len(self.operations)):
            if self.operations[number].start > entry.time:
                break
            if not self.placed >> number & 1:
                numbers.append(number)
        return numbers, due

    def choices(self, state: StateT) -> Iterator[tuple[int, StateT]]:
        """What can be placed next, and the state it leads to."""
        if self.done:
            return
        numbers, _ = self.window()
        for number in numbers:
            if self.observing[number] and self.model.step(state, self.operations[number].op):
                yield number, state
                return
        for number in numbers:
            if not self.observing[number]:
                for after in self.model.step(state, self.operations[number].op):
                    yield number, after

    def configuration(self, state: StateT) -> tuple[int, int, StateT]:
        """A key of what is placed and the state. All before the first in the list is placed and needs no bits."""
        first = self.required if self.done else self.head.next.number
        return first, self.placed >> first, state

    @property
    def done(self) -> bool:
        return self.head.next is self.head

    def failure(self, order: list[int], state: StateT) -> Result[StateT, OpT]:
        numbers, due = self.window()
        ops = [each.op for each in self.operations]
        blocked = [ops[number] for number in numbers if number != due]
        return Result(False, [ops[number] for number in order], state, ops[due], blocked)


def linearize(
    model: Model[StateT, OpT], operations: Sequence[Operation[OpT]], most_configurations: int = 1_000_000
) -> Result[StateT, OpT]:
    """Look for an order of `operations` that `model` allows.

    Raises:
        TooManyConfigurations: that many were searched in vain, and there are more.
    """
    search = _Search(model, operations)
    state = model.initial
    met = {search.configuration(state)}
    longest: Result[StateT, OpT] | None = None
    order: list[int] = []
    # A frame for each operation placed: what else can be tried in its stead, and the state before it.
    choices = search.choices(state)
    frames: list[tuple[Iterator[tuple[int, StateT]], StateT]] = []
    while not search.done:
        for number, after in choices:
            search.lift(number)
            key = search.configuration(after)
            if key in met:
                search.unlift(number)
                continue
            if len(met) >= most_configurations:
                raise TooManyConfigurations(f"no order found in {most_configurations} configurations")
            met.add(key)
            order.append(number)
            frames.append((choices, state))
            state = after
            choices = search.choices(state)
            break
        else:
            if longest is None or len(order) > len(longest.order):
                longest = search.failure(order, state)
            if not frames:
                return longest
            choices, state = frames.pop()
            search.unlift(order.pop())
    return Result(True, [search.operations[number].op for number in order], state)
