"""LangGraph on checkpointd: `RemoteSaver`, a checkpointer for `graph.invoke` and `graph.ainvoke` alike.

A state is stored so that graphs in other languages can go on with it; what such a one stored and Python has nothing
like comes as a `Tagged`. `PortableSerializer` says what of it becomes objects again.

`graph_spec` describes a compiled graph without its code. It needs LangGraph itself, as do RemoteSaver's methods that
register graphs and read states; importing this package does not.
"""

try:
    import langgraph.checkpoint.base  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError(
        "RemoteSaver needs LangGraph's checkpoint interface: pip install 'checkpointd[langgraph]' "
        "(in a checkout: pip install '.[langgraph]')",
        name=error.name,
    ) from error

from checkpointd.client.langgraph.graph_spec import graph_spec
from checkpointd.client.langgraph.portable import PortableSerializer, Tagged
from checkpointd.client.langgraph.saver import RemoteSaver

__all__ = ["PortableSerializer", "RemoteSaver", "Tagged", "graph_spec"]
