"""What LangGraph itself keeps in a state: sends, interrupts, commands and the like; and documents and errors."""

from collections.abc import Callable
from typing import Any

from langchain_core.documents import Document

from checkpointd.client.langgraph.portable.langgraph_types import (
    Command,
    DeltaSnapshot,
    Interrupt,
    Overwrite,
    Send,
    TimeoutPolicy,
)
from checkpointd.client.langgraph.portable.scalars import Form, Malformed, text

Decoded = Callable[[Any], Any]


def _members(content: Any, *names: str) -> dict[str, Any]:
    """Content that is an object with no members but these."""
    if content.__class__ is not dict or not content.keys() <= set(names):
        raise Malformed
    members: dict[str, Any] = content
    return members


def document_form(document: Document) -> Form | None:
    content, metadata, id_ = document.page_content, document.metadata, document.id
    if content.__class__ is not str or metadata.__class__ is not dict or id_.__class__ not in (str, type(None)):
        return None
    members: dict[str, Any] = {"page_content": content}
    if metadata:
        members["metadata"] = metadata
    if id_ is not None:
        members["id"] = id_
    return {"$": "doc", "v": members}


def read_document(content: Any, decoded: Decoded) -> Document:
    members = _members(content, "page_content", "metadata", "id")
    given: dict[str, Any] = {"page_content": text(members["page_content"])}
    if (metadata := members.get("metadata")) is not None:
        given["metadata"] = decoded(metadata)
        if given["metadata"].__class__ is not dict:
            raise Malformed
    if (id_ := members.get("id")) is not None:
        given["id"] = text(id_)
    return Document(**given)


def send_form(send: Any) -> Form | None:
    if send.node.__class__ is not str:
        return None
    members = {"node": send.node, "args": send.arg}
    if (timeout := getattr(send, "timeout", None)) is not None:
        members["timeout"] = said = {}
        for name, seconds in (("run_ms", timeout.run_timeout), ("idle_ms", timeout.idle_timeout)):
            if seconds is not None:
                said[name] = _milliseconds(seconds)
        if timeout.refresh_on != "auto":
            said["refresh_on"] = timeout.refresh_on
    return {"$": "send", "v": members}


def _milliseconds(seconds: float) -> float:
    """Whole ones as whole numbers, and none of the digits that only the multiplication makes."""
    product = seconds * 1000
    return next((ms for ms in (round(product), round(product, 6)) if ms / 1000 == seconds), product)


def read_send(content: Any, decoded: Decoded) -> Any:
    members = _members(content, "node", "args", "timeout")
    node, args = text(members["node"]), decoded(members.get("args"))
    if (timeout := members.get("timeout")) is None:
        return Send(node, args)
    said = _members(timeout, "run_ms", "idle_ms", "refresh_on")
    seconds: list[float | None] = []
    for milliseconds in (said.get("run_ms"), said.get("idle_ms")):
        if milliseconds is not None and (milliseconds.__class__ not in (int, float) or not milliseconds > 0):
            raise Malformed
        seconds.append(None if milliseconds is None else milliseconds / 1000)
    refresh_on = said.get("refresh_on")
    if seconds == [None, None] or refresh_on not in (None, "auto", "heartbeat"):
        raise Malformed
    run, idle = seconds
    return Send(node, args, timeout=TimeoutPolicy(run_timeout=run, idle_timeout=idle, refresh_on=refresh_on or "auto"))


def interrupt_form(interrupt: Any) -> Form | None:
    if interrupt.id.__class__ is not str:
        return None
    members = {"value": interrupt.value, "id": interrupt.id}
    if (schema := getattr(interrupt, "response_schema", None)) is not None:
        if schema.__class__ is not dict:
            return None
        members["response_schema"] = schema
    return {"$": "interrupt", "v": members}


def read_interrupt(content: Any, decoded: Decoded) -> Any:
    members = _members(content, "value", "id", "response_schema")
    value, id_ = decoded(members.get("value")), text(members["id"])
    if (schema := members.get("response_schema")) is None:
        return Interrupt(value, id_)
    if (schema := decoded(schema)).__class__ is not dict:
        raise Malformed
    return Interrupt(value, id_, response_schema=schema)


def _is_goto(goto: Any) -> bool:
    one = (str, Send)
    return goto.__class__ in one or (
        goto.__class__ in (list, tuple) and all(target.__class__ in one for target in goto)
    )


def command_form(command: Any) -> Form | None:
    if command.graph.__class__ not in (str, type(None)) or not _is_goto(command.goto):
        return None
    members = {"graph": command.graph, "update": command.update, "resume": command.resume}
    members = {name: value for name, value in members.items() if value is not None}
    if command.goto not in ((), []):
        members["goto"] = command.goto
    return {"$": "command", "v": members}


def read_command(content: Any, decoded: Decoded) -> Any:
    members = _members(content, "graph", "update", "resume", "goto")
    given = {name: decoded(value) for name, value in members.items() if value is not None}
    if given.get("graph", "").__class__ is not str or not _is_goto(given.get("goto", ())):
        raise Malformed
    if given.get("goto") == []:
        del given["goto"]
    return Command(**given)


def overwrite_form(overwrite: Any) -> Form:
    return {"$": "overwrite", "v": overwrite.value}


def delta_snapshot_form(snapshot: Any) -> Form:
    return {"$": "delta_snapshot", "v": snapshot.value}


def error_form(error: BaseException) -> Form:
    return {"$": "error", "v": {"name": error.__class__.__name__, "message": str(error), "text": repr(error)}}


def read_error(content: Any, decoded: Decoded) -> str:
    """An error is kept as its text, as LangGraph keeps it."""
    members = _members(content, "name", "message", "text")
    name, message = text(members["name"]), text(members["message"])
    return f"{name}({message!r})" if members.get("text") is None else text(members["text"])


# The tags whose content has members of its own, which are not an object's keys.
WITH_MEMBERS: dict[str, Callable[[Any, Decoded], Any]] = {"doc": read_document, "error": read_error}
# The tags whose content is a value.
AROUND_A_VALUE: dict[str, Callable[[Any], Any]] = {}
WRITE: dict[type, Callable[[Any], Form | None]] = {Document: document_form}

if Send is not None:
    WITH_MEMBERS |= {"send": read_send, "interrupt": read_interrupt, "command": read_command}
    AROUND_A_VALUE["overwrite"] = Overwrite
    WRITE |= {Send: send_form, Interrupt: interrupt_form, Command: command_form, Overwrite: overwrite_form}
if DeltaSnapshot is not None:
    AROUND_A_VALUE["delta_snapshot"] = DeltaSnapshot
    WRITE[DeltaSnapshot] = delta_snapshot_form
