"""Requests of every rpc with every field set, made from the contract's descriptors: a new field can't be left out."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from checkpointd.v1.graph_pb2 import GraphSpec, NodeSpec
from checkpointd.v1.states_pb2 import RegisterGraphRequest
from checkpointd.v1.threads_pb2 import PruneStrategy
from tests.server.wire import METHODS, new_request

# What a string field holds where "x" would not do.
_VALUES: dict[str, str] = {
    "checkpointd.v1.Metadata.json": '{"run_id": "x"}',
    "checkpointd.v1.ListCheckpointsRequest.metadata_filter": '{"run_id": "x"}',
    "checkpointd.v1.GetStateHistoryRequest.metadata_filter": '{"run_id": "x"}',
    "checkpointd.v1.UpdateStateRequest.metadata": '{"run_id": "x"}',
    "checkpointd.v1.ListThreadsRequest.page_token": "",
    "checkpointd.v1.RetentionPolicy.keep_metadata": '{"run_id": "x"}',
    "checkpointd.v1.ApplyRetentionPolicyRequest.page_token": "",
    "checkpointd.v1.CopyThreadRequest.source_thread_id": "source",
    "checkpointd.v1.CopyThreadRequest.target_thread_id": "target",
}

# Fields that stand in for another one, or that hold what holds them: other tests say what these take.
_LEFT_OUT = {
    "checkpointd.v1.StateUpdate.value",
    "checkpointd.v1.StateUpdate.then",
    "checkpointd.v1.CheckpointPut.channel_changes",
}

# Fields that let the outcome of a request depend on those before it; each has tests of its own.
_OF_BEFORE = ("precondition", "request_id")

# A graph holds graphs, so it can't have every field set; what is refused in one is tested with the engine.
_RECURSIVE = "RegisterGraph"


class Text(NamedTuple):
    """A string within a request: which field holds it, and how to set it in a request of the same shape."""

    rpc: str
    path: str
    field: str  # the full name of the field that holds it; of a map's, followed by " key" or " value"
    write: Callable[[Message, str], None]


def whole_request(rpc: str) -> Any:
    """A valid request of the rpc, at any time, that has every other field set, and every kind of op."""
    if rpc == _RECURSIVE:
        return RegisterGraphRequest(graph_name="x", spec=GraphSpec(nodes=[NodeSpec(name="x")]))
    request = new_request(rpc)
    for _ in _fill(request, ""):
        pass
    if "policy" in request.DESCRIPTOR.fields_by_name:
        for length in (request.policy.delete_idle_after, request.policy.max_age):
            length.FromSeconds(24 * 3600)
    for name in _OF_BEFORE:
        if name in request.DESCRIPTOR.fields_by_name:
            request.ClearField(name)
    return request


def texts() -> Iterator[Text]:
    """Every string of every request but that one whose messages hold themselves."""
    for rpc in (name for name in METHODS if name != _RECURSIVE):
        for path, field, write in _fill(new_request(rpc), ""):
            yield Text(rpc, path, field, write)


_Found = tuple[str, str, Callable[[Any, str], None]]


def _fill(message: Any, path: str) -> Iterator[_Found]:
    """Set every field and tell where the strings are, each with a way to write it from the outermost message."""
    for field in (field for field in message.DESCRIPTOR.fields if field.full_name not in _LEFT_OUT):
        name = field.name
        at = f"{path}.{name}".lstrip(".")
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            yield from _fill_map(message, field, at)
        elif field.message_type is not None:
            # A oneof holds one member, so each member gets an element of its own in the list that holds the message.
            inner = getattr(message, name)
            if field.is_repeated:
                inner = inner.add()
                if _is_choice(inner):
                    yield from _fill_oneof(getattr(message, name), name, at)
                    continue
            else:
                inner.SetInParent()
            for deeper, owner, write in _fill(inner, at):
                yield deeper, owner, _below(name, write, repeated=field.is_repeated)
        elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING and field.type != FieldDescriptor.TYPE_BYTES:
            value = _VALUES.get(field.full_name, "x")
            if field.is_repeated:
                getattr(message, name).append(value)
            else:
                setattr(message, name, value)
            yield at, field.full_name, _writer(name, repeated=field.is_repeated)
        elif field.type == FieldDescriptor.TYPE_BYTES:
            setattr(message, name, b"x")
        else:
            known = field.enum_type is not None and PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST
            setattr(message, name, known or 1)


def _is_choice(message: Any) -> bool:
    """Whether a message is nothing but a oneof. An optional field is a oneof of its own to protobuf."""
    return len(message.DESCRIPTOR.oneofs) == 1 and len(message.DESCRIPTOR.fields) > 1


def _fill_oneof(elements: Any, name: str, at: str) -> Iterator[_Found]:
    members = [member.name for member in elements[0].DESCRIPTOR.oneofs[0].fields]
    for number, member in enumerate(members):
        element = elements[0] if number == 0 else elements.add()
        inner = getattr(element, member)
        if isinstance(inner, str):
            setattr(element, member, "x")

            def write_text(message: Any, text: str, number: int = number, member: str = member) -> None:
                setattr(getattr(message, name)[number], member, text)

            yield f"{at}[{number}].{member}", element.DESCRIPTOR.fields_by_name[member].full_name, write_text
            continue
        inner.SetInParent()
        for deeper, owner, write in _fill(inner, f"{at}[{number}].{member}"):

            def write_below(
                message: Any, text: str, number: int = number, member: str = member, write: Any = write
            ) -> None:
                write(getattr(getattr(message, name)[number], member), text)

            yield deeper, owner, write_below


def _fill_map(message: Any, field: FieldDescriptor, at: str) -> Iterator[_Found]:
    name = field.name
    entries = getattr(message, name)
    assert field.message_type is not None
    value_type = field.message_type.fields_by_name["value"]

    def write_key(message: Any, text: str) -> None:
        entries = getattr(message, name)
        if value_type.message_type is None:
            entries[text] = entries.pop("x")
        else:
            entries[text].CopyFrom(entries["x"])
            del entries["x"]

    yield f"{at} key", f"{field.full_name} key", write_key
    if value_type.message_type is None:
        entries["x"] = "x"

        def write_value(message: Any, text: str) -> None:
            getattr(message, name)["x"] = text

        yield f"{at} value", f"{field.full_name} value", write_value
    else:
        for deeper, owner, write in _fill(entries["x"], f"{at} value"):

            def write_below(message: Any, text: str, write: Any = write) -> None:
                write(getattr(message, name)["x"], text)

            yield deeper, owner, write_below


def _below(name: str, write: Callable[[Any, str], None], *, repeated: bool) -> Callable[[Any, str], None]:
    def write_below(message: Any, text: str) -> None:
        inner = getattr(message, name)
        write(inner[0] if repeated else inner, text)

    return write_below


def _writer(name: str, *, repeated: bool) -> Callable[[Any, str], None]:
    def write(message: Any, text: str) -> None:
        if repeated:
            getattr(message, name)[0] = text
        else:
            setattr(message, name, text)

    return write
