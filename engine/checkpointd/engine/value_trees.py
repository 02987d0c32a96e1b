"""All the values of a channel, built one after the other with few of them in memory at a time, and verified. Pure."""

from collections import Counter, defaultdict
from collections.abc import Mapping

from google.protobuf.message import DecodeError

from checkpointd.changes import apply, hash_of
from checkpointd.engine.stored_values import MOST_BYTES
from checkpointd.v1.core_pb2 import ValueChange


class Channel:
    """The values of one channel, which are built in the order of `ordered`."""

    def __init__(self, checkpoint_ns: str, channel: str, bases: Mapping[str, str | None]) -> None:
        """`bases` has what each version is a change of: another version, or None."""
        self.checkpoint_ns, self.channel = checkpoint_ns, channel
        ordered, circular = order(bases)
        self.ordered = ordered + circular
        self._stored = bases.keys()
        self._circular = frozenset(circular)
        # How many values are still to be made of each, and those that are kept for it.
        self._wanted = Counter(base for base in bases.values() if base is not None)
        self._built: dict[str, bytes] = {}
        self._damaged: set[str] = set()

    def build(
        self, version: str, data: bytes | None, base_version: str | None, pieces: bytes | None, number: int | None
    ) -> int:
        """Build a value from its row, whose hash is `number`. Returns its size in bytes.

        Raises ValueError, which says what is wrong, when it can't be built or is not what its hash says.
        """
        try:
            built = self._made(version, data, base_version, pieces)
            if self._wanted[version]:
                self._built[version] = built
            if number is None:
                if base_version is not None:
                    raise ValueError("it is a change, and its hash is missing")
            elif hash_of(built) != number % (1 << 64):
                blamed = f": what it is made of, version {base_version!r}, is damaged"
                raise ValueError(f"it is not what its hash says{blamed if base_version in self._damaged else ''}")
        except ValueError:
            self._damaged.add(version)
            raise
        finally:
            self._let_go(base_version)
        return len(built)

    def _made(self, version: str, data: bytes | None, base_version: str | None, pieces: bytes | None) -> bytes:
        """The whole value."""
        if (data is None) == (base_version is None) or (base_version is None) != (pieces is None):
            raise ValueError("its row is neither a whole value nor a change")
        if data is not None:
            return data
        if base_version not in self._stored:
            raise ValueError(f"what it is made of, version {base_version!r}, is not there")
        if version in self._circular:
            raise ValueError(f"what it is made of, version {base_version!r}, leads back to itself")
        if base_version not in self._built:
            raise ValueError(f"what it is made of, version {base_version!r}, is damaged")
        try:
            return apply(self._built[base_version], ValueChange.FromString(pieces or b"").pieces, MOST_BYTES)
        except DecodeError:
            raise ValueError("its change can't be read") from None
        except ValueError as problem:
            raise ValueError(f"its change can't be applied: {problem}") from None

    def _let_go(self, base_version: str | None) -> None:
        if base_version is not None:
            self._wanted[base_version] -= 1
            if not self._wanted[base_version]:
                self._built.pop(base_version, None)


def order(bases: Mapping[str, str | None]) -> tuple[list[str], list[str]]:
    """The versions of a channel, each after the one that it is a change of.

    Of what several are made of, the smaller families come first and the largest one last: who lets go of a value when
    the last one that is made of it is built holds at most the logarithm of their number at a time, plus one.

    Args:
        bases: what each version is a change of; None, or one that is not there, when nothing needs to come before it.

    Returns:
        The versions in order, and those that have no place in it because what they are made of leads back to itself.
    """
    families: defaultdict[str, list[str]] = defaultdict(list)
    roots = []
    for version, base in bases.items():
        if base is None or base not in bases:
            roots.append(version)
        else:
            families[base].append(version)
    reached: list[str] = []
    waiting = list(reversed(roots))
    while waiting:
        reached.append(version := waiting.pop())
        waiting += families.get(version, ())
    sizes: dict[str, int] = {}
    for version in reversed(reached):  # each before the one that it is made of
        sizes[version] = 1 + sum(sizes[child] for child in families.get(version, ()))
    ordered: list[str] = []
    waiting = list(reversed(roots))
    while waiting:
        ordered.append(version := waiting.pop())
        waiting += sorted(families.get(version, ()), key=sizes.__getitem__, reverse=True)
    return ordered, [version for version in bases if version not in sizes]
