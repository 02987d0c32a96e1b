"""portable-json/1 in the engine: the encoding's vectors, what msgpack's objects become in it, and hostile bytes."""

import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Command, Interrupt, Overwrite, Send, TimeoutPolicy
from pydantic import SecretStr

from checkpointd.engine.state import objects, values
from checkpointd.engine.state.errors import Opaque
from checkpointd.engine.state.interrupts import interrupts
from checkpointd.engine.state.packed import Ext
from checkpointd.engine.state.portable import Tag, plain
from checkpointd.v1.core_pb2 import Value
from tests.engine.state.langgraph_values import dumped

_VECTORS = json.loads((Path(__file__).parents[3] / "protos/portable-json/vectors.json").read_text())["vectors"]

_SAFE = 2**53 - 1


def portable(text: str | bytes) -> Value:
    return Value(encoding=values.PORTABLE, data=text.encode(errors="surrogatepass") if isinstance(text, str) else text)


def as_portable(data: Any) -> Any:
    """The JSON of data that LangGraph's serialiser wrote, in portable-json/1."""
    return json.loads(values.encode(values.decode(dumped([data])), style=values.PORTABLE).data)[0]


def _bytes(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["hex"]) if "hex" in vector else vector["text"].encode()


def _comparable(found: Any) -> Any:
    """JSON in which the order of members counts, and whether a number is whole."""
    match found:
        case dict():
            return ["object", [[key, _comparable(item)] for key, item in found.items()]]
        case list():
            return ["list", [_comparable(item) for item in found]]
        case int() if not isinstance(found, bool) and abs(found) > _SAFE:
            return _comparable({"$": "int", "v": str(found)})
    return [type(found).__name__, repr(found)]


@pytest.mark.parametrize("vector", _VECTORS, ids=lambda vector: vector["name"])
def test_vectors(vector: dict[str, Any]) -> None:
    value = portable(_bytes(vector))
    gives = vector["gives"].get("python")
    if gives == ["refused"]:
        with pytest.raises(
            Opaque, match=r"though its encoding portable-json/1 says so|which portable-json/1 can't hold"
        ):
            values.decode(value)
        return
    data = values.decode(value)
    again = values.encode(data, value)
    if gives == ["null"] and data is None:
        assert again == values.NULL
    else:
        assert _comparable(json.loads(again.data)) == _comparable(json.loads(value.data))
    if gives is not None:
        assert _looked_at(plain(data), gives)


def _looked_at(data: Any, gives: list[Any]) -> bool:  # noqa: PLR0911 (one a notation)
    """Whether data is what the notation says, as far as the engine looks at it."""
    match gives:
        case ["null"]:
            return data is None
        case ["bool" | "str", found]:
            return bool(data == found) or isinstance(data, Tag)  # an error is not read as its text
        case ["int" | "float" as kind, text]:
            return bool(type(data).__name__ == kind and repr(data) == text)
        case ["bytes", text]:
            return bool(data == bytes.fromhex(text))
        case ["list", items]:
            return isinstance(data, list) and len(data) == len(items)
        case ["dict", members]:
            return isinstance(data, dict) and list(data) == [key for key, _ in members]
        case ["message", kind, members]:
            said, message_id = objects.message_of(data)
            given = dict(members).get("id", [None, None])[1]
            return bool((said.removesuffix("MessageChunk"), message_id) == (kind.removesuffix("Chunk"), given))
        case ["send", node, *_]:
            return bool(objects.send_node(data) == node)
        case ["interrupt", interrupt_id, *_]:
            return bool(objects.interrupt_fields(data)["id"] == interrupt_id)
        case ["overwrite", _]:
            return objects.overwrite_content(data) is not None
        case ["tagged", _]:
            return isinstance(data, Tag) and not _is_known(data)
    return True


def _is_known(data: Tag) -> bool:
    """Whether a tag is taken for one of those that a rule asks for."""

    def reads(look: Callable[[Any], Any]) -> bool:
        try:
            return look(data) is not None
        except Opaque:
            return False

    looks = (objects.message_of, objects.interrupt_fields, objects.overwrite_content)
    # Of a Send only the node is read. Members of a set are compared only where sets are folded.
    return any(reads(look) for look in looks)


