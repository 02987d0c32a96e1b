"""The limits that the contract writes on its fields, and the checks of them. Pure."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar

from google.protobuf.duration_pb2 import Duration

from checkpointd.engine.errors import InvalidField
from checkpointd.v1.checkpoints_pb2 import CheckpointPut, WritesPut
from checkpointd.v1.core_pb2 import Metadata, Precondition, Value

THREAD_ID_BYTES = 255
NAMESPACE_BYTES = 768
CHECKPOINT_ID_BYTES = 128
TASK_ID_BYTES = 255
TASK_PATH_BYTES = 4096
CHANNEL_BYTES = 1024
VERSION_BYTES = 255
ENCODING_BYTES = 64
TIMESTAMP_BYTES = 64
METADATA_BYTES = 1 << 20
REQUEST_ID_BYTES = 64
RUN_ID_BYTES = 255
NUMBER_DIGITS = 4300  # Python's own limit for integers
NESTING = 200  # levels
GRAPH_NAME_BYTES = 255
GRAPH_HASH_BYTES = 64
LABEL_KEY_BYTES = 63
LABEL_VALUE_BYTES = 255
OWNER_BYTES = 255
MAX_LABELS = 64
MAX_ITEMS = 1000
MAX_TOKEN = 2**63 - 1
MAX_PAGE_SIZE = 1000

_NANOS = 10**9

_Entry = TypeVar("_Entry")

_TENANT = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Whole strings are taken, so that brackets within them are not.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def text(field: str, value: str, max_bytes: int, min_bytes: int = 1) -> None:
    """Check a string's length in bytes of UTF-8, and that it has no NUL, which PostgreSQL can't store."""
    if len(value) > max_bytes or (not value.isascii() and len(value.encode()) > max_bytes):
        raise InvalidField(field, f"has {len(value.encode())} bytes; give it at most {max_bytes}")
    if not value and min_bytes:
        raise InvalidField(field, f"is empty; give it {min_bytes} to {max_bytes} bytes")
    if "\0" in value:
        raise InvalidField(field, "has a NUL character (U+0000); leave it out")


def is_tenant(value: str) -> bool:
    """Whether this is a name that a tenant can have."""
    return _TENANT.fullmatch(value) is not None


def tenant(value: str) -> str:
    """Check a tenant's name and return it."""
    if not is_tenant(value):
        raise InvalidField("checkpointd-tenant", "is not a tenant's name; use 1 to 64 characters of A-Z a-z 0-9 . _ -")
    return value


def thread_id(value: str, field: str = "thread_id") -> None:
    text(field, value, THREAD_ID_BYTES)


def items(field: str, values: Iterable[str], max_bytes: int, min_bytes: int = 1) -> list[str]:
    """Check a list of strings and return it without repetitions, in order."""
    entries = list(values)
    if len(entries) > MAX_ITEMS:
        raise InvalidField(field, f"has {len(entries)} entries; give it at most {MAX_ITEMS}")
    unique = list(dict.fromkeys(entries))
    for value in unique:
        text(field, value, max_bytes, min_bytes)
    return unique


def labels(field: str, given: Mapping[str, str]) -> None:
    """Check labels of a thread."""
    if len(given) > MAX_LABELS:
        raise InvalidField(field, f"has {len(given)} entries; give it at most {MAX_LABELS}")
    for key, value in given.items():
        text(f"{field} key", key, LABEL_KEY_BYTES)
        text(f"{field} value", value, LABEL_VALUE_BYTES, 0)


def checkpoint_key(thread: str, checkpoint_ns: str, checkpoint_id: str, min_bytes: int = 0) -> None:
    """Check what names a checkpoint; with `min_bytes` 0 the id may be empty, which means the head."""
    thread_id(thread)
    text("checkpoint_ns", checkpoint_ns, NAMESPACE_BYTES, 0)
    text("checkpoint_id", checkpoint_id, CHECKPOINT_ID_BYTES, min_bytes)


