"""How both sides name bytes."""

import xxhash


def hash_of(data: bytes) -> int:
    """XXH64 of the data with seed 0, an unsigned number of 64 bits."""
    return xxhash.xxh64_intdigest(data)
