"""The environments that a stranger's three commands make, all at once, and the archives that would be published."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.packaging.environments import ROOT, Environment


@pytest.fixture(scope="session")
def made() -> Iterator[Callable[[str], Environment]]:
    """Gives the environments thin, cli, langgraph, server and builder, made side by side, since pip mostly waits."""
    requirements = {
        "server": f"{ROOT}[server]",
        "langgraph": f"{ROOT}[langgraph]",
        "cli": f"{ROOT}[cli]",
        "thin": str(ROOT),
        "builder": "hatchling>=1.27",
    }
    with TemporaryDirectory(prefix="checkpointd-test-") as parent, ThreadPoolExecutor() as pool:
        futures: dict[str, Future[Environment]] = {
            name: pool.submit(Environment, Path(parent, name), requirement)
            for name, requirement in requirements.items()
        }
        yield lambda name: futures[name].result()


@pytest.fixture(scope="session")
def thin(made: Callable[[str], Environment]) -> Environment:
    """pip install ."""
    return made("thin")


@pytest.fixture(scope="session")
def with_cli(made: Callable[[str], Environment]) -> Environment:
    """pip install '.[cli]'"""
    return made("cli")


@pytest.fixture(scope="session")
def langgraph(made: Callable[[str], Environment]) -> Environment:
    """pip install '.[langgraph]'"""
    return made("langgraph")


@pytest.fixture(scope="session")
def with_server(made: Callable[[str], Environment]) -> Environment:
    """pip install '.[server]'"""
    return made("server")


@pytest.fixture(scope="session")
def archives(made: Callable[[str], Environment]) -> tuple[Path, Path]:
    """The source archive made from the tree, and the wheel made from that archive."""
    builder = made("builder")
    target = builder.directory / "dist"
    sdist = builder.python(_BUILD, "build_sdist", str(ROOT), str(target))
    builder.run("python", "-m", "tarfile", "-e", str(target / sdist), str(target))
    wheel = builder.python(_BUILD, "build_wheel", str(target / sdist.removesuffix(".tar.gz")), str(target))
    return target / sdist, target / wheel


# As pip calls the build backend (PEP 517), in the directory of the sources.
_BUILD = """
import os, sys
from hatchling import build
os.chdir(sys.argv[2])
os.makedirs(sys.argv[3], exist_ok=True)
print(getattr(build, sys.argv[1])(sys.argv[3]))
"""
