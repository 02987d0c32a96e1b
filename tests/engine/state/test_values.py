"""Values are looked into without their classes, and what LangGraph wrote is written back byte for byte."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Interrupt, Overwrite, Send

from checkpointd.engine.state import objects, values
from checkpointd.engine.state.errors import Opaque
from checkpointd.engine.state.interrupts import interrupts
from checkpointd.engine.state.packed import Ext
from checkpointd.v1.core_pb2 import Value
from tests.engine.state.langgraph_values import dumped, loaded


@dataclass
class Point:
    x: int
    y: Any


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(0, 9), inner, max_size=3),
)


@given(data=_PLAIN)
def test_plain_data_goes_and_comes_back_byte_for_byte(data: Any) -> None:
    value = dumped(data)
    assert values.decode(value) == data
    assert values.encode(values.decode(value)) == value


@pytest.mark.parametrize(
    "data",
    [
        [
            HumanMessage("hi", id="1"),
            AIMessage("ho", id="2", additional_kwargs={"at": datetime(2026, 1, 2, tzinfo=UTC)}),
        ],
        {"nested": [{"deep": Point(1, {"a": {2}})}]},
        [UUID(int=7), Decimal("1.50"), {1}, frozenset(("a",)), 1 + 2**60, Path("/a")],
        Send("node", {"x": Point(1, 2)}),
        Overwrite([HumanMessage("x", id="1")]),
        (Interrupt("why?", id="i"),),
        _DeltaSnapshot([1, 2]),
        {1: "a", None: "b", 2.5: "c"},
    ],
    ids=lambda data: type(data).__name__,
)
def test_objects_go_and_come_back_byte_for_byte(data: Any) -> None:
    value = dumped(data)
    assert values.encode(values.decode(value)) == value


@pytest.mark.parametrize(
    "written",
    [Overwrite([1]), {"__overwrite__": [1]}, {"type": "__overwrite__", "value": [1]}],
    ids=["object", "key", "erased"],
)
def test_an_overwrite_is_known_in_its_three_forms(written: Any) -> None:
    assert values.overwriting(dumped(written)) == dumped([1])


def test_an_overwrite_in_json_stays_json() -> None:
    found = values.overwriting(Value(encoding="json", data=b'{"__overwrite__":["\xc3\xa9"]}'))
    assert found == Value(encoding="json", data='["é"]'.encode())


@pytest.mark.parametrize(
    "written",
    [
        None,
        [1],
        {},
        {"__overwrite__": 1, "more": 2},
        {"type": "__overwrite__"},
        Point(1, 2),
        Send("a", 1),
        b"x",
        "text",
    ],
    ids=repr,
)
def test_other_writes_are_no_overwrite(written: Any) -> None:
    assert values.overwriting(dumped(written)) is None


@pytest.mark.parametrize("held", [None, [1, {"a": Point(1, 2)}], HumanMessage("x", id="1")], ids=repr)
def test_a_snapshot_is_unwrapped(held: Any) -> None:
    assert loaded(values.unwrapped(dumped(_DeltaSnapshot(held)))) == held
    assert values.unwrapped(dumped([held])) == dumped([held])


def test_sets_are_read_and_written() -> None:
    assert sorted(objects.set_items(values.decode(dumped({"a", "b"})))) == ["a", "b"]
    assert loaded(values.encode(objects.set_of(["b", "a"]))) == {"a", "b"}
    for other in ([1], Point(1, 2), {UUID(int=1)}, "text"):
        with pytest.raises(Opaque):
            objects.set_items(values.decode(dumped(other)))


def test_sends_are_read() -> None:
    assert objects.send_node(values.decode(dumped(Send("there", 1)))) == "there"
    assert objects.send_node(values.decode(dumped(Point(1, 2)))) is None
    assert objects.send_node("there") is None


def test_interrupts_are_read_with_their_schema() -> None:
    asked = (Interrupt({"a": Point(1, 2)}, id="i1"), Interrupt(None, id="i2", response_schema={"type": "string"}))
    found, warnings = interrupts([dumped(asked)])
    assert not warnings
    assert [one.id for one in found] == ["i1", "i2"]
    assert [loaded(one.value) for one in found] == [{"a": Point(1, 2)}, None]
    assert not found[0].HasField("response_schema")
    assert loaded(found[1].response_schema) == {"type": "string"}


def test_interrupts_of_langgraph_js_are_read() -> None:
    written = Value(encoding="json", data=json.dumps([{"id": "i", "value": {"a": 1}}]).encode())
    (found,), warnings = interrupts([written])
    assert (found.id, found.value, warnings) == ("i", Value(encoding="json", data=b'{"a":1}'), [])


@pytest.mark.parametrize("written", [Value(encoding="msgpack", data=b"\xc1"), dumped([Interrupt(1, id="a"), 5])])
def test_an_interrupt_of_another_shape_is_shown_as_it_is(written: Value) -> None:
    (found,), (warning,) = interrupts([written])
    assert found.value == written
    assert not found.id
    assert "interrupt" in warning


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("msgpack", b""),
        ("msgpack", b"\xc1"),
        ("msgpack", b"\xdd\xff\xff\xff\xff"),
        ("msgpack", b"\xc9\xff\xff\xff\xff\x02"),
        ("msgpack", b"\x91" * 100_000 + b"\xc0"),
        ("msgpack", b"\x81\x80\x01"),
        ("msgpack", b"\xa1\xff"),
        ("json", b""),
        ("json", b"\xff"),
        ("json", b"[" * 100_000),
        ("json", b'{"a":' + b"9" * 10_000 + b"}"),
        ("pickle", b"cos\nsystem\n"),
        ("portable-json/1", b"{"),
    ],
)
def test_what_can_not_be_looked_into_is_opaque(encoding: str, data: bytes) -> None:
    with pytest.raises(Opaque):
        values.decode(Value(encoding=encoding, data=data))


@given(data=st.binary(max_size=60), encoding=st.sampled_from(["msgpack", "json", "null", "bytes", "other"]))
def test_no_bytes_make_a_reader_fall_over(data: bytes, encoding: str) -> None:
    value = Value(encoding=encoding, data=data)
    values.unwrapped(value)
    values.is_none(value)
    interrupts([value])
    for read in (values.decode, values.overwriting, values.items):
        try:
            read(value)
        except Opaque:
            continue
    for code in range(8):
        objects.send_node(Ext(code, data))
        for look in (objects.set_items, objects.interrupt_fields, objects.model):
            try:
                look(Ext(code, data))
            except Opaque:
                continue
