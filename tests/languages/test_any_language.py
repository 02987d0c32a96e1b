"""The guide for all other languages: its commands run, and print what it says. They need grpcurl, which needs Go."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guides import blocks
from tests.server_process import ServerProcess, environment

_GRPCURL = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3"


@pytest.fixture(scope="session")
def grpcurl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the program."""
    if found := shutil.which("grpcurl"):
        return Path(found).parent
    if (go := shutil.which("go")) is None:
        pytest.skip("neither grpcurl nor Go is on the PATH")
    home = tmp_path_factory.mktemp("grpcurl")
    subprocess.run([go, "install", _GRPCURL], check=True, env=environment(GOBIN=str(home)), capture_output=True)
    return home


def test_the_commands_print_what_the_guide_says(tmp_path: Path, grpcurl: Path) -> None:
    found = blocks("any-language.md")
    (program,) = [code for language, code in found if language == "python"]
    script = "".join(code for language, code in found if language == "sh")
    said = "".join(text for language, text in found if not language)
    with ServerProcess(tmp_path / "log", "--data-dir", str(tmp_path / "data")) as server:
        (tmp_path / "orders.py").write_text(program.replace("127.0.0.1:50051", server.address))
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script.replace("127.0.0.1:50051", server.address)],
            cwd=tmp_path,
            env=environment() | {"PATH": f"{Path(sys.executable).parent}:{grpcurl}:{environment()['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
    pattern = re.escape(said).replace("…", r"[^\n]*")
    assert re.fullmatch(pattern, ran.stdout), f"{ran.stdout}\n{ran.stderr}"


@pytest.mark.skipif(shutil.which("protoc") is None, reason="protoc is not on the PATH")
def test_a_client_for_java_can_be_generated(tmp_path: Path) -> None:
    (script,) = [code for language, code in blocks("any-language.md") if language == "bash"]
    (tmp_path / "protos").symlink_to(Path(__file__).parents[2] / "protos")
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, check=True, env=environment())
