"""What the command `checkpointd` can be told."""

import argparse
import os
from collections.abc import Sequence
from importlib.metadata import version

from checkpointd.server import admin_key, config, health, serve, verify


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
    _add_verify(commands, words)
    _add_admin_key(commands, words)
    return parser


def _add_verify(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", words: Sequence[str]) -> None:
    verifying = commands.add_parser(
        "verify",
        help="check that all in a database is as it was stored",
        allow_abbrev=False,
        description="Check that everything in a database is as it was stored: every value against its hash, and "
        "whether every checkpoint can be read. It changes nothing, and may run beside servers. "
        "Exit code 0 when all is well, 1 when something is not, 2 when it could not be checked.",
    )
    config.add_database_options(verifying, os.environ)
    verifying.add_argument("--tenant", default="", metavar="NAME", help="only this tenant's threads. Default: all.")
    verifying.add_argument("--thread", default="", metavar="ID", help="only threads with this id. Default: all.")
    verifying.add_argument(
        "--json", action="store_true", help="print JSON: a line for each fault, and one with the counts at the end"
    )
    verifying.set_defaults(
        parser=verifying,
        run=lambda options: verify.run(
            *config.database_of(options, words, os.environ), options.tenant, options.thread, as_json=options.json
        ),
    )


def _add_admin_key(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", words: Sequence[str]) -> None:
    making = commands.add_parser(
        "admin-key",
        help="make the first API key, straight in the database",
        allow_abbrev=False,
        description="Make an API key straight in the database, and print it: the first one, with which `checkpointd "
        "keys` makes all others. Whoever can call this has the database, and so everything anyway.",
    )
    config.add_database_options(making, os.environ)
    making.add_argument(
        "--tenant",
        default="",
        metavar="NAME",
        help="a key for this tenant's administrator. Default: an operator's, for every tenant.",
    )
    making.set_defaults(
        parser=making,
        run=lambda options: admin_key.run(*config.database_of(options, words, os.environ), options.tenant),
    )