@dataclass
class Point:
    x: int
    y: Any


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (2**60, {"$": "int", "v": str(2**60)}),
        (float("nan"), {"$": "float", "v": "NaN"}),
        (float("-inf"), {"$": "float", "v": "-Infinity"}),
        (-0.0, -0.0),
        (b"\0\xff", {"$": "bytes", "v": "AP8="}),
        ({"$": 1, "a": {"$": 2}}, {"$": "obj", "v": {"$": 1, "a": {"$": "obj", "v": {"$": 2}}}}),
        ({1: "a", "1": "b"}, {"$": "map", "v": [[1, "a"], ["1", "b"]]}),
        ({"a"}, {"$": "set", "v": ["a"]}),
        (frozenset(("a",)), {"$": "set", "v": ["a"], "frozen": True}),
        (uuid.UUID(int=1), {"$": "uuid", "v": "00000000-0000-0000-0000-000000000001"}),
        (Decimal("1.10"), {"$": "decimal", "v": "1.10"}),
        (datetime(2026, 1, 2, tzinfo=UTC), {"$": "datetime", "v": "2026-01-02T00:00:00+00:00"}),
        (date(2026, 1, 2), {"$": "date", "v": "2026-01-02"}),
        (time(3, 4), {"$": "time", "v": "03:04:00"}),
        (timedelta(days=-1, microseconds=3), {"$": "duration", "v": -86_399_999_997}),
        (Send("a", {"n": b""}), {"$": "send", "v": {"node": "a", "args": {"n": {"$": "bytes", "v": ""}}}}),
        (
            Send("a", None, timeout=TimeoutPolicy(run_timeout=1.5, idle_timeout=0.0003, refresh_on="heartbeat")),
            {
                "$": "send",
                "v": {
                    "node": "a",
                    "args": None,
                    "timeout": {"run_ms": 1500, "idle_ms": 0.3, "refresh_on": "heartbeat"},
                },
            },
        ),
        (Interrupt(None, id="i"), {"$": "interrupt", "v": {"value": None, "id": "i"}}),
        (
            Interrupt(1, id="i", response_schema={"type": "string"}),
            {"$": "interrupt", "v": {"value": 1, "id": "i", "response_schema": {"type": "string"}}},
        ),
        (
            Command(update={"a": {1}}, goto=[Send("b", 1)]),
            {
                "$": "command",
                "v": {
                    "update": {"a": {"$": "set", "v": [1]}},
                    "goto": [{"$": "send", "v": {"node": "b", "args": 1}}],
                },
            },
        ),
        (Overwrite([1]), {"$": "overwrite", "v": [1]}),
        (_DeltaSnapshot([{2}]), {"$": "delta_snapshot", "v": [{"$": "set", "v": [2]}]}),
        (Document("text"), {"$": "doc", "v": {"page_content": "text"}}),
        (
            Document("text", metadata={"p": 1}, id="d"),
            {"$": "doc", "v": {"page_content": "text", "metadata": {"p": 1}, "id": "d"}},
        ),
        (HumanMessage("hi"), {"$": "msg", "v": {"type": "human", "content": "hi"}}),
        (SystemMessage("", id="s"), {"$": "msg", "v": {"type": "system", "content": "", "id": "s"}}),
        (
            HumanMessage("hi", mood="good"),
            {"$": "msg", "v": {"type": "human", "content": "hi", "extra": {"mood": "good"}}},
        ),
        (
            AIMessage("", id="1", tool_calls=[{"name": "f", "args": {"b": b""}, "id": "c"}]),
            {
                "$": "msg",
                "v": {
                    "type": "ai",
                    "content": "",
                    "id": "1",
                    "tool_calls": [
                        {"name": "f", "args": {"b": {"$": "bytes", "v": ""}}, "id": "c", "type": "tool_call"}
                    ],
                },
            },
        ),
        (AIMessageChunk(content="a"), {"$": "msg", "v": {"type": "ai", "content": "a", "chunk": True}}),
        (
            ToolMessage("no", tool_call_id="t", status="error"),
            {"$": "msg", "v": {"type": "tool", "content": "no", "tool_call_id": "t", "status": "error"}},
        ),
        (
            ToolMessage("yes", tool_call_id="t"),
            {"$": "msg", "v": {"type": "tool", "content": "yes", "tool_call_id": "t"}},
        ),
        (ChatMessage(content="x", role="r"), {"$": "msg", "v": {"type": "chat", "content": "x", "role": "r"}}),
        (RemoveMessage(id="1"), {"$": "msg", "v": {"type": "remove", "content": "", "id": "1"}}),
    ],
    ids=lambda data: type(data).__name__,
)
def test_what_msgpack_holds_is_written_as_its_tag(data: Any, expected: Any) -> None:
    written = as_portable(data)
    assert written == expected
    assert json.dumps(written) == json.dumps(expected)  # in this order, and -0.0 is not 0


class MyMessage(HumanMessage):
    pass


@pytest.mark.parametrize(
    ("data", "named", "view"),
    [
        (Point(1, {"a": Point(2, 2**60)}), f"{__name__}:Point", {"x": 1, "y": {"a": {"x": 2, "y": str(2**60)}}}),
        (Path("/a"), "pathlib:PosixPath", ["/", "a"]),
        (MyMessage(content="hi"), f"{__name__}:MyMessage", ...),
        (SecretStr("hush"), "pydantic.types:SecretStr", None),
        (Point(SecretStr("hush"), b"ab"), f"{__name__}:Point", {"x": None, "y": "<2 bytes>"}),  # type: ignore[arg-type]
        (time(3, 4, tzinfo=UTC), "datetime:time", ...),
    ],
    ids=lambda data: type(data).__name__,
)
def test_what_has_no_tag_travels_as_it_was_written(data: Any, named: str, view: Any) -> None:
    written = as_portable(data)
    assert {key: written[key] for key in ("$", "lang", "enc", "type")} == {
        "$": "opaque",
        "lang": "python",
        "enc": "msgpack",
        "type": named,
    }
    carried = values.decode(Value(encoding="msgpack", data=plain(Tag({"$": "bytes", "v": written["v"]}))))
    assert [carried] == values.decode(dumped([data]))
    if view is not ...:
        assert written.get("view") == view


