"""Which reasons the contract says that an rpc may fail with, read from its comments."""

import re
from functools import cache
from pathlib import Path

from google.protobuf.descriptor import MethodDescriptor

from checkpointd.v1.error_reason_pb2 import ErrorReason

_PROTOS = Path(__file__).parents[2] / "protos"
_REASONS = {name.removeprefix("ERROR_REASON_") for name, _ in ErrorReason.items()} - {"UNSPECIFIED", "UNEXPECTED"}

# What every rpc may fail with stands at the top of these.
_OF_ALL = ("checkpointd/v1/checkpoints.proto", "checkpointd/v1/access.proto")


def documented_reasons(rpc: MethodDescriptor) -> set[str]:
    """The reasons in the comment on the rpc, and in those at the top of its file and of those that are about all."""
    service = rpc.containing_service
    assert service is not None
    text = _text(service.file.name)
    comment = re.search(rf"((?:^ *//.*\n)*)^ *rpc {rpc.name}\(", text, re.MULTILINE)
    assert comment is not None
    heads = [_text(name).partition("syntax = ")[0] for name in {*_OF_ALL, service.file.name}]
    return {word for words in (comment[1], *heads) for word in re.findall(r"[A-Z_]{4,}", words)} & _REASONS


@cache
def _text(name: str) -> str:
    return (_PROTOS / name).read_text()
