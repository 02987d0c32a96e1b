"""Drawing trees."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from checkpointd.cli.tree import Node, draw, forks


def drawn(*nodes: tuple[str, str]) -> list[str]:
    """The tree of (id, parent), given in the order of their commits."""
    newest_first = [Node(*node) for node in reversed(nodes)]
    return [row.guides + newest_first[row.place].checkpoint_id for row in draw(newest_first)]


def test_nothing() -> None:
    assert draw([]) == []


def test_a_line() -> None:
    assert drawn(("a", ""), ("b", "a"), ("c", "b")) == ["a", "b", "c"]


def test_the_branch_with_the_newest_commit_goes_straight_on() -> None:
    assert drawn(("a", ""), ("b", "a"), ("c", "a"), ("d", "b")) == ["a", "├── c", "b", "d"]
    assert drawn(("a", ""), ("b", "a"), ("c", "a"), ("d", "c")) == ["a", "├── b", "c", "d"]


def test_forks_of_forks() -> None:
    tree = drawn(("a", ""), ("b", "a"), ("c", "b"), ("d", "b"), ("e", "d"), ("f", "a"), ("g", "a"))
    assert tree == ["a", "├── b", "│   ├── c", "│   d", "│   e", "├── f", "g"]


def test_several_roots() -> None:
    assert drawn(("a", ""), ("b", ""), ("c", "a"), ("d", "gone")) == ["b", "a", "c", "d"]


def test_no_circles() -> None:
    assert sorted(drawn(("a", "a"), ("b", "c"), ("c", "b"))) == ["a", "b", "c"]


@given(st.lists(st.integers(min_value=-1, max_value=30), max_size=30))
def test_every_checkpoint_is_drawn_once_below_its_parent(parents: list[int]) -> None:
    parents = [parent if parent < place else -1 for place, parent in enumerate(parents)]
    newest_first = [Node(str(place), str(parent)) for place, parent in reversed(list(enumerate(parents)))]
    rows = draw(newest_first)
    order = [newest_first[row.place] for row in rows]
    assert sorted(node.checkpoint_id for node in order) == sorted(node.checkpoint_id for node in newest_first)
    places = {node.checkpoint_id: place for place, node in enumerate(order)}
    for node, row in zip(order, rows, strict=True):
        assert row.begins_tree == (node.parent_id == "-1")
        if node.parent_id != "-1":
            assert places[node.parent_id] < places[node.checkpoint_id]
    if order:
        assert order[-1] == newest_first[0], "the head is the last line"
        assert rows[-1].guides == ""
    children = [node.parent_id for node in order if node.parent_id != "-1"]
    assert forks(newest_first) == sum(children.count(id) > 1 for id in set(children))
