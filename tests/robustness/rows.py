"""What is stored at the end, beside what was asked for and promised."""

from collections import Counter
from collections.abc import Iterator

from tests.robustness.history import Call, Outcome, Put, Write, Writers
from tests.robustness.namespaces import Namespace, describe, ended_before, may_follow

# A checkpoint is named by its id alone, a write by its place in a task of one.
Key = tuple[str, ...]


def key_of(part: Put | Write) -> Key:
    if isinstance(part, Put):
        return (part.checkpoint_id,)
    return part.checkpoint_id, part.task_id, str(part.idx)


def name(key: Key) -> str:
    """A row in words."""
    if len(key) == 1:
        return f"checkpoint {key[0]!r}"
    return f"write {key[1]!r}/{key[2]} of checkpoint {key[0]!r}"


def content(part: Put | Write) -> Key:
    """What must come back unchanged, beside the key."""
    return (part.digest, part.parent_id) if isinstance(part, Put) else (part.digest,)


def parts(call: Call) -> list[Put | Write]:
    return [*call.puts, *call.writes]


class Rows:
    """The rows of a namespace, by their keys."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.where = namespace.where
        stored = namespace.stored
        checkpoints = [Put(each.checkpoint_id, each.parent_id, each.digest) for each in stored.checkpoints]
        there: list[Put | Write] = [*checkpoints, *stored.writes]
        self.twice = [key for key, count in Counter(map(key_of, there)).items() if count > 1]
        self.stored = {key_of(part): content(part) for part in there}
        self.asked: dict[Key, list[tuple[Call, Key]]] = {}
        self.refused: dict[Key, list[tuple[Call, Key]]] = {}
        for call in namespace.commits:
            by_key = self.refused if call.outcome is Outcome.REFUSED else self.asked
            for part in parts(call):
                by_key.setdefault(key_of(part), []).append((call, content(part)))

    def lost(self) -> Iterator[str]:
        """Every acknowledged row is there, unless a deletion may have come after it."""
        for call in self.namespace.commits:
            if call.outcome is not Outcome.OK or any(may_follow(each, call) for each in self.namespace.deletes):
                continue
            for part in parts(call):
                if key_of(part) not in self.stored:
                    yield f"lost {name(key_of(part))}: {self.where}: acknowledged to {describe(call)}"

    def wrong(self) -> Iterator[str]:
        """What is there and should not be."""
        for key in self.twice:
            yield f"stored twice: {self.where}: {name(key)}"
        for key, there in self.stored.items():
            yield from self._unasked(key, there)
            yield from self._came_back(key)
        for call in self.namespace.asked:
            yield from self._half(call)
        for key in self.stored:
            # A key's first part is the checkpoint.
            if len(key) > 1 and (key[0],) not in self.stored and not self._may_be_alone(key):
                yield f"orphan: {self.where}: {name(key)} is stored, its checkpoint is not; {self._askers(key)}"
        for read in self.namespace.reads:
            yield from self._misread(read)

    def _askers(self, key: Key) -> str:
        calls = [describe(call) for call, _ in [*self.asked.get(key, []), *self.refused.get(key, [])]]
        return "asked for by " + ", ".join(calls) if calls else "asked for by nobody"

    def _unasked(self, key: Key, there: Key) -> Iterator[str]:
        """Every row is one that somebody asked for, was not refused, and as it was sent.

        Where two calls wrote the same place, either may have been the one that stays.
        """
        if there in (sent for _, sent in self.asked.get(key, [])):
            return
        for call, sent in self.refused.get(key, []):
            if sent == there or key not in self.asked:
                yield f"refused but stored: {self.where}: {name(key)}; {describe(call)}"
                return
        if key in self.asked:
            sent = self.asked[key][0][1]
            yield f"changed: {self.where}: {name(key)} is {there}, sent was {sent}; {self._askers(key)}"
        else:
            yield f"a stranger's row: {self.where}: {name(key)} is stored, and no call asked for it"

    def _came_back(self, key: Key) -> Iterator[str]:
        """What was deleted stays so, if all who asked for it had their answers before the deletion began."""
        calls = [call for call, _ in self.asked.get(key, [])]
        for delete in self.namespace.deletes if calls else []:
            if delete.outcome is Outcome.OK and all(ended_before(call, delete) for call in calls):
                yield f"deleted but there: {self.where}: {name(key)}; {describe(delete)}; {self._askers(key)}"
                return

    def _half(self, call: Call) -> Iterator[str]:
        """All parts of a call are there or none. A row that another call asked for too proves nothing of this one."""
        keys = [key_of(part) for part in parts(call)]
        absent = [key for key in keys if key not in self.stored]
        there = [key for key in keys if key in self.stored and len(self.asked[key]) == 1]
        if absent and there:
            yield (
                f"half a superstep: {self.where}: {name(there[0])} is stored and {name(absent[0])} is not "
                f"({len(there)} there, {len(absent)} missing); {describe(call)}"
            )

    def _may_be_alone(self, key: Key) -> bool:
        """Whether a write may be stored without its checkpoint.

        Writers that agree on nothing may write to a checkpoint that was never stored: the writes of a task travel in a
        call of their own and may come first, and the call that puts the checkpoint may then never arrive. The same
        goes for a write that comes after the thread's deletion. Not so where a head or a lease is demanded: a head is
        stored, and who lost it or the lease is refused. Unless the head demanded is another checkpoint than the one
        that the write belongs to: that is how LangGraph's background sends what tasks wrote while the put of their
        checkpoint still waits for the one before it. When that put gets no answer or is refused, the run has failed
        and the writes stay behind. Nobody reads them.
        """
        if self.namespace.writers is not Writers.FORK:
            acknowledged = any(call.outcome is Outcome.OK for call, _ in self.asked.get(key[:1], []))
            return not acknowledged and any(
                call.expected_head not in {None, key[0]} and all(put.checkpoint_id != key[0] for put in call.puts)
                for call, _ in self.asked.get(key, [])
            )
        puts = [call for call, _ in self.asked.get(key[:1], []) if call.outcome is Outcome.OK]
        for call, _ in self.asked.get(key, []):
            if any(put.checkpoint_id == key[0] for put in call.puts):
                continue
            if all(self._deleted_between(put, call) for put in puts):
                return True
        return False

    def _deleted_between(self, put: Call, write: Call) -> bool:
        return any(may_follow(each, put) and may_follow(write, each) for each in self.namespace.deletes)

    def _misread(self, read: Call) -> Iterator[str]:
        """A head that was read is one that somebody put, byte for byte."""
        if not read.head:
            return
        asked = self.asked.get((read.head,), [])
        if not asked:
            why = "which was refused" if (read.head,) in self.refused else "which no call put"
            yield f"misread: {self.where}: {describe(read)}, {why}"
        elif read.digest not in (sent[0] for _, sent in asked):
            yield f"misread: {self.where}: {describe(read)} as {read.digest}, sent was {asked[0][1][0]}"
