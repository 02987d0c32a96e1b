"""What every command can be told."""

import argparse
import os

from checkpointd.cli.option_types import seconds

EXIT_CODES = (
    "exit codes: 0 done; 1 refused, failed or not found; 2 called wrongly; 3 no answer from the server; 130 interrupted"
)


def add_common_options(command: argparse.ArgumentParser) -> None:
    common = command.add_argument_group("which server, and how to print")
    common.add_argument(
        "--server",
        default=os.environ.get("CHECKPOINTD_SERVER", "127.0.0.1:50051"),
        metavar="HOST:PORT",
        help="the server to ask. Default: 127.0.0.1:50051. [CHECKPOINTD_SERVER]",
    )
    common.add_argument(
        "--tenant",
        default=os.environ.get("CHECKPOINTD_TENANT"),
        metavar="NAME",
        help="whose threads. Default: those of the credential's tenant; without one, of `default`. "
        "[CHECKPOINTD_TENANT]",
    )
    common.add_argument(
        "--token-file",
        metavar="FILE",
        help="a file with the API key or JWT to show; a key itself is only taken from the environment, where others "
        "don't see it. [CHECKPOINTD_TOKEN_FILE, CHECKPOINTD_TOKEN; for TLS CHECKPOINTD_TLS, _CA_FILE, _CERT_FILE, "
        "_KEY_FILE]",
    )
    common.add_argument(
        "--timeout",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long to wait for an answer, and to try again while no server is there. Default: 10.",
    )
    common.add_argument(
        "--json",
        action="store_true",
        help="print JSON with nothing left out: one document, or one on each line where the answer is a list",
    )


def finish(command: argparse.ArgumentParser) -> None:
    """Give a command, or an action of one, what all have."""
    command.epilog = EXIT_CODES
    command.set_defaults(parser=command)
    add_common_options(command)
