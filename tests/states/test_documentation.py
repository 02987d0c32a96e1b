"""The guide to states: its program runs, prints what the guide says, and names every allowed difference."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.server_process import ServerProcess, environment
from tests.states.allowed import ALLOWED

_GUIDE = (Path(__file__).parents[2] / "docs" / "states.md").read_text()
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_program_prints_what_the_guide_says(tmp_path: Path) -> None:
    blocks = _BLOCK.findall(_GUIDE)
    program = "".join(code for language, code in blocks if language == "python")
    said = "".join(text for language, text in blocks if not language)
    # A server of its own: the guide's tenant is the default one.
    with ServerProcess(tmp_path / "log", "--data-dir", str(tmp_path / "data")) as server:
        (tmp_path / "guide.py").write_text(program.replace("127.0.0.1:50051", server.address))
        ran = subprocess.run(
            [sys.executable, str(tmp_path / "guide.py")], capture_output=True, text=True, check=False, env=environment()
        )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == said


def test_the_guide_names_every_allowed_difference() -> None:
    assert re.findall(r"^- \*\*(.+?)\*\*:", _GUIDE, re.MULTILINE) == [one.name for one in ALLOWED]
