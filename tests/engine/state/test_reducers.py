"""Reducers compute what Python's and LangGraph's own do, and refuse what would take the user's classes."""

import operator
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.graph.message import REMOVE_ALL_MESSAGES, _messages_delta_reducer, add_messages

from checkpointd.engine.state import values
from checkpointd.engine.state.errors import Opaque, Refused
from checkpointd.engine.state.messages import messages_delta
from checkpointd.engine.state.reducers import reduce
from checkpointd.v1.core_pb2 import Value
from checkpointd.v1.graph_pb2 import Reducer, ReducerKind
from tests.engine.state.langgraph_values import dumped, loaded

_FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "ADD": operator.add,
    "OR": operator.or_,
    "AND": operator.and_,
    "MUL": operator.mul,
    "MAX": max,
    "MIN": min,
}

_SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=3)
_DATA = (
    _SCALARS
    | st.binary(max_size=3)
    | st.lists(_SCALARS, max_size=3)
    | st.dictionaries(st.text(max_size=1), _SCALARS, max_size=3)
    | st.sets(st.integers(0, 4))
    | st.frozensets(st.text(max_size=1))
)


def _reducer(kind: str) -> Reducer:
    return Reducer(kind=ReducerKind.Value(f"REDUCER_KIND_{kind}"))


def _reduced(kind: str, left: Any, right: Any) -> Value:
    left, right = dumped(left), dumped(right)
    return values.encode(reduce(_reducer(kind), values.decode(left), values.decode(right)), left, right)


@given(kind=st.sampled_from(sorted(_FUNCTIONS)), left=_DATA, right=_DATA)
def test_a_reducer_gives_what_its_function_gives_or_says_why_not(kind: str, left: Any, right: Any) -> None:
    try:
        left, right = loaded(dumped(left)), loaded(dumped(right))
    except TypeError:  # of more than 64 bits
        return
    try:
        expected = _FUNCTIONS[kind](left, right)
    except TypeError:
        with pytest.raises((Refused, Opaque)):
            _reduced(kind, left, right)
        return
    try:
        actual = loaded(_reduced(kind, left, right))
    except Opaque:
        # Only what the server declines on purpose: repetitions, order of lists, sets beside others, large numbers.
        assert kind in ("MUL", "MAX", "MIN") or isinstance(left, set | frozenset) or isinstance(expected, int)
        return
    # As bytes, in which NaN is equal to itself; but for sets, which have no order.
    assert type(actual) is type(expected)
    assert actual == expected or dumped(actual) == dumped(expected)


@pytest.mark.parametrize(
    ("kind", "left", "right", "expected"),
    [
        ("ADD", ["a"], ["b"], ["a", "b"]),
        ("ADD", "a", "b", "ab"),
        ("ADD", 1, 2.5, 3.5),
        ("ADD", True, True, 2),
        ("OR", {"a": 1, "b": 2}, {"a": 3, "c": 4}, {"a": 3, "b": 2, "c": 4}),
        ("OR", {1}, {2}, {1, 2}),
        ("AND", {1, 2}, {2, 3}, {2}),
        ("AND", 6, 3, 2),
        ("MUL", 3, 0.5, 1.5),
        ("MAX", 3, 4, 4),
        ("MIN", "b", "a", "a"),
    ],
)
def test_examples(kind: str, left: Any, right: Any, expected: Any) -> None:
    assert loaded(_reduced(kind, left, right)) == expected


@pytest.mark.parametrize(
    ("kind", "left", "right"),
    [("ADD", [1], None), ("ADD", "a", 1), ("OR", {"a": 1}, None), ("MAX", 1, None), ("MUL", None, 2), ("AND", [], {})],
)
def test_what_the_function_raises_on_is_refused(kind: str, left: Any, right: Any) -> None:
    with pytest.raises(Refused):
        _reduced(kind, left, right)


@pytest.mark.parametrize(
    ("kind", "left", "right"),
    [
        ("ADD", Decimal(1), Decimal(2)),
        ("ADD", 2**63, 2**63),
        ("MUL", "a", 10**12),
        ("MUL", 2**40, 2**40),
        ("MAX", [1], [2]),
        ("OR", {uuid.UUID(int=1)}, {uuid.UUID(int=2)}),
    ],
)
def test_what_takes_more_than_plain_data_is_opaque(kind: str, left: Any, right: Any) -> None:
    with pytest.raises(Opaque):
        _reduced(kind, left, right)


def test_reducers_that_are_not_known_are_opaque() -> None:
    for reducer in (
        Reducer(kind=ReducerKind.REDUCER_KIND_OPAQUE, ref="mine"),
        Reducer(kind=ReducerKind.REDUCER_KIND_ADD_MESSAGES, format="langchain-openai"),
        Reducer(kind=99),  # type: ignore[arg-type]
    ):
        with pytest.raises(Opaque):
            reduce(reducer, [], [])


_IDS = st.sampled_from(["a", "b", "c", "d"])


