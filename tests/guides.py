"""The guides in docs/ whose blocks are one program or session, and what it prints."""

import re
import subprocess
import sys
from pathlib import Path

from tests.server_process import ServerProcess, environment

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def guide(name: str) -> str:
    """The text of a guide."""
    return (Path(__file__).parents[1] / "docs" / name).read_text()


def blocks(name: str) -> list[tuple[str, str]]:
    """A guide's blocks, each with its language; "" for what is printed."""
    return _BLOCK.findall(guide(name))


def run_guide(name: str, home: Path) -> tuple[str, str]:
    """What a guide's program prints, and what the guide says that it prints."""
    program = "".join(code for language, code in blocks(name) if language == "python")
    said = "".join(text for language, text in blocks(name) if not language)
    # A server of its own: the guide's tenant is the default one.
    with ServerProcess(home / "log", "--data-dir", str(home / "data")) as server:
        (home / "guide.py").write_text(program.replace("127.0.0.1:50051", server.address))
        ran = subprocess.run(
            [sys.executable, str(home / "guide.py")], capture_output=True, text=True, check=False, env=environment()
        )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout, said
