"""The engine's SQL: statements by name, and migrations in order.

A `.sql` file holds named statements: a line `-- name: NAME`, comments, the statement. `{{NAME}}` in a statement stands
for the statement of that name, so that what several share is written once.
"""

import re
from importlib import resources

_HEADER = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_REFERENCE = re.compile(r"\{\{(\w+)\}\}")


def _load() -> dict[str, str]:
    raw: dict[str, str] = {}
    for path in sorted(resources.files(__name__).iterdir(), key=lambda entry: entry.name):
        if path.name.endswith(".sql") and path.name != "schema.sql":
            _, *parts = _HEADER.split(path.read_text(encoding="utf-8"))
            found = {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}
            assert not raw.keys() & found.keys(), f"two statements have one name: {raw.keys() & found.keys()}"
            raw |= found

    def resolve(text: str) -> str:
        return _REFERENCE.sub(lambda reference: resolve(raw[reference[1]]), text)

    return {name: resolve(text) for name, text in raw.items()}


STATEMENTS = _load()


def migrations() -> list[tuple[int, str, str]]:
    """All migrations as (version, name, SQL), oldest first. Their files are called `VERSION_NAME.sql`."""
    found = []
    for path in (resources.files(__name__) / "migrations").iterdir():
        if path.name.endswith(".sql"):
            version, _, name = path.name.removesuffix(".sql").partition("_")
            found.append((int(version), name, path.read_text(encoding="utf-8")))
    return sorted(found)
