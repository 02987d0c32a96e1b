"""LangGraph's own classes that states hold; None where it is not installed, or too old to have one."""

try:
    from langgraph.types import Command, Interrupt, Overwrite, Send, TimeoutPolicy
except ImportError:  # the package depends on its checkpoint library only
    Command = Interrupt = Overwrite = Send = TimeoutPolicy = None  # type: ignore[assignment,misc]
try:
    from langgraph.checkpoint.serde.types import _DeltaSnapshot as DeltaSnapshot
except ImportError:  # the first releases of langgraph-checkpoint 4 have no delta channels
    DeltaSnapshot = None  # type: ignore[assignment,misc]

__all__ = ["Command", "DeltaSnapshot", "Interrupt", "Overwrite", "Send", "TimeoutPolicy"]
