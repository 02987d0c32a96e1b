"""UpdateState against LangGraph: the same thread twice, updated with the graph and without, and compared."""
