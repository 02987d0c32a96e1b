"""Which classes an opaque object may be made of. Nothing here imports, and no name is followed out of its module."""

import ipaddress
import pathlib
import re
import sys
from collections import deque
from collections.abc import Iterable
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from langchain_core.documents import Document
from langgraph.store.base import GetOp, Item

from checkpointd.client.langgraph.portable import messages
from checkpointd.client.langgraph.portable.tagged import Tagged

try:
    from langgraph import types as langgraph_types
except ImportError:
    langgraph_types = None  # type: ignore[assignment]

_IN_LANGGRAPH = ("Send", "TimeoutPolicy", "Interrupt", "Command", "StateSnapshot", "PregelTask", "Overwrite")

# Values and nothing more, whatever they are made with.
_BUILT_IN: tuple[type, ...] = (
    *(set, frozenset, deque, date, datetime, time, timedelta, timezone, ZoneInfo, UUID, Decimal),
    *(pathlib.Path, pathlib.PosixPath, pathlib.WindowsPath, re.Pattern),
    *(ipaddress.IPv4Address, ipaddress.IPv4Interface, ipaddress.IPv4Network),
    *(ipaddress.IPv6Address, ipaddress.IPv6Interface, ipaddress.IPv6Network),
)
_SAFE: dict[tuple[str, str], type] = {
    (cls.__module__, cls.__qualname__): cls
    for cls in (
        *_BUILT_IN,
        *(*messages.WRITE, Document, Item, GetOp, Tagged),
        *(vars(langgraph_types)[name] for name in _IN_LANGGRAPH if name in vars(langgraph_types or object)),
    )
}
# Classes of data: what their constructors are given is what they hold.
_KINDS: tuple[type, ...] = (Enum, set, frozenset, deque, pathlib.PurePath, UUID, Decimal, date, time, timedelta)


class Allowed:
    """The classes whose objects may be made: the safe ones, and these.

    One is given as itself, or as its module and name; then it is found when the process has imported its module and it
    is a class of data. With None for all: every class of data (pydantic models, dataclasses, enums, named tuples and
    what else LangGraph's serialiser takes) in a module that the process has imported.
    """

    def __init__(self, types: Iterable[type | tuple[str, ...]] | None = None) -> None:
        self.types = None if types is None else frozenset(types)
        classes = [cls for cls in self.types or () if isinstance(cls, type)]
        self._given = {(cls.__module__, cls.__qualname__): cls for cls in classes}
        # LangGraph's serialiser knows a class by its last name only; two of one name are known by neither.
        last: dict[tuple[str, str], list[type]] = {}
        for cls in classes:
            last.setdefault((cls.__module__, cls.__name__), []).append(cls)
        self._given |= {name: same[0] for name, same in last.items() if len(same) == 1}

    def find(self, module: str, name: str) -> type | None:
        """The class of this name in this module if its objects may be made; parts of a nested one's name with dots."""
        key = (module, name)
        if (cls := _SAFE.get(key) or self._given.get(key)) is not None:
            return cls
        return _imported(module, name) if self.types is None or key in self.types else None


def _imported(module: str, name: str) -> type | None:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        # Not getattr, which a module or a metaclass may answer by importing or computing.
        found = getattr(found, "__dict__", {}).get(part)
        if not isinstance(found, type):
            return None
    is_at_home = (found.__module__, found.__qualname__) == (module, name)
    return found if is_at_home and is_data(found) else None


def is_data(cls: type) -> bool:
    """Whether a class is one of data, of the kinds that LangGraph's serialiser takes apart."""
    if issubclass(cls, Enum):
        return bool(cls.__members__)
    return is_dataclass(cls) or issubclass(cls, _KINDS) or is_named_tuple(cls) or is_model(cls) or is_secret(cls)


def is_named_tuple(cls: type) -> bool:
    return issubclass(cls, tuple) and hasattr(cls, "_fields") and hasattr(cls, "_asdict")


def is_model(cls: type) -> bool:
    """Whether it is a model of pydantic 2 or pydantic 1."""
    return issubclass(cls, _from("pydantic.main", "BaseModel") + _from("pydantic.v1.main", "BaseModel"))


def is_secret(cls: type) -> bool:
    """Whether its objects hide what they hold from who prints them."""
    return any(
        issubclass(cls, _from(module, name))
        for module in ("pydantic.types", "pydantic.v1.types")
        for name in ("SecretStr", "SecretBytes")
    )


def _from(module: str, name: str) -> tuple[type, ...]:
    found = vars(sys.modules.get(module, object)).get(name)
    return (found,) if isinstance(found, type) else ()
