"""What every language's client does by example: `protos/portable-json/vectors.json`."""

import json
from pathlib import Path
from typing import Any

import pytest

from checkpointd.client.errors import UnreadableValue
from checkpointd.client.langgraph.portable import PortableSerializer
from tests.client.portable.notation import noted

ENCODING = "portable-json/1"
FILE = Path(__file__).parents[3] / "protos" / "portable-json" / "vectors.json"
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["vectors"]

serializer = PortableSerializer()


def data_of(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["hex"]) if "hex" in vector else str(vector["text"]).encode()


def exactly(text: bytes | str) -> Any:
    """JSON to compare: the order of members counts, but for a set's, and whether a number is whole."""

    def members(pairs: list[tuple[str, Any]]) -> tuple[str, list[tuple[str, Any]]]:
        if ("$", "set") in pairs:
            pairs = [(name, sorted(part, key=repr) if isinstance(part, list) else part) for name, part in pairs]
        return "object", pairs

    return json.loads(text, object_pairs_hook=members, parse_float=lambda number: float(number).hex())


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_vector(vector: dict[str, Any]) -> None:
    gives = vector["gives"]["python"]
    if gives == ["refused"]:
        with pytest.raises(UnreadableValue, match="not portable-json/1"):
            serializer.loads_typed((ENCODING, data_of(vector)))
        return
    value = serializer.loads_typed((ENCODING, data_of(vector)))
    assert noted(value) == gives
    again = vector.get("again", {}).get("python", vector.get("text"))
    encoding, data = serializer.dumps_typed(value)
    if encoding == "null":
        assert again == "null"
    elif encoding == "bytes":
        assert serializer.loads_typed((ENCODING, again.encode())) == data
    else:
        assert encoding == ENCODING
        assert exactly(data) == exactly(again)


def test_the_readme_says_how_many_there_are() -> None:
    readme = (FILE.parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"{len(VECTORS)} test vectors" in readme


def test_the_vectors_are_named_once_and_say_what_every_language_gives() -> None:
    assert len({vector["name"] for vector in VECTORS}) == len(VECTORS)
    for vector in VECTORS:
        assert vector["gives"].keys() <= {"python", "javascript", "go"}
        assert "python" in vector["gives"]
        assert ("text" in vector) != ("hex" in vector)