def _message(kind: str, content: str, message_id: str) -> AnyMessage:
    match kind:
        case "ai":
            return AIMessage(content, id=message_id, additional_kwargs={"deep": [{"er": content}]})
        case "chat":
            return ChatMessage(content=content, role="r", id=message_id)
        case "tool":
            return ToolMessage(content, tool_call_id="t", id=message_id)
        case "system":
            return SystemMessage(content, id=message_id)
    return HumanMessage(content, id=message_id)


_MESSAGES = st.builds(_message, st.sampled_from(["ai", "chat", "tool", "system", "human"]), st.text(max_size=3), _IDS)
_REMOVALS = (_IDS | st.just(REMOVE_ALL_MESSAGES)).map(lambda message_id: RemoveMessage(id=message_id))
_LEFT = st.lists(_MESSAGES, max_size=4)
_RIGHT = st.lists(_MESSAGES | _REMOVALS, max_size=5) | _MESSAGES | _REMOVALS


@given(left=_LEFT | _MESSAGES, right=_RIGHT)
def test_add_messages_is_langgraphs_byte_for_byte(left: Any, right: Any) -> None:
    try:
        expected = dumped(add_messages(loaded(dumped(left)), loaded(dumped(right))))
    except ValueError:
        with pytest.raises(Refused, match="not there"):
            _reduced("ADD_MESSAGES", left, right)
        return
    assert _reduced("ADD_MESSAGES", left, right) == expected


@given(state=_LEFT, writes=st.lists(_RIGHT, max_size=4))
def test_messages_delta_is_langgraphs_byte_for_byte(state: list[AnyMessage], writes: list[Any]) -> None:
    expected = dumped(_messages_delta_reducer(loaded(dumped(state)), loaded(dumped(writes))))
    assert values.encode(messages_delta(values.decode(dumped(state)), values.decode(dumped(writes)))) == expected


def test_a_message_without_an_id_gets_one() -> None:
    first, second = loaded(_reduced("ADD_MESSAGES", [HumanMessage("a")], AIMessage("b")))
    assert (first.content, second.content) == ("a", "b")
    assert uuid.UUID(first.id) != uuid.UUID(second.id)


@pytest.mark.parametrize(
    "right",
    [
        "text",
        ["one", "two"],
        [("user", "text"), ("ai", "")],
        {"role": "user", "content": "x"},
        {"type": "human", "content": ["x", {"type": "text", "text": "y"}], "id": "1", "name": "n"},
        [{"role": "assistant", "content": "x"}, {"role": "developer", "content": "y"}],
        {"role": "tool", "content": "x", "tool_call_id": "1"},
        {"role": "ai", "content": "", "tool_calls": [{"name": "f", "args": {"a": 1}, "id": "1"}], "id": None},
        [HumanMessage("x", id="1"), {"role": "remove", "content": "", "id": "1"}],
    ],
    ids=repr,
)
def test_messages_in_other_forms(right: Any) -> None:
    expected = cast(list[AnyMessage], add_messages([], right))
    made = loaded(_reduced("ADD_MESSAGES", [], right))
    assert [_but_for_id(message) for message in made] == [_but_for_id(message) for message in expected]
    assert all(uuid.UUID(message.id) for message in made if message.id != "1")
    expected = _messages_delta_reducer([], [right])
    made = loaded(values.encode(messages_delta([], [values.decode(dumped(right))])))
    assert [_but_for_id(message) for message in made] == [_but_for_id(message) for message in expected]


def _but_for_id(message: AnyMessage) -> tuple[type, dict[str, Any]]:
    """A message but for an id that was made up."""
    made = message.model_dump()
    return type(message), {name: value for name, value in made.items() if name != "id" or value == "1"}


@pytest.mark.parametrize(
    "right",
    [
        ("user", "text"),
        AIMessageChunk(content="x", id="1"),
        [Decimal(1)],
        {"role": "user", "content": "x", "example": True},
        {"role": "ai", "content": "x", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}, "id": "1"}]},
        {"role": "user", "content": "x", "id": 5},
    ],
    ids=repr,
)
def test_forms_of_messages_that_need_code(right: Any) -> None:
    with pytest.raises(Opaque):
        _reduced("ADD_MESSAGES", [], right)


@pytest.mark.parametrize(
    "right",
    [
        {"role": "nobody", "content": "x"},
        {"role": "user"},
        {"content": "x"},
        {"role": "tool", "content": ""},
        {"role": "user", "content": 5},
        [3],
        3,
        [[]],
    ],
    ids=repr,
)
def test_what_is_no_message(right: Any) -> None:
    with pytest.raises(Refused):
        _reduced("ADD_MESSAGES", [], right)
    with pytest.raises((ValueError, KeyError, NotImplementedError, TypeError)):
        add_messages([], right)


def test_none_is_no_message() -> None:
    with pytest.raises(Refused):
        _reduced("ADD_MESSAGES", [], None)
