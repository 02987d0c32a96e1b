"""What to say of a namespace without checkpoints."""

from checkpointd.cli.printing import Printer
from checkpointd.client import Client, NotFound

_NAMED = 10


def say_missing(client: Client, thread_id: str, checkpoint_ns: str, printer: Printer) -> int:
    """Say that the namespace has no checkpoints and which ones have. Returns the exit code."""
    try:
        heads = client.get_thread(thread_id=thread_id).heads
    except NotFound:
        printer.note(f"there is no thread {thread_id!r}")
        return 1
    where = f"in namespace {checkpoint_ns!r}" if checkpoint_ns else "of its root graph"
    others = [head.checkpoint_ns for head in heads]
    named = ", ".join(repr(name) for name in others[:_NAMED]) + (", ..." if len(others) > _NAMED else "")
    printer.note(f"thread {thread_id!r} has no checkpoints {where}; it has some in: {named or 'none'}")
    return 1
