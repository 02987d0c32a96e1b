"""From a text to its value. A closed list of tags: nothing in the text is looked up anywhere else."""

from collections.abc import Callable
from typing import Any

from checkpointd.client.langgraph.portable import constructs, scalars
from checkpointd.client.langgraph.portable.allowed import Allowed
from checkpointd.client.langgraph.portable.messages import read_message
from checkpointd.client.langgraph.portable.opaque import read_opaque
from checkpointd.client.langgraph.portable.scalars import Malformed
from checkpointd.client.langgraph.portable.tagged import Tagged
from checkpointd.client.langgraph.portable.text import parse, refused, write


def decode(data: bytes, allowed: Allowed) -> Any:
    """The value of a text. Raises UnreadableValue when it is not JSON as the encoding wants it."""
    tree, tags = parse(data)
    if not tags:
        return tree
    try:
        # Mostly there are no tags within messages. When all of them were met outside, there are none.
        first = _Decoding(allowed, within_messages=False)
        value = first.in_place(tree)
        return value if first.met == tags else _Decoding(allowed, within_messages=True).in_place(parse(data)[0])
    except RecursionError:
        raise refused("it nests deeper than the stack of this thread allows") from None


class _Decoding:
    """Makes values of a tree. What a tag holds is left as it is, since it may have to be a Tagged after all."""

    def __init__(self, allowed: Allowed, within_messages: bool) -> None:
        self._allowed = allowed
        self._within = self.value if within_messages else None
        self.met = 0  # objects with the key `"$"`

    def in_place(self, tree: Any) -> Any:
        """As `value`, for what no tag is around: plain lists and objects become their values.

        So what a message was made of is gone before the next one is made. With all of it around, the garbage collector
        would take a third of the time.
        """
        if tree.__class__ is list:
            for place, item in enumerate(tree):
                if item.__class__ in (dict, list):
                    tree[place] = self.in_place(item)
        elif tree.__class__ is dict:
            if "$" in tree:
                return self._tagged(tree)
            for name, item in tree.items():
                if item.__class__ in (dict, list):
                    tree[name] = self.in_place(item)
        return tree

    def value(self, tree: Any) -> Any:
        cls = tree.__class__
        if cls is dict:
            return self._tagged(tree) if "$" in tree else self._object(tree)
        if cls is list:
            items = []
            for item in tree:
                items.append(self.value(item) if item.__class__ in (dict, list) else item)  # noqa: PERF401 - as below
            return items
        return tree

    def _object(self, tree: dict[str, Any]) -> dict[str, Any]:
        made = {}
        for key, item in tree.items():  # not a comprehension, which is one more stack frame on each level
            made[key] = self.value(item) if item.__class__ in (dict, list) else item
        return made

    def _tagged(self, form: dict[str, Any]) -> Any:
        self.met += 1
        try:
            return self._made(form["$"], form)
        except (RecursionError, MemoryError):
            raise
        except Exception:  # a class may raise anything
            return Tagged(write(form).decode())

    def _made(self, tag: Any, form: dict[str, Any]) -> Any:
        if tag == "msg":
            return read_message(_content(form), self._within)
        if tag == "opaque":
            return read_opaque(form, self._allowed)
        if tag == "set":
            return self._set(form)
        if tag in constructs.WITH_MEMBERS:
            return constructs.WITH_MEMBERS[tag](_content(form), self.value)
        if tag in constructs.AROUND_A_VALUE:
            return constructs.AROUND_A_VALUE[tag](self.value(_content(form)))
        read = scalars.READ.get(tag) or _OTHERS[tag].__get__(self)
        return read(_content(form))

    def _escaped(self, content: Any) -> dict[str, Any]:
        if content.__class__ is not dict:
            raise Malformed
        self.met += "$" in content
        return self._object(content)

    def _nothing(self, content: Any) -> None:
        if content is not None:
            raise Malformed

    def _duration(self, content: Any) -> Any:
        return scalars.read_duration(self.value(content))

    def _set(self, form: dict[str, Any]) -> Any:
        frozen = form.get("frozen")
        if form.keys() - {"$", "v", "frozen"} or (frozen is not None and frozen is not True):
            raise Malformed
        content = form["v"]
        if content.__class__ is not list:
            raise Malformed
        members = set(map(self._key, content))
        if len(members) != len(content):  # two of another language's are one here
            raise Malformed
        return frozenset(members) if frozen else members

    def _map(self, content: Any) -> dict[Any, Any]:
        if content.__class__ is not list:
            raise Malformed
        made = {}
        for pair in content:
            if pair.__class__ is not list:
                raise Malformed
            key, value = pair
            made[self._key(key)] = self.value(value)
        if len(made) != len(content):
            raise Malformed
        return made

    def _key(self, tree: Any) -> Any:
        """A member of a set or a key: a list there was a tuple, since Python has no other."""
        return tuple(map(self._key, tree)) if tree.__class__ is list else self.value(tree)


def _content(form: dict[str, Any]) -> Any:
    """The content of a tag that has no other member; None when it is missing."""
    if len(form) > ("v" in form) + 1:
        raise Malformed
    return form.get("v")


_OTHERS: dict[str, Callable[[_Decoding, Any], Any]] = {
    "obj": _Decoding._escaped,
    "undef": _Decoding._nothing,
    "duration": _Decoding._duration,
    "map": _Decoding._map,
}
