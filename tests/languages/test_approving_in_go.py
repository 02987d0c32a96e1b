"""A Go program looks at what a thread waits with and approves, between the graph's runs in either language."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.languages.sides import Side
from tests.server_process import ServerProcess, environment

Languages = tuple[Side, Side]
HI = {"log": ["hi"]}
_MODULE = Path(__file__).parents[2] / "client" / "go"


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """client/go's example."""
    if (go := shutil.which("go")) is None:
        pytest.skip("Go is not on the PATH")
    made = tmp_path_factory.mktemp("go") / "approve"
    subprocess.run([go, "build", "-o", made, "./example/approve"], cwd=_MODULE, check=True, env=environment())
    return made


Approve = Callable[..., dict[str, object]]


@pytest.fixture
def approve(program: Path, server: ServerProcess, tenant: str) -> Approve:
    """Answers thread `t`, if there is an answer; gives the questions by interrupt id."""

    def run(*arguments: str) -> dict[str, object]:
        ran = subprocess.run(
            [program, "-server", server.address, "-tenant", tenant, *arguments],
            check=False,
            capture_output=True,
            text=True,
        )
        if ran.returncode:
            raise AssertionError(ran.stderr)
        return {id: json.loads(question) for id, question in (line.split("  ", 1) for line in ran.stdout.splitlines())}

    return run


def test_go_approves_in_between(languages: Languages, approve: Approve) -> None:
    one, other = languages
    begun = one.invoke("questions", "t", HI)
    assert approve("t", '"a"') == begun.interrupts == dict.fromkeys(begun.interrupts, "first?")
    with pytest.raises(AssertionError, match="has an answer already"):
        approve("t", '"again"')

    asked = other.invoke("questions", "t", None)
    assert list(asked.interrupts.values()) == ["second?"]
    assert list(approve("t", '"b"').values()) == ["second?"]
    finished = one.invoke("questions", "t", None)
    assert finished.ran == ["ask", "done"]
    assert sorted(finished.log) == ["ask a b", "done", "hi", "note"]
    assert approve("t") == {}


def test_go_approves_one_of_two_and_then_the_other(languages: Languages, approve: Approve) -> None:
    one, other = languages
    one.invoke("choices", "t", HI)
    ids = {question: id for id, question in approve("t").items()}
    assert sorted(map(str, ids)) == ["left?", "right?"]
    with pytest.raises(AssertionError, match="say which one is answered"):
        approve("t", '"?"')
    approve("-id", ids["right?"], "t", '"r"')

    half = other.invoke("choices", "t", None)
    assert list(half.interrupts.values()) == ["left?"]
    (left,) = approve("t")
    approve("-id", left, "t", '"l"')
    finished = one.invoke("choices", "t", None)
    assert finished.next == []
    assert {"left l", "right r"} <= set(finished.log)


def test_go_approves_inside_a_subgraph(languages: Languages, approve: Approve) -> None:
    one, other = languages
    begun = one.invoke("nested", "t", HI)
    assert list(approve("t", '"yes"').values()) == list(begun.interrupts.values()) == ["inside?"]
    asked = other.invoke("nested", "t", None)
    assert approve("t", '"b"') == asked.interrupts == dict.fromkeys(asked.interrupts, "at last?")
    finished = one.invoke("nested", "t", None)
    assert finished.log[-4:] == ["first", "ask yes", "last b", "after"]
