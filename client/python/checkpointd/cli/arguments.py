"""What the command `checkpointd` can be told."""

import argparse
import math
import os
from collections.abc import Callable, Sequence
from importlib.metadata import version

_SERVER_COMMANDS = {
    "serve": "run the server",
    "health": "ask a server whether it serves",
    "verify": "check that all in a database is as it was stored",
    "admin-key": "make the first API key, straight in the database",
}

_EXIT_CODES = (
    "exit codes: 0 done; 1 refused, failed or not found; 2 called wrongly; 3 no answer from the server; 130 interrupted"
)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_EVENT_KINDS = (
    "checkpoint",
    "writes",
    "thread-updated",
    "thread-copied",
    "thread-pruned",
    "runs-deleted",
    "thread-deleted",
    "lease-taken",
    "lease-ended",
)

_CHECKPOINT_HELP = "its id, or as much of the beginning or the end of it as no other has (at least 4 characters)"


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options in a command line; `command` is the command's name. Ends the process when they make no sense."""
    parser = argparse.ArgumentParser(
        prog="checkpointd",
        description="A checkpoint server for graph processes, and what looks into it.",
        epilog=_EXIT_CODES,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"checkpointd {version('checkpointd')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")
    for name, purpose in _SERVER_COMMANDS.items():
        commands.add_parser(name, help=purpose)
    for name, (purpose, description, add_options) in _COMMANDS.items():
        command = commands.add_parser(
            name, help=purpose, description=description, epilog=_EXIT_CODES, allow_abbrev=False
        )
        command.set_defaults(parser=command)
        add_options(command)
        if name not in ("keys", "retention"):  # whose actions have them
            _add_common_options(command)
    if words and words[0].startswith("-") and words[0] not in ("-h", "--help", "--version"):
        # Without what follows, which argparse would quote as the command: it may be anything.
        parser.error(f"no such option: {words[0].partition('=')[0]}; a command's options come after its name")
    options, unknown = parser.parse_known_args(words)
    if unknown:
        # Not by `parser`, whose usage would not help.
        options.parser.error(f"not understood: {' '.join(unknown)}")
    return options