@pytest.mark.parametrize("ext", [Ext(9, b"\x01"), Ext(2, b"\x01"), Ext(5, b"\xc1"), Ext(0, b"")])
def test_what_is_no_object_is_not_written(ext: Ext) -> None:
    with pytest.raises(Opaque):
        values.encode([ext], style=values.PORTABLE)


def test_what_is_tagged_stays_as_it_is_beside_what_is_added() -> None:
    kept = '{"w":[1.0,{"$":"obj","v":{"$":5}}],"$":"future","v":{"$":"int","v":"5"}}'
    held = portable(f'[{kept},{{"$":"opaque","lang":"js","enc":"json","v":"e30=","view":"x"}}]')
    data = [*values.decode(held), *values.decode(Value(encoding="json", data=b'[{"$":"int","v":"5"}]')), {1}]
    written = values.encode([*data[:3]], held, Value(encoding="json"))
    assert written.data.decode() == (
        f'[{kept},{{"$":"opaque","lang":"js","enc":"json","v":"e30=","view":"x"}},'
        '{"$":"obj","v":{"$":"int","v":"5"}}]'
    )


def test_levels_are_counted_when_they_are_written() -> None:
    held = portable("[" * 250 + "]" * 250)
    assert values.encode(values.decode(held), held).data == held.data
    with pytest.raises(Opaque, match="250 levels"):
        values.encode([values.decode(held)], held)
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(Opaque, match="250 levels"):
        values.encode(deep, held)


@pytest.mark.parametrize("number", [10**4000, -(10**4000), 10**9000], ids=lambda number: str(number.bit_length()))
def test_numbers_of_too_many_digits(number: int) -> None:
    with pytest.raises(Opaque, match="4000 digits"):
        values.encode([number], style=values.PORTABLE)
    assert plain(values.decode(values.encode(10**3999, style=values.PORTABLE))) == 10**3999


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"$":"interrupt","v":{"value":{"$":"bytes","v":"AP8="},"id":"i"}}', ("i", b"\0\xff")),
        ('[{"$":"interrupt","v":{"id":"i"}}]', ("i", None)),
        ('[{"id":"i","value":{"a":1}}]', ("i", {"a": 1})),
    ],
)
def test_interrupts(text: str, expected: Any) -> None:
    (found,), warnings = interrupts([portable(text)])
    assert not warnings
    assert (found.id, values.decode_plain(found.value)) == expected or found.value == Value(
        encoding="bytes", data=b"\0\xff"
    )


@pytest.mark.parametrize("text", ['{"$":"interrupt","v":{"value":1}}', '{"$":"future","value":1}', "[5]", "{"])
def test_interrupts_of_another_shape_are_shown_as_they_are(text: str) -> None:
    (found,), (warning,) = interrupts([portable(text)])
    assert (found.value, found.id) == (portable(text), "")
    assert "interrupt" in warning


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("$") | st.just("int")
_JSON = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=2) | st.sampled_from(["$", "v", "id", "type", "content"]), inner, max_size=4)
        | st.builds(
            lambda name, content: {"$": name, "v": content},
            st.sampled_from(["int", "float", "bytes", "obj", "map", "set", "msg", "send", "interrupt", "overwrite"]),
            inner,
        )
    ),
)


@given(data=_JSON)
def test_whatever_is_tagged_comes_back(data: Any) -> None:
    text = json.dumps(data, allow_nan=True)
    value = portable(text)
    try:
        found = values.decode(value)
    except Opaque:
        assert "NaN" in text or "Infinity" in text
        return
    if found is not None:
        assert _comparable(json.loads(values.encode(found, value).data)) == _comparable(data)
    _look(found, value)


@given(data=st.binary(max_size=40))
def test_no_bytes_make_a_reader_fall_over(data: bytes) -> None:
    _look(None, portable(data))


def _look(data: Any, value: Value) -> None:
    """Look at data, and at a value, for everything that a rule asks for."""
    of_data: tuple[Callable[[Any], Any], ...] = (
        objects.send_node,
        objects.overwrite_content,
        objects.set_items,
        objects.interrupt_fields,
        objects.message_of,
        plain,
    )
    for look in of_data:
        with suppress(Opaque):
            look(data)
    of_values: tuple[Callable[[Value], Any], ...] = (
        values.decode_plain,
        values.items,
        values.overwriting,
        values.unwrapped,
        values.wrapped,
        values.is_none,
    )
    for sight in of_values:
        with suppress(Opaque):
            sight(value)
    interrupts([value])


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"$":"future","v":' * 100_000 + "1" + "}" * 100_000,
        "9" * 100_000,
        "-" + "9" * 5000,
        '{"$":"int","v":"' + "9" * 100_000 + '"}',
        '{"$":"bytes","v":"' + "A" * 100_001 + '"}',
    ],
    ids=lambda text: text[:12],
)
def test_hostile_texts(text: str) -> None:
    _look(None, portable(text))
