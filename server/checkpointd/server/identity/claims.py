"""A credential as others write it: in a JWT's claim, or in a certificate's name."""

from collections.abc import Mapping, Sequence

from checkpointd.engine import validate
from checkpointd.engine.errors import InvalidField
from checkpointd.engine.row_security import EVERY_TENANT
from checkpointd.server.identity.access import ROLES, Credential
from checkpointd.v1.access_pb2 import Role


def credential(claims: Mapping[str, object], name: str, ends_at: float | None) -> Credential:
    """The credential that these claims make.

    Args:
        claims: `tenant`, `role` (read, write, admin or operator), and perhaps `thread_id_prefixes`, a list. An
            operator's may have no tenant, or `*`.
        name: for the log.
        ends_at: by time.time().

    Raises:
        ValueError: they make none; the message, which is for the log, says why.
    """
    role = ROLES.get(str(claims.get("role")))
    if role is None:
        raise ValueError(f"the role is {claims.get('role')!r} and not one of {', '.join(ROLES)}")
    prefixes = claims.get("thread_id_prefixes", ())
    if not isinstance(prefixes, Sequence) or isinstance(prefixes, str):
        raise ValueError("thread_id_prefixes is not a list")
    if not all(isinstance(prefix, str) and prefix for prefix in prefixes):
        # An empty one would allow everything.
        raise ValueError("thread_id_prefixes has an entry that is no text or is empty")
    return Credential(_tenant(claims, role), role, tuple(prefixes), name, ends_at)


def _tenant(claims: Mapping[str, object], role: int) -> str:
    tenant = claims.get("tenant")
    if role == Role.ROLE_OPERATOR:
        if tenant not in (None, EVERY_TENANT):
            raise ValueError("an operator is of no tenant")
        return EVERY_TENANT
    if not isinstance(tenant, str):
        raise ValueError("there is no tenant")
    try:
        return validate.tenant(tenant)
    except InvalidField as error:
        raise ValueError(error.message) from None