def selection(before_checkpoint_id: str, metadata_filter: str, limit: int) -> None:
    """Check what a list asks of the checkpoints in it."""
    text("before_checkpoint_id", before_checkpoint_id, CHECKPOINT_ID_BYTES, 0)
    json_object("metadata_filter", metadata_filter)
    if limit < 0:
        raise InvalidField("limit", f"is {limit}; give it 0 or more, or leave it out for all")


def precondition(value: Precondition) -> None:
    """Check a precondition."""
    text("precondition.expected_head", value.expected_head, CHECKPOINT_ID_BYTES, 0)
    if value.fencing_token > MAX_TOKEN:
        raise InvalidField(
            "precondition.fencing_token", f"is {value.fencing_token}, which no lease has; see AcquireLease"
        )


def request_id(value: str) -> None:
    """Check the name of a request, which it need not have."""
    text("request_id", value, REQUEST_ID_BYTES, 0)


def seconds(field: str, duration: Duration, least: float, most: float) -> float:
    """Check a length of time and return it in seconds."""
    whole, nanos = duration.seconds, duration.nanos
    if not -_NANOS < nanos < _NANOS or (whole and nanos and (whole < 0) != (nanos < 0)):
        raise InvalidField(field, f"has {nanos} nanos beside {whole} seconds, which is no duration")
    given = whole * _NANOS + nanos
    if not least * _NANOS <= given <= most * _NANOS:
        raise InvalidField(field, f"is {given / _NANOS:.12g} seconds; give it {least:.12g} to {most:.12g}")
    return given / _NANOS


def checkpoint_put(put: CheckpointPut) -> tuple[dict[str, str], list[tuple[str, Value]]]:
    """Check a checkpoint to be stored, but for its metadata (see `metadata`). Returns its versions and its values."""
    checkpoint = put.checkpoint
    text("put.checkpoint_ns", put.checkpoint_ns, NAMESPACE_BYTES, 0)
    text("put.checkpoint.id", checkpoint.id, CHECKPOINT_ID_BYTES)
    text("put.parent_checkpoint_id", put.parent_checkpoint_id, CHECKPOINT_ID_BYTES, 0)
    text("put.checkpoint.ts", checkpoint.ts, TIMESTAMP_BYTES, 0)
    text("put.graph_hash", put.graph_hash, GRAPH_HASH_BYTES, 0)
    versions = dict(_entries(checkpoint.channel_versions))
    for channel, version in versions.items():
        text("put.checkpoint.channel_versions key", channel, CHANNEL_BYTES)
        text("put.checkpoint.channel_versions value", version, VERSION_BYTES)
    values = _entries(checkpoint.channel_values)
    for channel, value in values:
        if channel not in versions:
            raise InvalidField("put.checkpoint.channel_values", f"has a value of {channel!r}, which has no version")
        text("put.checkpoint.channel_values value.encoding", value.encoding, ENCODING_BYTES)
    for node, seen in _entries(checkpoint.versions_seen):
        text("put.checkpoint.versions_seen key", node, CHANNEL_BYTES, 0)
        for channel, version in _entries(seen.versions):
            text("put.checkpoint.versions_seen channel", channel, CHANNEL_BYTES, 0)
            text("put.checkpoint.versions_seen version", version, VERSION_BYTES, 0)
    for channel in checkpoint.updated_channels.names:
        text("put.checkpoint.updated_channels.names", channel, CHANNEL_BYTES, 0)
    for key, value in _entries(checkpoint.extra):
        text("put.checkpoint.extra key", key, CHANNEL_BYTES, 0)
        text("put.checkpoint.extra value.encoding", value.encoding, ENCODING_BYTES)
    return versions, values


def _entries(given: Mapping[str, _Entry]) -> list[tuple[str, _Entry]]:
    """The entries of a map in a message, for half of what its items() costs."""
    return [(key, given[key]) for key in given]


