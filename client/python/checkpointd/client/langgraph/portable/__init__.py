"""The encoding `portable-json/1`, in which a graph's state is there for every language.

`protos/portable-json` specifies it.
"""

from checkpointd.client.langgraph.portable.serializer import ENCODING, PortableSerializer
from checkpointd.client.langgraph.portable.tagged import Tagged

__all__ = ["ENCODING", "PortableSerializer", "Tagged"]
