"""What the archives hold: all of our sources, and none of anything else."""

import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.packaging.environments import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCE_ROOTS = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["sources"]
PORTIONS = ["changes", "cli", "client", "engine", "server", "v1"]


def sources() -> dict[str, Path]:
    """Our files by the path at which they are imported."""
    return {
        str(path.relative_to(ROOT / root)): path
        for root in SOURCE_ROOTS
        for path in (ROOT / root / "checkpointd").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("root", SOURCE_ROOTS)
def test_no_root_hides_the_others(root: str) -> None:
    """checkpointd is a namespace: an __init__.py in one root would hide what the other roots hold."""
    assert (ROOT / root / "checkpointd").is_dir()
    assert not (ROOT / root / "checkpointd" / "__init__.py").exists()


def test_the_wheel_holds_our_sources_and_nothing_else(archives: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(archives[1]) as wheel:
        about = [name for name in wheel.namelist() if ".dist-info/" in name]
        held = {name: wheel.read(name) for name in wheel.namelist() if name not in about}
    assert sorted(held) == sorted(sources())
    for name, path in sources().items():
        assert held[name] == path.read_bytes(), name
    assert {name.partition("/")[2] for name in about} >= {"METADATA", "entry_points.txt", "licenses/LICENSE"}


def test_the_wheel_holds_what_is_not_python(archives: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(archives[1]) as wheel:
        held = set(wheel.namelist())
    assert {f"checkpointd/{portion}/py.typed" for portion in PORTIONS} <= held
    assert {
        f"checkpointd/v1/checkpoints_{kind}" for kind in ("pb2.py", "pb2.pyi", "pb2_grpc.py", "pb2_grpc.pyi")
    } <= held
    assert any(name.startswith("checkpointd/engine/sql/migrations/") and name.endswith(".sql") for name in held)


def test_the_source_archive_holds_contract_and_tests(archives: tuple[Path, Path]) -> None:
    sdist = archives[0]
    top = sdist.name.removesuffix(".tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.removeprefix(f"{top}/") for name in archive.getnames()}
    contract = {str(path.relative_to(ROOT)) for path in (ROOT / "protos").rglob("*.proto")}
    assert contract
    assert contract <= held
    assert {"pyproject.toml", "README.md", "LICENSE", "protos/generate.py", "tests/conftest.py"} <= held
