"""Channels of a compiled graph, and the reducers that fold writes into them."""

import builtins
import operator
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from langgraph.channels import (
    AnyValue,
    BaseChannel,
    BinaryOperatorAggregate,
    DeltaChannel,
    EphemeralValue,
    LastValue,
    LastValueAfterFinish,
    NamedBarrierValue,
    NamedBarrierValueAfterFinish,
    Topic,
    UntrackedValue,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.graph.message import _messages_delta_reducer, add_messages

from checkpointd.v1 import graph_pb2 as specs
from checkpointd.v1.core_pb2 import Value

_REDUCERS: dict[Callable[..., Any], specs.ReducerKind.ValueType] = {
    operator.add: specs.REDUCER_KIND_ADD,
    operator.or_: specs.REDUCER_KIND_OR,
    operator.and_: specs.REDUCER_KIND_AND,
    operator.mul: specs.REDUCER_KIND_MUL,
    builtins.max: specs.REDUCER_KIND_MAX,
    builtins.min: specs.REDUCER_KIND_MIN,
    add_messages: specs.REDUCER_KIND_ADD_MESSAGES,
    _messages_delta_reducer: specs.REDUCER_KIND_MESSAGES_DELTA,
}

# Without messages, add_messages gives a partial of the function within it: so `add_messages(format=...)` is a reducer.
_add_messages: Any = add_messages
_merge_messages = _add_messages().func


class _Initial(NamedTuple):
    """What a channel holds before any write."""

    value: Value | None  # None: nothing
    sayable: bool  # whether a spec can say it


def describe_channel(name: str, channel: BaseChannel[Any, Any, Any], serde: SerializerProtocol, into: Any) -> None:
    """Put a channel into a spec. What is not exactly one of LangGraph's own kinds is opaque."""
    into.name = name
    kind = type(channel)
    if kind is LastValue:
        into.last_value.SetInParent()
    elif kind is AnyValue:
        into.any_value.SetInParent()
    elif isinstance(channel, EphemeralValue) and kind is EphemeralValue:
        into.ephemeral.guard = channel.guard
        into.ephemeral.SetInParent()
    elif isinstance(channel, UntrackedValue) and kind is UntrackedValue:
        into.untracked.guard = channel.guard
        into.untracked.SetInParent()
    elif kind is LastValueAfterFinish:
        into.last_value_after_finish.SetInParent()
    elif isinstance(channel, Topic) and kind is Topic:
        into.topic.accumulate = channel.accumulate
        into.topic.SetInParent()
    elif not _describe_more(channel, serde, into):
        into.opaque.ref = kind.__qualname__


def _describe_more(channel: BaseChannel[Any, Any, Any], serde: SerializerProtocol, into: specs.ChannelSpec) -> bool:
    """The kinds that have something within them that a spec may be unable to say; whether it could."""
    kind = type(channel)
    if isinstance(channel, NamedBarrierValue | NamedBarrierValueAfterFinish):
        if kind not in (NamedBarrierValue, NamedBarrierValueAfterFinish):
            return False
        if not all(isinstance(name, str) for name in channel.names):
            return False
        into.barrier.names.extend(sorted(channel.names))
        into.barrier.after_finish = kind is NamedBarrierValueAfterFinish
    elif isinstance(channel, BinaryOperatorAggregate) and kind is BinaryOperatorAggregate:
        initial = _initial(lambda: BinaryOperatorAggregate(channel.typ, channel.operator).get(), serde)
        if not initial.sayable:
            return False
        _describe_reducer(channel.operator, into.binop.reducer)
        if initial.value is not None:
            into.binop.initial.CopyFrom(initial.value)
    elif isinstance(channel, DeltaChannel) and kind is DeltaChannel:
        # An unwritten delta channel is not empty: LangGraph gives it its type's empty value when it loads a thread.
        initial = _initial(channel.typ, serde)
        if not initial.sayable:
            return False
        _describe_reducer(channel.reducer, into.delta.reducer)
        if initial.value is not None:
            into.delta.initial.CopyFrom(initial.value)
        into.delta.snapshot_frequency = channel.snapshot_frequency
    else:
        return False
    return True


def _initial(make: Callable[[], Any], serde: SerializerProtocol) -> _Initial:
    """What a fresh channel holds, serialised.

    It can't be said when the serialiser refuses it, when it is another one each time, or when it is a set with
    elements, whose order differs between processes.
    """
    try:
        one, other = make(), make()
    except Exception:  # EmptyChannelError, or whatever a type raises that can't be made from nothing
        return _Initial(None, True)
    if isinstance(one, set | frozenset) and len(one) > 1:
        return _Initial(None, False)
    try:
        first, second = serde.dumps_typed(one), serde.dumps_typed(other)
    except Exception:  # a serialiser may raise anything
        return _Initial(None, False)
    return _Initial(Value(encoding=first[0], data=first[1]), first == second)


def _describe_reducer(reducer: Callable[..., Any], into: specs.Reducer) -> None:
    """Only LangGraph's and Python's own functions are known, by identity; all others are opaque."""
    formatting = isinstance(reducer, partial) and reducer.func is _merge_messages and not reducer.args
    if isinstance(reducer, partial) and formatting and set(reducer.keywords) <= {"format"}:
        into.kind = specs.REDUCER_KIND_ADD_MESSAGES
        into.format = reducer.keywords.get("format") or ""
        return
    into.kind = _REDUCERS.get(_hashable(reducer), specs.REDUCER_KIND_OPAQUE)
    if into.kind == specs.REDUCER_KIND_OPAQUE:
        into.ref = _name(reducer)


def _hashable(reducer: Callable[..., Any]) -> Any:
    """A callable object may have no hash; it is none of the known ones then."""
    return reducer if getattr(type(reducer), "__hash__", None) else None


def _name(function: object) -> str:
    """A function's name, without its module: that differs when a program is run as `__main__`."""
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__qualname__", type(function).__qualname__))
