"""Ids of checkpoints and of the tasks of updates, as LangGraph makes them."""

import time
import uuid
from random import getrandbits

# Ticks of 100 ns from the beginning of UUID's calendar to Unix's.
_EPOCH = 0x01B21DD213814000

# The last tick for which a UUID has bits.
_LAST = (1 << 60) - 1


def checkpoint_id(newest: str, step: int) -> str:
    """An id for a checkpoint: a UUIDv6, which sorts by time, greater than `newest` whatever the clocks say.

    LangGraph's savers take the greatest id for the head (langgraph.checkpoint.base.id.uuid6).
    """
    ticks = time.time_ns() // 100 + _EPOCH
    before = _ticks(newest)
    if before is not None and before >= ticks:
        ticks = before + 1
    high, low = ticks >> 12, ticks & 0x0FFF
    sequence = step & 0x3FFF
    number = (high << 80) | (6 << 76) | (low << 64) | (0b10 << 62) | (sequence << 48) | getrandbits(48)
    return str(uuid.UUID(int=number))


def _ticks(text: str) -> int | None:
    """The time of a UUIDv6; None for any other id, and for one at the end of time, which nothing comes after."""
    try:
        number = uuid.UUID(text)
    except ValueError:
        return None
    if number.version != 6:
        return None
    ticks = (number.int >> 80) << 12 | (number.int >> 64) & 0x0FFF
    return ticks if ticks < _LAST else None


def update_task_id(base: str, place: int) -> str | None:
    """The id of the `place`th update of a superstep that takes no task's (main._update_task_id); None where the
    checkpoint's id is no UUID."""
    return _derived(base, "__interrupt__" if place == 0 else f"__interrupt__:{place}")


def input_task_id(base: str) -> str | None:
    """The id under which an update's input is stored; None where the checkpoint's id is no UUID."""
    return _derived(base, "__input__")


def _derived(base: str, name: str) -> str | None:
    try:
        return str(uuid.uuid5(uuid.UUID(base), name))
    except ValueError:
        return None
