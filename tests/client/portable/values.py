"""Values that a graph's state may hold, and whether two of them are the same in every part."""

import dataclasses
import enum
import ipaddress
import math
import re
from collections import deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Command, Interrupt, Overwrite, Send, TimeoutPolicy
from pydantic import BaseModel, SecretStr


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Point(NamedTuple):
    x: int
    y: Any


@dataclasses.dataclass
class Order:
    id: int
    lines: list[Any]


class Customer(BaseModel):
    name: str
    since: date | None = None
    anything: Any = None

    class Address(BaseModel):
        street: str


class Text(str):
    __slots__ = ()


def key(value: Any) -> Any:
    """Something that is equal exactly when the values are the same: in classes, order, signs of zero and all parts."""
    cls = type(value)
    parts: Any = value
    if cls is float:
        parts = "nan" if math.isnan(value) else value.hex()
    elif cls is Decimal:
        parts = str(value)
    elif issubclass(cls, dict):
        parts = [(key(name), key(item)) for name, item in value.items()]
    elif issubclass(cls, list | tuple | deque):
        parts = [key(item) for item in value]
    elif issubclass(cls, set | frozenset):
        parts = sorted((key(item) for item in value), key=repr)
    elif issubclass(cls, BaseMessage | Document | BaseModel):
        parts = {name: key(item) for name, item in {**value.__dict__, **(value.model_extra or {})}.items()}
    elif dataclasses.is_dataclass(value):
        parts = [key(getattr(value, field.name)) for field in dataclasses.fields(value)]
    elif isinstance(value, Send):
        parts = [value.node, key(value.arg), key(value.timeout)]
    elif isinstance(value, datetime | time):
        parts = (value.isoformat(), value.fold if isinstance(value, time) else 0)
    return (cls.__qualname__, parts)


def as_lists(value: Any) -> Any:  # noqa: PLR0911 - one for each class
    """A value with the changes that LangGraph's serialiser makes too: tuples are lists, and others plain."""
    match value:
        case Text():
            return str.__str__(value)
        case bytearray() | memoryview():
            return bytes(value)
        case Point():
            return Point(value.x, as_lists(value.y))
        case Overwrite() | _DeltaSnapshot():
            return type(value)(as_lists(value.value))
        case list() | tuple():
            return [as_lists(item) for item in value]
        case deque():
            return deque(map(as_lists, value))
        case dict():
            return {name: as_lists(item) for name, item in value.items()}
        case BaseMessage() | Document():
            fields = {**value.__dict__, **(value.model_extra or {})}
            return value.model_copy(update={name: as_lists(item) for name, item in fields.items()})
        case Send():
            return Send(value.node, as_lists(value.arg), timeout=value.timeout)
        case Interrupt():
            return Interrupt(as_lists(value.value), value.id, response_schema=value.response_schema)
        case Command():
            changed = {name: as_lists(getattr(value, name)) for name in ("update", "resume")}
            return dataclasses.replace(value, **changed, goto=as_lists(value.goto) if value.goto else value.goto)
    return value


texts = st.text(max_size=8) | st.sampled_from(["$", "v", '"$":', "é", "\0", "null", "__proto__", "price: $5"])
zones = st.sampled_from([None, UTC, timezone(timedelta(hours=-9, minutes=-30)), timezone(timedelta(seconds=21208))])
atoms = (
    st.none()
    | st.booleans()
    | texts
    | st.integers()
    | st.integers(-(2**55), 2**55)
    | st.integers(10**20, 10**30)
    | st.floats()
    | st.sampled_from([-0.0, 1e300, 5e-324, float("nan"), float("inf"), 2.0**53, 2.0**60])
    | st.binary(max_size=6)
    | st.datetimes(timezones=zones)
    | st.dates()
    | st.times(timezones=zones)
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.sampled_from([Colour.RED, Colour.BLUE, Level.LOW, Word.YES, Point(1, "a"), Point(2, (1, 2)), Text("sub")])
    | st.sampled_from([Path("/a/b"), ipaddress.ip_address("::1"), re.compile("a+", re.I), UTC])
    | st.sampled_from([Order(7, [{"n": 1}]), Customer(name="ann", since=date(2026, 1, 2)), SecretStr("hush")])
    | st.sampled_from([deque([1, (2,)]), ZoneInfo("UTC"), time(1, 2, fold=1), Customer.Address(street="s")])
)
hashables = (
    st.none()
    | st.booleans()
    | texts
    | st.integers()
    | st.binary(max_size=3)
    | st.uuids()
    | st.dates()
    | st.tuples(texts, st.integers(0, 3))
)


