"""PortableSerializer: LangGraph's interface to the encoding `portable-json/1`."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

try:  # LangGraph's switch LANGGRAPH_STRICT_MSGPACK, which older releases have not
    from langgraph.checkpoint.serde._msgpack import STRICT_MSGPACK_ENABLED as _STRICT
except ImportError:
    _STRICT = False

ENCODING = "portable-json/1"


class PortableSerializer(SerializerProtocol):
    """Values as `portable-json/1`, which every language's client reads; LangGraph's own encodings are read too.

    What another language, or a newer client, has stored and Python has nothing like comes as a `Tagged`, and is stored
    again as it came. An object of a class of data (a pydantic model, a dataclass, an enum and the like) is carried in
    LangGraph's serialisation with a view for everyone else, and made again only when its class is allowed.
    """

    def __init__(
        self, *, allowed_types: Iterable[type] | None = None, native: SerializerProtocol | None = None
    ) -> None:
        """
        Args:
            allowed_types: the classes, beside the safe ones of Python, LangChain and LangGraph, whose objects may be
                made of what is stored; the others come as Tagged. By default every class of data in a module that this
                process has imported by itself; nothing is imported in any case. With a list, also what LangGraph's
                own serialiser has stored is read so. Under LANGGRAPH_STRICT_MSGPACK=true the default is an empty list,
                to which LangGraph adds the classes of a graph's schemas.
            native: LangGraph's serialiser, which carries objects, reads what it has stored, and stores what
                `portable-json/1` can't hold; a JsonPlusSerializer by default.
        """
        # It imports LangGraph's own classes, which takes as long as all else; not for a process that makes no saver.
        from checkpointd.client.langgraph.portable.codec import Codec  # noqa: PLC0415

        types = tuple(allowed_types) if allowed_types is not None else () if _STRICT else None
        self._codec = Codec(types, native)

    def with_msgpack_allowlist(self, extra_allowlist: Iterable[type | tuple[str, ...]]) -> PortableSerializer:
        """One to which these classes are allowed too, said by themselves or by module and name; LangGraph calls it."""
        codec = self._codec.with_types(extra_allowlist)
        if codec is self._codec:
            return self
        clone = copy.copy(self)
        clone._codec = codec
        return clone

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The encoding's name and the bytes of a value.

        A value that nests deeper than 250 levels is stored in LangGraph's own encoding. Raises ValueError when it
        contains itself or a whole number of more than 4000 digits, and TypeError when an object in it can't be stored
        at all.
        """
        if obj is None:
            return "null", b""
        if isinstance(obj, bytes):
            return "bytes", bytes(obj)
        if isinstance(obj, bytearray):
            return "bytearray", bytes(obj)
        return self._codec.dumps_typed(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value, made anew.

        Raises UnreadableValue when it is said to be `portable-json/1` and is not, and what LangGraph's serialiser
        raises for its own encodings and unknown ones.
        """
        return self._codec.loads_typed(data)
