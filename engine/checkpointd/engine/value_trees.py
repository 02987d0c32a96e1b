"""In which order to build all the values of a channel, so that few of them are in memory at a time. Pure."""

from collections import defaultdict
from collections.abc import Mapping


def order(bases: Mapping[str, str | None]) -> tuple[list[str], list[str]]:
    """The versions of a channel, each after the one that it is a change of.

    Of what several are made of, the smaller families come first and the largest one last: who lets go of a value when
    the last one that is made of it is built holds at most the logarithm of their number at a time, plus one.

    Args:
        bases: what each version is a change of; None, or one that is not there, when nothing needs to come before it.

    Returns:
        The versions in order, and those that have no place in it because what they are made of leads back to itself.
    """
    families: defaultdict[str, list[str]] = defaultdict(list)
    roots = []
    for version, base in bases.items():
        if base is None or base not in bases:
            roots.append(version)
        else:
            families[base].append(version)
    reached: list[str] = []
    waiting = list(reversed(roots))
    while waiting:
        reached.append(version := waiting.pop())
        waiting += families.get(version, ())
    sizes: dict[str, int] = {}
    for version in reversed(reached):  # each before the one that it is made of
        sizes[version] = 1 + sum(sizes[child] for child in families.get(version, ()))
    ordered: list[str] = []
    waiting = list(reversed(roots))
    while waiting:
        ordered.append(version := waiting.pop())
        waiting += sorted(families.get(version, ()), key=sizes.__getitem__, reverse=True)
    return ordered, [version for version in bases if version not in sizes]
