"""What the tests of languages share. Those that need a toolchain which is missing are skipped, and say so."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.languages.sides import JavaScript, Python, Side
from tests.server_process import ServerProcess

_BUILT = Path(__file__).parents[2] / "client" / "typescript" / "dist" / "index.js"


@pytest.fixture
def side(server: ServerProcess, tenant: str) -> Iterator[Callable[[str], Side]]:
    """Gives a language by its name, on the test's tenant."""
    sides: dict[str, Callable[[], Side]] = {
        "python": lambda: Python(server.address, tenant),
        "javascript": lambda: JavaScript(server.address, tenant),
    }
    if shutil.which("node") is None:
        pytest.skip("Node.js is not on the PATH")
    if not _BUILT.exists():
        pytest.skip("the TypeScript client is not built: call make typescript")
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(closing(sides[name]()))


@pytest.fixture(params=["python-javascript", "javascript-python"])
def languages(request: pytest.FixtureRequest, side: Callable[[str], Side]) -> tuple[Side, Side]:
    """The language that begins a thread, and the other one."""
    one, other = request.param.split("-")
    return side(one), side(other)