def _messages(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    contents = texts | st.lists(texts | st.dictionaries(texts, values, max_size=2), max_size=2)
    own: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {"content": contents, "id": st.none() | texts},
        optional={"name": texts, "additional_kwargs": st.dictionaries(texts, values, max_size=2)},
    )
    calls = st.lists(
        st.fixed_dictionaries(
            {"name": texts, "args": st.dictionaries(texts, values, max_size=2), "id": st.none() | texts}
        ),
        max_size=2,
    )
    usage = st.none() | st.just({"input_tokens": 1, "output_tokens": 2, "total_tokens": 3})
    chunks = st.lists(
        st.fixed_dictionaries({"name": texts, "args": st.just('{"a": 1}'), "id": texts, "index": st.integers(0, 3)}),
        max_size=2,
    )
    return st.one_of(
        own.map(lambda given: HumanMessage(**given)),
        own.map(lambda given: HumanMessageChunk(**given)),
        st.tuples(own, st.dictionaries(st.sampled_from(["mood", "v", "chunk"]), values, max_size=2)).map(
            lambda both: SystemMessage(**both[0], **both[1])
        ),
        st.tuples(own, calls, usage).map(lambda all_: AIMessage(**all_[0], tool_calls=all_[1], usage_metadata=all_[2])),
        st.tuples(own, chunks).map(lambda both: AIMessageChunk(**both[0], tool_call_chunks=both[1])),
        st.tuples(own, texts, values, st.sampled_from(["success", "error"])).map(
            lambda all_: ToolMessage(**all_[0], tool_call_id=all_[1], artifact=all_[2], status=all_[3])
        ),
        st.tuples(own, texts).map(lambda both: ChatMessage(**both[0], role=both[1])),
        st.tuples(own, texts).map(lambda both: FunctionMessage(**both[0] | {"name": both[1]})),
        texts.map(lambda id_: RemoveMessage(id=id_)),
    )


def _around(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    policies = st.none() | st.builds(
        lambda run, idle: TimeoutPolicy.coerce(
            TimeoutPolicy(run_timeout=run, idle_timeout=idle, refresh_on="heartbeat")
        ),
        st.integers(1, 10**9).map(lambda milliseconds: milliseconds / 1000),
        st.none() | st.sampled_from([0.001, 0.07, 1.1, 0.0000015]),
    )
    sends = st.builds(lambda node, arg, policy: Send(node, arg, timeout=policy), texts, values, policies)
    return st.one_of(
        st.lists(values, max_size=4),
        st.lists(values, max_size=3).map(tuple),
        st.dictionaries(texts, values, max_size=4),
        st.dictionaries(hashables, values, max_size=3),
        st.sets(hashables, max_size=3),
        st.frozensets(hashables, max_size=3),
        _messages(values),
        st.builds(
            Document, page_content=texts, metadata=st.dictionaries(texts, values, max_size=2), id=st.none() | texts
        ),
        sends,
        st.builds(Interrupt, values, texts),
        st.builds(
            Command,
            graph=st.none() | texts,
            update=values,
            resume=values,
            goto=texts | st.lists(sends | texts, min_size=1),
        ),
        st.builds(Overwrite, values),
        st.builds(_DeltaSnapshot, values),
    )


values = st.recursive(atoms, _around, max_leaves=12)
