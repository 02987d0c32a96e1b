"""Where results are kept, and what has to be known of the run that they are from."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

from bench.picture import draw
from bench.row import Row
from bench.table import as_json

RESULTS = Path("bench", "results")

_PACKAGES = ("langgraph", "langgraph-checkpoint", "langgraph-checkpoint-postgres", "psycopg", "grpcio", "protobuf")


def facts(conninfo: str, *, quick: bool) -> dict[str, Any]:
    """What the figures depend on. Ratios of two runs compare on one machine, and only roughly on two."""
    with psycopg.connect(conninfo) as connection:
        postgres = str(connection.info.parameter_status("server_version"))
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short", "HEAD"),
        # What is measured may not be what was committed.
        "changed": bool(_git("status", "--porcelain", "--", "engine", "server", "client", "protos", "bench")),
        "quick": quick,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[1],
        "python": platform.python_version(),
        "postgres": postgres,
        "packages": {name: version(name) for name in _PACKAGES},
    }


def keep(rows: Sequence[Row], facts: dict[str, Any], directory: Path | None) -> list[Path]:
    """Write what was measured, and the picture of it. Quick runs go beside the others and are not committed."""
    where = directory or RESULTS
    where.mkdir(parents=True, exist_ok=True)
    quick = "-quick" if facts["quick"] else ""
    moment = facts["date"][:16].replace(":", "").replace("T", "-")
    kept = where / f"{moment}-{facts['commit']}{quick}.json"
    picture = where / f"latest{quick}.svg"
    content = {"facts": facts, "rows": [as_json(row) for row in rows]}
    kept.write_text(json.dumps(content, indent=1) + "\n")
    title = f"checkpointd beside PostgresSaver {facts['packages']['langgraph-checkpoint-postgres']}"
    picture.write_text(draw(rows, f"{title}, {facts['date'][:10]}, {facts['commit']}"))
    return [kept, picture]


def last(directory: Path | None, *, quick: bool) -> dict[str, float]:
    """What the newest run of the same kind found: of each row, the figure that its target is for, or its ratio."""
    found = [one for one in (directory or RESULTS).glob("*.json") if one.stem.endswith("-quick") == quick]
    if not found:
        return {}
    rows = json.loads(max(found).read_text())["rows"]
    figures = {row["name"]: row["ratio"] if row["judged"] is None else row["judged"] for row in rows}
    return {name: figure for name, figure in figures.items() if figure is not None}


def _git(*arguments: str) -> str:
    return subprocess.run(("git", *arguments), check=False, capture_output=True, text=True).stdout.strip()
