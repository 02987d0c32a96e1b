"""From two values to the pieces that make one from the other.

Made for long lists that were serialised anew: most of the new value are long runs of the old one, in its order, between
a few edits. Everything is compared and looked for at the speed of memcmp; Python only steers. What is found is right in
any case, how good it is depends on the data, and what it costs is bounded.
"""

from typing import NamedTuple

from checkpointd.v1.core_pb2 import Piece

# More of them would say that the values have little in common.
_MOST_PIECES = 64

# What a piece adds to a message besides its literal: tags and lengths.
_OVERHEAD = 16

# What is looked for in the base. Shorter ones occur anywhere, longer ones miss what lies between edits.
_BLOCK = 32

# A run that is shorter is cheaper sent, and is often one that every message has, and tells nothing about the place.
_SHORTEST_RUN = 128

# Of a run this long nobody looks for a longer one, and for no more than so many.
_LONG_RUN, _MOST_CANDIDATES = 1024, 4

# How far from where it would be expected a block is looked for: most edits are small.
_NEAR, _FARTHER = 512, 4


class _Run(NamedTuple):
    """Bytes that the base and the data have in common."""

    base: int
    data: int
    length: int


def change(base: bytes, data: bytes, most: int | None = None) -> list[Piece] | None:
    """The pieces that give `data` from `base`; None when they would take more than `most` bytes, or be too many.

    Args:
        base: the value that the other side has.
        data: the value that it shall get.
        most: what the pieces may take in a message, in bytes; by default a quarter of the data's length.
    """
    return _Change(base, data, len(data) // 4 if most is None else most).find()


class _Change:
    """The work on one change: how far it got, and what it may still cost."""

    def __init__(self, base: bytes, data: bytes, most: int) -> None:
        self._base = base
        self._view = memoryview(base)
        self._data = data
        self._room = most  # bytes that the pieces may still take
        # Bytes of the base that may still be looked through. A byte costs a tenth of a nanosecond, of data made to be
        # awkward fifty times that.
        self._patience = len(base) // 2 + (1 << 17)
        self._pieces: list[Piece] = []
        # Where the base is expected to go on, and what of it was passed over on the way there.
        self._next = 0
        self._passed = (0, 0)
        # The data up to here is said.
        self._done = 0

    def find(self) -> list[Piece] | None:
        """The pieces, or None."""
        base, data = len(self._base), len(self._data)
        head = self._alike(0, 0)
        tail = self._alike_before(base, data, min(base, data) - head)
        if head > _OVERHEAD or head == data:
            self._take(_Run(0, 0, head))
        end = data - tail if tail > _OVERHEAD else data
        while self._done < end and (run := self._next_run(end)) is not None:
            self._take(run)
            # What was found shows that the values have much in common, however many edits there are.
            self._patience += run.length // 2
        if self._done < data:
            # A run may have gone into the tail already.
            rest = data - max(end, self._done)
            self._take(_Run(base - rest, data - rest, rest))
        return self._pieces if self._room >= 0 and len(self._pieces) <= _MOST_PIECES else None

    def _take(self, run: _Run) -> None:
        """Say the data up to the end of the run, which may be empty."""
        literal = run.data - self._done
        if literal:
            self._room -= literal
            if self._room < 0:
                return
            if not self._pieces:
                self._add(Piece())
            self._pieces[-1].literal = self._data[self._done : run.data]
        if run.length:
            last = self._pieces[-1] if self._pieces else None
            if last is not None and not last.literal and last.offset + last.length == run.base:
                last.length += run.length
            else:
                self._add(Piece(offset=run.base, length=run.length))
            # What is passed over now may be what comes next: the run may have been a wrong one.
            self._passed = (self._next, max(self._next, run.base))
            self._next = run.base + run.length
        self._done = run.data + run.length

    def _add(self, piece: Piece) -> None:
        self._pieces.append(piece)
        self._room -= _OVERHEAD

    def _next_run(self, end: int) -> _Run | None:
        """Where the data goes on as the base does; None if nowhere that is worth it.

        Blocks of the data are looked for at distances that grow, so that a long edit costs little more than a short
        one.
        """
        start, stop = self._passed
        if len(self._pieces) >= _MOST_PIECES or max(stop - start, len(self._base) - self._next) < _BLOCK:
            return None
        distance = 0
        while distance <= self._room and self._done + distance + _BLOCK <= end and self._patience > 0:
            run = self._run_at(self._done + distance, _NEAR + _FARTHER * distance)
            if run is not None:
                return run
            distance += max(1, distance // 2 if distance < _NEAR else distance)
        return None

    def _run_at(self, at: int, reach: int) -> _Run | None:
        """The longest run around the block of the data at this place, of those within reach; None if all are short."""
        block = self._data[at : at + _BLOCK]
        best: _Run | None = None
        tried = 0
        for start, stop in (
            (self._next, min(self._next + reach, len(self._base))),
            (self._passed[0], min(self._passed[0] + reach, self._passed[1])),
        ):
            begin = start
            while tried < _MOST_CANDIDATES and begin + _BLOCK <= stop:
                found = self._base.find(block, begin, stop)
                self._patience -= (stop if found < 0 else found) - begin
                if found < 0:
                    break
                tried += 1
                run = self._around(found, at)
                if best is None or run.length > best.length:
                    best = run
                if run.length >= _LONG_RUN:
                    return run
                begin = found + _BLOCK
        return best if best is not None and best.length >= _SHORTEST_RUN else None

    def _around(self, base: int, data: int) -> _Run:
        """The whole run that a block is in, as far back as the data is not said yet."""
        before = self._alike_before(base, data, min(base, data - self._done))
        return _Run(base - before, data - before, before + self._alike(base, data))

    def _alike(self, base: int, data: int) -> int:
        """How many bytes are the same, from these places on."""
        view, whole = self._view, self._data
        longest = min(len(view) - base, len(whole) - data)
        alike, step = 0, min(64, longest)
        while alike < longest and whole.startswith(view[base + alike : base + alike + step], data + alike):
            alike += step
            step = min(4 * step, longest - alike)
        # From here on they differ within the step.
        while step > 1:
            half = step // 2
            if whole.startswith(view[base + alike : base + alike + half], data + alike):
                alike += half
                step -= half
            else:
                step = half
        return alike

    def _alike_before(self, base: int, data: int, longest: int) -> int:
        """How many bytes are the same, up to these places."""
        view, whole = self._view, self._data
        alike, step = 0, min(64, longest)
        while alike < longest and whole.endswith(view[base - alike - step : base - alike], 0, data - alike):
            alike += step
            step = min(4 * step, longest - alike)
        while step > 1:
            half = step // 2
            if whole.endswith(view[base - alike - half : base - alike], 0, data - alike):
                alike += half
                step -= half
            else:
                step = half
        return alike
