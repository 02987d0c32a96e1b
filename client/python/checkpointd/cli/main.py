"""Where the command `checkpointd` begins: what it needs is looked for before it is loaded.

This module, and what it loads first, needs nothing but Python: the thin client alone can say what to install. What the
server does not need is not loaded for it.
"""

import importlib
import importlib.util
import os
import signal
import sys
from collections.abc import Sequence

_OF_THE_SERVER = ("serve", "health", "verify", "admin-key")
_NEEDED = ("ormsgpack", "rich")


def main() -> int:
    """Run the command and return its exit code.

    0 done; 1 refused, failed or not found; 2 called wrongly; 3 no answer from the server; 130 interrupted.
    """
    # Nothing here needs tidying up. Loading takes a while, and gRPC would make a traceback of the exception; the server
    # sees to its signals itself when it is loaded.
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    words = sys.argv[1:]
    return _serve() if words and words[0] in _OF_THE_SERVER else _ask(words)


def _serve() -> int:
    """Hand over to the server, of which nothing is loaded otherwise; it says itself when it is not installed."""
    from checkpointd.server import cli  # noqa: PLC0415

    return cli.main()


def _ask(words: Sequence[str]) -> int:
    from checkpointd.cli.arguments import parse  # noqa: PLC0415 - not for the server

    options = parse(words)
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        print(
            f"checkpointd: `checkpointd {options.command}` needs what is not installed ({', '.join(missing)}): "
            "pip install 'checkpointd[cli]' (in a checkout: pip install '.[cli]')",
            file=sys.stderr,
        )
        return 1
    # What goes wrong is said by us, once. gRPC looks at this when it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    return int(importlib.import_module("checkpointd.cli.commands").run(options))
