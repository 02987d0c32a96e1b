"""Comparing pieces of data: what is said of the difference makes the one of the other."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from checkpointd.cli.comparing import Change, compare

ENTRIES = st.one_of(
    st.integers(0, 3), st.booleans(), st.fixed_dictionaries({"id": st.sampled_from("abc"), "n": st.integers(0, 2)})
)
DATA = st.recursive(
    ENTRIES, lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(st.sampled_from("abc"), inner))
)


def same(one: Any, other: Any) -> bool:
    """Unlike ==, it tells 1 from true."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(DATA)
def test_the_same(data: Any) -> None:
    assert list(compare(data, json.loads(json.dumps(data)))) == []


@given(st.lists(ENTRIES, max_size=8), st.lists(ENTRIES, max_size=8))
def test_lists(old: list[Any], new: list[Any]) -> None:
    made: list[Any] = list(old)
    changes = list(compare(old, new))
    removed = sorted((change.path[0] for change in changes if change.kind == "removed"), reverse=True)
    for index in removed:
        del made[index]
    for change in sorted((change for change in changes if change.kind == "added"), key=lambda change: change.path):
        made.insert(change.path[0], change.new)
    for change in changes:
        if change.kind == "changed":
            assert same(made[change.path[0]], change.old)
            made[change.path[0]] = change.new
    assert same(made, new)


@given(DATA, DATA)
def test_anything(old: Any, new: Any) -> None:
    assert bool(list(compare(old, new))) != same(old, new)


def test_two_long_lists_of_which_nothing_is_the_same() -> None:
    changes = list(compare([f"a{number}" for number in range(5000)], [f"b{number}" for number in range(5001)]))
    assert [change.kind for change in changes] == ["removed"] * 5000 + ["added"] * 5001


def test_an_entry_at_the_front() -> None:
    assert list(compare([1, 2, 3], [0, 1, 2, 3])) == [Change("added", (0,), new=0)]
