"""Values as they lie in the database: whole, or as changes. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from checkpointd.changes import apply, hash_of
from checkpointd.engine.errors import ValueDamaged
from checkpointd.v1.core_pb2 import ValueChange

# What a change may give, in bytes (see the contract's ValueChange).
MOST_BYTES = 64 << 20


class StoredValue(NamedTuple):
    """One row."""

    encoding: str
    data: bytes | None  # None: it is what pieces make of base_version
    base_version: str | None
    pieces: bytes | None
    links: int
    hash: int | None  # as the database has it, with a sign; None in rows of older versions


def chain(stored: Mapping[str, StoredValue], version: str) -> list[str]:
    """The versions that a value is built from: itself first, the one that is stored whole last.

    Raises ValueDamaged when one is missing.
    """
    steps: dict[str, None] = {}
    step: str | None = version
    while step is not None:
        if step in steps or step not in stored:
            raise ValueDamaged(version, f"what it is built from, version {step!r}, is not there")
        steps[step] = None
        step = stored[step].base_version
    return list(steps)


def build(stored: Mapping[str, StoredValue], version: str, built: dict[str, bytes] | None = None) -> bytes:
    """The whole value of a version of one channel. `built` keeps those on the way, for the next call.

    Raises ValueDamaged when it can't be built, or is not what its hash says.
    """
    built = {} if built is None else built
    steps = chain(stored, version)
    ahead: list[str] = []  # to be applied, the last one first
    for step in steps:
        data = built.get(step, stored[step].data)
        if data is not None:
            break
        ahead.append(step)
    if data is None:
        raise ValueDamaged(version, f"what it is built from, version {steps[-1]!r}, is neither a value nor a change")
    for step in reversed(ahead):
        try:
            data = apply(data, ValueChange.FromString(stored[step].pieces or b"").pieces, MOST_BYTES)
        except Exception as problem:
            raise ValueDamaged(version, f"it can't be built: {problem}") from problem
    if ahead:
        built[version] = data
    number = stored[version].hash
    if number is None:
        if ahead:  # it is missing in whole values of older versions, and in those that were known already
            raise ValueDamaged(version, "its hash is missing")
    elif hash_of(data) != number % (1 << 64):
        raise ValueDamaged(version, "it is not what its hash says")
    return data
