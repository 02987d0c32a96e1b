"""The reducers that can be computed without the user's code, on decoded values.

Where the outcome depends on a class, such as that of an object with an `__add__` of its own, they raise Opaque; where
the reducer itself would raise, Refused.
"""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

from checkpointd.engine.state import values
from checkpointd.engine.state.errors import Opaque, Refused
from checkpointd.engine.state.messages import add_messages
from checkpointd.engine.state.values import Ext
from checkpointd.v1.graph_pb2 import Reducer, ReducerKind

_MAX_BITS = 64  # of a number that msgpack holds


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
    if isinstance(left, Ext) or isinstance(right, Ext):
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
    if isinstance(left, Ext) and isinstance(right, Ext):
        # In the order of their first appearance: a set has none, so any will do, and this one is the same each time.
        ours, theirs = values.set_items(left), values.set_items(right)
        both = operation(set(ours), set(theirs))
        ordered = [member for member in dict.fromkeys((*ours, *theirs)) if member in both]
        return values.set_of(ordered, values.set_class(left))
    raise _no_such(symbol, left, right)


def _choose(choice: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    if (_is_number(left) and _is_number(right)) or _same_kind(left, right, str, bytes):
        return choice(left, right)
    if _same_kind(left, right, list):
        raise Opaque("compares lists, which the server does not")
    raise _no_such("<", left, right)


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
    if isinstance(left, Ext) and values.overwrite_content(left) is not None and not isinstance(right, Ext):
        raise Refused("holds an Overwrite, which was its first write, and nothing can be folded into that")
    return computed(left, right)
