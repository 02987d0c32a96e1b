"""Random messages of the contract, made from its descriptors, and random changes of bytes. Seeded: the same again."""

import json
import random
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_Field = FieldDescriptor

# Few names, so that requests meet what others have stored, and some that no rpc should take.
_NAMES = ("t", "u", "c1", "c2", "a", "b", "g", "task", "x")
_ODD = (
    "",
    "é",
    "\0",
    "a\0b",
    "\ud7ff",
    "x" * 64,
    "x" * 255,
    "x" * 256,
    "x" * 800,
    "%",
    "'; --",
    "../..",
    "__start__",
    "a|b:c",
)
_JSON = (
    "{}",
    "[]",
    "null",
    '{"step": 1}',
    '{"a": "\\u0000"}',
    '{"a": 1e999}',
    "{",
    "[" * 200,
    json.dumps({"k": "v" * 300}),
)
_INTEGERS = (0, 1, 2, 3, 10, 1000, 1001, -1, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63), 2**64 - 1)
_FLOATS = (0.0, 1.0, -1.0, 0.5, 1e308, float("inf"), float("-inf"), float("nan"))
_BYTES = (
    b"",
    b"x",
    b"\xff",
    b"\x93\x01\x02\x03",
    b'{"a": [1, 2]}',
    b"null",
    bytes(300),
    b"\xc7\x05\x00hello",
    b"\xdd" + b"\xff" * 4,
)
_ENCODINGS = ("msgpack", "portable-json/1", "json", "bytes", "null", "pickle", "")

# Fields that would let a request last.
_SHORT = {"checkpointd.v1.AcquireLeaseRequest.wait"}

_DEEPEST = 4


class Fuzzer:
    """Makes messages by chance. `wild` is the share of odd values: with little of it most messages are valid."""

    def __init__(self, seed: object) -> None:
        self.chance = random.Random(str(seed))
        self._wild = 0.05

    def request(self, kind: Descriptor, good: Sequence[bytes] = ()) -> bytes:
        """A request: of good messages, odd ones, changed bytes, and bytes that are none, something of each."""
        chance = self.chance
        self._wild = chance.choice((0.0, 0.0, 0.02, 0.1, 0.5))
        lot = chance.random()
        if good and chance.random() < 0.4:
            data = chance.choice(good)
            return self.changed(data) if lot < 0.3 else data
        data = self.message(kind).SerializeToString()
        if lot < 0.05:
            return chance.randbytes(chance.randrange(100))
        return self.changed(data) if lot < 0.25 else data

    def changed(self, data: bytes) -> bytes:
        """Bytes with some of them changed, left out, doubled or put in."""
        chance, made = self.chance, bytearray(data)
        for _ in range(chance.randrange(1, 4)):
            at, length = chance.randrange(len(made) + 1), chance.randrange(1, 9)
            match chance.randrange(5):
                case 0 if at < len(made):
                    made[at] = chance.randrange(256)
                case 1 if at < len(made):
                    made[at] ^= 1 << chance.randrange(8)
                case 2:
                    del made[at : at + length]
                case 3:
                    made[at:at] = chance.randbytes(length)
                case _:
                    made[at:at] = made[chance.randrange(len(made) + 1) :][: length * 4]
        return bytes(made)

    def message(self, kind: Descriptor, depth: int = 0) -> Message:
        """A message with fields by chance."""
        made: Any = GetMessageClass(kind)()
        for field in kind.fields:
            if depth >= _DEEPEST and field.message_type is not None:
                continue
            if self.chance.random() < (0.25 if depth == 0 else 0.4):
                continue
            self._fill(made, field, depth)
        return made  # type: ignore[no-any-return]

    def _fill(self, made: Any, field: FieldDescriptor, depth: int) -> None:
        kind = field.message_type
        count = self.chance.choice((0, 1, 1, 2, 3)) if field.is_repeated else 1
        for _ in range(count):
            if kind is not None and kind.GetOptions().map_entry:
                self._fill_map(getattr(made, field.name), kind, depth)
            elif kind is not None:
                place = getattr(made, field.name)
                place = place.add() if field.is_repeated else place
                if kind.full_name == "google.protobuf.Duration":
                    place.nanos = self._duration(field)
                else:
                    place.CopyFrom(self.message(kind, depth + 1))
            elif field.is_repeated:
                getattr(made, field.name).append(self._scalar(field))
            else:
                setattr(made, field.name, self._scalar(field))

    def _fill_map(self, entries: Any, kind: Descriptor, depth: int) -> None:
        key, value = kind.fields_by_name["key"], kind.fields_by_name["value"]
        if value.message_type is not None:
            entries[self._scalar(key)].CopyFrom(self.message(value.message_type, depth + 1))
        else:
            entries[self._scalar(key)] = self._scalar(value)

    def _duration(self, field: FieldDescriptor) -> int:
        if field.full_name in _SHORT:
            return self.chance.choice((0, 1, 1_000_000))
        return self.chance.choice((0, 1, 1_000_000, 999_999_999, -1, 2**31 - 1))

    def _scalar(self, field: FieldDescriptor) -> Any:
        chance = self.chance
        odd = chance.random() < self._wild
        match field.cpp_type:
            case _Field.CPPTYPE_STRING if field.type == _Field.TYPE_BYTES:
                return chance.choice(_BYTES) if odd or chance.random() < 0.5 else chance.randbytes(chance.randrange(40))
            case _Field.CPPTYPE_STRING:
                return self._text(field.name, odd=odd)
            case _Field.CPPTYPE_BOOL:
                return chance.random() < 0.5
            case _Field.CPPTYPE_FLOAT | _Field.CPPTYPE_DOUBLE:
                return chance.choice(_FLOATS)
            case _Field.CPPTYPE_ENUM:
                assert field.enum_type is not None
                return chance.choice((-1, 99)) if odd else chance.choice(field.enum_type.values).number
        integer = chance.choice(_INTEGERS) if odd else chance.randrange(1, 5)
        low, high = _RANGES[field.cpp_type]
        return min(max(integer, low), high)

    def _text(self, name: str, *, odd: bool) -> str:
        if odd:
            return self.chance.choice(_ODD + _JSON)
        if name in ("json", "metadata", "metadata_filter"):
            return self.chance.choice(_JSON[:4])
        if name == "encoding":
            return self.chance.choice(_ENCODINGS)
        if name == "checkpoint_ns":
            return self.chance.choice(("", "", "a:1", "x"))
        if name in ("page_token", "request_id"):
            return ""
        return self.chance.choice(_NAMES)


_RANGES: dict[int, tuple[int, int]] = {
    _Field.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    _Field.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    _Field.CPPTYPE_UINT32: (0, 2**32 - 1),
    _Field.CPPTYPE_UINT64: (0, 2**64 - 1),
}
