"""Whose data a call is about."""

from checkpointd.engine import validate
from checkpointd.engine.errors import InvalidField
from checkpointd.server.guard import Context
from checkpointd.server.identity.access import current_access

_KEY = "checkpointd-tenant"
DEFAULT = "default"


def tenant_of(context: Context) -> str:
    """The tenant of a call: that of its credential; without identity the one that its metadata names, or `default`.

    Raises:
        InvalidField: the name is not one that a tenant can have, or there are several.
    """
    access = current_access()
    return access.tenant if access is not None else named_tenant(context) or DEFAULT


def named_tenant(context: Context) -> str | None:
    """The tenant that a call's metadata names; None when it names none.

    Raises:
        InvalidField: the name is not one that a tenant can have, or there are several.
    """
    # One sent as binary would be overlooked, and the call would read and write another tenant's data.
    names = [value for key, value in context.invocation_metadata() or () if key in (_KEY, f"{_KEY}-bin")]
    match names:
        case []:
            return None
        case [str(name)]:
            return validate.tenant(name)
        case [_]:
            raise InvalidField(_KEY, "is binary; send it as text")
    raise InvalidField(_KEY, "is there more than once; send one")
