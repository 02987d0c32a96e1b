"""What the command `checkpointd` can be told."""

import argparse
from collections.abc import Sequence
from importlib.metadata import version

from checkpointd.cli.command_options import COMMANDS
from checkpointd.cli.common_options import EXIT_CODES, finish

_SERVER_COMMANDS = {
    "serve": "run the server",
    "health": "ask a server whether it serves",
    "verify": "check that all in a database is as it was stored",
    "admin-key": "make the first API key, straight in the database",
}


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options in a command line; `command` is the command's name. Ends the process when they make no sense."""
    parser = argparse.ArgumentParser(
        prog="checkpointd",
        description="A checkpoint server for graph processes, and what looks into it.",
        epilog=EXIT_CODES,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"checkpointd {version('checkpointd')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")
    for name, purpose in _SERVER_COMMANDS.items():
        commands.add_parser(name, help=purpose)
    for name, (purpose, description, add_options) in COMMANDS.items():
        command = commands.add_parser(
            name, help=purpose, description=description, epilog=EXIT_CODES, allow_abbrev=False
        )
        add_options(command)
        if name in ("keys", "retention"):  # whose actions have the rest
            command.set_defaults(parser=command)
        else:
            finish(command)
    if words and words[0].startswith("-") and words[0] not in ("-h", "--help", "--version"):
        # Without what follows, which argparse would quote as the command: it may be anything.
        parser.error(f"no such option: {words[0].partition('=')[0]}; a command's options come after its name")
    options, unknown = parser.parse_known_args(words)
    if unknown:
        # Not by `parser`, whose usage would not help.
        options.parser.error(f"not understood: {' '.join(unknown)}")
    return options
