"""Clean virtual environments, with what a stranger's pip puts into them."""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]

_SECONDS = 600  # for an installation, which may have to download all


class Environment:
    """A new virtual environment with the given requirements, installed in `directory`."""

    def __init__(self, directory: Path, *requirements: str) -> None:
        self.directory = directory
        self.bin = directory / "bin"
        # Without a pip of its own, which takes longer to install than all of ours: the one that runs us serves it.
        venv.create(directory, with_pip=False, symlinks=True)
        installed = self._pip("install", "--quiet", *requirements)
        assert installed.returncode == 0, f"pip install {requirements} failed:\n{installed.stdout}{installed.stderr}"

    def distributions(self) -> set[str]:
        """The names of all that is installed."""
        lines = self._pip("freeze").stdout.splitlines()
        return {line.partition(" @ ")[0].partition("==")[0].lower().replace("_", "-") for line in lines}

    def check(self) -> subprocess.CompletedProcess[str]:
        """What pip says about requirements that are missing or do not fit."""
        return self._pip("check")

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run an installed program with nothing of ours to be found but what is installed."""
        return self._run([str(self.bin / program), *arguments])

    def python(self, code: str, *arguments: str) -> str:
        """Run Python code there; what it printed."""
        done = self.run("python", "-I", "-c", code, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _pip(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run([sys.executable, "-m", "pip", "--python", str(self.bin / "python"), *arguments])

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CHECKPOINTD_"))}
        return subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=self.directory, env=mine, timeout=_SECONDS
        )
