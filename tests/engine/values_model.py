"""A plain model of what a server of large values must have: every value whole, by thread, namespace and version."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

CHANNELS = ("big", "other")

Content = tuple[str, bytes]
"""An encoding and data."""


@dataclass
class Kept:
    """A checkpoint. Of each channel it has a value, or none: then the channel is rebuilt from ancestors."""

    parent: str
    versions: dict[str, str]
    own: set[str]  # the channels of which it has a value
    run_id: str
    seq: int
    frozen: dict[str, str] = field(default_factory=dict)  # what channels are rebuilt from, where the ancestors are gone


@dataclass
class Namespace:
    """Checkpoints by id, and the values that are stored for sure, by channel and version."""

    checkpoints: dict[str, Kept] = field(default_factory=dict)
    values: dict[tuple[str, str], Content] = field(default_factory=dict)

    def seed(self, checkpoint_id: str, channel: str) -> Content | None:
        """What a channel's history begins with: the value in the nearest ancestor that has one."""
        step = self.checkpoints[checkpoint_id]
        while step.parent in self.checkpoints:
            step = self.checkpoints[step.parent]
            if channel in step.own:
                return self.values[channel, step.versions[channel]]
        version = step.frozen.get(channel)
        return None if version is None else self.values[channel, version]

    def cut(self, kept: set[str]) -> None:
        """Remove all checkpoints but these, and the values that none of these needs."""
        for checkpoint_id in kept:
            checkpoint = self.checkpoints[checkpoint_id]
            for channel in set(CHANNELS) - checkpoint.own:
                step = checkpoint
                while channel not in step.own and step.parent in self.checkpoints:
                    step = self.checkpoints[step.parent]
                checkpoint.frozen[channel] = step.versions[channel] if channel in step.own else step.frozen[channel]
        self.checkpoints = {name: one for name, one in self.checkpoints.items() if name in kept}
        used: set[tuple[str, str]] = set()
        for checkpoint in self.checkpoints.values():
            if checkpoint.parent not in kept:
                checkpoint.parent = ""
            used |= {(channel, checkpoint.versions[channel]) for channel in checkpoint.own}
            used |= set(checkpoint.frozen.items())
        self.values = {key: value for key, value in self.values.items() if key in used}


@dataclass
class Thread:
    """`made` counts the ids and versions given so far, which begin anew with the thread."""

    namespaces: dict[str, Namespace] = field(default_factory=dict)
    made: int = 0
    cut: bool = False
    """Whether something was removed: then there may be more in the database than the model knows."""

    def at(self, ns: str) -> Namespace:
        return self.namespaces.setdefault(ns, Namespace())

    def all(self) -> Iterator[tuple[str, str, Kept]]:
        for ns, namespace in self.namespaces.items():
            for checkpoint_id, kept in namespace.checkpoints.items():
                yield ns, checkpoint_id, kept

    def takes(self, source: "Thread") -> bool:
        """Whether a source may be copied over this: it has all that is here, and as it is here."""
        same_checkpoints = all(
            (theirs := source.at(ns).checkpoints.get(checkpoint_id)) is not None and theirs.seq == kept.seq
            for ns, checkpoint_id, kept in self.all()
        )
        same_values = all(
            source.at(ns).values.get(key, value) == value
            for ns, namespace in self.namespaces.items()
            for key, value in namespace.values.items()
        )
        return same_checkpoints and same_values

    def add(self, source: "Thread") -> None:
        """Copy what is not here."""
        for ns, theirs in source.namespaces.items():
            mine = self.at(ns)
            merged = {**theirs.checkpoints, **mine.checkpoints}
            mine.checkpoints = dict(sorted(merged.items(), key=lambda item: item[1].seq))
            mine.values = {**theirs.values, **mine.values}
        self.made = max(self.made, source.made)
        self.cut = self.cut or source.cut


@dataclass(frozen=True)
class Edit:
    """How a value becomes the next one. Places are fractions of its length."""

    kind: str
    place: float
    size: int
    seed: int

    def parts(self, length: int) -> list[tuple[int, int, bytes]]:
        """The next value as parts of one of this length: offset, length, and bytes that follow."""
        new = random.Random(self.seed).randbytes(self.size)
        at = int(self.place * length)
        match self.kind:
            case "append":
                return [(0, length, new)]
            case "middle":
                after = min(length, at + self.size // 2)
                return [(0, at, new), (after, length - after, b"")]
            case "truncate":  # seldom to so little that it takes many edits until it is large again
                return [(0, max(at, length * 3 // 4) if at else 0, b"")]
            case "swap":
                return [(at, length - at, b""), (0, at, b"")]
        return [(0, 0, new * 3 if self.size > 700 else new * 100)]

    def applied(self, base: bytes) -> bytes:
        return b"".join(base[offset : offset + length] + new for offset, length, new in self.parts(len(base)))
