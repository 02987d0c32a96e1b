"""Channel versions: numbers or text in LangGraph, text in the contract (core.proto says how)."""

from collections.abc import Iterable
from random import random

from checkpointd.engine.state.errors import Opaque
from checkpointd.v1.graph_pb2 import VersionStyle

_DIGITS = 32  # of the number in a version that is text

_FIRST = {VersionStyle.VERSION_STYLE_INTEGER: "#1", VersionStyle.VERSION_STYLE_FLOAT: "#1.0"}


def _decoded(version: str) -> str | int | float:
    if not version.startswith("#"):
        return version
    if version.startswith("##"):
        return version[1:]
    for kind in (int, float):
        try:
            return kind(version[1:])
        except ValueError:
            pass
    return version


def newer(version: str | None, seen: str | None) -> bool:
    """Whether a channel's version is above the one that a node has seen.

    None, for none, counts as the null of the other's type: the empty string or zero (_algo.checkpoint_null_version).
    LangGraph can't compare a number with text; here text is newer, so that a thread that changed savers stays readable.
    """
    if version is None:
        return False
    ours = _decoded(version)
    theirs = type(ours)() if seen is None else _decoded(seen)
    if isinstance(ours, str) or isinstance(theirs, str):
        return (isinstance(ours, str), str(ours)) > (isinstance(theirs, str), str(theirs))
    return ours > theirs


def greatest(versions: Iterable[str]) -> str | None:
    """The newest of some versions; None of none."""
    found: str | None = None
    for version in versions:
        if found is None or newer(version, found):
            found = version
    return found


def is_set(version: str) -> bool:
    """Whether a version is another than its type's null."""
    return bool(_decoded(version))


def successor(version: str | None, style: VersionStyle.ValueType) -> str:
    """The version after this one, of its own type; without one, the first one of a style.

    Text is a number that sorts, and a random part, which keeps two forks of a thread from giving the same version to
    different values, as all savers make it (BaseCheckpointSaver.get_next_version).

    Raises:
        Opaque: the version is one that no saver of LangGraph's makes, and nothing is known to come after it.
    """
    if version is None:
        return _FIRST.get(style) or _text(1)
    match _decoded(version):
        case str(text):
            number = text.split(".")[0]
            following = _text(int(number) + 1) if number.isdecimal() else None
        case known:
            following = f"#{known + 1!r}"
    if following is None or not newer(following, version):
        raise Opaque(f"has the version {version!r}, which is not one of LangGraph's")
    return following


def _text(number: int) -> str:
    return f"{number:0{_DIGITS}}.{random():016}"
