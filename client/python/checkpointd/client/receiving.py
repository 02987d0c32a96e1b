"""Receiving what comes on a stream in the very thread of gRPC's that delivers it.

gRPC's own way is a thread that asks for the next message each time. It is woken by everything that happens on the
stream, twice for every answer, and gets in the way of the threads that wait for one: a tenth of what a graph's run
costs a client. There is no public way around it. What is used here is as old as gRPC's Python; should it be missing one
day, or change, there is gRPC's own way.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

try:
    _channel: Any = import_module("grpc._channel")
    _cygrpc: Any = import_module("grpc._cython.cygrpc")
except ImportError:
    _channel = _cygrpc = None


def receive(call: Any, deserializer: Callable[[bytes], object], over: Callable[[], object]) -> bool:
    """Receive what comes on a stream, whose call nobody iterates over meanwhile.

    Args:
        call: what gRPC returned for the stream.
        deserializer: the stream's, which is given every message. What it returns is dropped.
        over: called, once, when no more is received in this way. Iterating over the call tells how it ended.

    Returns:
        False when it can't be done with this gRPC; then iterate at once.
    """
    try:
        state, operate = call._state, call._call.operate
        handle = _channel._event_handler(state, deserializer)
        receiving = (_cygrpc.ReceiveMessageOperation(0),)
        due = _cygrpc.OperationType.receive_message
    except AttributeError:
        return False

    def ask() -> bool:
        """Ask for the next message, as gRPC's iterator does. False when that is not possible."""
        with state.condition:
            if state.code is not None:
                return False
            state.due.add(due)  # first: it may come at once
            try:
                asked: bool = operate(receiving, received)
            except Exception:  # which in a thread of gRPC's would end that, and with it the channel
                asked = False
            if not asked:
                state.due.remove(due)
            return asked

    def received(event: Any) -> bool:
        ended: bool = handle(event)
        came, state.response = state.response is not None, None
        if not came or not ask():
            over()
        return ended

    return ask()
