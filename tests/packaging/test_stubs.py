"""The committed stubs are what the contract makes."""

import subprocess
import sys
from pathlib import Path

from tests.packaging.environments import ROOT


def files_below(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_making_the_stubs_again_changes_nothing(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "protos" / "generate.py", tmp_path], check=False, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stdout + made.stderr
    again, committed = files_below(tmp_path), files_below(ROOT / "protos" / "gen" / "python")
    assert again.keys() == committed.keys(), "call `make protos`"
    assert [name for name in again if again[name] != committed[name]] == [], "call `make protos`"
