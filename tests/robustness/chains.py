"""How the stored checkpoints of a namespace hang together."""

from collections.abc import Iterator

from tests.robustness.history import Writers
from tests.robustness.namespaces import Namespace


def check_head(namespace: Namespace) -> Iterator[str]:
    """The head is the checkpoint that was committed last."""
    stored = namespace.stored
    last = max(stored.checkpoints, key=lambda each: each.sequence).checkpoint_id if stored.checkpoints else ""
    if stored.head != last:
        yield f"wrong head: {namespace.where}: the head is {stored.head!r}, the greatest sequence has {last!r}"


def check_sequences(namespaces: list[Namespace]) -> Iterator[str]:
    """No sequence of a thread is given twice. Takes the namespaces of one thread."""
    seen: dict[int, str] = {}
    for namespace in namespaces:
        for each in namespace.stored.checkpoints:
            what = f"{each.checkpoint_id!r} in namespace {namespace.checkpoint_ns!r}"
            if each.sequence in seen:
                yield f"sequence given twice: {namespace.where}: {each.sequence} to {seen[each.sequence]} and to {what}"
            seen[each.sequence] = what


def check_chain(namespace: Namespace) -> Iterator[str]:
    """Writers that agree on who writes make one line: one beginning, no forks, no gaps."""
    if namespace.writers is Writers.FORK:
        return
    where = namespace.where
    checkpoints = sorted(namespace.stored.checkpoints, key=lambda each: each.sequence)
    sequences = {each.checkpoint_id: each.sequence for each in checkpoints}
    children: dict[str, str] = {}
    for each in checkpoints:
        child, parent = each.checkpoint_id, each.parent_id
        if parent in children:
            what = f"have the parent {parent!r}" if parent else "have no parent"
            yield f"fork: {where}: {children[parent]!r} and {child!r} both {what}"
        children.setdefault(parent, child)
        if parent and parent not in sequences:
            yield f"gap: {where}: {child!r} has the parent {parent!r}, which is not stored"
        elif parent and sequences[parent] >= each.sequence:
            yield (
                f"parent after child: {where}: {child!r} has the sequence {each.sequence}, "
                f"its parent {parent!r} has {sequences[parent]}"
            )
    if checkpoints and "" not in children:
        yield f"no beginning: {where}: every checkpoint has a parent, the first is {checkpoints[0].checkpoint_id!r}"
