"""Reading what LangGraph's serialiser writes, without LangGraph; and what nobody would write."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Send

from checkpointd.cli.decoding import Opaque, decode
from checkpointd.cli.documents import jsonable
from checkpointd.cli.text import brief, clean
from checkpointd.v1.core_pb2 import Value


@dataclass
class Point:
    x: int
    y: int


class Colour(Enum):
    RED = "red"


def written(data: Any) -> Value:
    """Data as LangGraph stores it."""
    encoding, content = JsonPlusSerializer().dumps_typed(data)
    return Value(encoding=encoding, data=content)


def shown(value: Value) -> str:
    """A value in one line."""
    return brief(decode(value), 1000)[0]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ('a"b', r'"a\"b"'),
        (b"abc", "<3 bytes>"),
        ([1, [2]], "[1, [2]]"),
        ({"a": {"b": None}}, "{a: {b: null}}"),
        ({1: "x"}, '{1: "x"}'),
        ({"a"}, 'set(["a"])'),
        (Point(1, 2), "Point(x=1, y=2)"),
        (Colour.RED, 'Colour("red")'),
        (UUID(int=1), 'UUID("00000000000000000000000000000001")'),
        (datetime(2026, 1, 2, tzinfo=UTC), 'datetime("2026-01-02T00:00:00+00:00")'),
        (Send("node", {"a": 1}), 'Send("node", {a: 1})'),
        (HumanMessage("hello"), "human: hello"),
        (
            SystemMessage([{"type": "text", "text": "one"}, {"type": "image", "url": "x"}, "two"]),
            "system: one <image> two",
        ),
        (AIMessageChunk(content="hel"), "AIMessageChunk: hel"),
        (ToolMessage("done", tool_call_id="1"), "tool: done"),
        (AIMessage("so", tool_calls=[{"name": "f", "args": {"x": [1]}, "id": "1"}]), "ai: so → f(x=[1])"),
    ],
)
def test_what_langgraph_writes(data: Any, text: str) -> None:
    value = written(data)
    assert shown(value) == text
    json.dumps(jsonable(decode(value)), allow_nan=False)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"type": "human", "content": "hi"}, "human: hi"),
        ({"role": "user", "content": "hi"}, "user: hi"),
        (
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            'assistant:  → f("{}")',
        ),
        (
            {
                "lc": 1,
                "type": "constructor",
                "id": ["langchain_core", "messages", "AIMessage"],
                "kwargs": {"content": "x"},
            },
            "ai: x",
        ),
        ({"content": "no message"}, '{content: "no message"}'),
        ({"type": "constructor", "id": [], "kwargs": {}}, '{type: "constructor", id: [], kwargs: {}}'),
    ],
)
def test_messages_in_json(data: Any, text: str) -> None:
    assert shown(Value(encoding="json", data=json.dumps(data).encode())) == text


def test_an_array_of_numpys() -> None:
    inside = ormsgpack.packb(["<i8", [2], "C", b"\0" * 16])
    value = Value(encoding="msgpack", data=_extension(6, inside))
    assert shown(value) == 'ndarray(dtype="<i8", shape=[2], order="C", data=<16 bytes>)'


def _extension(code: int, inside: bytes) -> bytes:
    return ormsgpack.packb(ormsgpack.Ext(code, inside))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\x91", b"\xc7\x05\x00", b"\xdd\xff\xff\xff\xff", b"\xd9\x01\xff"],
)
def test_what_is_no_msgpack(data: bytes) -> None:
    assert decode(Value(encoding="msgpack", data=data)) == Opaque("msgpack", data)


def test_extensions_of_other_shapes() -> None:
    for inside in (b"", b"\x93", ormsgpack.packb([1, 2, 3]), ormsgpack.packb("x"), ormsgpack.packb(["m", "n"])):
        assert shown(Value(encoding="msgpack", data=_extension(5, inside))) == (
            f"<msgpack extension 5, {len(inside)} bytes>"
        )
    assert shown(Value(encoding="msgpack", data=_extension(99, b"abc"))) == "<msgpack extension 99, 3 bytes>"


def test_nesting_without_end() -> None:
    inside = ormsgpack.packb(1)
    for _ in range(2000):
        inside = _extension(7, inside)
    lists = b"\x91" * 900 + b"\x01"
    for value in (
        Value(encoding="msgpack", data=inside),
        Value(encoding="msgpack", data=lists),
        Value(encoding="json", data=b"[" * 900 + b"]" * 900),
        Value(encoding="json", data=b"[" * 100_000 + b"]" * 100_000),
        Value(encoding="json", data=b'{"a":' * 900 + b"1" + b"}" * 900),
    ):
        found = decode(value)
        json.dumps(jsonable(found), allow_nan=False)
        brief(found, 100_000)


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    for encoding in ("msgpack", "json", "bytes", "null", "other"):
        found = decode(Value(encoding=encoding, data=data))
        json.dumps(jsonable(found), allow_nan=False)
        brief(found, 100)


@given(st.text())
def test_text_that_is_to_be_shown_has_nothing_that_steers(text: str) -> None:
    shown = clean(text)
    assert not any(character in shown for character in "\x1b\n\r\t\x00\x7f\x9b\u202e\u2028")
    if text.isprintable():
        assert shown == text


@given(st.recursive(st.text(max_size=20) | st.integers(), st.lists), st.integers(5, 200))
def test_what_is_shortened_is_as_long_as_it_may_be(data: Any, most: int) -> None:
    text, shortened = brief(data, most)
    assert len(text) <= most
    assert shortened == text.endswith("…")
