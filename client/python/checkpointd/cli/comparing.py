"""How two pieces of decoded data differ. No I/O."""

import difflib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from checkpointd.cli.documents import jsonable
from checkpointd.cli.instances import DEEPEST, Instance

# Entries of one list times those of the other. Above, what differs counts as replaced as a whole.
_MOST_COMPARED = 1_000_000


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
    # What most lists of a state do is grow: what they have in common at both ends is seen at once.
    old_keys, new_keys = [_identity(item) for item in old], [_identity(item) for item in new]
    start, shorter = 0, min(len(old), len(new))
    while start < shorter and old_keys[start] == new_keys[start]:
        start += 1
    end = 0
    while end < shorter - start and old_keys[-1 - end] == new_keys[-1 - end]:
        end += 1
    yield from _changed(old, new, range(start), 0, path)
    old_end, new_end = len(old) - end, len(new) - end
    if (old_end - start) * (new_end - start) <= _MOST_COMPARED:
        matcher = difflib.SequenceMatcher(None, old_keys[start:old_end], new_keys[start:new_end], autojunk=False)
        opcodes = matcher.get_opcodes()
    else:
        opcodes = [("delete", 0, old_end - start, 0, 0), ("insert", 0, 0, 0, new_end - start)]
    for tag, from_, to, new_from, new_to in opcodes:
        places, offset = range(start + from_, start + to), new_from - from_
        if tag == "equal" or (tag == "replace" and to - from_ == new_to - new_from):
            yield from _changed(old, new, places, offset, path)
        else:
            yield from (Change("removed", (*path, index), old=old[index]) for index in places)
            added = range(start + new_from, start + new_to)
            yield from (Change("added", (*path, index), new=new[index]) for index in added)
    yield from _changed(old, new, range(old_end, len(old)), new_end - old_end, path)


def _changed(old: list[Any], new: list[Any], places: range, offset: int, path: tuple[Any, ...]) -> Iterator[Change]:
    """The differences between entries that stand for each other, at places of the old list."""
    for at in places:
        if _key(old[at]) != _key(new[at + offset]):
            yield Change("changed", (*path, at + offset), old[at], new[at + offset])


def _identity(item: Any) -> str:
    """What makes an entry the same one, although changed: an id, as messages have."""
    fields = item.parts if isinstance(item, Instance) else item
    if isinstance(fields, dict) and isinstance(fields.get("id"), str):
        return f"id {fields['id']}"
    return _key(item)


def _key(data: Any) -> str:
    """What two pieces of data have in common only when they are the same: unlike ==, it tells 1 from true."""
    return json.dumps(jsonable(data), sort_keys=True)
