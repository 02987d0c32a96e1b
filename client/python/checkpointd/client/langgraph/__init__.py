"""LangGraph on checkpointd: `RemoteSaver`, a checkpointer for `graph.invoke` and `graph.ainvoke` alike."""

try:
    import langgraph.checkpoint.base  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError(
        "RemoteSaver needs LangGraph's checkpoint interface: pip install 'checkpointd[langgraph]' "
        "(in a checkout: pip install '.[langgraph]')",
        name=error.name,
    ) from error

from checkpointd.client.langgraph.saver import RemoteSaver

__all__ = ["RemoteSaver"]
