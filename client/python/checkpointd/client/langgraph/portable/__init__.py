"""The encoding `portable-json/1`, in which a graph's state is there for every language.

`protos/portable-json` specifies it.
"""

from checkpointd.client.langgraph.portable.serializer import PortableSerializer
from checkpointd.client.langgraph.portable.tagged import Tagged

__all__ = ["PortableSerializer", "Tagged"]
