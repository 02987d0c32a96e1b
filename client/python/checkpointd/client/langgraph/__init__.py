"""LangGraph on checkpointd: `RemoteSaver`, a checkpointer for `graph.invoke` and `graph.ainvoke` alike."""

from checkpointd.client.langgraph.saver import RemoteSaver

__all__ = ["RemoteSaver"]
