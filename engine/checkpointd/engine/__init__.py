"""What a checkpoint means and how it is kept: storage in PostgreSQL, over the contract's messages, without gRPC.

`Engine` is the way in. All it raises on purpose is an `EngineError`.
"""

from checkpointd.engine.database import Database
from checkpointd.engine.engine import Engine
from checkpointd.engine.errors import EngineError

__all__ = ["Database", "Engine", "EngineError"]
