"""Channel versions: numbers and strings in LangGraph, strings in the contract."""

from collections.abc import Mapping

Version = str | int | float


def encode_versions(versions: Mapping[str, Version]) -> dict[str, str]:
    """The contract's form of the versions of some channels."""
    return {
        # Nearly every version is a plain string, for which this is all there is to do.
        channel: version if type(version) is str and version[:1] != "#" else encode_version(version)
        for channel, version in versions.items()
    }


def encode_version(version: Version) -> str:
    """A number becomes `#` and the number; a string that begins with `#` gets one more in front."""
    if isinstance(version, str):
        return f"#{version}" if version.startswith("#") else version
    if isinstance(version, int | float):
        # repr, because it gives a float back exactly; + 0 makes a plain number of a bool or another subclass.
        return f"#{version + 0!r}"
    raise TypeError(f"a version is a string or a number, not {type(version).__name__}")


def decode_versions(versions: Mapping[str, str]) -> dict[str, Version]:
    """The reverse of `encode_versions`."""
    return {
        channel: version if version[:1] != "#" else decode_version(version) for channel, version in versions.items()
    }


def decode_version(version: str) -> Version:
    """The reverse of `encode_version`. Raises ValueError for text that it does not make."""
    if not version.startswith("#"):
        return version
    if version.startswith("##"):
        return version[1:]
    try:
        return int(version[1:])
    except ValueError:
        return float(version[1:])
