"""Values said by what differs from another one: the meaning of the contract's ValueChange and Piece.

Writers find what differs with `change`, readers of it build the value with `apply`, and both name bytes by `hash_of`.
"""

from checkpointd.changes.applying import apply
from checkpointd.changes.finding import change
from checkpointd.changes.hashing import hash_of

__all__ = ["apply", "change", "hash_of"]
