"""Why a value or an update can't be worked out. These never leave the engine: a snapshot says them as warnings."""


class Opaque(Exception):
    """It takes code that the server does not have: a class or a reducer of the user's own, or an unknown encoding. Or
    the bytes are corrupt."""


class Refused(Exception):
    """The graph itself would raise: two writes to a channel that takes one, an operator on types it does not know."""
