"""LangGraph on checkpointd: `RemoteSaver`, a checkpointer for `graph.invoke` and `graph.ainvoke` alike."""

try:
    import langgraph.checkpoint.base  # noqa: F401
except ModuleNotFoundError as error:
    error.add_note("checkpointd.client.langgraph needs an extra: pip install 'checkpointd[langgraph]'")
    raise

from checkpointd.client.langgraph.saver import RemoteSaver

__all__ = ["RemoteSaver"]
