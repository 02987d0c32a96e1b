"""Values to bytes and back, and what is left to LangGraph's own serialiser. With it come all the classes it knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpointd.client.langgraph.portable.allowed import Allowed
from checkpointd.client.langgraph.portable.decode import decode
from checkpointd.client.langgraph.portable.encode import encode
from checkpointd.client.langgraph.portable.opaque import NotOpaque
from checkpointd.client.langgraph.portable.serializer import ENCODING
from checkpointd.client.langgraph.portable.text import MAX_DEPTH, TooDeep


class Codec:
    """As `PortableSerializer`, which says what the arguments are."""

    def __init__(self, types: Iterable[type | tuple[str, ...]] | None, native: SerializerProtocol | None) -> None:
        self._allowed = Allowed(types)
        if native is None:
            given = self._allowed.types
            native = JsonPlusSerializer() if given is None else JsonPlusSerializer(allowed_msgpack_modules=given)
        self._native = native

    def with_types(self, extra: Iterable[type | tuple[str, ...]]) -> Codec:
        """One that may make objects of these classes too; itself when it may make all."""
        if self._allowed.types is None:
            return self
        extra = tuple(extra)
        native = self._native
        if isinstance(native, JsonPlusSerializer):
            native = native.with_msgpack_allowlist(extra)
        return Codec((*self._allowed.types, *extra), native)

    def dumps_typed(self, value: Any) -> tuple[str, bytes]:
        try:
            return ENCODING, encode(value, self._native)
        except NotOpaque:
            return self._native.dumps_typed(value)
        except (TooDeep, RecursionError):
            try:
                return self._native.dumps_typed(value)
            except (TypeError, RecursionError):
                raise ValueError(
                    f"the value contains itself, or nests deeper than {MAX_DEPTH} levels and than LangGraph's own "
                    "serialiser takes"
                ) from None

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        encoding, content = data
        if encoding == ENCODING:
            return decode(bytes(content), self._allowed)
        return self._native.loads_typed(data)
