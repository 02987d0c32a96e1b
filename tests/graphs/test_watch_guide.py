"""docs/watch.md: its program prints what it says."""

from pathlib import Path

from tests.guides import blocks, run_guide


def test_the_guide(tmp_path: Path) -> None:
    printed, _ = run_guide("watch.md", tmp_path)
    (said,) = [text for language, text in blocks("watch.md") if language == "text"]
    assert printed == said
