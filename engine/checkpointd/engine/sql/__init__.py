"""The engine's SQL: statements by name, and migrations in order.

A `.sql` file holds named statements: a line `-- name: NAME`, comments, the statement. `{{NAME}}` in a statement stands
for the statement of that name, so that what several share is written once.
"""

import re
from importlib import resources
from importlib.resources.abc import Traversable

_HEADER = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_REFERENCE = re.compile(r"\{\{(\w+)\}\}")


def _read(folder: Traversable) -> dict[str, str]:
    """The statements of a folder's files, with their references."""
    raw: dict[str, str] = {}
    for path in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if path.name.endswith(".sql") and path.name != "schema.sql":
            _, *parts = _HEADER.split(path.read_text(encoding="utf-8"))
            found = {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}
            assert not raw.keys() & found.keys(), f"two statements have one name: {raw.keys() & found.keys()}"
            raw |= found
    return raw


def _resolved(raw: dict[str, str]) -> dict[str, str]:
    def resolve(text: str) -> str:
        return _REFERENCE.sub(lambda reference: resolve(raw[reference[1]]), text)

    return {name: resolve(text) for name, text in raw.items()}


_HERE = resources.files(__name__)

STATEMENTS = _resolved(_read(_HERE))

CITUS_STATEMENTS = _resolved(_read(_HERE) | _read(_HERE / "citus"))
"""The same where Citus distributes the tables: some are written in the way that it takes."""


def migrations() -> list[tuple[int, str, str]]:
    """All migrations as (version, name, SQL), oldest first. Their files are called `VERSION_NAME.sql`."""
    found = []
    for path in (_HERE / "migrations").iterdir():
        if path.name.endswith(".sql"):
            version, _, name = path.name.removesuffix(".sql").partition("_")
            found.append((int(version), name, path.read_text(encoding="utf-8")))
    return sorted(found)
