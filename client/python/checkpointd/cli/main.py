"""Where the command `checkpointd` begins: what it needs is looked for before it is loaded.

This module, and what it loads at its top, needs nothing but Python: the thin client alone can say what to install.
"""

import importlib
import importlib.util
import os
import signal
import sys
from collections.abc import Sequence

from checkpointd.cli.arguments import SERVER_COMMANDS, parse

_NEEDED = ("ormsgpack", "rich")


def main() -> int:
    """Run the command and return its exit code.

    0 done; 1 refused, failed or not found; 2 called wrongly; 3 no answer from the server; 130 interrupted.
    """
    words = sys.argv[1:]
    if words and words[0] in SERVER_COMMANDS:
        return _serve()
    # Nothing here needs tidying up, and gRPC would make a traceback of the exception.
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    return _ask(words)


def _serve() -> int:
    """Hand over to the server, of which nothing is loaded otherwise; it says itself when it is not installed."""
    from checkpointd.server import cli  # noqa: PLC0415

    return cli.main()


def _ask(words: Sequence[str]) -> int:
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
