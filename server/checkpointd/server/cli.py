"""The command `checkpointd`: what has to be in order before the rest of it can be loaded."""

import importlib.util
import os
import signal
import sys

_NEEDED = (
    "grpc_health",
    "grpc_reflection",
    "grpc_status",
    "jwt",
    "prometheus_client",
    "psutil",
    "psycopg",
    "psycopg_pool",
    "uvloop",
)


def main() -> int:
    """Run the command and return its exit code: 0 done, 1 failed, 2 called wrongly, 130 interrupted."""
    # Loading takes a while. Ctrl-C ends it without a traceback, and without whatever a module makes of the exception.
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        print(
            f"checkpointd: the server is not installed ({', '.join(missing)} missing): "
            "pip install 'checkpointd[server]' (in a checkout: pip install '.[server]')",
            file=sys.stderr,
        )
        return 1
    # What goes wrong is said by us, once. gRPC looks at this when it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from checkpointd.server import commands  # noqa: PLC0415 - only now is it known that it loads

    try:
        return commands.run(sys.argv[1:])
    except ValueError as problem:
        print(f"checkpointd: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
