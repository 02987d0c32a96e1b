"""The guide to states: its program runs, prints what the guide says, and names every allowed difference."""

import re
from pathlib import Path

from tests.guides import guide, run_guide
from tests.states.allowed import ALLOWED


def test_the_program_prints_what_the_guide_says(tmp_path: Path) -> None:
    printed, said = run_guide("states.md", tmp_path)
    assert printed == said


def test_the_guide_names_every_allowed_difference() -> None:
    assert re.findall(r"^- \*\*(.+?)\*\*:", guide("states.md"), re.MULTILINE) == [one.name for one in ALLOWED]
