"""Whose data a call is about."""

from checkpointd.engine import validate
from checkpointd.server.guard import Context

_KEY = "checkpointd-tenant"
DEFAULT = "default"


def tenant_of(context: Context) -> str:
    """The tenant of a call, from its metadata; `default` when it names none.

    Raises:
        InvalidField: the name is not one that a tenant can have.
    """
    for key, value in context.invocation_metadata() or ():
        if key == _KEY:
            return validate.tenant(value if isinstance(value, str) else value.decode("latin-1"))
    return DEFAULT
