"""The limits that the contract writes on an UpdateStateRequest. Pure."""

from collections.abc import Sequence
from typing import Any

from checkpointd.engine import validate
from checkpointd.engine.errors import InvalidField
from checkpointd.v1.core_pb2 import Value
from checkpointd.v1.states_pb2 import Goto, StateUpdate, UpdateStateRequest

_SUPERSTEPS = 100
_VALUES = 100_000


def check(request: UpdateStateRequest) -> dict[str, Any]:
    """Check a request, but for what only the graph can tell, and return the metadata that it adds.

    Raises:
        InvalidField: with the path of the field that is wrong.
    """
    validate.checkpoint_key(request.thread_id, request.checkpoint_ns, request.checkpoint_id)
    validate.precondition(request.precondition)
    _count("supersteps", request.supersteps, _SUPERSTEPS, least=1)
    for place, superstep in enumerate(request.supersteps):
        field = f"supersteps[{place}].updates"
        _count(field, superstep.updates, validate.MAX_ITEMS, least=1)
    if (given := sum(_values(superstep.updates) for superstep in request.supersteps)) > _VALUES:
        raise InvalidField("supersteps", f"have {given} values; give them at most {_VALUES} in one request")
    for place, superstep in enumerate(request.supersteps):
        _updates(f"supersteps[{place}].updates", superstep.updates)
    more = validate.json_object("metadata", request.metadata)
    validate.run_id("metadata run_id", more)
    return more


def _count(field: str, entries: Sequence[object], most: int, least: int = 0) -> None:
    if not least <= len(entries) <= most:
        raise InvalidField(field, f"has {len(entries)} entries; give it {least} to {most}")


def _values(updates: Sequence[StateUpdate]) -> int:
    """How many values there are, or channels without one."""
    return sum(_values(update.then) + sum(max(1, len(given.values)) for given in update.writes) for update in updates)


def _updates(field: str, updates: Sequence[StateUpdate]) -> None:
    for place, update in enumerate(updates):
        at = f"{field}[{place}]"
        validate.text(f"{at}.as_node", update.as_node, validate.CHANNEL_BYTES, 0)
        validate.text(f"{at}.task_id", update.task_id, validate.TASK_ID_BYTES, 0)
        if update.writes and update.HasField("value"):
            raise InvalidField(f"{at}.value", "is given beside writes; give the values in one of them")
        if update.HasField("value"):
            _value(f"{at}.value", update.value)
        for number, given in enumerate(update.writes):
            validate.text(f"{at}.writes[{number}].channel", given.channel, validate.CHANNEL_BYTES)
            for value in given.values:
                _value(f"{at}.writes[{number}].values", value)
        if update.HasField("goto"):
            _goto(f"{at}.goto", update.goto)
        _count(f"{at}.then", update.then, validate.MAX_ITEMS)
        _updates(f"{at}.then", update.then)


def _goto(field: str, goto: Goto) -> None:
    _count(f"{field}.targets", goto.targets, validate.MAX_ITEMS)
    for place, target in enumerate(goto.targets):
        at = f"{field}.targets[{place}]"
        match target.WhichOneof("kind"):
            case "node":
                validate.text(f"{at}.node", target.node, validate.CHANNEL_BYTES)
            case "send":
                validate.text(f"{at}.send.node", target.send.node, validate.CHANNEL_BYTES)
                if target.send.HasField("input"):
                    _value(f"{at}.send.input", target.send.input)
            case _:
                raise InvalidField(at, "names no target; give a node or a Send")


def _value(field: str, value: Value) -> None:
    validate.text(f"{field}.encoding", value.encoding, validate.ENCODING_BYTES)