def writes_put(put: WritesPut) -> None:
    """Check a task's writes to be stored."""
    text("put.checkpoint_ns", put.checkpoint_ns, NAMESPACE_BYTES, 0)
    text("put.checkpoint_id", put.checkpoint_id, CHECKPOINT_ID_BYTES)
    text("put.task_id", put.task_id, TASK_ID_BYTES)
    text("put.task_path", put.task_path, TASK_PATH_BYTES, 0)
    for write in put.writes:
        text("put.writes.channel", write.channel, CHANNEL_BYTES)
        text("put.writes.value.encoding", write.value.encoding, ENCODING_BYTES)


def metadata(value: Metadata) -> dict[str, Any]:
    """Check a checkpoint's metadata and return its JSON object."""
    if value.HasField("native"):
        text("put.metadata.native.encoding", value.native.encoding, ENCODING_BYTES)
    parsed = json_object("put.metadata.json", value.json)
    run_id("put.metadata.json run_id", parsed)
    return parsed


def run_id(field: str, parsed: dict[str, Any]) -> None:
    """Check the key `run_id` of metadata."""
    if isinstance(given := parsed.get("run_id"), str):
        text(field, given, RUN_ID_BYTES, 0)


def json_object(field: str, source: str) -> dict[str, Any]:
    """Check that a string is a JSON object which PostgreSQL's jsonb takes, and return it. Empty is `{}`."""
    if not source:
        return {}
    if len(source.encode()) > METADATA_BYTES:
        raise InvalidField(field, f"has more than {METADATA_BYTES} bytes; keep large data in the state")
    # Python's own limit depends on its version and on the stack so far; each level takes a bracket.
    if source.count("[") + source.count("{") > NESTING and _nesting(source) > NESTING:
        raise InvalidField(field, f"is nested more than {NESTING} levels deep; make it flatter")
    try:
        parsed = _parsed(source)
        if "\\u" in source:
            # Escapes can spell what UTF-8 text can't hold: lone surrogates (which don't encode) and NUL.
            if any("\0" in string for string in _strings(parsed)):
                raise InvalidField(field, r"has a NUL character (\u0000); leave it out")
            "".join(_strings(parsed)).encode()
    except UnicodeEncodeError:
        raise InvalidField(field, "has a lone surrogate; leave it out") from None
    except ValueError as problem:
        raise InvalidField(field, f"is not JSON ({problem}); send one JSON object") from None
    if not isinstance(parsed, dict):
        raise InvalidField(field, "is not a JSON object; send one, such as {}")
    return parsed


def _parsed(source: str) -> Any:
    try:
        parsed, end = _JSON.raw_decode(source)
    except ValueError:
        end = 0
    # What has space around it, or is wrong, is left to a look that takes all, and says what is wrong.
    return parsed if end == len(source) else json.loads(source, parse_constant=_refuse_number, parse_float=_finite)


def _nesting(source: str) -> int:
    """The depth of JSON's brackets."""
    depth = deepest = 0
    for bracket in _BRACKETS.findall(source):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(bracket, 0)
        deepest = max(deepest, depth)
    return deepest


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for child in value.values():
            yield from _strings(child)
    elif isinstance(value, list):
        for child in value:
            yield from _strings(child)


def _refuse_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    """A number as PostgreSQL's numeric takes it too: not too large, too small, or too long."""
    number = float(digits)
    _, _, exponent = digits.lower().partition("e")
    if math.isinf(number) or len(digits) > NUMBER_DIGITS or abs(int(exponent or 0)) > NUMBER_DIGITS:
        raise ValueError(f"the number {digits[:40]} has too many digits or too large an exponent")
    return number


# Made once: to make one takes longer than what it is made for.
_JSON = json.JSONDecoder(parse_constant=_refuse_number, parse_float=_finite)
