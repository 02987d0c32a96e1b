"""Whose data a call is about."""

from checkpointd.engine import validate
from checkpointd.engine.errors import InvalidField
from checkpointd.server.guard import Context

_KEY = "checkpointd-tenant"
DEFAULT = "default"


def tenant_of(context: Context) -> str:
    """The tenant of a call, from its metadata; `default` when it names none.

    Raises:
        InvalidField: the name is not one that a tenant can have, or there are several.
    """
    # One sent as binary would be overlooked, and the call would read and write another tenant's data.
    names = [value for key, value in context.invocation_metadata() or () if key in (_KEY, f"{_KEY}-bin")]
    match names:
        case []:
            return DEFAULT
        case [str(name)]:
            return validate.tenant(name)
        case [_]:
            raise InvalidField(_KEY, "is binary; send it as text")
    raise InvalidField(_KEY, "is there more than once; send one")
