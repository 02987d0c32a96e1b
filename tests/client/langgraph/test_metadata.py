"""Metadata comes back as it was, and its JSON is always one that PostgreSQL and filters can use."""

import enum
import json
import math
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpointd.client import InvalidRequest, UnreadableValue
from checkpointd.client.langgraph.metadata import fits_json, project, read_metadata, write_metadata
from checkpointd.v1.core_pb2 import Metadata, Value
from tests.client.langgraph.strategies import integers, json_values, names, text, values

SERDE = JsonPlusSerializer(allowed_msgpack_modules=None)


class Colour(enum.StrEnum):
    RED = "red"


def sent(metadata: dict[Any, Any]) -> Metadata:
    message = Metadata()
    write_metadata(metadata, SERDE, message)
    return Metadata.FromString(message.SerializeToString())


@given(st.dictionaries(names, json_values, max_size=4))
def test_json_metadata_travels_as_json_alone(metadata: dict[str, Any]) -> None:
    message = sent(metadata)
    assert not message.HasField("native")
    assert read_metadata(message, SERDE) == metadata


@given(st.dictionaries(text | integers, values, max_size=4))
def test_all_other_metadata_comes_back_too(metadata: dict[Any, Any]) -> None:
    message = sent(metadata)
    assert read_metadata(message, SERDE) == metadata
    # What filters look at is good JSON in any case.
    assert fits_json(json.loads(message.json))


@pytest.mark.parametrize(
    ("metadata", "projected"),
    [
        ({"a": "x\0y", "b\0": 1}, {"a": "xy", "b": 1}),
        ({"a": "\ud800x"}, {"a": "?x"}),
        ({"a": math.nan, "b": [1, -math.inf, 2]}, {"b": [1, 2]}),
        ({1: "a", "b": {2: "c", "d": 3}}, {"b": {"d": 3}}),
        ({"a": datetime(2026, 1, 1), "b": {1}, "c": b"x", "d": (1, [b"y"])}, {"d": [1, []]}),
        ({"a": Colour.RED}, {"a": "red"}),
        ({"a": 2**5000, "b": 2**70}, {"b": 2**70}),
    ],
)
def test_what_json_cannot_hold_is_cleaned_or_left_out_of_it(metadata: Any, projected: Any) -> None:
    assert not fits_json(metadata)
    assert project(metadata) == projected


def test_a_tuple_counts_as_a_list() -> None:
    message = sent({"counters_since_delta_snapshot": {"x": (1, 2)}})
    assert not message.HasField("native")
    assert read_metadata(message, SERDE) == {"counters_since_delta_snapshot": {"x": [1, 2]}}


def test_metadata_nested_too_deep_for_json_comes_back() -> None:
    metadata: dict[str, Any] = {}
    for _ in range(150):
        metadata = {"deeper": metadata}
    metadata["source"] = "loop"
    message = sent(metadata)
    assert message.HasField("native")
    assert json.loads(message.json)["source"] == "loop"
    assert read_metadata(message, SERDE) == metadata


def test_no_metadata_is_an_empty_dict() -> None:
    assert read_metadata(Metadata(), SERDE) == {}


def test_metadata_of_another_kind_of_client_is_read_from_its_json() -> None:
    message = Metadata(json='{"a":1}', native=Value(encoding="of-another-language", data=b"\x00"))
    assert read_metadata(message, SERDE) == {"a": 1}


def test_metadata_that_can_be_neither_sent_nor_read_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"metadata can't be stored: .*; this call stored nothing"):
        sent({"a": object()})
    with pytest.raises(UnreadableValue, match="metadata"):
        read_metadata(Metadata(native=Value(encoding="msgpack", data=b"\xc1")), SERDE)
