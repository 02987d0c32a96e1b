"""What a credential allows, and what a call needs."""

import time
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import NamedTuple

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from checkpointd.server.status import Refusal
from checkpointd.v1 import access_pb2
from checkpointd.v1.access_pb2 import Reach, Role
from checkpointd.v1.error_reason_pb2 import ErrorReason

ROLES = {name.removeprefix("ROLE_").lower(): number for name, number in Role.items() if number}
"""The roles by the names that people use."""

# A field of a request that has one of these names tells which threads it is about.
_THREADS = ("thread_id", "thread_ids", "source_thread_id", "target_thread_id", "thread_id_prefix")


class Credential(NamedTuple):
    """What somebody has proven."""

    tenant: str
    """EVERY_TENANT for an operator."""

    role: int
    thread_id_prefixes: tuple[str, ...]
    """None: it is for all threads."""

    name: str
    """For the log."""

    ends_at: float | None
    """By time.time(); None for never."""

    def check_time(self) -> None:
        """Raises Refusal when it has ended."""
        if self.ends_at is not None and time.time() >= self.ends_at:
            raise expired(self.ends_at)


class Rpc:
    """What one rpc needs, from its option in the contract."""

    def __init__(self, method: MethodDescriptor) -> None:
        needed = method.GetOptions().Extensions[access_pb2.access]
        self.name = method.name
        self.service: str = method.full_name.rpartition(".")[0]
        self.role = needed.role
        self.reach = needed.reach
        self._threads = [field for field in method.input_type.fields if field.name in _THREADS]

    def threads(self, request: Message) -> Iterator[str]:
        """The ids, and the prefixes of ids, that a request names."""
        for field in self._threads:
            given = getattr(request, field.name)
            if field.is_repeated:
                yield from given
            elif given:
                yield given


class Access(NamedTuple):
    """A credential as it is used by one call."""

    credential: Credential
    tenant: str
    """The tenant that the call is about."""

    def check(self, rpc: Rpc, request: Message) -> None:
        """Raises Refusal unless the credential allows the call. What the request names is not looked at."""
        _, role, prefixes, _, _ = self.credential
        if role < rpc.role or not rpc.role:
            needed = _name(rpc.role)
            raise _denied(f"{rpc.name} needs the role {needed}, and the credential has {_name(role)}", rpc, role=needed)
        if not prefixes or rpc.reach == Reach.REACH_SHARED:
            return
        if rpc.reach != Reach.REACH_THREADS:
            raise _denied(f"{rpc.name} is about all threads, and the credential is for some of them", rpc)
        named = list(rpc.threads(request))
        if not named:
            raise _denied(f"{rpc.name} is about all threads here, and the credential is for some; name one", rpc)
        for thread in named:
            if not thread.startswith(prefixes):
                raise _denied(f"the credential is not for the thread {thread!r}, but for others", rpc)


_current: ContextVar[Access | None] = ContextVar("access", default=None)


def current_access() -> Access | None:
    """The access of the call that is being handled; None on a server without identity."""
    return _current.get()


def set_access(access: Access) -> None:
    """Say with which access the task's call is handled from here on."""
    _current.set(access)


def rpcs(*services: ServiceDescriptor) -> dict[str, Rpc]:
    """What the rpcs of services need, by the path that they are called by."""
    return {f"/{service.full_name}/{method.name}": Rpc(method) for service in services for method in service.methods}


def missing(how: str) -> Refusal:
    """The refusal of a call that does not say who makes it."""
    return Refusal(ErrorReason.ERROR_REASON_CREDENTIAL_MISSING, f"this server wants a credential; {how}")


def invalid() -> Refusal:
    """The refusal of a credential that is not good, which must not help to find one that is."""
    return Refusal(
        ErrorReason.ERROR_REASON_CREDENTIAL_INVALID,
        "the credential is not valid here; ask who runs this server for another one",
    )


def expired(ended_at: float) -> Refusal:
    """The refusal of a credential that was good until then, by time.time()."""
    at = datetime.fromtimestamp(int(ended_at), UTC).isoformat()
    return Refusal(
        ErrorReason.ERROR_REASON_CREDENTIAL_EXPIRED, f"the credential expired at {at}; get a new one", expired_at=at
    )


def other_tenant(tenant: str) -> Refusal:
    """The refusal of a call that names another tenant than that of its credential."""
    return Refusal(
        ErrorReason.ERROR_REASON_PERMISSION_DENIED,
        f"the credential is not of the tenant {tenant!r}, which the call's metadata names; leave that out",
        tenant=tenant,
    )


def _denied(message: str, rpc: Rpc, **metadata: str) -> Refusal:
    return Refusal(ErrorReason.ERROR_REASON_PERMISSION_DENIED, message, rpc=rpc.name, **metadata)


def _name(role: int) -> str:
    return Role.Name(role).removeprefix("ROLE_").lower()  # type: ignore[arg-type]
