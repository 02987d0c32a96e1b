"""A value of Python's in the notation of `protos/portable-json/vectors.json`."""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, BaseMessageChunk
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Command, Interrupt, Overwrite, Send, TimeoutPolicy

from checkpointd.client.langgraph.portable import Tagged

Noted = list[Any]


def noted(value: Any) -> Noted:  # noqa: PLR0911, PLR0912 - one line for each row of the notation
    match value:
        case None:
            return ["null"]
        case bool():
            return ["bool", value]
        case str():
            return ["str", value]
        case int():
            return ["int", str(value)]
        case float():
            return ["float", repr(value)]
        case bytes():
            return ["bytes", value.hex()]
        case list():
            return ["list", [noted(item) for item in value]]
        case dict() if all(isinstance(key, str) for key in value):
            return ["dict", _members(value)]
        case dict():
            return ["map", [[noted(key), noted(item)] for key, item in value.items()]]
        case set() | frozenset():
            members = [noted(member) for member in value]
            return [type(value).__name__, sorted(members, key=_compact)]
        case _DeltaSnapshot():
            return ["delta_snapshot", noted(value.value)]
        case tuple():
            return ["tuple", [noted(item) for item in value]]
        case datetime() | date() | time():
            return [type(value).__name__, value.isoformat()]
        case timedelta():
            return ["duration", str(value // timedelta(microseconds=1))]
        case UUID() | Decimal():
            return [type(value).__name__.lower(), str(value)]
        case BaseMessage():
            return _message(value)
        case Document():
            return ["document", _left(page_content=value.page_content, metadata=value.metadata or None, id=value.id)]
        case Send(timeout=None):
            return ["send", value.node, noted(value.arg)]
        case Send(timeout=TimeoutPolicy() as policy):
            run: Any = policy.run_timeout
            idle: Any = policy.idle_timeout
            timeout = [None if run is None else run * 1000, None if idle is None else idle * 1000, policy.refresh_on]
            return ["send", value.node, noted(value.arg), timeout]
        case Interrupt(response_schema=None):
            return ["interrupt", value.id, noted(value.value)]
        case Interrupt():
            return ["interrupt", value.id, noted(value.value), noted(value.response_schema)]
        case Command():
            set_ = {"graph": value.graph, "update": value.update, "resume": value.resume, "goto": value.goto or None}
            return ["command", _left(**set_)]
        case Overwrite():
            return ["overwrite", noted(value.value)]
        case Tagged():
            return ["tagged", value.tag]
    return ["object", f"{type(value).__module__}:{type(value).__qualname__}", str(value)]


def _compact(notation: Noted) -> str:
    return json.dumps(notation, ensure_ascii=False, separators=(",", ":"))


def _members(members: dict[str, Any]) -> list[Any]:
    return [[name, noted(value)] for name, value in members.items()]


def _left(**members: Any) -> list[Any]:
    return _members({name: members[name] for name in sorted(members) if members[name] is not None})


def _message(message: BaseMessage) -> Noted:
    fields = dict(message)
    chunk = isinstance(message, BaseMessageChunk)
    type_ = fields.pop("type").removesuffix("MessageChunk").lower()
    extra = {name: fields.pop(name) for name in message.model_extra or {} if name != "example"}
    if fields.get("status") == "success":
        del fields["status"]
    left = {
        name: value
        for name, value in fields.items()
        if name == "artifact" or not (value is False or (isinstance(value, dict | list) and not value))
    }
    return ["message", type_ + "Chunk" * chunk, _left(**left, **({"extra": extra} if extra else {}))]
