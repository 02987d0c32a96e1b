"""The questions that tasks wait to have answered (langgraph.types.Interrupt)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from xxhash import xxh3_128_hexdigest

from checkpointd.engine.state import objects, values
from checkpointd.engine.state.errors import Opaque
from checkpointd.v1.core_pb2 import Value
from checkpointd.v1.states_pb2 import StateInterrupt


def interrupts(written: Iterable[Value]) -> tuple[list[StateInterrupt], list[str]]:
    """The interrupts in what was written to `__interrupt__`, and warnings about those of another shape."""
    found: list[StateInterrupt] = []
    warnings: list[str] = []
    for value in written:
        try:
            found.extend(list(_interrupts(value)))
        except Opaque as problem:
            # Given as it came: someone who waits for an answer must not be overlooked.
            found.append(StateInterrupt(value=value))
            warnings.append(f"an interrupt {problem}; its value is given as it was stored, without an id")
    return found, warnings


def _interrupts(value: Value) -> Iterator[StateInterrupt]:
    data = values.decode(value)
    for entry in data if isinstance(data, list) else [data]:
        fields = objects.interrupt_fields(entry)
        schema = fields.get("response_schema")
        yield StateInterrupt(
            id=_id(fields),
            value=values.encode(fields["value"], value),
            response_schema=None if schema is None else values.encode(schema, value),
        )


def _id(fields: Mapping[str, Any]) -> str:
    if values.is_text(fields.get("id")):
        return str(fields["id"])
    # Before LangGraph 0.6 an interrupt had the namespaces it came from instead.
    match fields.get("ns"):
        case [*namespaces] if all(values.is_text(namespace) for namespace in namespaces):
            return xxh3_128_hexdigest("|".join(namespaces).encode())
    return ""
