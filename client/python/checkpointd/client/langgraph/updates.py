"""Updates: what a caller says that nodes have written, made into requests of the contract.

They mean what they mean to LangGraph (langgraph.graph.state, attach_node), as far as one can tell without the graph.
LangGraph itself is not needed.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from reprlib import repr as brief
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.load.serializable import Serializable
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import get_serializable_checkpoint_metadata
from langgraph.checkpoint.serde.base import SerializerProtocol
from pydantic import BaseModel

from checkpointd.client import rpcs
from checkpointd.client.build import build
from checkpointd.client.errors import InvalidRequest
from checkpointd.client.langgraph.configs import place_of
from checkpointd.client.langgraph.metadata import metadata_json
from checkpointd.client.langgraph.values import dump
from checkpointd.client.operations import new_request_id
from checkpointd.client.rpcs import Operation
from checkpointd.v1 import states_pb2 as states
from checkpointd.v1.core_pb2 import Precondition

if TYPE_CHECKING:
    from langgraph.types import Send

    Target = str | Send

_COPY = "__copy__"
_ROOT = "__root__"

# What takes its values as they are: a graph's input, and what is no node.
_TAKES_ONE = ("__input__", "__end__")

_TYPES = "langgraph.types"

Write = tuple[str, Any]


class Told(NamedTuple):
    """What one node is said to have written. LangGraph's StateUpdate has the first three."""

    values: Any
    as_node: str | None = None
    task_id: str | None = None
    goto: Target | Sequence[Target] | None = None


def update_state(
    config: RunnableConfig,
    supersteps: Iterable[Iterable[Sequence[Any]]],
    serde: SerializerProtocol,
    *,
    graph: states.GraphRef | None,
    expected_head: str | None,
) -> Operation[states.UpdateStateResponse]:
    """Update a state where the config points to. Each update is a Told, or as much of the beginning of one as it needs.

    Raises InvalidRequest, naming the part, for what the contract can't say.
    """
    thread_id, checkpoint_ns, checkpoint_id = place_of(config)
    request = build(
        states.UpdateStateRequest,
        thread_id=thread_id,
        checkpoint_ns=checkpoint_ns,
        checkpoint_id=checkpoint_id,
        metadata=metadata_json(dict(get_serializable_checkpoint_metadata(config, {}))),
        graph=graph,
        precondition=None if expected_head is None else build(Precondition, expected_head=expected_head),
        request_id=new_request_id(),
    )
    # The rest is filled in place: values can be large, and a message that is put into another one is copied.
    for number, updates in enumerate(supersteps):
        superstep = request.supersteps.add()
        for place, update in enumerate(updates):
            field = f"supersteps[{number}].updates[{place}]"
            write_update(_told(update, field), serde, superstep.updates.add(), field)
    return rpcs.UPDATE_STATE.of(request)


def write_update(told: Told, serde: SerializerProtocol, into: states.StateUpdate, field: str) -> None:
    """Put an update into a message. Raises InvalidRequest, naming the part of the field, for what it can't hold."""
    into.MergeFrom(build(states.StateUpdate, as_node=told.as_node or "", task_id=told.task_id or ""))
    chosen: list[object] = []
    if told.as_node == _COPY:
        _write_then(told.values, serde, into, field)
    elif told.as_node in _TAKES_ONE:
        if told.values is not None:
            dump(serde, told.values, into.value, f"{field}.values")
    else:
        _write_values(told.values, serde, into, f"{field}.values")
        chosen = _chosen(told.values, f"{field}.values")
    if told.goto is not None or chosen:
        into.goto.SetInParent()
        _write_targets([*chosen, *_targets(told.goto)], serde, into.goto, f"{field}.goto")


def _told(update: Sequence[Any], field: str) -> Told:
    if not isinstance(update, tuple | list) or not 1 <= len(update) <= len(Told._fields):
        raise _refused(
            field, f"is {brief(update)}; give a tuple ({', '.join(Told._fields)}), of which only values must be there"
        )
    return Told(*update)


def _write_then(values: object, serde: SerializerProtocol, into: states.StateUpdate, field: str) -> None:
    """The updates after a copy. LangGraph passes over values of another form, which would hide a mistake."""
    if not values and (values is None or isinstance(values, dict | list)):
        return
    if not isinstance(values, list):
        raise _refused(
            f"{field}.values", f"is {brief(values)}; after {_COPY} give None, or a list of (values, as_node)"
        )
    for place, item in enumerate(values):
        name = f"{field}.then[{place}]"
        # As LangGraph, which gives them the ids of the copy's tasks.
        write_update(_told(item, name)._replace(task_id=None), serde, into.then.add(), name)


