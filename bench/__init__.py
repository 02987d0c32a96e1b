"""The benchmark: checkpointd beside LangGraph's own PostgresSaver on one PostgreSQL. `make bench` runs it."""
