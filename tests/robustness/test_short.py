"""The short form of the suite: a run that must be clean, and for each promise one that breaks it and must not be."""

from pathlib import Path

import pytest

from tests.robustness.run import Plan, Result, run

_SEED = 20261121
_CLIENTS = {"raw": 4}
_WITH_GRAPHS = {"raw": 3, "graph": 2}

# What shows the breach soonest. The fence needs no fault: writers that get in each other's way are enough.
_FAULTS = {
    "fence": ("pause client", "step clock"),
    "transaction": ("kill server", "kill both servers"),
    "durability": ("kill postgres",),
}
_ROUNDS = 4
_DOSE = 5.0  # seconds, and so many more each round: whether a kill falls into the right moment is a matter of luck


def test_every_promise_is_kept(tmp_path: Path) -> None:
    result = run(Plan(_SEED, 16, _WITH_GRAPHS), tmp_path)
    assert (result.lost, result.wrong) == ([], [])
    # There was something to keep them against.
    assert result.kills["server"] >= 3
    assert result.kills["postgres"] >= 1
    assert result.faults.keys() - {"kill server", "kill both servers", "kill postgres", "kill everything"}
    assert result.refused.keys() >= {"HEAD_MOVED", "LEASE_LOST"}
    assert result.acknowledged_ops > 1000
    assert result.runs.keys() >= {"fork ok", "lease ok", "refuse ok"}


@pytest.mark.parametrize("broken", _FAULTS)
def test_a_promise_that_is_broken_is_noticed(broken: str, tmp_path: Path) -> None:
    result = _until_noticed(broken, tmp_path)
    if broken == "durability":
        assert result.lost


def _until_noticed(broken: str, home: Path) -> Result:
    for number in range(1, _ROUNDS + 1):
        place = home / str(number)
        place.mkdir()
        plan = Plan(_SEED + number, _DOSE * number, _CLIENTS, broken, _FAULTS[broken])
        if not (result := run(plan, place)).clean:
            return result
    raise AssertionError(f"{_ROUNDS} runs without the {broken} were clean")
