"""Values in PostgreSQL's binary form, for those of its types that the statements which run all the time use.

By the oid of the type. The driver's own adapters do it too, and cost several times as much.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any

BOOL, BYTEA, INT8, INT2, INT4, TEXT, TIMESTAMPTZ, JSONB = 16, 17, 20, 21, 23, 25, 1184, 3802
TEXT_ARRAY, INT8_ARRAY = 1009, 1016

Pack = Callable[[Any], bytes]
Parse = Callable[[bytes], Any]

_INT4 = Struct("!i").pack
_INT8 = Struct("!q").pack
_ARRAY = Struct("!iiI").pack  # dimensions, whether there are NULLs, the elements' oid
_DIMENSION = Struct("!ii").pack  # its length, the first index
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def _array(element: int, pack: Pack) -> Pack:
    empty = _ARRAY(0, 0, element)
    header = _ARRAY(1, 0, element)

    def packed(values: Sequence[Any]) -> bytes:
        if not values:
            return empty
        parts = [header, _DIMENSION(len(values), 1)]
        for value in values:
            data = pack(value)
            parts += (_INT4(len(data)), data)
        return b"".join(parts)

    return packed


def _integer(data: bytes) -> int:
    return int.from_bytes(data, signed=True)


def _text(data: bytes) -> str:
    return str(data, "utf-8")


PACK: dict[int, Pack] = {
    BOOL: lambda value: b"\1" if value else b"\0",
    BYTEA: bytes,
    INT8: _INT8,
    INT4: _INT4,
    TEXT: str.encode,
    JSONB: lambda text: b"\1" + text.encode(),  # the format's version
    TEXT_ARRAY: _array(TEXT, str.encode),
    INT8_ARRAY: _array(INT8, _INT8),
}
"""How a parameter is sent."""

PARSE: dict[int, Parse] = {
    BOOL: lambda data: data == b"\1",
    BYTEA: lambda data: data,
    INT8: _integer,
    INT4: _integer,
    INT2: _integer,
    TEXT: _text,
    TIMESTAMPTZ: lambda data: _EPOCH + timedelta(microseconds=_integer(data)),
}
"""How a column is read."""
