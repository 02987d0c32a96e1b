"""The checkpoints of a namespace as a tree. No I/O.

A line of checkpoints goes straight down. Where several were made from one, that is a fork: the one that leads to the
newest commit goes on in the same column and the others hang off to the right, so a thread that was forked a hundred
times on its way is still one column wide, and the head is its last line.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Node(NamedTuple):
    """A checkpoint in a tree."""

    checkpoint_id: str
    parent_id: str


class Row(NamedTuple):
    """A line of a drawn tree: the guides before the checkpoint, and its place in the list that was drawn."""

    guides: str
    place: int
    begins_tree: bool
    """Whether it is a root, or its parent was not in the list."""


class _Branch(NamedTuple):
    """Where a branch begins, and the guides of its first checkpoint and of those below it."""

    place: int
    first: str
    below: str
    begins_tree: bool


def draw(newest_first: Sequence[Node]) -> list[Row]:
    """The lines of the tree, roots on top."""
    children = _children(newest_first)
    newest = _newest_below(newest_first, children)
    rows: list[Row] = []
    roots = sorted(children[-1], key=lambda place: newest[place], reverse=True)
    # A stack, because a thread's history may be longer than Python's own stack is deep.
    waiting = [_Branch(place, "", "", True) for place in reversed(roots)]
    while waiting:
        branch = waiting.pop()
        rows.append(Row(branch.first, branch.place, branch.begins_tree))
        # The one that leads to the newest commit comes last: the lowest place in a list that is newest first.
        forks = sorted(children[branch.place], key=lambda place: newest[place], reverse=True)
        if not forks:
            continue
        *others, straight = forks
        waiting.append(_Branch(straight, branch.below, branch.below, False))
        waiting.extend(
            _Branch(place, f"{branch.below}├── ", f"{branch.below}│   ", False) for place in reversed(others)
        )
    return rows


def forks(rows: Sequence[Node]) -> int:
    """How many checkpoints have more than one made from them."""
    return sum(len(places) > 1 for place, places in _children(rows).items() if place >= 0)


def _children(nodes: Sequence[Node]) -> dict[int, list[int]]:
    """For each place the places of what was made from it; at -1, of what was made from nothing that is here."""
    places = {node.checkpoint_id: place for place, node in enumerate(nodes)}
    children: dict[int, list[int]] = {place: [] for place in range(-1, len(nodes))}
    for place, node in enumerate(nodes):
        parent = places.get(node.parent_id, -1)
        # What was put again keeps its place, and its parent: one that is not older, or is itself, would make a circle.
        children[parent if parent > place else -1].append(place)
    return children


def _newest_below(nodes: Sequence[Node], children: dict[int, list[int]]) -> list[int]:
    """For each place the place of the newest commit that it leads to, itself included."""
    newest = list(range(len(nodes)))
    for place in range(len(nodes)):  # newest first, so what is made from a place comes before it
        newest[place] = min([place, *(newest[child] for child in children[place])])
    return newest