def _write_values(values: object, serde: SerializerProtocol, into: states.StateUpdate, field: str) -> None:
    # Without keys an object is still a value: of a graph whose state is one bare value.
    writes = [(_ROOT, values)] if isinstance(values, dict) and not values else _by_key(values, field)
    if any(channel == _ROOT for channel, _ in writes):
        if len(writes) > 1:
            raise _refused(
                field, f"is {brief(values)}; where the state is one bare value, give that and nothing beside it"
            )
        dump(serde, writes[0][1], into.value, field)
        return
    for channel, value in writes:
        write = into.writes.add()
        write.MergeFrom(build(states.ChannelWrites, channel=channel))
        dump(serde, value, write.values.add(), f"{field}[{channel!r}]")


def _by_key(values: object, field: str) -> list[Write]:
    """Values by key of the state, in order; those that are one bare value, as far as one can tell, by _ROOT."""
    if values is None or _is(values, "Send"):
        return []
    if isinstance(values, dict) and all(isinstance(key, str) for key in values):
        return list(values.items())
    if _is(values, "Command"):
        return _of_command(values, field)
    if isinstance(values, list | tuple) and any(_is(one, "Command") for one in values):
        return [write for place, one in enumerate(values) for write in _by_key(one, f"{field}[{place}]")]
    return _fields(values)


def _of_command(command: Any, field: str) -> list[Write]:
    """As Command._update_as_tuples."""
    if command.graph == command.PARENT:
        raise _refused(field, "is a Command for the parent graph; update the parent's namespace instead")
    if command.resume is not None:
        raise _refused(field, "is a Command that resumes; run the graph with it")
    update = command.update
    if update is None:
        return []
    if isinstance(update, dict):
        return list(update.items())
    if isinstance(update, list | tuple) and all(
        isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) for item in update
    ):
        return list(update)
    return _fields(update)


def _fields(values: object) -> list[Write]:
    """What a model says of a state, as get_update_as_tuples; what is no model is one bare value.

    An object of LangChain's or LangGraph's own, such as a message, is a value and not a state.
    """
    if isinstance(values, Serializable) or type(values).__module__ == _TYPES:
        return [(_ROOT, values)]
    if isinstance(values, BaseModel):
        defaults = {name: field.default for name, field in type(values).model_fields.items()}
        found = ((name, getattr(values, name)) for name in (*defaults, *(values.model_extra or ())))
        given = values.model_fields_set
        return [
            (name, value)
            for name, value in found
            if value is not None or defaults.get(name) is not None or name in given
        ]
    if dataclasses.is_dataclass(values) and not isinstance(values, type):
        # Not asdict, which would take apart what the fields hold.
        return [
            (field.name, getattr(values, field.name))
            for field in dataclasses.fields(values)
            if hasattr(values, field.name)
        ]
    return [(_ROOT, values)]


def _chosen(values: object, field: str) -> list[object]:
    """Where values lead to: a Send, or what the Commands among them go to."""
    if _is(values, "Send"):
        return [values]
    among: Iterable[Any] = values if isinstance(values, list | tuple) else (values,)
    return [target for one in among if _is(one, "Command") for target in _targets(one.goto)]


def _targets(goto: Any) -> Sequence[object]:
    if goto is None:
        return ()
    return goto if isinstance(goto, Sequence) and not isinstance(goto, str) else (goto,)


def _write_targets(targets: Iterable[object], serde: SerializerProtocol, into: states.Goto, field: str) -> None:
    for place, target in enumerate(targets):
        name = f"{field}.targets[{place}]"
        if isinstance(target, str):
            into.targets.add().MergeFrom(build(states.GotoTarget, node=target))
        elif _is(target, "Send"):
            _write_send(target, serde, into.targets.add().send, name)
        else:
            raise _refused(name, f"is {brief(target)}; give the name of a node or a Send")


def _write_send(send: Any, serde: SerializerProtocol, into: states.Send, field: str) -> None:
    # The first releases of LangGraph 1 have no timeouts.
    if getattr(send, "timeout", None) is not None:
        raise _refused(field, "is a Send with a timeout, which can't be stored; leave the timeout to the node")
    into.MergeFrom(build(states.Send, node=send.node))
    dump(serde, send.arg, into.input, f"{field}.arg")


def _is(value: object, name: str) -> bool:
    """Whether a value is of a class of LangGraph's. While nobody has imported LangGraph, nothing is."""
    kind = getattr(sys.modules.get(_TYPES), name, None)
    return kind is not None and isinstance(value, kind)


def _refused(field: str, said: str) -> InvalidRequest:
    return InvalidRequest(
        f"{field} {said}; this call stored nothing", reason="INVALID_UPDATE", metadata={"field": field}
    )
