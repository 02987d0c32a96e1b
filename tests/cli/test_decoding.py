"""Reading what Python's serialisers write, without LangGraph; and what nobody would write."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Send

from checkpointd.cli.decoding import decode
from checkpointd.cli.documents import jsonable
from checkpointd.cli.instances import Opaque
from checkpointd.cli.text import brief, clean
from checkpointd.client.langgraph import PortableSerializer
from checkpointd.v1.core_pb2 import Value


@dataclass
class Point:
    x: int
    y: int


class Colour(Enum):
    RED = "red"


SERIALISERS = {"msgpack": JsonPlusSerializer(), "portable-json/1": PortableSerializer()}


def written(data: Any, serialiser: SerializerProtocol) -> Value:
    """Data as it is stored."""
    encoding, content = serialiser.dumps_typed(data)
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
        ({"$": 1}, "{$: 1}"),
        (2**60, str(2**60)),
        (float("nan"), "nan"),
        ([b"ab", -0.0], "[<2 bytes>, -0.0]"),
        ({"a"}, 'set(["a"])'),
        (frozenset((1,)), "frozenset([1])"),
        (Point(1, 2), "Point(x=1, y=2)"),
        (Colour.RED, 'Colour("red")'),
        (datetime(2026, 1, 2, tzinfo=UTC), 'datetime("2026-01-02T00:00:00+00:00")'),
        (Send("node", {"a": 1}), 'Send("node", {a: 1})'),
        (ValueError("no"), "\"ValueError('no')\""),
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
@pytest.mark.parametrize("serialiser", SERIALISERS.values(), ids=SERIALISERS)
def test_what_is_stored(data: Any, text: str, serialiser: SerializerProtocol) -> None:
    value = written(data, serialiser)
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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"$":"interrupt","v":{"value":"why?","id":"i"}}', 'Interrupt(value="why?", id="i")'),
        ('{"$":"command","v":{"goto":["a"]}}', 'Command(goto=["a"])'),
        ('{"$":"overwrite","v":{"$":"set","v":[1]}}', "Overwrite(value=set([1]))"),
        ('{"$":"send","v":{"node":"a","args":1,"timeout":{"run_ms":5}}}', 'Send("a", 1, {run_ms: 5})'),
        ('{"$":"delta_snapshot","v":[{"$":"undef"}]}', "[null]"),
        ('{"$":"doc","v":{"page_content":"x"}}', 'Document(page_content="x")'),
        ('{"$":"duration","v":1500000}', "timedelta(microseconds=1500000)"),
        ('{"$":"uuid","v":"00000000-0000-0000-0000-000000000001"}', 'UUID("00000000-0000-0000-0000-000000000001")'),
        ('{"$":"map","v":[[1,"a"],[[1],"b"]]}', '{1: "a", [1]: "b"}'),
        ('{"$":"error","v":{"name":"TypeError","message":"no"}}', "\"TypeError('no')\""),
        ('{"$":"regex","lang":"js","v":{"source":"a","flags":""}}', 'regex(lang="js", v={source: "a", flags: ""})'),
        (
            '{"$":"opaque","lang":"js","enc":"json","type":"Shop.Order","v":"e30=","view":{"id":7}}',
            "Order(data=<js json, 2 bytes>, view={id: 7})",
        ),
        # What is not as the specification says is shown as it is.
        ('{"$":"map","v":[[1,"a"],[1,"b"]]}', 'map(v=[[1, "a"], [1, "b"]])'),
        ('{"$":"map","v":[[{},"a"]]}', 'map(v=[[{}, "a"]])'),
        ('{"$":"future","v":{"$":"bytes","v":"AP8="},"w":1}', "future(v=<2 bytes>, w=1)"),
        ('{"$":5,"v":1}', "tagged(v=1)"),
        ('{"$":"int","v":5}', "int(v=5)"),
        ('{"$":"int","v":"05"}', 'int(v="05")'),
        ('{"$":"bytes","v":"A"}', 'bytes(v="A")'),
        ('{"$":"float","v":"1e999"}', 'float(v="1e999")'),
        ('{"$":"bytes","v":"AA==","more":null}', 'bytes(v="AA==", more=null)'),
        ('{"$":"msg","v":{"type":"human"}}', 'msg(v={type: "human"})'),
        ('{"$":"duration","v":true}', "duration(v=true)"),
        (
            '{"$":"opaque","lang":"python","enc":"msgpack","type":"a:B","v":"wQ=="}',
            'opaque(lang="python", enc="msgpack", type="a:B", v="wQ==")',
        ),
        ('{"$":"opaque","v":"wQ=="}', 'opaque(v="wQ==")'),
    ],
)
def test_what_is_tagged(text: str, expected: str) -> None:
    value = Value(encoding="portable-json/1", data=text.encode())
    assert shown(value) == expected
    json.dumps(jsonable(decode(value)), allow_nan=False)


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a":1,"a":2}', "NaN", "1e999", "[" * 251 + "]" * 251, '{"$":"future","v":' * 251 + "1" + "}" * 251],
)
def test_what_is_not_portable(text: str) -> None:
    value = Value(encoding="portable-json/1", data=text.encode())
    assert decode(value) == Opaque("portable-json/1", value.data)


def test_every_vector_of_the_encoding_is_shown() -> None:
    vectors = json.loads((Path(__file__).parents[2] / "protos/portable-json/vectors.json").read_text())["vectors"]
    for vector in vectors:
        data = bytes.fromhex(vector["hex"]) if "hex" in vector else vector["text"].encode()
        found = decode(Value(encoding="portable-json/1", data=data))
        assert isinstance(found, Opaque) == (vector["gives"].get("python") == ["refused"]), vector["name"]
        json.dumps(jsonable(found), allow_nan=False)
        brief(found, 100_000)


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
        Value(encoding="portable-json/1", data=b"[" * 250 + b"]" * 250),
        Value(encoding="portable-json/1", data=b"[" * 100_000 + b"]" * 100_000),
        Value(encoding="portable-json/1", data=b'{"$":"overwrite","v":' * 100_000),
        Value(
            encoding="portable-json/1",
            data=b'{"$":"opaque","lang":"python","enc":"msgpack","type":"a:B","v":"%s"}' % base64.b64encode(inside),
        ),
    ):
        found = decode(value)
        json.dumps(jsonable(found), allow_nan=False)
        brief(found, 100_000)


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    for encoding in ("msgpack", "json", "portable-json/1", "bytes", "null", "other"):
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
