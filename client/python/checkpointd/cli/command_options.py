"""What each command can be told, besides what every one can."""

import argparse
from collections.abc import Callable

from checkpointd.cli.common_options import finish
from checkpointd.cli.option_types import count, label, length, limit

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
        "--limit", type=count, metavar="N", help=f"at most N {what}. Default: 100; with --json, all there are."
    )


def _add_yes(command: argparse.ArgumentParser) -> None:
    command.add_argument("--yes", action="store_true", help="do not ask first; needed where there is no terminal")


def _add_filters(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--label", action="append", type=label, metavar="KEY=VALUE", help="only threads with this label; once for each"
    )
    command.add_argument("--owner", default="", metavar="NAME", help="only threads that are theirs")
    command.add_argument(
        "--status", choices=("idle", "busy", "interrupted", "failed"), help="only threads of which this holds now"
    )
    command.add_argument(
        "--idle-for", type=length, metavar="TIME", help="only threads that have not changed for so long: 30d, 12h"
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
    command.add_argument("labels", nargs="*", type=label, metavar="KEY=VALUE", help="a label to add or change")
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
    create.add_argument("--ttl", type=length, metavar="TIME", help="how long it lasts: 90d, 12h. Default: for ever.")
    listing = actions.add_parser("list", help="list the keys, without their secrets", allow_abbrev=False)
    rotate = actions.add_parser("rotate", help="make a key in place of another, and print it", allow_abbrev=False)
    rotate.add_argument("key_id", metavar="ID", help="the other one's id")
    rotate.add_argument(
        "--grace", type=length, default=0.0, metavar="TIME", help="how long the old one lasts: 1h. Default: no more."
    )
    revoke = actions.add_parser("revoke", help="end a key", allow_abbrev=False)
    revoke.add_argument("key_id", metavar="ID", help="its id")
    for action in (create, listing, rotate, revoke):
        finish(action)


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
            type=limit,
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
    command.add_argument("--within", type=length, metavar="TIME", help="give up after so long. Default: never.")


def _add_terms(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--label", action="append", type=label, metavar="KEY=VALUE", help="only threads with this label; once for each"
    )
    command.add_argument(
        "--older-than", type=length, metavar="TIME", help="delete threads that have not changed for so long: 30d, 12h"
    )
    command.add_argument(
        "--keep-last", type=count, metavar="N", help="leave the last N checkpoints of each namespace of the others"
    )
    command.add_argument(
        "--max-age", type=length, metavar="TIME", help="remove older checkpoints of the others; the head stays"
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
        finish(action)


COMMANDS: dict[str, tuple[str, str, Callable[[argparse.ArgumentParser], None]]] = {
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
