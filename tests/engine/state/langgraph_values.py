"""Values as LangGraph's own serialiser writes and reads them."""

from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpointd.v1.core_pb2 import Value

_SERDE = JsonPlusSerializer()


def dumped(data: object) -> Value:
    encoding, encoded = _SERDE.dumps_typed(data)
    return Value(encoding=encoding, data=bytes(encoded))


def loaded(value: Value) -> Any:
    return _SERDE.loads_typed((value.encoding, value.data))
