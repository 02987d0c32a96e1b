"""The command `checkpointd`."""

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence

_NEEDED = ("grpc_health", "grpc_reflection", "grpc_status", "psutil", "psycopg", "psycopg_pool", "uvloop")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 failed, 2 called wrongly."""
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        print(
            f"checkpointd: the server is not installed ({', '.join(missing)} missing): "
            "pip install 'checkpointd[server]'",
            file=sys.stderr,
        )
        return 1
    from checkpointd.server import config, health, serve  # noqa: PLC0415 - only now is it known that they load

    words = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(
        prog="checkpointd", description="A checkpoint server for graph processes.", allow_abbrev=False
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    serving = commands.add_parser(
        "serve",
        help="run the server",
        allow_abbrev=False,
        description="Run the server, with a PostgreSQL of its own unless it is told of another one. "
        "Stops on Ctrl-C or SIGTERM after answering what it has accepted. "
        "Each option can also be set by the environment variable in brackets.",
    )
    config.add_options(serving, os.environ)
    serving.set_defaults(run=lambda options: serve.run(config.from_options(options, words, os.environ)))
    asking = commands.add_parser(
        "health",
        help="ask a server whether it serves",
        description="Ask a running server whether it serves: exit code 0 if so, 1 if not.",
    )
    asking.add_argument("server", nargs="?", default="127.0.0.1:50051", metavar="HOST:PORT")
    asking.set_defaults(run=lambda options: health.run(options.server))
    options = parser.parse_args(words)
    try:
        return int(options.run(options))
    except ValueError as problem:
        print(f"checkpointd: {problem}", file=sys.stderr)
        return 2
