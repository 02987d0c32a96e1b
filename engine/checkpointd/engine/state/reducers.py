"""The reducers that can be computed without the user's code, on decoded objects.

Where the outcome depends on a class, such as that of an object with an `__add__` of its own, they raise Opaque; where
the reducer itself would raise, Refused.
"""

import operator
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from types import UnionType
from typing import Any

from checkpointd.engine.state import objects
from checkpointd.engine.state.errors import Opaque, Refused
from checkpointd.engine.state.messages import add_messages, add_messages_in_turn
from checkpointd.engine.state.packed import Ext
from checkpointd.engine.state.portable import Tag
from checkpointd.v1.graph_pb2 import Reducer, ReducerKind

_MAX_BITS = 13_288  # of a number that portable-json/1 holds; msgpack holds 64, and says so when it is written


def _is_number(data: Any) -> bool:
    return isinstance(data, int | float)


def _same_kind(left: Any, right: Any, *kinds: type) -> bool:
    return any(isinstance(left, kind) and isinstance(right, kind) for kind in kinds)


def _bounded(operation: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    try:
        result = operation(left, right)
    except OverflowError as problem:
        raise Refused(f"can't be computed: {problem}") from None
    if isinstance(result, int) and result.bit_length() > _MAX_BITS:
        raise Opaque(f"becomes a number of more than {_MAX_BITS} bits")
    return result


def _no_such(symbol: str, left: Any, right: Any) -> Exception:
    if isinstance(left, Ext | Tag) or isinstance(right, Ext | Tag):
        return Opaque(f"is computed with {symbol} on objects of classes that the server does not have")
    return Refused(f"can't compute {type(left).__name__} {symbol} {type(right).__name__}")


def _add(left: Any, right: Any) -> Any:
    if (_is_number(left) and _is_number(right)) or _same_kind(left, right, list, str, bytes):
        return _bounded(operator.add, left, right)
    raise _no_such("+", left, right)


def _multiply(left: Any, right: Any) -> Any:
    if _is_number(left) and _is_number(right):
        return _bounded(operator.mul, left, right)
    if _same_kind(left, right, int, str, bytes, list, dict) or left is None or right is None:
        raise _no_such("*", left, right)
    raise Opaque("is a repetition, which the server does not compute")


def _set_operation(symbol: str, operation: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    if _same_kind(left, right, int) or (symbol == "|" and _same_kind(left, right, dict)):
        return operation(left, right)
    if isinstance(left, Ext | Tag):
        return _all_sets(symbol, left, [right])
    raise _no_such(symbol, left, right)


def _choose(choice: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    if (_is_number(left) and _is_number(right)) or _same_kind(left, right, str, bytes):
        return choice(left, right)
    if _same_kind(left, right, list):
        raise Opaque("compares lists, which the server does not")
    raise _no_such("<", left, right)


def _all_added(left: list[Any] | str | bytes, writes: Iterable[Any]) -> Any:
    parts: list[Any] = [left]
    for write in writes:
        if not _same_kind(left, write, list, str, bytes):
            raise _no_such("+", left, write)
        parts.append(write)
    return [*chain.from_iterable(parts)] if isinstance(left, list) else left[:0].join(parts)


def _all_joined(left: dict[Any, Any], writes: Iterable[Any]) -> dict[Any, Any]:
    joined = dict(left)
    for write in writes:
        if not isinstance(write, dict):
            raise _no_such("|", joined, write)
        joined |= write
    return joined


def _all_sets(symbol: str, left: Ext | Tag, writes: Iterable[Any]) -> Ext:
    # In the order of their first appearance: a set has none, so any will do, and this one is the same each time.
    members = dict.fromkeys(objects.set_items(left))
    for write in writes:
        if not isinstance(write, Ext | Tag):
            raise _no_such(symbol, left, write)
        theirs = dict.fromkeys(objects.set_items(write))
        if symbol == "|":
            members |= theirs
        else:
            members = {member: None for member in members if member in theirs}
    return objects.set_of(list(members), objects.set_class(left))


_BY_KIND: dict[int, Callable[[Any, Any], Any]] = {
    ReducerKind.REDUCER_KIND_ADD: _add,
    ReducerKind.REDUCER_KIND_OR: partial(_set_operation, "|", operator.or_),
    ReducerKind.REDUCER_KIND_AND: partial(_set_operation, "&", operator.and_),
    ReducerKind.REDUCER_KIND_MUL: _multiply,
    ReducerKind.REDUCER_KIND_MAX: partial(_choose, max),
    ReducerKind.REDUCER_KIND_MIN: partial(_choose, min),
    ReducerKind.REDUCER_KIND_ADD_MESSAGES: add_messages,
}


def reduce(reducer: Reducer, left: Any, right: Any) -> Any:
    """What the reducer makes of a channel's value and one write."""
    computed = _BY_KIND.get(reducer.kind)
    if computed is None or reducer.format:
        raise Opaque(f"is reduced by {reducer.ref or 'a function'}, which the server can't run")
    # A channel without an initial value holds its first write as it is, be it an Overwrite, which no operator takes.
    if isinstance(left, Ext | Tag) and objects.overwrite_content(left) and not isinstance(right, Ext | Tag):
        raise Refused("holds an Overwrite, which was its first write, and nothing can be folded into that")
    return computed(left, right)


# Those that many writes are folded with at once, by what they are folded into.
_ALL_BY_KIND: dict[int, list[tuple[type | UnionType, Callable[[Any, Iterable[Any]], Any]]]] = {
    ReducerKind.REDUCER_KIND_ADD: [(list | str | bytes, _all_added)],
    ReducerKind.REDUCER_KIND_OR: [(dict, _all_joined), (Ext | Tag, partial(_all_sets, "|"))],
    ReducerKind.REDUCER_KIND_AND: [(Ext | Tag, partial(_all_sets, "&"))],
    ReducerKind.REDUCER_KIND_ADD_MESSAGES: [(object, add_messages_in_turn)],
}


def reduce_all(reducer: Reducer, left: Any, writes: Iterable[Any]) -> Any:
    """As `reduce` with one write after the other, in a time that grows with the writes and not with their square."""
    written = iter(writes)
    for first in written:  # what is folded into what it holds at first tells the rest
        left = reduce(reducer, left, first)
        break
    for shape, computed in _ALL_BY_KIND.get(reducer.kind, ()):
        if isinstance(left, shape):
            return computed(left, written)
    for write in written:
        left = reduce(reducer, left, write)
    return left
