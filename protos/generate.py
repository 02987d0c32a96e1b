"""Make the stubs of every language from the contract: `python protos/generate.py DIRECTORY`."""

import sys
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).parent


def generate_python(target: Path) -> None:
    """Write Python messages, services and their types below `target`, at the import path that the package names."""
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.glob("checkpointd/**/*.proto"))
    well_known = resources.files("grpc_tools") / "_proto"
    scripts = Path(sys.executable).parent
    plugins = [f"--plugin=protoc-gen-{kind}={scripts / f'protoc-gen-{kind}'}" for kind in ("mypy", "mypy_grpc")]
    outputs = [f"--{kind}_out={target}" for kind in ("python", "mypy", "grpc_python", "mypy_grpc")]
    if protoc.main(["protoc", f"-I{PROTOS}", f"-I{well_known}", *plugins, *outputs, *sources]) != 0:
        sys.exit("protoc refused the contract; see its messages above")
    for package in {(target / source).parent for source in sources}:
        (package / "py.typed").touch()


if __name__ == "__main__":
    generate_python(Path(sys.argv[1]))
