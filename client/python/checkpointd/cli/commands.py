"""From a command line that was understood to its command's exit code."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace

from checkpointd.cli import diff, history, ids, keys, quotas, removal, retention, state, threads, update, watch
from checkpointd.cli.printing import Printer
from checkpointd.client import (
    CheckpointdError,
    Client,
    Credentials,
    DeadlineExceeded,
    GraphUnknown,
    InvalidRequest,
    NeedsCode,
    Unavailable,
)

_COMMANDS: dict[str, Callable[[Client, argparse.Namespace, Printer], int]] = {
    "threads": threads.run,
    "state": state.run,
    "history": history.run,
    "diff": diff.run,
    "update": update.run,
    "label": threads.label,
    "delete": removal.delete,
    "copy": threads.copy,
    "prune": removal.prune,
    "keys": keys.run,
    "quotas": quotas.run,
    "retention": retention.run,
    "cleanup": retention.cleanup,
    "watch": watch.run,
    "wait": watch.wait,
}

_FAILED, _CALLED_WRONGLY, _NO_ANSWER = 1, 2, 3


def run(options: argparse.Namespace) -> int:
    """Do what the options say, and return the exit code."""
    printer = Printer(as_json=options.json)
    logging.basicConfig(format="checkpointd: %(message)s", level=logging.WARNING)
    try:
        credentials = Credentials.from_environment()
        if options.token_file:
            credentials = replace(credentials, token=None, token_file=options.token_file)
        with Client(options.server, tenant=options.tenant, timeout=options.timeout, credentials=credentials) as client:
            code = _COMMANDS[options.command](client, options, printer)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our answer has seen enough. What is left in the buffer must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (CheckpointdError, ids.Ambiguous, update.NotUnderstood) as error:
        printer.note(f"{error}{_hint(error)}")
        return _code_of(error)
    except OSError as error:  # a full disk under the standard output
        printer.note(f"can't print the answer: {error.strerror}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    return code


def _hint(error: Exception) -> str:
    """Which option does what the server asks for."""
    if isinstance(error, GraphUnknown):
        return "; here: --graph NAME"
    if isinstance(error, NeedsCode) and error.metadata.get("field", "").endswith(".goto"):
        return "; here: --goto NODE, or --goto __end__ for none"
    return ""


def _code_of(error: Exception) -> int:
    if isinstance(error, Unavailable | DeadlineExceeded):
        return _NO_ANSWER
    if isinstance(error, update.NotUnderstood):
        return _CALLED_WRONGLY
    if isinstance(error, InvalidRequest) and error.reason == "INVALID_FIELD":
        return _CALLED_WRONGLY
    return _FAILED
