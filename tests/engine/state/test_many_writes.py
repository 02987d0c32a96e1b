"""Many writes are folded at once, as one after the other, in a time that grows with them and not with their square."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage, RemoveMessage
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from checkpointd.engine.state import objects, values
from checkpointd.engine.state.errors import Opaque, Refused
from checkpointd.engine.state.reducers import reduce, reduce_all
from checkpointd.v1.graph_pb2 import Reducer, ReducerKind
from tests.engine.state.langgraph_values import dumped

_MANY = 30_000

_ids = st.sampled_from("abc")
_messages = st.builds(lambda given: HumanMessage("x", id=given), _ids) | st.builds(
    lambda given: RemoveMessage(id=given), _ids | st.just(REMOVE_ALL_MESSAGES)
)
_OF_A_KIND: list[st.SearchStrategy[Any]] = [
    st.lists(st.integers(0, 3), max_size=2),
    st.text(max_size=2),
    st.binary(max_size=2),
    st.dictionaries(st.text(max_size=1), st.integers(0, 3), max_size=2),
    st.sets(st.integers(0, 3)),
    st.frozensets(st.integers(0, 3)),
    st.integers(-5, 5) | st.floats(-5, 5),
]
_writes = st.sampled_from(_OF_A_KIND).flatmap(lambda kind: st.lists(kind | st.just([]), min_size=2, max_size=5))
_lists_of_messages = st.lists(st.lists(_messages, max_size=3) | _messages, min_size=2, max_size=5)


def _reducer(kind: str) -> Reducer:
    return Reducer(kind=ReducerKind.Value(f"REDUCER_KIND_{kind}"))


def _one_by_one(reducer: Reducer, left: Any, writes: list[Any]) -> Any:
    for write in writes:
        left = reduce(reducer, left, write)
    return left


def _outcome(fold: Any, reducer: Reducer, given: list[Any]) -> Any:
    try:
        return fold(reducer, given[0], given[1:])
    except (Opaque, Refused) as problem:
        return type(problem)


@pytest.mark.parametrize("kind", ["ADD", "OR", "AND", "MUL", "MAX", "MIN", "ADD_MESSAGES"])
@given(data=st.data())
def test_many_writes_are_folded_as_one_after_the_other(kind: str, data: st.DataObject) -> None:
    writes = data.draw(_lists_of_messages if kind == "ADD_MESSAGES" else _writes)
    decoded = [values.decode(dumped(write)) for write in writes]
    assert _outcome(reduce_all, _reducer(kind), decoded) == _outcome(_one_by_one, _reducer(kind), decoded)


@pytest.mark.parametrize(
    ("kind", "left", "write", "size"),
    [
        ("ADD", [], lambda number: [number], _MANY),
        ("OR", {}, lambda number: {number: 1}, _MANY),
        ("OR", objects.set_of([]), lambda number: objects.set_of([number]), _MANY),
        ("ADD_MESSAGES", [], lambda number: [{"role": "user", "content": "x", "id": str(number)}], _MANY),
    ],
)
def test_very_many_writes(kind: str, left: Any, write: Any, size: int) -> None:
    folded = reduce_all(_reducer(kind), left, map(write, range(size)))
    assert len(objects.set_items(folded) if kind == "OR" and not isinstance(folded, dict) else folded) == size


def test_very_many_removals() -> None:
    messages = [{"role": "user", "content": "x", "id": str(number)} for number in range(_MANY)]
    left = reduce(_reducer("ADD_MESSAGES"), [], messages)
    removals = ([{"role": "remove", "id": str(number)}] for number in range(_MANY - 1))
    assert reduce_all(_reducer("ADD_MESSAGES"), left, removals) == left[-1:]
