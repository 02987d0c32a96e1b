"""How two pieces of decoded data differ. No I/O."""

import difflib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from checkpointd.cli.decoding import DEEPEST
from checkpointd.cli.documents import jsonable


class Change(NamedTuple):
    """One difference: what was `added`, `removed` or `changed`, at a path of keys and indexes.

    An index is that of the new list for what was added, of the old one for what was removed.
    """

    kind: str
    path: tuple[Any, ...]
    old: Any = None
    new: Any = None


def compare(old: Any, new: Any, path: tuple[Any, ...] = ()) -> Iterator[Change]:
    """The differences, none when the data are the same; dicts key by key, lists entry by entry."""
    if _key(old) == _key(new):
        return
    if len(path) < DEEPEST and isinstance(old, dict) and isinstance(new, dict):
        yield from _compare_dicts(old, new, path)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _compare_lists(old, new, path)
    else:
        yield Change("changed", path, old, new)


def _compare_dicts(old: dict[Any, Any], new: dict[Any, Any], path: tuple[Any, ...]) -> Iterator[Change]:
    for key, was in old.items():
        if key not in new:
            yield Change("removed", (*path, key), old=was)
        else:
            yield from compare(was, new[key], (*path, key))
    yield from (Change("added", (*path, key), new=item) for key, item in new.items() if key not in old)


def _compare_lists(old: list[Any], new: list[Any], path: tuple[Any, ...]) -> Iterator[Change]:
    old_keys, new_keys = [_key(item) for item in old], [_key(item) for item in new]
    # What most lists of a state do is grow: seen at once, however long they are.
    if new_keys[: len(old_keys)] == old_keys:
        yield from (Change("added", (*path, index), new=new[index]) for index in range(len(old), len(new)))
        return
    matcher = difflib.SequenceMatcher(None, old_keys, new_keys, autojunk=False)
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if tag == "replace" and old_end - old_start == new_end - new_start:
            for at, other in zip(range(old_start, old_end), range(new_start, new_end), strict=True):
                yield Change("changed", (*path, other), old[at], new[other])
        elif tag != "equal":
            yield from (Change("removed", (*path, index), old=old[index]) for index in range(old_start, old_end))
            yield from (Change("added", (*path, index), new=new[index]) for index in range(new_start, new_end))


def _key(data: Any) -> str:
    """What two pieces of data have in common only when they are the same: unlike ==, it tells 1 from true."""
    return json.dumps(jsonable(data), sort_keys=True)
