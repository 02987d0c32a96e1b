"""Tagged: a value that this process has no form for, kept as it came."""

from dataclasses import dataclass
from typing import Any

from checkpointd.client.langgraph.portable.text import parse, write


@dataclass(frozen=True, slots=True, repr=False)
class Tagged:
    """A tagged value of `portable-json/1` that can't be made here, kept as it came and stored again as it came.

    It is what another language wrote and Python has nothing like, a newer client's tag, an object of a class that is
    not allowed or not there, or content that is not as the encoding says. Equal when all members are, in their order.

    Attributes:
        json: the value as JSON text, written compactly: an object with the key `"$"`.
    """

    json: str

    def __post_init__(self) -> None:
        """Raises UnreadableValue or ValueError when it is not such an object."""
        tree, _ = parse(self.json.encode())
        if not isinstance(tree, dict) or "$" not in tree:
            raise ValueError('a tagged value is a JSON object with the key "$"')
        object.__setattr__(self, "json", write(tree).decode())

    @property
    def tag(self) -> str | None:
        """The tag's name; None when it is no text."""
        tag = self._members()["$"]
        return tag if isinstance(tag, str) else None

    @property
    def view(self) -> Any:
        """What is inside, as plain JSON values: an opaque object's view, else the content; None when there is none."""
        members = self._members()
        return members.get("view" if members["$"] == "opaque" else "v")

    def _members(self) -> dict[str, Any]:
        members: dict[str, Any] = parse(self.json.encode())[0]
        return members

    def __repr__(self) -> str:
        members = self._members()
        kind = members.get("type") if members["$"] == "opaque" else members["$"]
        inside = repr(self.view)
        return f"Tagged({kind!r}, {inside if len(inside) <= 200 else inside[:199] + '…'})"
