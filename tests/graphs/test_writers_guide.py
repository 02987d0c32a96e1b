"""The guide to writers: its program runs and prints what the guide says."""

from pathlib import Path

from tests.guides import run_guide


def test_the_program_prints_what_the_guide_says(tmp_path: Path) -> None:
    printed, said = run_guide("writers.md", tmp_path)
    assert printed == said
