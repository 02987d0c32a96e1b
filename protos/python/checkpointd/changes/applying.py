"""From a base and pieces to the value. The pieces may be a stranger's."""

from collections.abc import Iterable

from checkpointd.v1.core_pb2 import Piece

# The contract's.
_MOST_PIECES = 1000


def apply(base: bytes, pieces: Iterable[Piece], most: int) -> bytes:
    """The value that the pieces give from this base.

    Raises ValueError when a piece names bytes that the base does not have, when there are more than 1000 pieces, or
    when the value would have more than `most` bytes. Nothing is built before all of that is known.
    """
    view = memoryview(base)
    parts: list[memoryview | bytes] = []
    size = 0
    for count, piece in enumerate(pieces, 1):
        if count > _MOST_PIECES:
            raise ValueError(f"a change has more than {_MOST_PIECES} pieces")
        offset, length, literal = piece.offset, piece.length, piece.literal
        if offset + length > len(base):
            raise ValueError(
                f"piece {count} takes {length} bytes from {offset} on, of a base that has {len(base)} bytes"
            )
        size += length + len(literal)
        if size > most:
            raise ValueError(f"a change gives more than {most} bytes")
        parts.append(view[offset : offset + length])
        parts.append(literal)
    return b"".join(parts)
