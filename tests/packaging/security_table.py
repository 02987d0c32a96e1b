"""Who may call what, as a table for docs/security.md. `python -m tests.packaging.security_table` writes it there."""

import re
from pathlib import Path

from checkpointd.v1.access_pb2 import Reach, Role, access
from tests.contract.rpcs import all_rpcs
from tests.packaging.environments import ROOT

GUIDE: Path = ROOT / "docs" / "security.md"

_BEGIN, _END = "<!-- generated: python -m tests.packaging.security_table -->", "<!-- end -->"
_REACHES = {
    Reach.REACH_THREADS: "the threads that it names",
    Reach.REACH_SHARED: "allowed",
    Reach.REACH_TENANT: "refused",
}


def table() -> str:
    """The table in Markdown."""
    lines = ["| service | rpc | least role | with a credential for some threads |", "|---|---|---|---|"]
    for rpc in all_rpcs():
        needed = rpc.GetOptions().Extensions[access]
        role = Role.Name(needed.role).removeprefix("ROLE_").lower()
        assert rpc.containing_service is not None
        lines.append(f"| {rpc.containing_service.name} | {rpc.name} | {role} | {_REACHES[needed.reach]} |")
    return "\n".join(lines)


def in_guide() -> str:
    """The guide with the table as it must be."""
    return re.sub(
        f"({re.escape(_BEGIN)}\n).*?(\n{re.escape(_END)})",
        lambda found: f"{found[1]}{table()}{found[2]}",
        GUIDE.read_text(),
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    GUIDE.write_text(in_guide())
