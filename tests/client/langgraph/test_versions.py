"""Versions keep their type on the way through the contract's strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.client.langgraph.versions import decode_version, decode_versions, encode_version, encode_versions
from tests.client.langgraph.strategies import text, versions


@pytest.mark.parametrize(
    ("version", "encoded"),
    [
        ("00000000000000000000000000000001.0.5", "00000000000000000000000000000001.0.5"),
        (3, "#3"),
        (-1, "#-1"),
        (1.5, "#1.5"),
        (3.0, "#3.0"),
        (1e300, "#1e+300"),
        (float("inf"), "#inf"),
        (True, "#1"),
        ("", ""),
        ("3", "3"),
        ("#3", "##3"),
        ("#", "##"),
        ("##3", "###3"),
    ],
)
def test_the_form_of_a_version(version: str | int | float, encoded: str) -> None:
    assert encode_version(version) == encoded
    assert encode_versions({"x": version}) == {"x": encoded}
    assert decode_version(encoded) == version
    assert decode_versions({"x": encoded}) == {"x": version}


@given(st.dictionaries(text, versions))
def test_versions_come_back_as_they_were(some: dict[str, str | int | float]) -> None:
    back = decode_versions(encode_versions(some))
    assert back == some
    assert {name: type(version) for name, version in back.items()} == {
        name: type(version) for name, version in some.items()
    }


@given(versions, versions)
def test_different_versions_stay_different(one: str | int | float, other: str | int | float) -> None:
    if encode_version(one) == encode_version(other):
        assert (type(one), one) == (type(other), other)


def test_what_is_no_version() -> None:
    with pytest.raises(TypeError, match="a version is a string or a number, not list"):
        encode_version([])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x"):
        decode_version("#x")