def _add_common_options(command: argparse.ArgumentParser) -> None:
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
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long to wait for an answer, and to try again while no server is there. Default: 10.",
    )
    common.add_argument(
        "--json",
        action="store_true",
        help="print JSON with nothing left out: one document, or one on each line where the answer is a list",
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ValueError
    return seconds


def _length(text: str) -> float:
    unit = _UNITS.get(text[-1:])
    return _seconds(text) if unit is None else unit * _seconds(text[:-1])


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError
    return key, value


def _count(text: str) -> int:
    count = int(text)
    if not 0 < count < 1 << 31:
        raise ValueError
    return count


# How argparse names them where it says that a value is none.
_seconds.__name__ = "number of seconds"
_count.__name__ = "count"
_label.__name__ = "label, which is KEY=VALUE"
_length.__name__ = "length of time, such as 90d, 12h, 30m or 45s"


def _add_thread(command: argparse.ArgumentParser) -> None:
    command.add_argument("thread", metavar="THREAD", help="the thread's id")


def _add_namespace(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--namespace", default="", metavar="NS", help="that of a subgraph's call. Default: the root graph's."
    )
    command.add_argument(
        "--graph",
        metavar="NAME",
        help="read the thread as one of this registered graph. Default: the graph that wrote it.",
    )


def _add_limit(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument(
        "--limit", type=_count, metavar="N", help=f"at most N {what}. Default: 100; with --json, all there are."
    )


def _add_yes(command: argparse.ArgumentParser) -> None:
    command.add_argument("--yes", action="store_true", help="do not ask first; needed where there is no terminal")


def _add_filters(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--label", action="append", type=_label, metavar="KEY=VALUE", help="only threads with this label; once for each"
    )
    command.add_argument("--owner", default="", metavar="NAME", help="only threads that are theirs")
    command.add_argument(
        "--status", choices=("idle", "busy", "interrupted", "failed"), help="only threads of which this holds now"
    )
    command.add_argument(
        "--idle-for", type=_length, metavar="TIME", help="only threads that have not changed for so long: 30d, 12h"
    )


def _threads(command: argparse.ArgumentParser) -> None:
    _add_limit(command, "threads")
    command.add_argument("--prefix", default="", metavar="TEXT", help="only threads whose id begins with this")
    _add_filters(command)
    command.add_argument(
        "--order",
        choices=("updated", "id"),
        help="updated: the one that changed last first. id: by id, which misses no thread however they change "
        "meanwhile. Default: updated; with --json, id.",
    )


def _label_command(command: argparse.ArgumentParser) -> None:
    _add_thread(command)
    command.add_argument("labels", nargs="*", type=_label, metavar="KEY=VALUE", help="a label to add or change")
    command.add_argument("--remove", action="append", metavar="KEY", help="a label to remove; once for each")
    command.add_argument("--owner", metavar="NAME", help="whose it is; '' for nobody's")


def _state(command: argparse.ArgumentParser) -> None:
    _add_thread(command)
    _add_namespace(command)
    command.add_argument("--checkpoint", metavar="ID", help=f"{_CHECKPOINT_HELP}. Default: the head, as it is now.")
    command.add_argument("--subgraphs", action="store_true", help="the states of the graphs that its tasks call too")


def _history(command: argparse.ArgumentParser) -> None:
    _add_thread(command)
    _add_namespace(command)
    _add_limit(command, "checkpoints, those that were committed last")


def _diff(command: argparse.ArgumentParser) -> None:
    _add_thread(command)
    command.add_argument("before", metavar="CHECKPOINT_A", help=f"the one checkpoint: {_CHECKPOINT_HELP}")
    command.add_argument("after", metavar="CHECKPOINT_B", help="the other one, likewise")
    _add_namespace(command)


def _update(command: argparse.ArgumentParser) -> None:
    _add_thread(command)
    command.add_argument(
        "values",
        metavar="JSON",
        help="a JSON object of values by key of the state; null for none; anything else is the new state of a graph "
        "whose state is one bare value. - reads it from the standard input, @FILE from a file.",
    )
    _add_namespace(command)
    command.add_argument(
        "--as-node", default="", metavar="NODE", help="the node that is said to have written it. Default: the last."
    )
    command.add_argument(
        "--goto",
        action="append",
        metavar="NODE",
        help="where that node leads to, for one with conditional edges; once for each node, __end__ for none",
    )
    command.add_argument(
        "--checkpoint",
        default="",
        metavar="ID",
        help=f"the checkpoint to build on, which makes a fork of it if it is not the head: {_CHECKPOINT_HELP}",
    )
    command.add_argument(
        "--expect-head",
        metavar="ID",
        help="change nothing unless this is the head; '' for: unless there is none",
    )


def _delete(command: argparse.ArgumentParser) -> None:
    command.add_argument("threads", nargs="+", metavar="THREAD", help="a thread's id")
    _add_yes(command)


def _copy(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", metavar="SOURCE", help="the thread to copy")
    command.add_argument("target", metavar="TARGET", help="the id of the copy")


def _prune(command: argparse.ArgumentParser) -> None:
    command.add_argument("threads", nargs="+", metavar="THREAD", help="a thread's id")
    command.add_argument(
        "--strategy",
        choices=("keep-latest", "delete"),
        default="keep-latest",
        help="keep-latest: leave the head of each namespace. delete: leave nothing. Default: %(default)s.",
    )
    _add_yes(command)


def _keys(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION", dest="action")
    create = actions.add_parser("create", help="make a key, and print it", allow_abbrev=False)
    create.add_argument("name", nargs="?", default="", metavar="NAME", help="what it is for")
    create.add_argument(
        "--role",
        choices=("read", "write", "admin", "operator"),
        required=True,
        help="what it allows: to read; to write too; to manage keys and policies too; everything in every tenant",
    )
    create.add_argument(
        "--prefix", action="append", metavar="TEXT", help="only threads whose id begins so; once for each"
    )
    create.add_argument("--ttl", type=_length, metavar="TIME", help="how long it lasts: 90d, 12h. Default: for ever.")
    listing = actions.add_parser("list", help="list the keys, without their secrets", allow_abbrev=False)
    rotate = actions.add_parser("rotate", help="make a key in place of another, and print it", allow_abbrev=False)
    rotate.add_argument("key_id", metavar="ID", help="the other one's id")
    rotate.add_argument(
        "--grace", type=_length, default=0.0, metavar="TIME", help="how long the old one lasts: 1h. Default: no more."
    )
    revoke = actions.add_parser("revoke", help="end a key", allow_abbrev=False)
    revoke.add_argument("key_id", metavar="ID", help="its id")
    for action in (create, listing, rotate, revoke):
        action.epilog = _EXIT_CODES
        action.set_defaults(parser=action)
        _add_common_options(action)


def _limit(text: str) -> int | None:
    """A limit: `none`, or a number, perhaps of KiB, MiB, GiB or TiB."""
    if text == "none":
        return None
    number, factor = text, 1
    for power, unit in enumerate(("KiB", "MiB", "GiB", "TiB"), start=1):
        if text.endswith(unit):
            number, factor = text.removesuffix(unit), 1 << 10 * power
    if not (number.isascii() and number.isdecimal() and len(number) < 20):
        raise ValueError
    return int(number) * factor


_limit.__name__ = "limit"


def _quotas(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "action",
        nargs="?",
        choices=("list", "show", "set"),
        default="list",
        help="list: all tenants that have one. show: that of the tenant, and what it uses. set: change what is given "
        "here. Default: list.",
    )
    for name, what in (("threads", "threads"), ("bytes", "bytes that are stored"), ("ops", "requests a second")):
        command.add_argument(
            f"--{name}",
            type=_limit,
            metavar="N",
            default=argparse.SUPPRESS,
            help=f"with set: so many {what}; none for no limit. A number may have KiB, MiB, GiB or TiB behind it.",
        )


def _watch(command: argparse.ArgumentParser) -> None:
    command.add_argument("thread", nargs="?", default="", metavar="THREAD", help="the thread's id. Default: all.")
    command.add_argument("--prefix", default="", metavar="TEXT", help="only threads whose id begins with this")
    command.add_argument(
        "--kind",
        action="append",
        choices=_EVENT_KINDS,
        metavar="KIND",
        help=f"only what is of this kind; once for each: {', '.join(_EVENT_KINDS)}",
    )
    command.add_argument(
        "--namespace",
        action="append",
        metavar="NS",
        help="only commits to this namespace; once for each; '' is the root",
    )
    command.add_argument(
        "--token",
        default="",
        metavar="TOKEN",
        help="go on after what had this token (--json prints it), with the same THREAD and filters. Default: from now "
        "on.",
    )


def _wait(command: argparse.ArgumentParser) -> None:
    _add_thread(command)
    command.add_argument(
        "--until",
        action="append",
        choices=("finished", "interrupted", "failed"),
        help="what to wait for; once for each. Default: any of them.",
    )
    command.add_argument(
        "--after",
        type=int,
        default=0,
        metavar="COMMIT",
        help="what it had come to at this commit does not count: the thread's sequence, as `threads` prints it",
    )
    command.add_argument("--within", type=_length, metavar="TIME", help="give up after so long. Default: never.")


def _add_terms(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--label", action="append", type=_label, metavar="KEY=VALUE", help="only threads with this label; once for each"
    )
    command.add_argument(
        "--older-than", type=_length, metavar="TIME", help="delete threads that have not changed for so long: 30d, 12h"
    )
    command.add_argument(
        "--keep-last", type=_count, metavar="N", help="leave the last N checkpoints of each namespace of the others"
    )
    command.add_argument(
        "--max-age", type=_length, metavar="TIME", help="remove older checkpoints of the others; the head stays"
    )
    command.add_argument(
        "--keep-metadata",
        default="",
        metavar="JSON",
        help="an object: checkpoints whose metadata has it are kept, however old",
    )


def _add_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dry-run", action="store_true", help="only say what would go, and how many bytes")
    _add_yes(command)


def _cleanup(command: argparse.ArgumentParser) -> None:
    _add_terms(command)
    _add_run(command)


def _retention(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION", dest="action")
    listing = actions.add_parser("list", help="list the policies", allow_abbrev=False)
    setting = actions.add_parser("set", help="add or change a policy", allow_abbrev=False)
    setting.add_argument("name", metavar="NAME", help="the policy's name")
    _add_terms(setting)
    _add_yes(setting)
    removing = actions.add_parser("remove", help="remove a policy", allow_abbrev=False)
    removing.add_argument("name", metavar="NAME", help="the policy's name")
    running = actions.add_parser("run", help="carry policies out now", allow_abbrev=False)
    running.add_argument("names", nargs="*", metavar="NAME", help="which ones. Default: all.")
    _add_run(running)
    for action in (listing, setting, removing, running):
        action.epilog = _EXIT_CODES
        action.set_defaults(parser=action)
        _add_common_options(action)


_COMMANDS: dict[str, tuple[str, str, Callable[[argparse.ArgumentParser], None]]] = {
    "threads": ("list threads", "List the tenant's threads.", _threads),
    "state": (
        "show the state of a thread",
        "Show the state of a thread: its values, what runs next, what it waits for.",
        _state,
    ),
    "history": (
        "show the history of a thread as a tree",
        "Show the checkpoints of a thread, the first on top, each below the one that it was made from. Forks branch "
        "off; the branch that was committed to last goes on straight. With --json, newest commit first.",
        _history,
    ),
    "diff": (
        "compare two checkpoints of a thread",
        "Compare the states at two checkpoints of a thread, channel by channel.",
        _diff,
    ),
    "update": (
        "change the state of a thread",
        "Change the state of a thread as if a node of its graph had written it: a new checkpoint is made.",
        _update,
    ),
    "label": (
        "label a thread",
        "Add, change and remove labels of a thread, and say whose it is. Without any, show them.",
        _label_command,
    ),
    "delete": ("delete threads", "Delete threads with everything in them.", _delete),
    "copy": ("copy a thread", "Copy a thread, complete, to another id.", _copy),
    "quotas": (
        "say what tenants may use",
        "List, show or set what tenants may use: threads, bytes, and requests a second of each server.",
        _quotas,
    ),
    "prune": ("remove old checkpoints of threads", "Remove old checkpoints of threads.", _prune),
    "cleanup": (
        "remove what is old",
        "Delete threads, and remove checkpoints of others, that are too old: `cleanup --older-than 30d`. What would go "
        "is said first.",
        _cleanup,
    ),
    "retention": (
        "say what becomes of threads in time",
        "List, set and remove policies, which the servers carry out by themselves, or carry them out now.",
        _retention,
    ),
    "watch": (
        "show what is committed as it happens",
        "Print what is committed to a thread, or to all threads, as it happens, one line each. It goes on, also when a "
        "server is away for a moment (--timeout), until it is interrupted.",
        _watch,
    ),
    "wait": (
        "wait for what a thread comes to",
        "Wait until a thread has finished, is interrupted (a task waits for an answer), or has failed; print which. "
        "With --within, exit code 3 when it has come to none of them in time.",
        _wait,
    ),
    "keys": (
        "manage API keys",
        "Make, list, rotate and revoke API keys, for servers that take them (`serve --auth api-key`). The first one is "
        "made by `checkpointd admin-key`.",
        _keys,
    ),
}
