"""What the command `checkpointd` can be told."""

import argparse
import os
from collections.abc import Sequence
from importlib.metadata import version

from checkpointd.server import config, health, serve


def run(words: Sequence[str]) -> int:
    """Do what the words of a command line say, and return the exit code.

    Raises:
        ValueError: an option has a value that makes no sense.
    """
    options, unknown = _parser(words).parse_known_args(words)
    if unknown:
        # By name only: what was meant to be the value of a mistyped --database-url may hold a password.
        names = [word.partition("=")[0] for word in unknown if word.startswith("-")]
        options.parser.error(f"no such option: {' '.join(names)}" if names else "more words than there are options for")
    return int(options.run(options))


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="checkpointd", description="A checkpoint server for graph processes.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"checkpointd {version('checkpointd')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    serving = commands.add_parser(
        "serve",
        help="run the server",
        allow_abbrev=False,
        description="Run the server, with a PostgreSQL of its own unless it is told of another one. "
        "Stops on Ctrl-C or SIGTERM after answering what it has accepted; the second time, it doesn't wait. "
        "Each option can also be set by the environment variable in brackets.",
    )
    config.add_options(serving, os.environ)
    serving.set_defaults(parser=serving, run=lambda options: serve.run(config.from_options(options, words, os.environ)))
    asking = commands.add_parser(
        "health",
        help="ask a server whether it serves",
        allow_abbrev=False,
        description="Ask a running server whether it serves: exit code 0 if so, 1 if not.",
    )
    asking.add_argument(
        "--server",
        default=os.environ.get("CHECKPOINTD_SERVER", "127.0.0.1:50051"),
        metavar="HOST:PORT",
        help="the server to ask. Default: 127.0.0.1:50051. [CHECKPOINTD_SERVER]",
    )
    asking.set_defaults(parser=asking, run=lambda options: health.run(options.server))
    return parser
