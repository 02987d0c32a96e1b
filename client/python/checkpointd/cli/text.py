"""Data as text for a terminal.

Ids and values come from strangers: what could steer a terminal, or make a text look like another, is shown as an
escape, and nothing is ever read as rich's markup.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from checkpointd.cli.decoding import as_message
from checkpointd.cli.instances import DEEPEST, Instance, Opaque

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_NOT_ASCII_PRINTABLE = re.compile(r"[^ -~]")

ELLIPSIS = "…"


def clean(text: str) -> str:
    """Text in one line in which each character is to be seen: control and format characters become escapes."""
    return text if text.isprintable() else _NOT_ASCII_PRINTABLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    category = unicodedata.category(character)
    if category[0] != "C" and category not in ("Zl", "Zp"):
        return character
    if named := _NAMED.get(character):
        return named
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def brief(data: Any, most: int) -> tuple[str, bool]:
    """Data in one line of at most so many characters, and whether something had to be left out."""
    made = ""
    for piece in _pieces(data, 0):
        made += piece[: most + 1]
        if len(made) > most:
            return made[: most - 1] + ELLIPSIS, True
    return made, False


def is_one_line(data: Any) -> bool:
    """Whether data is shown in one line, and not an entry a line."""
    return not isinstance(data, dict | list) or not data


def _pieces(data: Any, depth: int) -> Iterator[str]:
    """The text of data, in pieces, so that no more of it is made than is needed."""
    if depth > DEEPEST:
        yield ELLIPSIS
    elif isinstance(data, str):
        yield from _quoted(data)
    elif data is None or isinstance(data, bool):
        yield {None: "null", True: "true", False: "false"}[data]
    elif isinstance(data, bytes):
        yield f"<{len(data)} bytes>"
    elif isinstance(data, Opaque):
        yield clean(str(data))
    elif message := as_message(data):
        yield f"{clean(message.kind)}: "
        yield from _content(message.content)
        for name, arguments in message.tool_calls:
            yield f" → {clean(name)}"
            yield from _arguments(arguments, depth)
    elif isinstance(data, Instance):
        yield clean(data.short_name)
        yield from _arguments(data.parts, depth)
    elif isinstance(data, dict):
        yield from _enclosed("{", data.items(), "}", ": ", depth)
    elif isinstance(data, list | tuple):
        yield from _enclosed("[", ((None, item) for item in data), "]", "", depth)
    else:
        yield clean(str(data)) if not isinstance(data, int) else _number(data)


def _number(number: int) -> str:
    # Python refuses to write out a number of more digits than 4300.
    return str(number) if number.bit_length() < 10_000 else f"<integer of {number.bit_length()} bits>"


def _quoted(text: str) -> Iterator[str]:
    yield '"'
    for start in range(0, len(text), 1000):
        yield clean(text[start : start + 1000]).replace('"', '\\"')
    yield '"'


def _arguments(parts: Any, depth: int) -> Iterator[str]:
    if isinstance(parts, dict):
        yield from _enclosed("(", parts.items(), ")", "=", depth)
    else:
        items = parts if isinstance(parts, list) else [] if parts is None else [parts]
        yield from _enclosed("(", ((None, item) for item in items), ")", "", depth)


def _enclosed(
    opening: str, items: Iterator[tuple[Any, Any]] | Any, closing: str, between: str, depth: int
) -> Iterator[str]:
    yield opening
    for number, (name, item) in enumerate(items):
        if number:
            yield ", "
        if between:
            yield (clean(name) if isinstance(name, str) else brief(name, 100)[0]) + between
        yield from _pieces(item, depth + 1)
    yield closing


def _content(content: Any) -> Iterator[str]:
    """A message's content: a text, or blocks of which some are texts."""
    blocks = content if isinstance(content, list) else [content]
    for number, block in enumerate(blocks):
        if number:
            yield " "
        text = block.get("text") if isinstance(block, dict) else block
        if isinstance(text, str):
            for start in range(0, len(text), 1000):
                yield clean(text[start : start + 1000])
        else:
            kind = block.get("type") if isinstance(block, dict) else None
            yield f"<{clean(str(kind or 'block'))}>"


def entries(data: dict[Any, Any] | list[Any], most: int) -> Iterator[tuple[str, Any]]:
    """The last entries of a list, or the first ones of a dict, at most so many, each with its index or key."""
    if isinstance(data, list):
        start = max(0, len(data) - most)
        for index in range(start, len(data)):
            yield str(index), data[index]
    else:
        for key, item in itertools.islice(data.items(), most):
            yield clean(key) if isinstance(key, str) else brief(key, 100)[0], item
