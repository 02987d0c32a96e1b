"""Within Python every value comes back as it was, and at least as LangGraph's own serialiser gives it back."""

import datetime
from collections import OrderedDict, defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpointd.client.langgraph.portable import PortableSerializer, Tagged
from tests.client.portable.values import Colour, Customer, Level, Order, Point, Text, Word, as_lists, key, values

NATIVE = JsonPlusSerializer(allowed_msgpack_modules=[Colour, Customer, Level, Order, Point, Word])
SERIALIZER = PortableSerializer()


def there_and_back(value: Any) -> Any:
    encoding, data = SERIALIZER.dumps_typed(value)
    assert encoding in ("portable-json/1", "null", "bytes", "bytearray")
    return SERIALIZER.loads_typed((encoding, data))


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values)
def test_every_value_comes_back(value: Any) -> None:
    encoding, data = SERIALIZER.dumps_typed(value)
    assert encoding in ("portable-json/1", "null", "bytes")
    back = SERIALIZER.loads_typed((encoding, data))
    assert key(as_lists(back)) == key(as_lists(value))
    assert key(there_and_back(back)) == key(back)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values)
def test_what_langgraph_keeps_is_kept(value: Any) -> None:
    try:
        native = NATIVE.loads_typed(NATIVE.dumps_typed(value))
    except TypeError:
        return  # whole numbers beyond 64 bits, keys of other classes
    if key(native) == key(value):
        assert key(there_and_back(value)) == key(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(list, {"$": [1]}), {"$": [1]}),
        ({Text("a"): Text("b")}, {"a": "b"}),
        ({Word.YES: 1}, {Word.YES: 1}),
        ({(1, (2, "a")): "x"}, {(1, (2, "a")): "x"}),
        ({(1, "a"), frozenset({2})}, {(1, "a"), frozenset({2})}),
        ([bytearray(b"a"), memoryview(b"b")], [b"a", b"b"]),
        (["\ud800", {"\udc00": 1}], ["\ud800", {"\udc00": 1}]),
        (2**70, 2**70),
        ([True, 1, 1.0, -0.0], [True, 1, 1.0, -0.0]),
        ({"a": {"$": {"$": None}}}, {"a": {"$": {"$": None}}}),
        (KeyError("k"), "KeyError('k')"),
    ],
)
def test_a_value_of_an_unusual_class(value: Any, expected: Any) -> None:
    assert key(there_and_back(value)) == key(expected)
    assert key(there_and_back([HumanMessage("hi"), value])[1]) == key(expected)


def test_a_subclass_of_datetime_is_a_datetime() -> None:
    class Stamp(datetime.datetime):
        def isoformat(self, *_: Any, **__: Any) -> str:
            return "2026-01-02T03:04:05.678901234"

    assert there_and_back(Stamp(2026, 1, 2)) == datetime.datetime(2026, 1, 2)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("name", ["content", "id", "additional_kwargs"])
def test_a_message_that_was_changed_to_what_its_class_does_not_take_is_kept(name: str) -> None:
    message = HumanMessage("hi")
    message.__dict__[name] = 5
    assert key(there_and_back(message)) == key(NATIVE.loads_typed(NATIVE.dumps_typed(message)))


def test_a_tool_call_with_more_members_is_kept() -> None:
    message = AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "c", "type": "tool_call"}])
    message.tool_calls[0]["extras"] = 1  # type: ignore[typeddict-unknown-key]
    back = there_and_back(message)
    native = NATIVE.loads_typed(NATIVE.dumps_typed(message))
    assert key(back) == key(native)


def test_an_artifact_of_any_kind_is_kept() -> None:
    artifacts: list[Any] = [None, 0, False, "", [], {}, Order(1, [])]
    for artifact in artifacts:
        assert key(there_and_back(ToolMessage("a", tool_call_id="c", artifact=artifact)).artifact) == key(artifact)


def test_a_message_of_the_users_own_class_is_kept() -> None:
    assert key(there_and_back([Mine(content="hi", mood=1)])) == key([Mine(content="hi", mood=1)])


class Mine(HumanMessage):
    mood: int


def test_langgraphs_encodings_are_read() -> None:
    for value in (None, b"a", bytearray(b"b"), [HumanMessage("hi", id="h"), {"a": 1}]):
        assert SERIALIZER.loads_typed(NATIVE.dumps_typed(value)) == value
    assert SERIALIZER.loads_typed(("json", b'{"a":1}')) == {"a": 1}
    with pytest.raises(NotImplementedError):
        SERIALIZER.loads_typed(("morse", b""))


def test_bytes_have_encodings_of_their_own() -> None:
    assert SERIALIZER.dumps_typed(None) == ("null", b"")
    assert SERIALIZER.dumps_typed(b"a") == ("bytes", b"a")
    assert SERIALIZER.dumps_typed(bytearray(b"a")) == ("bytearray", b"a")


def nested(levels: int, inside: Any = 1) -> Any:
    for _ in range(levels):
        inside = [inside]
    return inside


@pytest.mark.parametrize("inside", [1, 2**60, Tagged('{"$":"future","v":[[1]]}'), HumanMessage("hi"), {"$": 1}])
def test_what_nests_too_deep_is_stored_in_langgraphs_encoding(inside: Any) -> None:
    own = {int: 0 if inside == 1 else 1, Tagged: 3, HumanMessage: 2, dict: 2}[type(inside)]
    encoding, data = SERIALIZER.dumps_typed(nested(250 - own, inside))
    assert encoding == "portable-json/1"
    assert SERIALIZER.loads_typed((encoding, data)) == nested(250 - own, inside)
    encoding, data = SERIALIZER.dumps_typed(nested(251 - own, inside))
    assert encoding == "msgpack"
    assert SERIALIZER.loads_typed((encoding, data)) == nested(251 - own, inside)


def test_what_can_not_be_stored_is_refused() -> None:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    with pytest.raises(ValueError, match="contains itself"):
        SERIALIZER.dumps_typed(cyclic)
    with pytest.raises(ValueError, match="more than 4000 digits"):
        SERIALIZER.dumps_typed([10**4000])
    with pytest.raises(TypeError, match="not msgpack serializable"):
        SERIALIZER.dumps_typed({"a": object()})


def test_a_serialiser_that_gives_something_else_than_msgpack_takes_the_whole_value() -> None:
    pickling = PortableSerializer(native=JsonPlusSerializer(pickle_fallback=True))
    encoding, data = pickling.dumps_typed([HumanMessage("hi"), complex(1, 2)])
    assert encoding == "pickle"
    assert pickling.loads_typed((encoding, data)) == [HumanMessage("hi"), complex(1, 2)]
