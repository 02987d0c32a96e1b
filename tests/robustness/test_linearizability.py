"""The search itself, on histories whose answer is known, and beside the trial of all orders."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.robustness.linearizability import Operation, TooManyConfigurations, linearize


@dataclass(frozen=True)
class Op:
    """Of a register. Two values: "cas" from the first to the second; one: "read", "write"."""

    name: str
    value: int
    to: int = 0
    done: bool = True  # of a cas: whether it was told that it did


class Register:
    initial = 0

    def step(self, state: int, op: Op) -> Sequence[int]:
        if op.name == "write":
            return (op.value,)
        if op.name == "read":
            return (state,) if state == op.value else ()
        if op.done:
            return (op.to,) if state == op.value else ()
        return (state,) if state != op.value else ()

    def observes(self, op: Op) -> bool:
        return op.name == "read" or not op.done


class Dice:
    """Answers nothing: the state after a throw is one of two, and only a read tells which."""

    initial = 0

    def step(self, state: int, op: Op) -> Sequence[int]:
        if op.name == "read":
            return (state,) if state == op.value else ()
        return (op.value, op.to)

    def observes(self, op: Op) -> bool:
        return op.name == "read"


def read(value: int, start: int, end: int | None) -> Operation[Op]:
    return Operation(Op("read", value), start, end)


def write(value: int, start: int, end: int | None) -> Operation[Op]:
    return Operation(Op("write", value), start, end)


def cas(value: int, to: int, start: int, end: int | None, done: bool = True) -> Operation[Op]:
    return Operation(Op("cas", value, to, done), start, end)


RIGHT = {
    "nothing": [],
    "one after the other": [write(1, 0, 1), read(1, 2, 3), write(2, 4, 5), read(2, 6, 7)],
    "a read beside a write sees what was before": [write(1, 0, 10), read(0, 1, 9)],
    "a read beside a write sees it": [write(1, 0, 10), read(1, 1, 2), read(1, 3, 4)],
    "concurrent writes in either order": [write(1, 0, 10), write(2, 0, 10), read(2, 11, 12), read(2, 13, 14)],
    "reads that need a later write first": [write(1, 0, 9), write(2, 1, 9), read(2, 2, 3), read(1, 4, 5)],
    "the same moment is no order": [write(1, 0, 5), read(0, 5, 6)],
    "an unknown write that happened late": [write(1, 0, None), read(0, 5, 6), read(1, 7, 8)],
    "an unknown write that never happened": [write(1, 0, None), read(0, 5, 6), read(0, 7, 8)],
    "cas after cas": [cas(0, 1, 0, 1), cas(1, 2, 2, 3), cas(1, 3, 4, 5, done=False), read(2, 6, 7)],
    "concurrent cas, one of them refused": [cas(0, 1, 0, 5), cas(0, 2, 0, 5, done=False), read(1, 6, 7)],
    "an unknown cas between two": [cas(0, 1, 0, 1), cas(1, 2, 2, None), cas(2, 3, 3, 4)],
}

WRONG = {
    "a stale read": [write(1, 0, 1), read(0, 2, 3)],
    "a read of what was never written": [write(1, 0, 1), read(2, 0, 3)],
    "a read before its write": [read(1, 0, 1), write(1, 2, 3)],
    "reads that go backwards": [write(1, 0, 10), read(1, 1, 2), read(0, 3, 4)],
    "an unknown write that is seen and gone": [write(1, 5, None), read(1, 6, 7), read(0, 8, 9)],
    "an unknown write before it was asked for": [read(1, 0, 1), write(1, 2, None)],
    "two writes, read in both orders": [write(1, 0, 9), write(2, 0, 9), read(1, 10, 11), read(2, 12, 13)],
    "a lost update": [cas(0, 1, 0, 5), cas(0, 2, 0, 5)],
    "a cas that was refused for nothing": [cas(0, 1, 0, 1, done=False)],
    "an unknown cas from a state that never was": [cas(7, 8, 0, None), read(8, 1, 2)],
}


@pytest.mark.parametrize("history", RIGHT.values(), ids=RIGHT)
def test_right(history: list[Operation[Op]]) -> None:
    result = linearize(Register(), history)
    assert result.ok
    assert_order(history, result.order)


@pytest.mark.parametrize("history", WRONG.values(), ids=WRONG)
def test_wrong(history: list[Operation[Op]]) -> None:
    assert not linearize(Register(), history).ok


def test_says_where_it_ends() -> None:
    history = [write(1, 0, 1), write(2, 2, 3), read(1, 4, 6), read(3, 5, 7), write(4, 8, 9)]
    result = linearize(Register(), history)
    assert not result.ok
    assert result.order == [Op("write", 1), Op("write", 2)]
    assert result.state == 2
    assert result.due == Op("read", 1)
    assert result.blocked == [Op("read", 3)]


def test_several_next_states() -> None:
    throw = Operation(Op("throw", 1, 6), 0, 1)
    assert linearize(Dice(), [throw, read(6, 2, 3)]).ok
    assert not linearize(Dice(), [throw, read(1, 2, 3), read(6, 4, 5)]).ok


def test_gives_up() -> None:
    history = [write(value, 0, 1000) for value in range(12)] + [read(77, 1001, 1002)]
    with pytest.raises(TooManyConfigurations):
        linearize(Register(), history, most_configurations=1000)


def test_long_history_of_many_clients() -> None:
    """Each of eight clients reads and writes; the values are those of one order, so an answer exists."""
    history: list[Operation[Op]] = []
    value = 0
    for number in range(4000):
        at = 10 * number
        if number % 2:
            history.append(read(value, at - 35, at + 35))
        else:
            value = number
            history.append(write(value, at - 35, at + 35))
    assert linearize(Register(), history).ok
    history.append(read(1000, 39_000, 39_001))
    result = linearize(Register(), history)
    assert result.due == Op("read", 1000)


_VALUES = st.integers(0, 2)
_OPS = st.one_of(
    st.builds(Op, st.just("read"), _VALUES),
    st.builds(Op, st.just("write"), _VALUES),
    st.builds(Op, st.just("cas"), _VALUES, _VALUES, st.booleans()),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Operation[Op]]:
    history = []
    for op in draw(st.lists(_OPS, max_size=6)):
        start = draw(st.integers(0, 12))
        known = draw(st.integers(0, 4)) > 0
        history.append(Operation(op, start, start + draw(st.integers(0, 8)) if known else None))
    return history


@settings(max_examples=600, deadline=None)
@given(histories())
def test_agrees_with_the_trial_of_all_orders(history: list[Operation[Op]]) -> None:
    result = linearize(Register(), history)
    assert result.ok == brute_force(history)
    if result.ok:
        assert_order(history, result.order)


def brute_force(history: list[Operation[Op]]) -> bool:
    required = [each for each in history if each.end is not None]
    optional = [each for each in history if each.end is None]
    for chosen in range(1 << len(optional)):
        taken = required + [each for number, each in enumerate(optional) if chosen >> number & 1]
        if any(_allowed(order) for order in permutations(taken)):
            return True
    return False


def _allowed(order: Sequence[Operation[Op]]) -> bool:
    state = Register.initial
    latest = 0
    for each in order:
        # Nothing that comes later in the order may have ended before what comes earlier began.
        latest = max(latest, each.start)
        if each.end is not None and each.end < latest:
            return False
        states = Register().step(state, each.op)
        if not states:
            return False
        state = states[0]
    return True


def assert_order(history: list[Operation[Op]], order: list[Op]) -> None:
    """The order is one of the history's operations, with all that must be in it, and allowed by the register."""
    state = Register.initial
    left = [each.op for each in history]
    for op in order:
        left.remove(op)
        (state,) = Register().step(state, op)
    unanswered = [each.op for each in history if each.end is None]
    for op in left:
        unanswered.remove(op)
