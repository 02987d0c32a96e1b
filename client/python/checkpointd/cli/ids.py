"""Checkpoint ids that a person can read and type."""

from collections.abc import Collection, Iterable

from checkpointd.client import Client
from checkpointd.v1.checkpoints_pb2 import CHECKPOINT_VIEW_METADATA

_SHORTEST = 8
_LEAST_TYPED = 4


class Ambiguous(Exception):
    """Several checkpoints have an id that begins or ends so."""


def short_ids(ids: Collection[str]) -> dict[str, str]:
    """For each id a part of it that none of the others begins or ends with, the end if it can be.

    LangGraph's ids differ most at their ends; those of one second begin alike.
    """
    for length in range(_SHORTEST, 37):
        ends = {id: id[-length:] for id in ids}
        if len(set(ends.values())) == len(ends):
            return ends
        beginnings = {id: id[:length] for id in ids}
        if len(set(beginnings.values())) == len(beginnings):
            return beginnings
    return {id: id for id in ids}


def short_id(checkpoint_id: str) -> str:
    """The short form of an id where no others are shown."""
    return checkpoint_id[-_SHORTEST:]


def resolve(client: Client, thread_id: str, checkpoint_ns: str, given: str) -> str:
    """The id of the checkpoint that is meant by the id, or the part of one, that was given.

    What is nowhere to be found is returned as it came: the server says so in its own words, or knows better.

    Raises:
        Ambiguous: it may be any of several.
    """
    exact = client.list_checkpoints(
        thread_id=thread_id,
        checkpoint_ns=checkpoint_ns,
        checkpoint_id=given,
        limit=1,
        view=CHECKPOINT_VIEW_METADATA,
    )
    if not given or len(given) < _LEAST_TYPED or any(True for _ in exact):
        return given
    found = _matching(
        given,
        (
            one.checkpoint.id
            for one in client.list_checkpoints(
                thread_id=thread_id, checkpoint_ns=checkpoint_ns, view=CHECKPOINT_VIEW_METADATA
            )
        ),
    )
    if len(found) > 1:
        some = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        raise Ambiguous(
            f"{len(found)} checkpoints have an id that begins or ends with {given!r}: {some}; say more of it"
        )
    return found[0] if found else given


def _matching(part: str, ids: Iterable[str]) -> list[str]:
    return [id for id in ids if id.startswith(part) or id.endswith(part)]
