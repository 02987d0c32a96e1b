"""Channel versions: numbers or text in LangGraph, text in the contract (core.proto says how)."""


def _decoded(version: str) -> str | int | float:
    if not version.startswith("#"):
        return version
    if version.startswith("##"):
        return version[1:]
    for kind in (int, float):
        try:
            return kind(version[1:])
        except ValueError:
            pass
    return version


def newer(version: str | None, seen: str | None) -> bool:
    """Whether a channel's version is above the one that a node has seen.

    None, for none, counts as the null of the other's type: the empty string or zero (_algo.checkpoint_null_version).
    LangGraph can't compare a number with text; here text is newer, so that a thread that changed savers stays readable.
    """
    if version is None:
        return False
    ours = _decoded(version)
    theirs = type(ours)() if seen is None else _decoded(seen)
    if isinstance(ours, str) or isinstance(theirs, str):
        return (isinstance(ours, str), str(ours)) > (isinstance(theirs, str), str(theirs))
    return ours > theirs
